#!/usr/bin/env python3
"""Replays an agent's work through HTTP: a long system prompt with tools, turns with tool results, an edit in the middle, a retry.

Prints for each turn what the cache saved, what was computed again, and the time to the first token; then the share of reusable
tokens that were reused. Reusable is what an earlier prompt or answer of the trace has in the same place, found by comparing
tokens here. Usage: agent_trace.py URL [--turns N] [--tokens N] [--seed N] [--plain] [--json FILE]; --plain leaves out what only
Headgate tells (for llama-server: cached tokens are read from its timings).
"""
import argparse
import json
import random
import statistics
import time
import urllib.request

WORDS = ("file line error build test path value index server cache token model layer state page time while return module "
         "check write read found missing result number list table key name folder commit branch merge review").split()


def prose(draw, words):
    """Text of about so many tokens."""
    lines = []
    while words > 0:
        count = min(words, draw.randint(8, 16))
        lines.append(" ".join(draw.choice(WORDS) for _ in range(count)) + f" {draw.randint(0, 999)}.")
        words -= count
    return "\n".join(lines)


def tool(draw, index):
    """One tool in OpenAI's form."""
    return {"type": "function", "function": {
        "name": f"{draw.choice(WORDS)}_{index}", "description": prose(draw, 60),
        "parameters": {"type": "object", "properties": {
            name: {"type": "string", "description": prose(draw, 12)} for name in draw.sample(WORDS, 4)}}}}


class Trace:
    """The conversation as an agent's client would send it."""

    def __init__(self, url, options):
        self.url, self.options = url.rstrip("/"), options
        self.draw = random.Random(options.seed)
        self.seen = []  # token ids of earlier prompts with their answers
        self.rows = []
        self.tools = [tool(self.draw, i) for i in range(12)]
        self.messages = [{"role": "system", "content": prose(self.draw, 1500)}]

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return urllib.request.urlopen(request, timeout=3600)

    def ids(self):
        """Token ids of the conversation as it stands."""
        body = {"messages": self.messages, "tools": self.tools, "add_generation_prompt": True}
        if self.options.plain:
            with self.post("/apply-template", body) as answer:
                body = {"content": json.load(answer)["prompt"], "add_special": False, "parse_special": True}
        with self.post("/tokenize", body) as answer:
            return json.load(answer)["tokens"]

    def turn(self, note):
        """Asks for the next answer."""
        ids = self.ids()
        reusable = max((common(ids, other) for other in self.seen), default=0)
        body = {"messages": self.messages, "tools": self.tools, "max_tokens": self.options.answer, "temperature": 0,
                "stream": True, "stream_options": {"include_usage": True}, **({"cache_prompt": True} if self.options.plain else {})}
        start, first, text, usage, timings = time.monotonic(), None, "", {}, {}
        with self.post("/v1/chat/completions", body) as answer:
            for line in answer:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                usage, timings = event.get("usage") or usage, event.get("timings") or timings
                for choice in event.get("choices", []):
                    delta = choice["delta"].get("content") or ""
                    thought = choice["delta"].get("reasoning_content") or ""
                    if first is None and (delta or thought):
                        first = time.monotonic() - start
                    text += delta
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens", timings.get("cache_n", 0)) or 0
        self.messages.append({"role": "assistant", "content": text})
        self.seen.append(ids)
        row = {"turn": len(self.rows) + 1, "note": note, "prompt": len(ids), "reusable": reusable, "cached": cached,
               "replayed": max(reusable - cached, 0), "tier": details.get("cache_tier", "?"), "ttft_s": first or time.monotonic() - start}
        self.rows.append(row)
        print("{turn:3} {note:12} prompt {prompt:6} reusable {reusable:6} cached {cached:6} again {replayed:5} {tier:7} "
              "first token {ttft_s:8.3f} s".format(**row), flush=True)

    def run(self):
        per_turn = max(self.options.tokens - 4000, 1000) // self.options.turns
        self.messages.append({"role": "user", "content": prose(self.draw, 150)})
        self.turn("begins")
        for index in range(1, self.options.turns):
            self.messages.append({"role": "user" if index % 5 == 0 else "tool", "content": prose(self.draw, per_turn // 2),
                                  **({} if index % 5 == 0 else {"tool_call_id": f"call_{index}"})})
            self.turn("goes on")
            if index == self.options.turns * 2 // 3:
                middle = len(self.messages) // 2
                kept = self.messages
                self.messages = [dict(message) for message in kept[:middle + 1]]
                self.messages[-1]["content"] += " Edited."
                self.messages += [dict(message) for message in kept[middle + 1:]]
                if self.messages[-1]["role"] == "assistant":
                    self.messages.pop()
                self.turn("edited")
                self.messages = kept
            if index == self.options.turns // 2:
                self.messages.pop()
                self.turn("retried")


def common(a, b):
    """Length of the common beginning."""
    count = 0
    for x, y in zip(a, b):
        if x != y:
            break
        count += 1
    return count


def main():
    """Runs the trace and sums up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=60000)
    parser.add_argument("--answer", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    trace = Trace(options.url, options)
    trace.run()
    warm = trace.rows[1:]
    reusable, reused = sum(row["reusable"] for row in warm), sum(min(row["cached"], row["reusable"]) for row in warm)
    print(f"{len(trace.rows)} turns, {trace.rows[-1]['prompt']} tokens at the end: {100 * reused / max(reusable, 1):.2f} % of "
          f"{reusable} reusable tokens reused, at most {max(row['replayed'] for row in warm)} computed again in a turn, first token "
          f"p50 {statistics.median(row['ttft_s'] for row in warm):.3f} s")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(trace.rows, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Answers of `headgate serve` at temperature 1.5 under random JSON schemas and tool sets: every one that ends is valid.

Usage: forms_test.py PROGRAM [--cases N] [--seed N] [--threads N] (a long run: --cases 10000). Exits with 77 where jsonschema is
not installed.
"""
import argparse
import collections
import http.client
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "grammar_differential")]
from random_schemas import Schemas
from served import Served

try:
    import jsonschema
except ImportError:
    print("jsonschema is not installed: skipped")
    sys.exit(77)

# What the random schemas may ask for that no text can be (docs/constrained.md).
REFUSALS = ("fits no text", "minProperties", "no text fits")
Validator = jsonschema.Draft202012Validator


class Run:
    """The cases, handed out to threads."""

    def __init__(self, server, options):
        self.port = int(server.url.rsplit(":", 1)[1])
        self.options = options
        self.lock = threading.Lock()
        self.next = 0
        self.count = collections.Counter()
        self.findings = []

    def work(self):
        """One thread: a connection and case after case."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        while True:
            with self.lock:
                index = self.next
                self.next += 1
            if index >= self.options.cases:
                return
            seed = self.options.seed * 1_000_003 + index
            body, check = self.tools(seed) if index % 2 else self.schema(seed)
            body.update(model="nano", temperature=1.5, seed=seed, max_tokens=400,
                        messages=[{"role": "user", "content": f"Invent number {index}."}])
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            answer = connection.getresponse()
            self.judge(answer.status, json.loads(answer.read()), body, check)

    def schema(self, seed):
        """A request for JSON under a schema, and what checks its answer."""
        schema = Schemas(seed).whole()
        body = {"response_format": {"type": "json_schema", "json_schema": {"name": "any", "strict": True, "schema": schema}}}
        return body, lambda choice: self.invalid(schema, choice["message"]["content"])

    def tools(self, seed):
        """A request that must call one of some tools."""
        made = Schemas(seed)
        tools = [{"type": "function", "function": {"name": f"tool_{i}", "strict": True, "parameters": {**made.object(2), "$defs": made.whole().get("$defs", {})}}}
                 for i in range(made.random.randint(1, 4))]
        schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}

        def check(choice):
            calls = choice["message"].get("tool_calls") or []
            if not calls:
                return "no call"
            for call in calls:
                error = self.invalid(schemas[call["function"]["name"]], call["function"]["arguments"])
                if error:
                    return error
            return None
        return {"tools": tools, "tool_choice": "required", "parallel_tool_calls": made.chance(0.5)}, check

    @staticmethod
    def invalid(schema, text):
        """What is wrong with a text, or None."""
        try:
            error = next(Validator(schema, format_checker=Validator.FORMAT_CHECKER).iter_errors(json.loads(text)), None)
        except ValueError as broken:
            error = broken
        return str(error).split("\n")[0] + ": " + text if error is not None else None

    def judge(self, status, answer, body, check):
        """Counts one answer."""
        kind = "tools" if "tools" in body else "schemas"
        finding = None
        if status == 400 and any(words in answer["error"]["message"] for words in REFUSALS):
            outcome = "refused"
        elif status != 200:
            outcome, finding = "wrong", f"{status}: {answer['error']['message']}"
        elif answer["choices"][0]["finish_reason"] == "length":
            outcome = "unfinished"
        else:
            finding = check(answer["choices"][0])
            outcome = "invalid" if finding else "valid"
        with self.lock:
            self.count[f"{kind} {outcome}"] += 1
            self.count["tokens"] += answer.get("usage", {}).get("completion_tokens", 0)
            if finding:
                self.findings.append(finding + "\n  " + json.dumps(body))


def main():
    """Runs all cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args()
    server = Served(options.program, "--name", "nano", "--ctx", "4096")
    try:
        run = Run(server, options)
        threads = [threading.Thread(target=run.work) for _ in range(options.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        server.close()
    print("\n".join(run.findings[:20]))
    print(dict(sorted(run.count.items())), f"{len(run.findings)} findings")
    judged = sum(run.count[f"{kind} valid"] for kind in ("schemas", "tools"))
    sys.exit(1 if run.findings or judged < options.cases // 3 else 0)


if __name__ == "__main__":
    main()

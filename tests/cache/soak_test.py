#!/usr/bin/env python3
"""Random conversations for a while: resident memory stays below the state budget, plus 5 %, and what the program has without states.

That is measured first: weights and the buffers of steps, under the same load with room for next to no states.
The index of states on disk and the buffers of files have to find room in the budget.

Usage: soak_test.py PROGRAM [SECONDS [SEED [PAUSE]]], where each client rests for PAUSE seconds between requests. Conversations grow, are edited, forked, broken off and start anew, four at a time, with
states going to disk and back.
"""
import os
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
from kill_test import text_of
from served import Served

BUDGET_MIB, LEAST_MIB = 96, 24
BASE_SECONDS = 3


def resident(process):
    """Bytes in memory that belong to the process alone."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) << 10


def talk(server, seed, end, counts, pause):
    """One client."""
    draw = random.Random(seed)
    texts = [text_of(draw.random(), 50)]
    while time.monotonic() < end:
        text = draw.choice(texts)
        action = draw.randrange(6)
        if action == 0:
            text = text[:draw.randrange(len(text))]
        text += " " + text_of(draw.random(), draw.choice((20, 100, 600)))
        if len(text) > 12000:
            text = text_of(draw.random(), 50)
        body = {"prompt": text, "max_tokens": draw.choice((1, 16, 64)), "n": draw.choice((1, 1, 2))}
        try:
            status, answer = server.post("/v1/completions", body)
            assert status in (200, 429, 503), answer
            if status == 200:
                text += answer["choices"][0]["text"]
        except OSError as error:
            counts["errors"].append(repr(error))
        texts.append(text)
        texts = texts[-6:]
        counts["requests"] += 1
        time.sleep(pause)


def run(program, budget_mib, seconds, seed, pause, *more):
    """The most that was resident under load, and how many requests there were."""
    server = Served(program, "--state-memory", str(budget_mib), *more)
    try:
        counts = {"requests": 0, "errors": []}
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=talk, args=(server, seed * 100 + i, end, counts, pause)) for i in range(4)]
        for thread in threads:
            thread.start()
        most = 0
        while time.monotonic() < end:
            most = max(most, resident(server.process))
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    finally:
        server.close()
    assert not counts["errors"], counts["errors"][:3]
    return most, counts["requests"]


def main():
    """Measures what is there without states, then watches."""
    program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 4
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    pause = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    # Stacks and heaps of all threads take a while until they have their size.
    base = run(program, LEAST_MIB, BASE_SECONDS + seconds / 50, seed, pause)[0] - (LEAST_MIB << 20)
    with tempfile.TemporaryDirectory(prefix="headgate-soak-") as folder:
        most, requests = run(program, BUDGET_MIB, seconds, seed, pause, "--cache-dir", folder, "--cache-disk", "1")
    limit = base + 1.05 * (BUDGET_MIB << 20)
    print(f"{requests} requests in {seconds:.0f} s: {base / 1e6:.0f} MB without states, {most / 1e6:.0f} MB at most, allowed "
          f"{limit / 1e6:.0f} MB with a budget of {(BUDGET_MIB << 20) / 1e6:.0f} MB")
    assert most <= limit


if __name__ == "__main__":
    main()

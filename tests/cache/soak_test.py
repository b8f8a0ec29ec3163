#!/usr/bin/env python3
"""Random conversations for a while: the resident memory stays below what loading took and the state budget, plus 5 %.

Usage: soak_test.py PROGRAM [SECONDS [SEED]]. Conversations grow, are edited, forked, broken off and start anew, four at a time, with
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

BUDGET_MIB = 96
# Beside states: logits and buffers of steps, connections, samplers. What the first rounds take belongs to loading.
WARM_UP_SECONDS = 4


def resident(process):
    """Bytes in memory that belong to the process alone."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) << 10


def talk(server, seed, end, counts):
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


def main():
    """Loads, warms up, and watches."""
    program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 6
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory(prefix="headgate-soak-") as folder:
        server = Served(program, "--state-memory", str(BUDGET_MIB), "--cache-dir", folder, "--cache-disk", "1")
        try:
            loaded = resident(server.process)
            counts = {"requests": 0, "errors": []}
            end = time.monotonic() + seconds
            threads = [threading.Thread(target=talk, args=(server, seed * 100 + i, end, counts)) for i in range(4)]
            for thread in threads:
                thread.start()
            most, begun = 0, time.monotonic()
            while time.monotonic() < end:
                most = max(most, resident(server.process))
                time.sleep(0.05)
            for thread in threads:
                thread.join()
            limit = loaded + 1.05 * (BUDGET_MIB << 20)
            status = server.get("/v1/status")[1]
        finally:
            server.close()
    print(f"{counts['requests']} requests in {time.monotonic() - begun:.0f} s: {loaded / 1e6:.0f} MB after loading, "
          f"{most / 1e6:.0f} MB at most, allowed {limit / 1e6:.0f} MB with a budget of {BUDGET_MIB << 20} bytes")
    assert not counts["errors"], counts["errors"][:3]
    assert most <= limit, status


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Whether the time to an answer tells one tenant what another has asked.

Pairs of probes of tenant B: a text that tenant A has just sent, and one that nobody has. A classifier that knows only the times
must do no better than guessing (AUC 0.45 to 0.55); without salts it must do much better, which shows that the probe can tell.
Usage: timing_test.py PROGRAM [PAIRS].
"""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
from kill_test import text_of
from served import Served


def seconds(server, prompt, salt):
    """One probe."""
    body = {"prompt": prompt, "max_tokens": 1, "temperature": 0}
    if salt:
        body["cache_salt"] = salt
    start = time.perf_counter()
    status, _ = server.post("/v1/completions", body)
    assert status == 200
    return time.perf_counter() - start


def auc(positive, negative):
    """The chance that a probe of the first kind is quicker than one of the second."""
    ranked = sorted([(value, 1) for value in positive] + [(value, 0) for value in negative])
    rank_sum = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind)
    wins = rank_sum - len(positive) * (len(positive) + 1) / 2
    return 1 - wins / (len(positive) * len(negative))


def probe(server, pairs, salts, draw):
    """AUC of telling what was asked before."""
    known, unknown = [], []
    for _ in range(pairs):
        asked, other = (text_of(draw.random(), 300) for _ in range(2))
        seconds(server, asked, salts[0])
        order = [(asked, known), (other, unknown)]
        draw.shuffle(order)
        for text, times in order:
            times.append(seconds(server, text, salts[1]))
    return auc(known, unknown)


def main():
    """With salts and without."""
    program, pairs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    draw = random.Random(5)
    folder = Served(program, "--cache-dir", os.path.join("/tmp", f"headgate-timing-{os.getpid()}"), "--cache-disk", "2")
    try:
        apart = probe(folder, pairs, ("a", "b"), draw)
        together = probe(folder, max(pairs // 5, 20), ("", ""), draw)
    finally:
        folder.close()
    print(json.dumps({"pairs": pairs, "auc_other_salt": round(apart, 4), "auc_same_salt": round(together, 4)}))
    assert together > 0.9, "the probe cannot tell what it should"
    if pairs >= 500:
        assert 0.45 <= apart <= 0.55, "the time tells another tenant's prompts"


if __name__ == "__main__":
    main()

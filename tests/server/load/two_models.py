#!/usr/bin/env python3
"""How two models share the cores, and what it costs when they take turns in memory for one.

Usage: two_models.py PROGRAM MODEL [SECONDS]. Prints tokens a second of each model for several numbers of clients, then the time of a
request whose model must be loaded in place of the other.
"""
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from served import Served


def ask(port, model, seed, tokens):
    """Tokens that a request got."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/completions", json.dumps({"model": model, "prompt": f"{seed} The river", "max_tokens": tokens,
                                                              "ignore_eos": True, "temperature": 1, "seed": seed}))
    answer = json.load(connection.getresponse())
    connection.close()
    return answer["usage"]["completion_tokens"]


def rates(port, models, seconds):
    """Tokens a second by model; `models` has one entry for each client."""
    done, lock, end = {}, threading.Lock(), time.monotonic() + seconds

    def client(model, seed):
        while time.monotonic() < end:
            got = ask(port, model, seed, 200)
            with lock:
                done[model] = done.get(model, 0) + got

    threads = [threading.Thread(target=client, args=(model, i)) for i, model in enumerate(models)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {model: round(count / (time.monotonic() - start)) for model, count in sorted(done.items())}


def main(program, path, seconds="2"):
    """Runs all of it."""
    models = ("-m", f"a={path}", "-m", f"b={path}", "--no-prefix-cache", "--access-log", "off")
    both = Served(program, *models, "--preload", "all")
    port = int(both.url.rsplit(":", 1)[1])
    rates(port, ["a"] * 4 + ["b"] * 4, float(seconds) / 4)
    for left, right in ((1, 0), (1, 1), (4, 0), (4, 4), (8, 0), (1, 8)):
        print(f"{left} clients of a, {right} of b:", rates(port, ["a"] * left + ["b"] * right, float(seconds)))
    both.close()
    size = os.path.getsize(path) >> 20
    turns = Served(program, *models, "--state-memory", "64", "--memory-budget", str(size * 3 // 2 + 96))
    port = int(turns.url.rsplit(":", 1)[1])
    times = []
    for i in range(20):
        start = time.monotonic()
        ask(port, "ab"[(i + 1) % 2], i, 1)
        times.append(time.monotonic() - start)
    print(f"a request that swaps the models: {sorted(times)[len(times) // 2] * 1e3:.0f} ms in the middle, {max(times) * 1e3:.0f} ms at most")
    states = json.loads(turns.get("/v1/status")[1])["models"]
    print("loads:", {model["id"]: model["loads"] for model in states})
    turns.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

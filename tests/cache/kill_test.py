#!/usr/bin/env python3
"""Kills `headgate serve` and `headgate session save` without warning while they write states, again and again.

After each kill the next start must serve the answers of a server that caches nothing, with the same log-probabilities, and a
session must be the one before or the one after. Usage: kill_test.py PROGRAM [KILLS [SEED]].
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
from served import Served

# Larger steps round otherwise on some machines (docs/products.md): bits are compared below them.
CHUNK = ("--chunk", "128")
WORDS = "the river tool answer of house light seven under stone write green to often letter small and".split()


def text_of(seed, words):
    """The same words for the same seed."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words))


def question(seed, words):
    """A request whose answer is the same each time."""
    return {"prompt": text_of(seed, words), "max_tokens": 6, "temperature": 0, "logprobs": 3}


def said(answer):
    """What must not change: text and the bits of log-probabilities."""
    status, body = answer
    assert status == 200, body
    choice = body["choices"][0]
    return choice["text"], json.dumps(choice["logprobs"], sort_keys=True)


def busy(server, seed, stop):
    """Asks until the server is gone."""
    draw = random.Random(seed)
    while not stop.is_set():
        try:
            server.post("/v1/completions", question(draw.randrange(40), draw.choice((150, 400, 900))))
        except OSError:
            return


def kill_server(program, folder, draw, checks, cold):
    """One life of a server: checked, put to work, killed. Tokens that came from disk."""
    server = Served(program, *CHUNK, "--cache-dir", folder, "--cache-disk", "1", "--state-memory", "64", "--drain", "0")
    try:
        before = time.monotonic()
        for key in draw.sample(sorted(cold), checks):
            found = said(server.post("/v1/completions", question(*key)))
            assert found == cold[key], f"prompt {key}: warm {found}, cold {cold[key]}"
        status, metrics = server.get("/metrics")
        assert status == 200
        stop = threading.Event()
        threads = [threading.Thread(target=busy, args=(server, draw.random(), stop)) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(draw.uniform(0.0, 1.6))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        stop.set()
        for thread in threads:
            thread.join()
        log = server.log()
        hits = re.search(r"prefix_cache_disk_hits_total\{[^}]*\} (\S+)", metrics)
        return float(hits.group(1)) if hits else 0.0, log.count("removed"), time.monotonic() - before
    finally:
        server.close()


def kill_save(program, folder, draw):
    """A session that is being replaced: the old one or the new one is there. Whether it was the new one."""
    text = os.path.join(folder, "text")
    with open(text, "w", encoding="utf-8") as file:
        file.write(text_of(draw.random(), draw.choice((300, 1500))))
    command = [program, "session", "save", "kept", "-f", text, "--sessions", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(draw.uniform(0.0, 0.9))
    process.send_signal(signal.SIGKILL)
    killed = process.wait() != 0
    if os.path.exists(os.path.join(folder, "kept.hgsession")):
        load = subprocess.run([program, "session", "load", "kept", "--sessions", folder], capture_output=True, text=True,
                              check=False)
        assert load.returncode == 0, load.stderr
    return killed


def main():
    """Half of the kills hit the server, half a save."""
    program, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4
    draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    keys = [(seed, words) for seed in range(8) for words in (150, 400, 900)]
    plain = Served(program, *CHUNK, "--no-prefix-cache")
    cold = {key: said(plain.post("/v1/completions", question(*key))) for key in keys}
    plain.close()
    with tempfile.TemporaryDirectory(prefix="headgate-kill-") as folder:
        states, sessions = os.path.join(folder, "states"), os.path.join(folder, "sessions")
        os.mkdir(sessions)
        hits = damaged = killed = 0
        for i in range(kills):
            if i % 2 == 0:
                tokens, removed, _ = kill_server(program, states, draw, 6, cold)
                hits += tokens
                damaged += removed
            else:
                killed += kill_save(program, sessions, draw)
        files = len(os.listdir(states))
        left = [name for name in os.listdir(states) if ".tmp-" in name]
    print(f"{kills} kills, {killed} of them in `session save` before its end: every answer is the cold one, every session whole; "
          f"{hits:.0f} tokens came from disk, {damaged} files were refused, {files} files at the end, {len(left)} of them half written")
    if kills >= 20:
        assert hits > 0, "nothing came from disk"


if __name__ == "__main__":
    main()

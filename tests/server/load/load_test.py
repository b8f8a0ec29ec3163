#!/usr/bin/env python3
"""Puts `headgate serve` under load: many streams, broken-off requests, more than it can do, and kill -9.

Usage: load_test.py PROGRAM LOAD_PROGRAM [--long] [unittest arguments]. Without --long a few seconds, as a test; with it what
docs/serving.md reports: 500 streams for five minutes, 100,000 broken-off requests, overload by three, twenty crashes. The figures go to
standard output as lines of JSON. Needs Python's standard library only.
"""
import concurrent.futures
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from served import Served

PROGRAM, LOAD = "", ""
LONG = False
PROMPTS = ("The river is", "Once upon a time there was", "def add(a, b):", "Water boils when", "A good friend will", "In the year 1900",
           "The answer to the question is", "She opened the door and")


def log(**figures):
    """One line of figures."""
    print(json.dumps(figures), flush=True)


def make_cases(count, tokens):
    """Requests with seeds, and what `headgate run` answers to each, offline."""

    def make(i):
        prompt, seed, most = PROMPTS[i % len(PROMPTS)], 1000 + i, tokens - i % 16
        ran = subprocess.run([PROGRAM, "run", "--raw", "--json", "-n", str(most), "--temp", "1", "--seed", str(seed), prompt],
                             capture_output=True, text=True, check=True, timeout=120)
        answer = json.loads(ran.stdout)
        body = {"prompt": prompt, "max_tokens": most, "temperature": 1, "seed": seed, "stream": True,
                "stream_options": {"include_usage": True}}
        return {"body": body, "expected": answer["content"], "tokens": answer["usage"]["completion_tokens"]}

    return [make(i) for i in range(count)]


def resident_bytes(process):
    """Memory of a process."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
    return 0


class Load(unittest.TestCase):
    """Nothing is lost, nothing stays behind, and what is too much is said so."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="headgate-load-")
        cls.cases = os.path.join(cls.folder.name, "cases.jsonl")
        with open(cls.cases, "w", encoding="utf-8") as file:
            for case in make_cases(100 if LONG else 12, 120 if LONG else 40):
                file.write(json.dumps(case) + "\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def serve(self, *arguments):
        server = Served(PROGRAM, "--access-log", "off", *arguments)
        self.addCleanup(server.close)
        return server

    def load(self, server, *arguments, timeout=1200):
        port = server.url.rsplit(":", 1)[1]
        done = subprocess.run([LOAD, self.cases, "--port", port, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def settled(self, server, seconds=30):
        """The server's status when nothing runs any more."""
        deadline = time.monotonic() + seconds
        while True:
            status = json.loads(server.get("/v1/status")[1])
            busy = status["active"] or status["requests"]["running"] or status["requests"]["waiting"]
            if not busy or time.monotonic() > deadline:
                return status
            time.sleep(0.05)

    def test_every_stream_says_what_the_model_says_offline(self):
        streams, seconds = (500, 300) if LONG else (60, 1.5)
        server = self.serve()
        memory, over = [], threading.Event()

        def watch():
            while not over.wait(5):
                memory.append(resident_bytes(server.process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        report = self.load(server, "--streams", streams, "--seconds", seconds)
        over.set()
        watcher.join()
        status = self.settled(server)
        log(test="streams", streams=streams, **report, rss_mib=[m >> 20 for m in memory[::6]], rss_end_mib=resident_bytes(server.process) >> 20)
        self.assertGreaterEqual(report["completed"], streams)
        for name in ("wrong", "incomplete", "refused", "shed", "unconnected"):
            self.assertEqual(report[name], 0, report["first_problem"])
        self.assertEqual((status["active"], status["requests"]["running"]), ([], 0))
        if LONG:
            self.assertLess(max(memory[len(memory) // 2:]), memory[len(memory) // 3] + (16 << 20))

    def test_broken_off_requests_leave_nothing_behind(self):
        server = self.serve("--no-prefix-cache")
        report = self.load(server, "--abort", 1, "--streams", 64, "--requests", 100000 if LONG else 400, "--seconds", 3000, timeout=3600)
        status = self.settled(server)
        log(test="aborts", **report, state_bytes=status["memory"]["state_bytes"])
        self.assertEqual(report["wrong"], 0, report["first_problem"])
        self.assertGreater(report["aborted"], report["begun"] // 2)
        self.assertEqual((status["active"], status["requests"]["running"], status["requests"]["waiting"]), ([], 0, 0))
        self.assertEqual(status["memory"]["state_bytes"], 0)
        after = self.load(server, "--streams", 4, "--requests", 12, "--seconds", 60)
        self.assertEqual((after["completed"], after["wrong"]), (12, 0), after["first_problem"])

    def test_what_is_too_much_is_shed_and_the_rest_goes_on(self):
        seconds = 20 if LONG else 1
        server = self.serve("--max-running", "16", "--max-queue", "16")
        warm = self.load(server, "--streams", 16, "--seconds", seconds / 4)
        peak = self.load(server, "--streams", 32, "--seconds", seconds)
        # A second is too short to find the peak of a busy machine: far more than any machine does.
        rate = 3 * max(peak["completed"] / peak["seconds"], 30) if LONG else 1000
        over = self.load(server, "--streams", 900, "--rate", rate, "--seconds", seconds)
        log(test="overload", warm=warm["tokens_per_second"], peak=peak["tokens_per_second"], rate=rate, **over,
            share_of_peak=over["tokens_per_second"] / peak["tokens_per_second"])
        self.assertGreater(over["shed"], 0)
        for name in ("wrong", "incomplete", "refused", "shed_without_retry_after"):
            self.assertEqual(over[name], 0, over["first_problem"])
        if LONG:
            self.assertGreater(over["tokens_per_second"], 0.95 * peak["tokens_per_second"])

    def test_a_killed_server_keeps_every_key_and_response(self):
        chance = random.Random(7)
        server = self.serve("--require-keys")
        keys, responses, lost = [], [], threading.Lock()

        def command(*words):
            return subprocess.run([PROGRAM, "keys", *words, "--data", server.data], capture_output=True, text=True, check=False, timeout=60)

        def ask(key, over):
            while not over.is_set():
                try:
                    status, answer = server.post("/v1/responses", {"input": "Hello!", "max_output_tokens": 3}, **{"x-api-key": key})
                except OSError:
                    return
                except Exception:  # the answer broke off: it was never acknowledged
                    return
                if status == 200:
                    with lost:
                        responses.append((key, answer["id"]))

        keys.append(command("create", "first").stdout.strip())
        for crash in range(20 if LONG else 2):
            deadline = time.monotonic() + 10
            while server.get("/v1/models", **{"x-api-key": keys[-1]})[0] != 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            over = threading.Event()
            with concurrent.futures.ThreadPoolExecutor(5) as pool:
                for key in keys[-1:] * 4:
                    pool.submit(ask, key, over)
                made = pool.submit(command, "create", f"key-{crash}")
                time.sleep(0.2 + chance.random() / 2)
                server.stop(signal.SIGKILL)
                over.set()
                keys.append(made.result().stdout.strip())
            server.start()
        listed = command("list").stdout
        for crash in range(20 if LONG else 2):
            self.assertIn(f"key-{crash}", listed)
        deadline = time.monotonic() + 10
        for key in keys:
            while server.get("/v1/models", **{"x-api-key": key})[0] != 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(server.get("/v1/models", **{"x-api-key": key})[0], 200)
        for key, name in responses:
            self.assertEqual(server.get("/v1/responses/" + name, **{"x-api-key": key})[0], 200)
        log(test="crashes", crashes=20 if LONG else 2, keys=len(keys), responses=len(responses))
        self.assertGreater(len(responses), 0)


if __name__ == "__main__":
    PROGRAM, LOAD = sys.argv.pop(1), sys.argv.pop(1)
    if "--long" in sys.argv:
        sys.argv.remove("--long")
        LONG = True
    unittest.main(verbosity=2)

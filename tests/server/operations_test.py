#!/usr/bin/env python3
"""Runs `headgate serve` as an operator does: configuration, keys, TLS, signals, logs, a crash and a restart.

Usage: operations_test.py PROGRAM [unittest arguments]. Needs nothing but Python's standard library (and openssl for TLS).
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import Served

PROGRAM = ""
HELLO = [{"role": "user", "content": "Hello!"}]


def headgate(*arguments, environment=None):
    """Runs a command to its end."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(environment or {})})


def write_adapter(folder, hidden, vocabulary):
    """A LoRA adapter of rank 1 for the head, in PEFT's layout."""
    os.makedirs(folder)
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["lm_head"], "bias": "none"}
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    a = struct.pack(f"<{hidden}f", *(((i * 7) % 13 - 6) * 0.02 for i in range(hidden)))
    b = struct.pack(f"<{vocabulary}f", *(((i * 5) % 11 - 5) * 0.1 for i in range(vocabulary)))
    name = "base_model.model.lm_head.lora_"
    header = json.dumps({name + "A.weight": {"dtype": "F32", "shape": [1, hidden], "data_offsets": [0, len(a)]},
                         name + "B.weight": {"dtype": "F32", "shape": [vocabulary, 1], "data_offsets": [len(a), len(a) + len(b)]}})
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode() + a + b)


class Configuration(unittest.TestCase):
    """Flag = environment = key of a file."""

    def test_flags_beat_the_environment_and_that_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "headgate.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write('port = 1\nmax_running = 2\ndrain = 3\nallowed_host = ["a.example", "b.example"]\nrequire_keys = true\n')
            shown = headgate("serve", "--config", path, "--port", "9", "--print-config",
                             environment={"HEADGATE_PORT": "5", "HEADGATE_MAX_RUNNING": "6"})
        self.assertEqual(shown.returncode, 0, shown.stderr)
        for line in ("port = 9", "max_running = 6", "drain = 3", 'allowed_host = ["a.example", "b.example"]',
                     "require_keys = true", 'host = "127.0.0.1"', "insecure = false"):
            self.assertIn(line, shown.stdout.splitlines())

    def test_what_is_printed_can_be_read_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "headgate.toml")
            first = headgate("serve", "--max-queue", "17", "--print-config")
            with open(path, "w", encoding="utf-8") as file:
                file.write(first.stdout)
            self.assertEqual(headgate("serve", "--config", path, "--print-config").stdout, first.stdout)

    def test_unknown_keys_and_wrong_values_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "headgate.toml")
            for text, message in (("max_runing = 2\n", "did you mean max-running?"), ("port = [1\n", "headgate.toml:"),
                                  ('port = "x"\n', "port"), ("port = {}\n", "port")):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                refused = headgate("serve", "--config", path, "--print-config")
                self.assertNotEqual(refused.returncode, 0, text)
                self.assertIn(message, refused.stderr)
                self.assertEqual(len(refused.stderr.splitlines()), 1)

    def test_public_addresses_need_a_key(self):
        with tempfile.TemporaryDirectory() as folder:
            refused = headgate("serve", "--host", "0.0.0.0", "--port", "0", "--data", folder)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("headgate keys create", refused.stderr)


class OptionTable(unittest.TestCase):
    """Completion and manual pages say what --help says."""

    def complete(self, *words):
        """What bash offers for the last of these words."""
        script = headgate("completion", "bash").stdout + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _headgate; printf "%s\\n" "${COMPREPLY[@]}"'
        return subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True).stdout.split()

    def test_bash_completes_commands_options_and_words(self):
        self.assertEqual(self.complete("headgate", "ser"), ["serve"])
        self.assertEqual(self.complete("headgate", "serve", "--max-r"), ["--max-running"])
        self.assertEqual(self.complete("headgate", "serve", "--access-log", "j"), ["json"])
        self.assertEqual(self.complete("headgate", "keys", "re"), ["revoke"])

    def test_every_option_is_completed_and_described(self):
        scripts = {shell: headgate("completion", shell).stdout for shell in ("bash", "zsh", "fish")}
        for shell, check in (("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["-n"])):
            if shutil.which(shell):
                subprocess.run([shell, *check], input=scripts[shell], text=True, check=True)
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(headgate("man", "--output", folder).returncode, 0)
            commands = re.findall(r"^  ([a-z]+) ", headgate("--help").stdout, re.M)
            self.assertIn("serve", commands)
            self.assertEqual(sorted(os.listdir(folder)), sorted(["headgate.1", *(f"headgate-{name}.1" for name in commands)]))
            for command in commands:
                with open(os.path.join(folder, f"headgate-{command}.1"), encoding="utf-8") as file:
                    page = file.read().replace("\\-", "-")
                for option in re.findall(r"^  (?:-\w,)?(--[\w-]+)", headgate(command, "--help").stdout, re.M):
                    self.assertIn(f"\\fB{option}\\fR", page, command)
                    self.assertIn(option, scripts["bash"], command)
                    self.assertIn(option, scripts["zsh"], command)
                    self.assertIn("-l " + option[2:], scripts["fish"], command)


class Unit(unittest.TestCase):
    """The systemd unit."""

    def test_systemd_takes_it_and_calls_it_safe(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze program")
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with tempfile.TemporaryDirectory() as folder:
            unit = os.path.join(folder, "headgate.service")
            with open(os.path.join(root, "packaging", "systemd", "headgate.service"), encoding="utf-8") as file:
                text = file.read()
            with open(unit, "w", encoding="utf-8") as file:
                file.write(text.replace("/usr/bin/headgate", os.path.abspath(PROGRAM)))
            checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((checked.returncode, checked.stderr.replace("\n", " ").strip()), (0, ""))
            shown = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True,
                                   check=False, timeout=60)
            found = re.search(r"exposure level for headgate.service: ([0-9.]+)", shown.stdout)
            if found is None:
                self.skipTest("this systemd-analyze does not judge files: " + shown.stderr[-200:])
            self.assertLessEqual(float(found.group(1)), 1.5)


class Operation(unittest.TestCase):
    """A server over its life."""

    def serve(self, *arguments, **options):
        server = Served(PROGRAM, *arguments, **options)
        self.addCleanup(server.close)
        return server

    def test_keys_are_asked_for_and_never_logged(self):
        server = self.serve("--require-keys", "--access-log", "json")
        made = json.loads(headgate("keys", "create", "laptop", "--data", server.data, "--json").stdout)
        self.assertEqual(server.get("/v1/models")[0], 401)
        headers = {"Authorization": "Bearer " + made["key"]}
        deadline = time.monotonic() + 10
        while server.get("/v1/models", **headers)[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        secret = "a very private sentence"
        status, _ = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": secret}], "max_tokens": 4},
                                **headers)
        self.assertEqual(status, 200)
        listed = headgate("keys", "list", "--data", server.data)
        self.assertIn("laptop", listed.stdout)
        self.assertEqual(headgate("keys", "revoke", "laptop", "--data", server.data).returncode, 0)
        deadline = time.monotonic() + 10
        while server.get("/v1/models", **headers)[0] != 401 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(server.get("/v1/models", **headers)[0], 401)
        self.assertEqual(server.stop(), 0)
        log = server.log() + listed.stdout
        self.assertNotIn(made["key"][9:], log)
        self.assertNotIn(secret, log)
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        answered = [line for line in lines if line.get("route") == "/v1/chat/completions"]
        self.assertEqual(answered[0]["completion_tokens"], 4)
        self.assertEqual(answered[0]["key"], made["id"])

    def test_a_killed_server_has_lost_nothing_that_it_acknowledged(self):
        server = self.serve("--require-keys")
        key = headgate("keys", "create", "a", "--data", server.data).stdout.strip()
        headers = {"x-api-key": key}
        deadline = time.monotonic() + 10
        while server.get("/v1/models", **headers)[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        _, response = server.post("/v1/responses", {"input": "Hello!", "max_output_tokens": 4}, **headers)
        server.stop(signal.SIGKILL)
        server.start()
        self.assertEqual(json.loads(server.get("/v1/responses/" + response["id"], **headers)[1])["id"], response["id"])

    def test_sigterm_lets_answers_finish(self):
        server = self.serve()
        answers = []
        body = {"messages": HELLO, "max_tokens": 400, "ignore_eos": True}
        thread = threading.Thread(target=lambda: answers.append(server.post("/v1/chat/completions", body)))
        thread.start()
        deadline = time.monotonic() + 20
        while not json.loads(server.get("/v1/status")[1])["active"] and time.monotonic() < deadline:
            time.sleep(0.005)
        self.assertEqual(server.stop(), 0)
        thread.join()
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(answers[0][1]["usage"]["completion_tokens"], 400)

    def test_sighup_reads_the_file_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "headgate.toml")

            def write(text):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)

            def tokens(padding=0, **body):
                text = json.dumps({"messages": HELLO, "ignore_eos": True, **body}).encode() + b" " * padding
                answer = server.post("/v1/chat/completions", text)
                return answer[1]["usage"]["completion_tokens"] if answer[0] == 200 else answer[0]

            def reload(mark):
                known = server.log().count(mark)
                server.process.send_signal(signal.SIGHUP)
                deadline = time.monotonic() + 20
                while server.log().count(mark) == known and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertGreater(server.log().count(mark), known, server.log())

            write("default_max_tokens = 3\nmax_body = 1\n")
            server = self.serve("--config", path)
            self.assertEqual((tokens(), tokens(3 << 20)), (3, 413))
            write('default_max_tokens = 5\nmax_body = 8\nmax_queue = 2\nname = "other"\n')
            reload("reloaded")
            self.assertEqual((tokens(), tokens(3 << 20, max_tokens=2)), (5, 2))
            self.assertIn("a new name takes a new start", server.log())
            for broken in ("default_max_tokens = [\n", "default_max_token = 1\n", "max_queue = 0\n", 'default_max_tokens = "x"\n'):
                write(broken)
                reload("going on with what was loaded")
                self.assertEqual(tokens(), 5)
            write("default_max_tokens = 4\naccess_log = \"off\"\n")
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 20
            while tokens() != 4 and time.monotonic() < deadline:
                time.sleep(0.02)
            length = len(server.log())
            self.assertEqual(tokens(), 4)
            self.assertEqual(len(server.log()), length)

    def test_several_models_and_an_adapter_by_name(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        small = os.path.join(root, "models", "headgate-nano", "headgate-nano-q8_0.gguf")
        with tempfile.TemporaryDirectory() as folder:
            whole, adapter = os.path.join(folder, "whole"), os.path.join(folder, "adapter")
            self.assertEqual(headgate("convert", small, whole).returncode, 0)
            write_adapter(adapter, hidden=256, vocabulary=3584)
            path = os.path.join(folder, "headgate.toml")
            text = (f'state_memory = 16\nmemory_budget = 160\n[models]\nsmall = "{small}"\n'
                    f'base = {{ path = "{whole}", ctx = 512, alias = ["gpt-4o"] }}\n'
                    f'tuned = {{ path = "{whole}", adapter = "{adapter}" }}\n')
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            server = self.serve("--config", path)

            def states():
                return {m["id"]: m["state"] for m in json.loads(server.get("/v1/models")[1])["data"]}

            def logprobs(model):
                status, answer = server.post("/v1/chat/completions", {"model": model, "messages": HELLO, "max_tokens": 2, "logprobs": True,
                                                                      "temperature": 0})
                self.assertEqual((status, answer.get("model")), (200, "base" if model == "gpt-4o" else model), answer)
                return [t["logprob"] for t in answer["choices"][0]["logprobs"]["content"]]

            self.assertEqual(states(), {"small": "loaded", "base": "unloaded", "gpt-4o": "unloaded", "tuned": "unloaded"})
            self.assertEqual(logprobs("base"), logprobs("gpt-4o"))
            self.assertNotEqual(logprobs("tuned"), logprobs("base"))
            self.assertEqual(logprobs("small"), logprobs("small"))
            self.assertEqual(server.post("/v1/chat/completions", {"model": "other", "messages": HELLO})[0], 404)
            shown = headgate("ps", "--server", server.url).stdout
            for name in ("small", "base", "tuned"):
                self.assertRegex(shown, name + " +(un)?loaded")
            with open(path, "w", encoding="utf-8") as file:
                file.write("idle_unload = 1\n" + text)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 30
            while set(states().values()) != {"unloaded"} and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(set(states().values()), {"unloaded"})
            logprobs("small")
            self.assertEqual(server.stop(), 0)
        for wrong, said in ((("-m", f"a={small}", "-m", f"a={small}"), "there twice"), (("-m", f"a={small},x=1"), "adapter=DIR"),
                            (("-m", f"a={small}", "--memory-budget", "1"), "needs"), (("-m", "a=/none.gguf"), "/none.gguf")):
            refused = headgate("serve", "--port", "0", "--data", tempfile.gettempdir() + "/headgate-none", *wrong)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(said, refused.stderr)

    def test_a_second_signal_ends_it_now(self):
        server = self.serve("--drain", "60", "--ctx", "200000")
        thread = threading.Thread(target=lambda: server.post("/v1/chat/completions", {"messages": HELLO, "ignore_eos": True}))
        thread.start()
        deadline = time.monotonic() + 20
        while not json.loads(server.get("/v1/status")[1])["active"] and time.monotonic() < deadline:
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        start = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - start, 20)
        thread.join()

    def test_many_streams_say_what_each_says_alone(self):
        server = self.serve("--max-running", "16")
        port = int(server.url.rsplit(":", 1)[1])
        prompts = [f"What is {i} + {i + 3}?" for i in range(24)]

        def body(prompt):
            return {"messages": [{"role": "user", "content": prompt}], "max_tokens": 24, "temperature": 1, "seed": 11}

        alone = {p: server.post("/v1/chat/completions", body(p))[1]["choices"][0]["message"]["content"] for p in prompts}
        wrong = []

        def stream(prompt, leaves):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("POST", "/v1/chat/completions", json.dumps({**body(prompt), "stream": True}))
            answer, text, done = connection.getresponse(), "", False
            for line in answer:
                if leaves and text:
                    break
                if line.startswith(b"data: {"):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                done = done or line == b"data: [DONE]\n"
            connection.close()
            if not leaves and (not done or text != alone[prompt]):
                wrong.append((prompt, text, alone[prompt]))

        threads = [threading.Thread(target=stream, args=(p, leaves)) for p in prompts for leaves in (False, True, False)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        deadline = time.monotonic() + 20
        status = json.loads(server.get("/v1/status")[1])
        while (status["active"] or status["requests"]["running"]) and time.monotonic() < deadline:
            time.sleep(0.05)
            status = json.loads(server.get("/v1/status")[1])
        self.assertEqual((status["active"], status["requests"]["running"], status["requests"]["waiting"]), ([], 0, 0))

    def test_tls(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl program")
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
            server = self.serve("--tls-cert", certificate, "--tls-key", key)
            port = int(server.url.rsplit(":", 1)[1])
            context = ssl.create_default_context(cafile=certificate)
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1") as tls:
                self.assertIn(tls.version(), ("TLSv1.2", "TLSv1.3"))
                tls.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := tls.recv(4096):
                    answer += piece
                self.assertIn(b"200 OK", answer)
            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertNotIn(b"200 OK", plain.recv(4096))
            old = ssl.create_default_context(cafile=certificate)
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            with self.assertRaises((ssl.SSLError, OSError, ValueError)):
                old.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")
            refused = headgate("serve", "--tls-cert", key, "--tls-key", certificate, "--port", "0", "--data", folder)
            self.assertEqual(refused.returncode, 4, refused.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

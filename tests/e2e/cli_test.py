#!/usr/bin/env python3
"""Drives the built headgate program as people and scripts do: every subcommand, exit codes, a chat on a terminal.

Usage: cli_test.py PROGRAM [unittest arguments]. Needs nothing but Python's standard library.
"""
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
CASES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "cases")
COMMANDS = ("run chat serve keys ps inspect convert quantize perplexity bench tokenize detokenize template logits synth train "
            "data tokenizer eval version").split()
ESCAPE = b"\x1b"


def headgate(*arguments, text="", timeout=120, env=None):
    """Runs the program to its end; standard input is `text`."""
    return subprocess.run([PROGRAM, *arguments], input=text.encode(), capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, check=False)


def case(name):
    return os.path.join(CASES, name)


def read_safetensors(path, name):
    """One int32 or float32 tensor as (shape, list of values)."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start = file.tell()
        entry = header[name]
        first, last = entry["data_offsets"]
        file.seek(start + first)
        kind = {"I32": "i", "F32": "f"}[entry["dtype"]]
        return entry["shape"], list(struct.unpack(f"<{(last - first) // 4}{kind}", file.read(last - first)))


def read_npy(path):
    """A float32 .npy file as (shape, list of values)."""
    with open(path, "rb") as file:
        assert file.read(6) == b"\x93NUMPY"
        major = file.read(2)[0]
        size = struct.unpack("<H", file.read(2))[0] if major == 1 else struct.unpack("<I", file.read(4))[0]
        header = eval(file.read(size).decode(), {"__builtins__": {}})  # a dict literal by definition
        values = file.read()
    return list(header["shape"]), list(struct.unpack(f"<{len(values) // 4}f", values))


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, *arguments, env=None):
        self.output = b""
        self.unread = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "NO_COLOR": "1", **(env or {})})
            os.execv(PROGRAM, [PROGRAM, *arguments])

    def read_until(self, wanted, timeout=60):
        """Waits for `wanted` in the output behind the last `wanted`; returns the output up to its end."""
        end = time.monotonic() + timeout
        while wanted not in self.unread:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {wanted!r} within {timeout} s in {self.unread!r}")
            if not select.select([self.fd], [], [], left)[0]:
                continue
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # the program has gone
                piece = b""
            if not piece:
                raise AssertionError(f"the program ended without {wanted!r}: {self.unread!r}")
            self.output += piece
            self.unread += piece
        at = self.unread.index(wanted) + len(wanted)
        seen, self.unread = self.unread[:at], self.unread[at:]
        return seen

    def type(self, text):
        # libedit shows its prompt before it takes the terminal over: no person presses a control key in between.
        if any(c < " " and c != "\n" for c in text):
            time.sleep(0.3)
        os.write(self.fd, text.encode())

    def wait(self, timeout=30):
        """Exit status once the program has ended; what it still prints is read."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.output += os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"still running after {timeout} s: {self.output[-2000:]!r}")


class CliTest(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def ok(self, *arguments, **options):
        done = headgate(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr.decode()}")
        return done.stdout.decode()

    def refused(self, status, *arguments, **options):
        """The program gives one line of error and this exit status."""
        done = headgate(*arguments, **options)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, status, f"{arguments}: {message}")
        self.assertEqual(done.stdout, b"", arguments)
        self.assertTrue(message.startswith("headgate: error: "), message)
        self.assertEqual(message.count("\n"), 1, message)
        self.assertNotIn(ESCAPE, done.stderr)
        return message


class Basics(CliTest):
    def test_every_command_explains_itself_with_an_example(self):
        overview = self.ok("--help")
        for command in COMMANDS:
            self.assertIn(command, overview)
            text = self.ok(command, "--help")
            self.assertIn(f"headgate {command}", text)
            self.assertIn("Examples:", text)
            self.assertNotIn("\x1b", text)

    def test_version_names_the_build(self):
        self.assertRegex(self.ok("--version"), r"^headgate \d+\.\d+\.\d+\n$")
        self.assertIn("instruction sets", self.ok("version", "--build"))
        report = json.loads(self.ok("version", "--json"))
        self.assertIn(report["isa"], report["isa_levels"])

    def test_wrong_command_lines_are_usage_errors(self):
        for arguments in ([], ["nonsense"], ["run", "--nonsense"], ["run", "--temp", "warm", "x"],
                          ["run", "--kv-type", "f8", "x"], ["logits"], ["run", "a", "b"],
                          ["run", "--raw", "--think", "x"], ["run", "--ids", "x.json", "prompt"]):
            self.refused(2, *arguments)

    def test_missing_files_are_not_found(self):
        missing = self.path("missing")
        for arguments in (["inspect", "-m", missing], ["run", "-m", missing, "x"],
                          ["tokenize", "-m", missing, "x"], ["bench", "-m", missing],
                          ["run", "-m", case("q3n_tiny"), "-f", missing],
                          ["convert", missing, self.path("x.gguf")],
                          ["logits", "-m", case("q3n_tiny"), "--ids", missing, "-o", self.path("x.npy")]):
            self.refused(3, *arguments)

    def test_corrupt_files_are_refused_in_one_line(self):
        garbage = self.write("garbage.gguf", "GGUF\x03\0\0\0" + "x" * 100)
        self.refused(4, "inspect", "-m", garbage)
        with open(os.path.join(case("q3n_tiny"), "model-bf16.gguf"), "rb") as file:
            start = file.read(5000)
        with open(self.path("short.gguf"), "wb") as file:
            file.write(start)
        self.refused(4, "inspect", "-m", self.path("short.gguf"))
        self.refused(4, "run", "-m", self.path("short.gguf"), "x")
        self.refused(4, "detokenize", "-m", case("q3n_tiny"), text="[1, 2")
        self.refused(4, "logits", "-m", case("q3n_tiny"), "--ids", garbage, "-o", self.path("x.npy"))

    def test_tokens_outside_the_vocabulary_are_refused(self):
        ids = self.write("ids.json", "[1, 999999]")
        self.refused(2, "logits", "-m", case("q3n_tiny"), "--ids", ids, "-o", self.path("x.npy"))
        self.assertFalse(os.path.exists(self.path("x.npy")))

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "version"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)

    def test_a_reader_that_leaves_ends_the_program_quietly(self):
        command = f"'{PROGRAM}' inspect -m '{case('q3n_tiny')}' --tensors --json | head -c 1"
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        self.assertEqual((done.stdout, done.stderr), (b"{", b""))


class Text(CliTest):
    TEXT = "Hello <|im_start|>world<|im_end|>\n  Zürich 東京 \U0001f600 123"

    def test_tokenize_and_detokenize_are_inverse(self):
        for model in (case("q3n_tiny"), os.path.join(case("q3n_tiny"), "model-bf16.gguf")):
            ids = self.ok("tokenize", "-m", model, text=self.TEXT)
            self.assertEqual(self.ok("detokenize", "-m", model, text=ids), self.TEXT)
            self.assertEqual(self.ok("tokenize", "-m", model, "--count", self.TEXT),
                             f"{len(json.loads(ids))}\n")
            pieces = json.loads(self.ok("tokenize", "-m", model, "--pieces", self.TEXT))
            self.assertEqual([piece["id"] for piece in pieces], json.loads(ids))

    def test_special_tokens_can_be_taken_literally(self):
        model = case("q3n_tiny")
        plain = json.loads(self.ok("tokenize", "-m", model, "<|im_start|>"))
        literal = json.loads(self.ok("tokenize", "-m", model, "--no-special", "<|im_start|>"))
        self.assertEqual(plain, [359])
        self.assertGreater(len(literal), 1)
        self.assertEqual(self.ok("detokenize", "-m", model, "--skip-special", "[359]"), "")

    def test_templates_render_messages_tools_and_ids(self):
        model = case("q3n_tiny")
        messages = json.dumps([{"role": "user", "content": "Hi"}])
        text = self.ok("template", "-m", model, text=messages)
        self.assertEqual(text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        self.assertEqual(self.ok("template", "-m", model, "--no-generation-prompt", text=messages),
                         "<|im_start|>user\nHi<|im_end|>\n")
        ids = self.ok("template", "-m", model, "--ids", text=messages)
        self.assertEqual(self.ok("detokenize", "-m", model, text=ids), text)
        whole = json.dumps({"messages": json.loads(messages), "add_generation_prompt": False,
                            "tools": [{"type": "function", "function": {"name": "now"}}]})
        self.assertIn('{"type": "function", "function": {"name": "now"}}',
                      self.ok("template", "-m", model, text=whole))
        self.refused(2, "template", "-m", model, text='[{"role": "user"}, 3]')
        self.refused(4, "template", "-m", model, text="{}")

    def test_templates_of_a_file_see_the_variables(self):
        jinja = self.write("t.jinja", "{{ messages[0].content }}|{{ x }}|{{ enable_thinking }}")
        out = self.ok("template", "-m", case("q3n_tiny"), "--jinja", jinja, "--kwargs",
                      '{"x": 1, "enable_thinking": false}', text='[{"role": "user", "content": "Hi"}]')
        self.assertEqual(out, "Hi|1|False")


class Numbers(CliTest):
    def golden(self, name, tensor):
        return read_safetensors(os.path.join(case(name), "golden.safetensors"), tensor)[1]

    def test_greedy_ids_equal_the_reference(self):
        model = case("q3n_tiny")
        for length in (1, 64, 65):
            prompt = self.write("ids.json", json.dumps(self.golden("q3n_tiny", f"greedy.{length}.prompt")))
            want = self.golden("q3n_tiny", f"greedy.{length}.tokens")
            for more in ([], ["--chunk", "7"]):
                got = json.loads(self.ok("run", "-m", model, "--ids", prompt, "--n", str(len(want)),
                                         "--temp", "0", "--print-ids", *more))
                self.assertEqual(got, want)

    def test_logits_equal_the_reference_at_any_chunk_size(self):
        ids = self.golden("q3n_tiny", "in.65.ids")
        shape, want = read_safetensors(os.path.join(case("q3n_tiny"), "golden.safetensors"), "out.65.logits")
        path = self.write("ids.json", json.dumps(ids))
        for chunk in ("1", "7", "512"):
            out = self.path("logits.npy")
            self.ok("logits", "-m", case("q3n_tiny"), "--ids", path, "--out", out, "--chunk", chunk)
            got_shape, got = read_npy(out)
            self.assertEqual(got_shape, shape[-2:])
            self.assertLess(max(abs(a - b) for a, b in zip(got, want)), 1e-3)

    def test_json_answers_have_usage_and_log_probabilities(self):
        out = json.loads(self.ok("run", "-m", case("q3n_tiny"), "--raw", "--json", "-n", "3", "--temp", "0",
                                 "--logprobs", "2", "Hello"))
        self.assertLessEqual(out["usage"]["completion_tokens"], 3)
        self.assertEqual(len(out["logprobs"]), len(out["ids"]))
        for token in out["logprobs"]:
            self.assertEqual(len(token["top"]), 2)
            self.assertEqual(token["top"][0]["logprob"], token["logprob"])

    def test_seeds_repeat_a_text_whatever_the_threads(self):
        arguments = ["run", "-m", case("q3n_tiny"), "--raw", "-n", "12", "--temp", "1.5", "--seed"]
        first = self.ok(*arguments, "5", "Hello")
        self.assertEqual(first, self.ok(*arguments, "5", "-t", "1", "Hello"))
        self.assertNotEqual(first, self.ok(*arguments, "6", "Hello"))

    def test_packed_weights_and_pinned_threads_change_no_text(self):
        prompt = ["run", "-m", case("q3n_tiny"), "--raw", "-n", "8", "--temp", "0", "Hello"]
        plain = self.ok(*prompt)
        cache = self.path("packed")
        for _ in range(2):   # writes the side file, then maps it
            self.assertEqual(self.ok(*prompt, "--packed-cache", cache, "--pin"), plain)
        [name] = os.listdir(cache)
        self.assertTrue(name.endswith(".hgpacked"), name)
        with open(os.path.join(cache, name), "r+b") as file:
            file.truncate(5000)
        done = headgate(*prompt, "--packed-cache", cache)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, plain))
        self.assertEqual(done.stderr.decode().count("packing the model again"), 1, done.stderr)
        self.refused(2, *prompt, "--mmap", "--packed-cache", cache)

    def test_answers_are_valid_utf8_without_colours_or_notes_in_a_pipe(self):
        done = headgate("run", "-m", case("q3n_tiny"), "-n", "40", "--temp", "2", "--seed", "1", "Hello")
        self.assertEqual(done.returncode, 0, done.stderr)
        done.stdout.decode("utf-8")
        self.assertNotIn(ESCAPE, done.stderr)

    def test_prompts_come_from_files_and_pipes(self):
        prompt = self.write("prompt.txt", "Hello")
        arguments = ["run", "-m", case("q3n_tiny"), "-n", "8", "--temp", "0"]
        direct = self.ok(*arguments, "Hello")
        self.assertEqual(direct, self.ok(*arguments, "-f", prompt))
        self.assertEqual(direct, self.ok(*arguments, text="Hello"))

    def test_verbose_reports_speeds_on_standard_error(self):
        done = headgate("run", "-m", case("q3n_tiny"), "-n", "4", "-v", "Hello")
        self.assertIn(b"tok/s", done.stderr)
        self.assertNotIn(b"tok/s", done.stdout)

    def test_a_prompt_longer_than_the_context_is_refused(self):
        self.refused(2, "run", "-m", case("q3n_tiny"), "--ctx", "8", "--raw", "A prompt of more than eight tokens")

    def test_perplexity_compares_with_a_saved_reference(self):
        text = self.write("text.txt", "The quick brown fox jumps over the lazy dog. " * 6)
        reference = self.path("ref.logits")
        common = ["perplexity", "-m", case("q3n_tiny"), "-f", text, "--json", "-w", "64"]
        saved = json.loads(self.ok(*common, "--save-logits", reference))
        self.assertEqual(saved["scored"], saved["tokens"] - 1)
        compared = json.loads(self.ok(*common, "--kl", reference))
        self.assertAlmostEqual(compared["perplexity"], saved["perplexity"], delta=1e-6 * saved["perplexity"])
        self.assertLess(compared["reference"]["mean_kl"], 1e-4)
        self.assertEqual(compared["reference"]["same_top"], 1.0)
        self.refused(2, *common[:-1], "32", "--kl", reference)
        self.refused(4, *common, "--kl", text)

    def test_bench_reports_every_run(self):
        report = json.loads(self.ok("bench", "-m", case("q3n_tiny"), "-p", "8", "-n", "4", "-d", "0,16", "-r",
                                    "2", "--json"))
        self.assertEqual([(r["test"], r["depth"]) for r in report["results"]],
                         [("prefill", 0), ("decode", 0), ("prefill", 16), ("decode", 16)])
        for result in report["results"]:
            self.assertEqual(len(result["seconds"]), 2)
        self.assertGreater(report["read_gbps"], 0)
        self.assertIn("tok/s", self.ok("bench", "-m", case("q3n_tiny"), "-p", "8", "-n", "4", "-r", "1"))

    def test_bench_of_several_sequences_counts_the_experts_they_read(self):
        report = json.loads(self.ok("bench", "-m", case("q3n_tiny"), "-p", "8", "-n", "4", "-s", "1,4", "-r", "1", "--json"))
        self.assertEqual([(r["test"], r["sequences"]) for r in report["results"]],
                         [("prefill", 1), ("decode", 1), ("decode", 4)])
        one, four = report["results"][1:]
        self.assertGreater(four["distinct_experts"], one["distinct_experts"])
        self.assertLess(four["bytes_per_token"], one["bytes_per_token"])

    def test_bench_answers_commands_in_turn(self):
        answers = [json.loads(line) for line in self.ok(
            "bench", "-m", case("q3n_tiny"), "--interactive",
            text="decode 1\nopen 2 64\nprefill 16\ndecode 3\nbytes\nnonsense\nquit\nopen 1 8\n").splitlines()]
        self.assertEqual(["error" in a for a in answers], [True, False, False, False, False, True])
        self.assertEqual([a["position"] for a in answers[1:5]], [0, 16, 19, 19])
        self.assertGreater(answers[4]["bytes_per_step"], 0)


class Files(CliTest):
    def test_inspect_describes_folders_and_gguf_files_alike(self):
        for model in (case("q3n_tiny"), os.path.join(case("q3n_tiny"), "model-bf16.gguf")):
            report = json.loads(self.ok("inspect", "-m", model, "--json", "--tensors"))
            self.assertEqual(report["config"]["family"], "qwen3_next")
            self.assertEqual(report["config"]["attention_layers"], 2)
            self.assertEqual(len(report["tensors"]), report["tensors_count"])
            self.assertNotIn("other", report["by_class"])
            self.assertIn("Memory for", self.ok("inspect", "-m", model))

    def test_inspect_of_a_full_size_header_knows_the_80b(self):
        model = self.path("big.gguf")
        self.ok("synth", "--preset", "qwen3-next-80b", "--header-only", "--type", "q4_k", model)
        self.assertLess(os.stat(model).st_blocks * 512, 64 << 20)
        report = json.loads(self.ok("inspect", "-m", model, "--json", "--ctx", "262144", "--kv-type", "bf16"))
        # The vocabulary tables of synthetic models are as large as the real ones.
        self.assertAlmostEqual(report["parameters"]["total"] / 1e9, 79.7, delta=0.05)
        self.assertAlmostEqual(report["parameters"]["active_per_token"] / 1e9, 3.56, delta=0.01)
        self.assertEqual(report["memory"]["kv_bytes_per_token"], 24 * 1024)
        self.assertAlmostEqual(report["memory"]["recurrent_state_bytes"] / 1e6, 75.5, delta=0.05)
        self.assertEqual(report["memory"]["kv_bytes"], 6 << 30)

    def test_conversion_there_and_back_keeps_the_answers(self):
        gguf, folder = self.path("model.gguf"), self.path("folder")
        self.ok("convert", case("q3n_tiny"), gguf)
        self.ok("convert", gguf, folder)
        ids = self.write("ids.json", "[5, 17, 80, 200]")
        answers = [self.ok("run", "-m", model, "--ids", ids, "--n", "8", "--temp", "0", "--print-ids")
                   for model in (case("q3n_tiny"), gguf, folder)]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0], answers[2])

    def test_quantize_reports_sizes_and_errors(self):
        out = self.path("q8.gguf")
        report = json.loads(self.ok("quantize", case("q3n_wide"), out, "--mix", "q8_0", "--json"))
        self.assertLess(report["total"]["relative_error"], 0.02)
        self.assertEqual([os.path.exists(file) for file in report["files"]], [True])
        self.assertIn("q8_0", self.ok("quantize", "--list"))
        self.assertIn("q8_0", json.loads(self.ok("inspect", "-m", out, "--json"))["by_type"])
        self.refused(2, "quantize", case("q3n_wide"), out, "--mix", "q9")

    def test_synthetic_models_run(self):
        out = self.path("synth.gguf")
        config = os.path.join(case("q3n_wide"), "config.json")
        self.ok("synth", "--config", config, "--type", "q4_k", out)
        self.ok("run", "-m", out, "-n", "2", "--raw", "abc")


class ChatOnATerminal(CliTest):
    @classmethod
    def setUpClass(cls):
        try:
            for end in pty.openpty():
                os.close(end)
        except OSError as error:
            raise unittest.SkipTest(f"this machine lends no terminal: {error}") from error

    def chat(self, *arguments, model=None, context=4096):
        terminal = Terminal("chat", "-m", model or case("q3n_tiny"), "--ctx", str(context), *arguments,
                            env={"XDG_STATE_HOME": self.path("state")})
        terminal.read_until(b"Ctrl-D")
        terminal.read_until(b"> ")
        return terminal

    def test_conversation_settings_files_and_history(self):
        saved = self.path("saved.json")
        terminal = self.chat("--temp", "0", "-n", "5")
        terminal.type("/help\n")
        terminal.read_until(b"/regen")
        terminal.read_until(b"> ")
        terminal.type("Hello\\\n")
        terminal.type("there\n")
        terminal.read_until(b"> ")
        time.sleep(1)
        terminal.type("/set temp 0.5\n")
        terminal.read_until(b"temperature 0.5")
        terminal.type("/regen\n")
        time.sleep(1)
        terminal.type(f"/save {saved}\n")
        terminal.read_until(b"Saved 2 messages")
        terminal.type("/nonsense\n")
        terminal.read_until(b"no command /nonsense")
        terminal.type("/exit\n")
        self.assertEqual(terminal.wait(), 0)
        with open(saved, encoding="utf-8") as file:
            messages = json.load(file)["messages"]
        self.assertEqual([m["role"] for m in messages], ["user", "assistant"])
        self.assertEqual(messages[0]["content"], "Hello\nthere")
        history = self.path("state/headgate/chat_history")
        if os.path.exists(history):  # built without line editing there is none
            self.assertEqual(os.stat(history).st_mode & 0o777, 0o600)

    def test_ctrl_c_stops_an_answer_and_then_leaves(self):
        # Without end tokens and with room for minutes, the answer goes on until it is stopped.
        terminal = self.chat("--temp", "1", "--logit-bias", "360=-1000", "--logit-bias", "358=-1000", context=200000)
        terminal.type("/set max-tokens -1\n")
        terminal.read_until(b"max-tokens -1")
        terminal.read_until(b"> ")
        terminal.type("Tell me a long story\n")
        terminal.read_until(b"story")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.read_until(b"headgate: stopped")
        terminal.read_until(b"> ")
        terminal.type("/set seed 3\n")
        terminal.read_until(b"seed 3")
        terminal.read_until(b"> ")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_throws_away_a_line_that_was_begun(self):
        terminal = self.chat()
        terminal.type("half a line")
        terminal.read_until(b"half a line")
        terminal.type("\x03")
        terminal.read_until(b"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 0)

    def test_a_conversation_that_outgrows_the_context_goes_on_after_clear(self):
        terminal = Terminal("chat", "-m", case("q3n_tiny"), "--ctx", "32", "-n", "4", "--no-history")
        terminal.read_until(b"Ctrl-D")
        terminal.read_until(b"> ")
        terminal.type("A question that takes more tokens than there are in this very small context\n")
        terminal.read_until(b"the context is full")
        terminal.read_until(b"> ")
        terminal.type("/clear\n")
        terminal.read_until(b"empty again")
        terminal.type("/exit\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertFalse(os.path.exists(self.path("state")))

    def test_no_color_is_respected(self):
        terminal = Terminal("inspect", "-m", case("q3n_tiny"), env={"NO_COLOR": "1"})
        terminal.wait()
        self.assertNotIn(ESCAPE, terminal.output)
        coloured = Terminal("inspect", "-m", case("q3n_tiny"), env={"NO_COLOR": ""})
        coloured.wait()
        self.assertIn(ESCAPE, coloured.output)

    def test_lines_from_a_pipe_are_turns_of_a_conversation(self):
        out = self.ok("chat", "-m", case("q3n_tiny"), "-n", "3", "--temp", "0", text="Hello\n/clear\n")
        self.assertIn("empty again", out)
        self.assertNotIn("> ", out)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)

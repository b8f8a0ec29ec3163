#!/usr/bin/env python3
"""Starts the program as its users do and looks at what it prints, writes and returns.

    cli_test.py PATH_TO_HEADGATE [unittest arguments]
"""
import array
import ast
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(ROOT, "tests", "golden", "cases")
COMMANDS = ("run", "chat", "inspect", "convert", "quantize", "perplexity", "bench", "tokenize", "detokenize", "template",
            "logits", "synth", "version")
PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "headgate"
MIXED_TEXT = "Hello, Gedächtnis! 模型 🦊\n\tdef f(x):\r\n  return 3.14  <|im_end|> 'll\u00a0é"


def headgate(*arguments, text=None, env=None):
    """Runs the program; returns the finished process."""
    return subprocess.run([PROGRAM, *map(str, arguments)], input=text, capture_output=True, encoding="utf-8", timeout=600,
                          env={**os.environ, **(env or {})}, check=False)


def read_golden(case):
    """{name: (shape, values)} of a case's golden.safetensors."""
    with open(os.path.join(CASES, case, "golden.safetensors"), "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, about in json.loads(data[8:8 + size]).items():
        kind = {"F32": "f", "I32": "i"}.get(about.get("dtype"))
        if kind:
            begin, end = about["data_offsets"]
            out[name] = (about["shape"], array.array(kind, data[8 + size + begin:8 + size + end]))
    return out


def read_npy(path):
    """(shape, values) of a float32 .npy file."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    end = 10 + struct.unpack("<H", data[8:10])[0]
    about = ast.literal_eval(data[10:end].decode())
    assert about["descr"] == "<f4" and not about["fortran_order"], about
    return list(about["shape"]), array.array("f", data[end:])


class Cli(unittest.TestCase):
    """Helpers: a temporary folder, and runs that must succeed or fail in the agreed way."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        return path

    def works(self, *arguments, **options):
        done = headgate(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout

    def fails(self, code, *arguments, **options):
        done = headgate(*arguments, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout} {done.stderr}")
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def greedy(self, case, model, **options):
        """The 32 greedy tokens of a case's first greedy prompt: (got, expected)."""
        golden = read_golden(case)
        prompt = next(name for name in sorted(golden) if name.startswith("greedy.") and name.endswith(".prompt"))
        ids = self.path("ids.json", json.dumps(golden[prompt][1].tolist()))
        out = self.works("run", "-m", model, "--ids", ids, "--n", 32, "--temp", 0, "--print-ids", **options)
        return json.loads(out), golden[prompt.replace(".prompt", ".tokens")][1].tolist()


class Help(Cli):
    def test_every_command_has_help(self):
        listed = self.works("--help")
        for command in COMMANDS:
            self.assertIn(command, listed)
            self.assertIn("--help", self.works(command, "--help"))

    def test_version_is_one_line(self):
        self.assertEqual(len(self.works("version").splitlines()), 1)
        self.assertIsInstance(json.loads(self.works("version", "--json")), dict)


class Failures(Cli):
    def test_unknown_words_are_refused(self):
        self.assertNotEqual(headgate("frobnicate").returncode, 0)
        self.assertNotEqual(headgate("run", "--frobnicate").returncode, 0)

    def test_a_missing_model_is_one_line(self):
        self.assertIn("nowhere", self.fails(3, "inspect", "-m", self.path("nowhere.gguf")))

    def test_a_file_of_another_kind_is_one_line(self):
        self.fails(4, "inspect", "-m", self.path("text.gguf", "this is no GGUF file, whatever its name says"))

    def test_a_cut_file_is_one_line(self):
        with open(os.path.join(CASES, "q3n_tiny", "model-bf16.gguf"), "rb") as file:
            data = file.read()
        for size in (10, 2000, len(data) - 1000):
            path = self.path("cut.gguf")
            with open(path, "wb") as file:
                file.write(data[:size])
            self.assertIn("cut.gguf", self.fails(4, "logits", "-m", path, "--ids", self.path("i.json", "[1]"), "--out",
                                                 self.path("o.npy")))

    def test_ids_beyond_the_vocabulary_are_one_line(self):
        self.fails(2, "run", "-m", os.path.join(CASES, "q3_dense"), "--ids", self.path("ids.json", "[5, 100000]"), "--n", 1,
                   "--print-ids")

    def test_an_unknown_instruction_set_is_one_line(self):
        self.fails(2, "run", "-m", os.path.join(CASES, "q3_dense"), "--ids", self.path("ids.json", "[5]"), "--n", 1,
                   "--print-ids", env={"HEADGATE_ISA": "vax"})


class Numbers(Cli):
    def test_greedy_tokens_are_those_of_the_reference(self):
        for folder in sorted(glob.glob(os.path.join(CASES, "*"))):
            case = os.path.basename(folder)
            with self.subTest(case):
                got, expected = self.greedy(case, folder)
                self.assertEqual(got, expected)

    def test_logits_are_those_of_the_reference(self):
        case = os.path.join(CASES, "q3_dense")
        golden = read_golden("q3_dense")
        ids = self.path("ids.json", json.dumps(golden["in.65.ids"][1].tolist()))
        for chunk in (7, 512):
            self.works("logits", "-m", case, "--ids", ids, "--out", self.path("logits.npy"), "--chunk", chunk)
            shape, values = read_npy(self.path("logits.npy"))
            self.assertEqual(shape, golden["out.65.logits"][0])
            self.assertLess(max(abs(a - b) for a, b in zip(values, golden["out.65.logits"][1])), 5e-4)

    def test_a_gguf_of_another_converter_gives_the_same_tokens(self):
        got, expected = self.greedy("q3n_tiny", os.path.join(CASES, "q3n_tiny", "model-bf16.gguf"))
        self.assertEqual(got, expected)

    def test_a_seed_gives_the_same_text_on_every_number_of_threads(self):
        ids = self.path("ids.json", "[5, 6, 7]")
        runs = {self.works("run", "-m", os.path.join(CASES, "q3n_wide"), "--ids", ids, "--n", 24, "--temp", 0.8, "--seed", 7,
                           "--print-ids", "-t", threads) for threads in (1, 2, 3)}
        self.assertEqual(len(runs), 1, runs)


class Files(Cli):
    def test_conversion_keeps_the_tokens_and_comes_back(self):
        for case in ("q3n_tiny", "q3_moe", "q35_moe"):
            with self.subTest(case):
                gguf, back = self.path(case + ".gguf"), self.path(case)
                self.works("convert", os.path.join(CASES, case), gguf)
                got, expected = self.greedy(case, gguf)
                self.assertEqual(got, expected)
                self.works("convert", gguf, back)
                got, expected = self.greedy(case, back)
                self.assertEqual(got, expected)

    def test_quantised_models_run(self):
        gguf = self.path("q8.gguf")
        self.works("quantize", os.path.join(CASES, "q3n_wide"), gguf, "--mix", "q8_0")
        got, _ = self.greedy("q3n_wide", gguf)
        self.assertEqual(len(got), 32)

    def test_inspect_reports_json(self):
        for case in ("q3n_tiny", "q3_dense", "q35_moe"):
            self.assertIsInstance(json.loads(self.works("inspect", "-m", os.path.join(CASES, case), "--json")), dict)

    def test_text_survives_its_tokens(self):
        model = os.path.join(CASES, "q3n_tiny")
        ids = self.works("tokenize", "-m", model, text=MIXED_TEXT)
        self.assertIsInstance(json.loads(ids), list)
        self.assertEqual(self.works("detokenize", "-m", model, text=ids).rstrip("\n"), MIXED_TEXT)


@unittest.skipUnless(glob.glob(os.path.join(ROOT, "models", "headgate-nano", "*.gguf")), "no model to embed")
class EmbeddedModel(Cli):
    def test_it_answers(self):
        self.assertGreater(len(self.works("run", "Hello!", "--temp", 0, "--n", 40).strip()), 1)

    def test_the_same_question_has_the_same_answer(self):
        answers = {self.works("run", "Tell me a story.", "--seed", 3, "--n", 32, "-t", t) for t in (1, 2)}
        self.assertEqual(len(answers), 1)

    def test_an_answer_is_json_where_asked(self):
        answer = json.loads(self.works("run", "Hello!", "--json", "--temp", 0, "--n", 16))
        self.assertIn("usage", answer)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""A tiny model from nothing: tokenizer, shards, a run that is stopped, killed and resumed, export, use, skills.

Usage: training_test.py PROGRAM [unittest arguments]. Needs nothing but Python's standard library.
With transformers and torch installed, `HEADGATE_TRANSFORMERS=1` also loads the exported folder there.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
CONFIG = {
    "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], "vocab_size": 512, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 4, "full_attention_interval": 4, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 32, "partial_rotary_factor": 0.25, "rope_theta": 10000,
    "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "norm_topk_prob": True, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "max_position_embeddings": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
RECIPE = """
name = "tiny"
seed = 5
tokenizer = "tok"
[model]
config = "config.json"
[optimizer]
warmup_steps = 2
[[source]]
name = "skills"
kind = "skills"
families = { arith = 1, listop = 1, facts = 1 }
[[source]]
name = "books"
files = ["books.tokens"]
weight = 0.5
[[phase]]
name = "stable"
steps = 12
rows = 4
micro_rows = 2
row_length = 128
rate = 3e-3
mix = { skills = 3, books = 1 }
[[phase]]
name = "decay"
steps = 6
decay = true
[checkpoint]
minutes = 0
steps = 4
[evaluate]
steps = 6
rows = 2
files = ["held.tokens"]
[export]
gguf_type = "f32"
context = 1024
"""


def headgate(*arguments, timeout=300):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=timeout, check=False)


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.make_data()
        cls.ok("train", cls.path("recipe.toml"), "-o", cls.path("whole"), "-t", "2")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    @classmethod
    def ok(cls, *arguments):
        done = headgate(*arguments)
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    @classmethod
    def make_data(cls):
        with open(cls.path("config.json"), "w") as file:
            json.dump(CONFIG, file)
        with open(cls.path("recipe.toml"), "w") as file:
            file.write(RECIPE)
        with open(cls.path("books.jsonl"), "w") as file:
            for i in range(60):
                text = f"Chapter {i}. " + "The old man went to the sea and the sea was calm. " * (3 + i % 7)
                file.write(json.dumps({"text": text}) + "\n")
        cls.ok("tokenizer", "train", cls.path("books.jsonl"), "--skills", "1300", "--vocab-size", "512",
               "-o", cls.path("tok"))
        cls.ok("data", "text", cls.path("books.jsonl"), "--tokenizer", cls.path("tok"), "-o", cls.path("books.tokens"),
               "--held-out", cls.path("held.tokens"), "--held-out-share", "6")

    def weights(self, run):
        with open(self.path(run, "model", "model.safetensors"), "rb") as file:
            return file.read()

    def log(self, run):
        with open(self.path(run, "log.jsonl")) as file:
            records = [json.loads(line) for line in file]
        for record in records:
            del record["tokens_per_second"]
        return records

    def test_loss_falls_and_everything_is_logged(self):
        records = self.log("whole")
        self.assertEqual([r["step"] for r in records], list(range(1, 19)))
        self.assertLess(sum(r["main"] for r in records[-4:]) / 4, records[0]["main"] - 1)
        self.assertEqual([r["step"] for r in records if "held_out" in r], [6, 12, 18])
        self.assertEqual({r["phase"] for r in records}, {"stable", "decay"})
        self.assertLess(records[-1]["rate"], records[10]["rate"] / 3)
        self.assertEqual(len(records[0]["acceptance"]), 3)
        for name in ("loss", "balance", "rate", "acceptance"):
            self.assertTrue(os.path.exists(self.path("whole", name + ".svg")))

    def test_a_stopped_and_resumed_run_equals_the_unbroken_one(self):
        self.ok("train", self.path("recipe.toml"), "-o", self.path("parts"), "-t", "1", "--stop-at-step", "7")
        refused = headgate("train", self.path("recipe.toml"), "-o", self.path("parts"))
        self.assertEqual(refused.returncode, 2)
        self.assertIn(b"--resume", refused.stderr)
        self.ok("train", self.path("recipe.toml"), "-o", self.path("parts"), "-t", "2", "--resume")
        self.assertEqual(self.log("parts"), self.log("whole"))
        self.assertEqual(self.weights("parts"), self.weights("whole"))

    def test_a_killed_run_goes_on_from_its_checkpoint(self):
        run = subprocess.Popen([PROGRAM, "train", self.path("recipe.toml"), "-o", self.path("killed"), "-t", "1"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoints = self.path("killed", "checkpoints")
        end = time.monotonic() + 120
        while time.monotonic() < end and run.poll() is None:
            if os.path.isdir(checkpoints) and any(n.startswith("step-") for n in os.listdir(checkpoints)):
                break
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        self.ok("train", self.path("recipe.toml"), "-o", self.path("killed"), "-t", "2", "--resume")
        self.assertEqual(self.log("killed"), self.log("whole"))
        self.assertEqual(self.weights("killed"), self.weights("whole"))

    def test_the_exported_folder_and_gguf_answer_alike(self):
        arguments = ["--temp", "0", "--max-tokens", "8", "--raw", "What is 2 plus 3?"]
        folder = self.ok("run", "-m", self.path("whole", "model"), *arguments)
        self.assertEqual(folder, self.ok("run", "-m", self.path("whole", "tiny.gguf"), *arguments))
        with open(self.path("whole", "model", "generation_config.json")) as file:
            self.assertIn(512 - 26 + 2, json.load(file)["eos_token_id"])

    def test_skills_are_counted(self):
        report = json.loads(self.ok("eval", "skills", "-m", self.path("whole", "model"), "--cases", "4", "--json",
                                    "--family", "arith", "--family", "tool", "--max-tokens", "6"))
        self.assertEqual([r["family"] for r in report["results"]], ["arith", "arith", "tool"])
        self.assertEqual([r["thinking"] for r in report["results"]], [False, True, False])
        self.assertTrue(all(r["cases"] == 4 and 0 <= r["right"] <= 4 for r in report["results"]))

    def test_recipes_with_mistakes_get_one_line(self):
        with open(self.path("bad.toml"), "w") as file:
            file.write(RECIPE.replace("rows = 4", "row = 4"))
        done = headgate("train", self.path("bad.toml"))
        self.assertEqual(done.returncode, 4)
        self.assertEqual(done.stderr.decode().count("\n"), 1)
        self.assertIn("unknown key row", done.stderr.decode())

    @unittest.skipUnless(os.environ.get("HEADGATE_TRANSFORMERS"), "only where HEADGATE_TRANSFORMERS is set")
    def test_transformers_loads_the_folder_and_agrees(self):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        folder = self.path("whole", "model")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        prompt = tokenizer("What is 2 plus 3?", return_tensors="pt")
        made = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1]:]
        ours = self.ok("run", "-m", folder, "--temp", "0", "--max-tokens", "8", "--raw", "What is 2 plus 3?")
        self.assertEqual(ours.strip(), tokenizer.decode(made, skip_special_tokens=True).strip())


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)

#!/usr/bin/env python3
"""Asks the model that is embedded in the binary: it answers, and the same question has the same answer.

    embedded_model_test.py PATH_TO_HEADGATE

Exit status 77 (skipped) where the binary was built without a model.
"""
import json
import os
import subprocess
import sys
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))


def headgate(*arguments):
    """Runs the program without a model of its own and returns the finished process."""
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=300, check=False,
                          stdin=subprocess.DEVNULL)


class EmbeddedModel(unittest.TestCase):
    def works(self, *arguments):
        done = headgate(*arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout

    def test_it_answers_in_words(self):
        answer = self.works("run", "Hello! Who are you?", "--temp", 0, "--n", 60)
        self.assertGreater(len(answer.split()), 2, answer)
        self.assertNotIn("\ufffd", answer)

    def test_a_seed_gives_the_same_answer_on_every_number_of_threads(self):
        answers = {self.works("run", "Tell me a story.", "--seed", 3, "--temp", 0.8, "--n", 48, "-t", threads)
                   for threads in (1, 2)}
        self.assertEqual(len(answers), 1, answers)

    def test_it_describes_itself(self):
        about = json.loads(self.works("inspect", "--json"))
        self.assertIn("qwen3_next", json.dumps(about))


if __name__ == "__main__":
    if not json.loads(headgate("version", "--json").stdout).get("embedded_model_bytes"):
        print("SKIPPED: this binary holds no model")
        sys.exit(77)
    unittest.main()

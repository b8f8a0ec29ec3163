#!/usr/bin/env python3
"""Sessions and explanations at the command line. Usage: session_test.py PROGRAM [unittest arguments]."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""


class Sessions(unittest.TestCase):
    """A folder of sessions."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="headgate-session-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name, text=None):
        """A file in the folder, with this text."""
        path = os.path.join(self.folder.name, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def headgate(self, *arguments, text=None):
        """Runs a command to its end."""
        return subprocess.run([PROGRAM, *arguments], input=text, capture_output=True, text=True, timeout=120, check=False)

    def chat(self, text, name="talk"):
        """A short chat in the session."""
        done = self.headgate("chat", "--session", name, "--sessions", self.folder.name, "--no-history", "--temp", "0",
                             "--max-tokens", "12", "-v", text=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def session(self, *arguments):
        """headgate session in this folder."""
        return self.headgate("session", *arguments, "--sessions", self.folder.name)

    def test_a_chat_goes_on_where_it_was(self):
        self.chat("Tell me about the sea, the wind and the long way home.\n")
        second = self.chat("And then?\n")
        self.assertIn("session talk: 2 messages", second.stderr)
        listed = json.loads(self.session("list", "--json").stdout)
        self.assertEqual([each["name"] for each in listed], ["talk"])
        self.assertGreater(listed[0]["tokens"], 40)
        # In one go: the same words at the end.
        whole = self.chat("Tell me about the sea, the wind and the long way home.\nAnd then?\n", "whole")
        self.assertTrue(whole.stdout.endswith(second.stdout), (whole.stdout, second.stdout))

    def test_save_load_list_rm(self):
        saved = self.session("save", "text", "-f", self.path("a.txt", "one two three four " * 100))
        self.assertEqual(saved.returncode, 0, saved.stderr)
        loaded = self.session("load", "text")
        self.assertEqual(loaded.returncode, 0, loaded.stderr)
        self.assertEqual(saved.stdout.split(",")[0].replace("saved", "loaded"), loaded.stdout.split(",")[0])
        self.assertIn("text", self.session("list").stdout)
        self.assertEqual(self.session("rm", "text").returncode, 0)
        self.assertEqual(json.loads(self.session("list", "--json").stdout), [])
        self.assertEqual(self.session("load", "text").returncode, 3)

    def test_what_does_not_fit_is_refused_in_one_line(self):
        self.session("save", "text", "-f", self.path("a.txt", "one two three four " * 100))
        other = self.headgate("session", "load", "text", "--sessions", self.folder.name, "--kv-type", "int8")
        self.assertEqual((other.returncode, other.stderr.count("\n")), (5, 1), other.stderr)
        file = self.path("text.hgsession")
        size = os.path.getsize(file)
        with open(file, "r+b") as damaged:
            damaged.seek(size // 2)
            byte = damaged.read(1)
            damaged.seek(size // 2)
            damaged.write(bytes([byte[0] ^ 1]))
        refused = self.session("load", "text")
        self.assertEqual((refused.returncode, refused.stderr.count("\n")), (4, 1), refused.stderr)
        os.truncate(file, size - 5000)
        self.assertEqual(self.session("load", "text").returncode, 4)
        for name in ("../text", "", ".hidden", "a/b"):
            self.assertEqual(self.session("load", name).returncode, 2, name)

    def test_explain_shows_where_prompts_part(self):
        first = self.path("a.json", json.dumps({"messages": [{"role": "system", "content": "Be brief."},
                                                             {"role": "user", "content": "Hello there"}]}))
        second = self.path("b.json", json.dumps([{"role": "system", "content": "Be brief."},
                                                 {"role": "user", "content": "Goodbye"}]))
        shown = self.headgate("explain", first, second)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("Be brief.", shown.stdout)
        figures = json.loads(self.headgate("explain", first, second, "--json").stdout)
        self.assertGreater(figures["common_tokens"], 3)
        self.assertLess(figures["common_tokens"], figures["second_tokens"])
        self.assertIn("nowhere", self.headgate("explain", first, first).stdout)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

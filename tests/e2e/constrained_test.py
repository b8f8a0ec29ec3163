#!/usr/bin/env python3
"""Holds answers of the embedded model to forms: JSON under a schema, regular expressions, grammars, tool calls.

    constrained_test.py PATH_TO_HEADGATE

Exit status 77 (skipped) where the binary was built without a model.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))

PERSON = {"type": "object", "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 30}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
    "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3}},
    "required": ["name", "age", "tags"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"]}}} for name in ("get_weather", "get_news")]


def headgate(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=300, check=False,
                          stdin=subprocess.DEVNULL)


class Constrained(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def file(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def works(self, *arguments):
        done = headgate("run", *arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout

    def test_json_is_valid_under_its_schema_at_any_temperature(self):
        schema = self.file("person.json", json.dumps(PERSON))
        for seed, temperature, spacing in ((1, 0, "compact"), (2, 1.5, "python"), (3, 2, "any")):
            person = json.loads(self.works("--json-schema", schema, "--json-spacing", spacing, "--seed", seed, "--temp",
                                           temperature, "-n", 800, "Invent a person."))
            self.assertEqual(list(person), ["name", "age", "tags"])
            self.assertTrue(1 <= len(person["name"]) <= 30 and 0 <= person["age"] <= 120, person)

    def test_drafts_change_nothing(self):
        schema = self.file("person.json", json.dumps(PERSON))
        texts = {self.works("--json-schema", schema, "--seed", 5, "--temp", 0.7, "-n", 400, "--draft", draft,
                            "Invent a person.") for draft in ("off", "3")}
        self.assertEqual(len(texts), 1, texts)

    def test_regular_expressions_and_grammars_are_obeyed(self):
        expression = "[A-Z][a-z]{2,8} \\d{4}-\\d{2}"
        self.assertRegex(self.works("--regex", expression, "--seed", 1, "When?").strip(), re.compile(f"^{expression}$"))
        grammar = self.file("answer.gbnf", 'root ::= ("yes" | "no") " because " [a-z ]{5,40} "."\n')
        self.assertRegex(self.works("--grammar", grammar, "--seed", 1, "Is it?").strip(),
                         "^(yes|no) because [a-z ]{5,40}\\.$")

    def test_tool_calls_are_forced(self):
        tools = self.file("tools.json", json.dumps(TOOLS))
        for choice in ("required", "get_news"):
            answer = json.loads(self.works("--tools", tools, "--tool-choice", choice, "--json", "--temp", 1.2, "--seed", 4,
                                           "-n", 600, "Weather in Paris?"))
            self.assertEqual(answer["finish_reason"], "tool_calls", answer)
            for call in answer["tool_calls"]:
                self.assertIn(call["name"], [choice] if choice == "get_news" else ["get_weather", "get_news"])
                self.assertTrue(1 <= json.loads(call["arguments"])["days"] <= 9, call)

    def test_what_cannot_be_obeyed_is_refused_before_a_model_is_loaded(self):
        for arguments in (["--json-schema", self.file("bad.json", '{"uniqueItems": true}')], ["--regex", "("],
                          ["--regex", "a", "--grammar", "x"], ["--tool-choice", "auto"]):
            done = headgate("run", "-m", "/nonexistent", *arguments, "x")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


if __name__ == "__main__":
    about = headgate("version", "--json").stdout
    if about and not json.loads(about).get("embedded_model_bytes"):
        print("SKIPPED: this binary holds no model")
        sys.exit(77)
    unittest.main()

#!/usr/bin/env python3
"""Requests that end other servers: numbers that are none, nesting without end, broken UTF-8, patterns that explode, wrong keys.

Usage: hostile_requests_test.py PROGRAM [unittest arguments]. Needs nothing but Python's standard library.
"""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import Served

PROGRAM = ""
HELLO = '"messages": [{"role": "user", "content": "Hello!"}]'


class HostileRequests(unittest.TestCase):
    """Every one is refused by name, quickly, and the server goes on."""

    @classmethod
    def setUpClass(cls):
        cls.server = Served(PROGRAM, "--name", "nano", "--ctx", "512")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def refused(self, body, path="/v1/chat/completions", within=5.0):
        """The error object of a request that must be a 400."""
        start = time.monotonic()
        status, answer = self.server.post(path, body if isinstance(body, bytes) else body.encode())
        self.assertEqual(status, 400, (body[:200], str(answer)[:500]))
        self.assertLess(time.monotonic() - start, within, body[:200])
        self.assertIsInstance(answer["error"]["message"], str)
        return answer["error"]

    def tearDown(self):
        status, answer = self.server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 2})
        self.assertEqual((status, answer["usage"]["completion_tokens"]), (200, 2))

    def test_numbers_that_are_none(self):
        document = json.loads(self.server.get("/openapi.json")[1])
        operation = document["paths"]["/v1/chat/completions"]["post"]
        properties = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
        tried = 0
        for name, schema in properties.items():
            kinds = schema.get("type") or []
            if not {"number", "integer"} & set([kinds] if isinstance(kinds, str) else kinds):
                continue
            for value in ("NaN", "Infinity", "-Infinity", "1e999", "-1e308", "1e308", '"x"', "[]", "{}", "true",
                          "-99999999999999999999999999", "0.5e-5x"):
                if name == "seed" and value in ("1e308",):
                    continue
                self.refused(f"{{{HELLO}, \"{name}\": {value}}}")
                tried += 1
        self.assertGreater(tried, 200)

    def test_nesting_without_end(self):
        for deep in ("[" * 1_000_000, '{"a":' * 1_000_000, "[" * 1_000_000 + "]" * 1_000_000):
            self.refused(deep)
            self.refused(f'{{{HELLO}, "metadata": {{"a": {deep}}}}}')

    def test_broken_texts(self):
        for broken in (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00", b"\xc0\xaf"):
            self.refused(b'{"messages": [{"role": "user", "content": "' + broken + b'"}]}')
            self.refused(b'{"' + broken + b'": 1}')
        self.refused(b'{"messages": [{"role": "user", "content": "\\ud800"}]}')
        self.refused(b"")
        self.refused(b"null")
        self.refused(b"\x80" * 100_000)

    def test_patterns_that_explode(self):
        groups = "(" * 60_000 + ")" * 60_000
        schema = {"type": "string"}
        for _ in range(800):
            schema = {"type": "array", "items": schema}
        for outputs in ({"regex": groups}, {"regex": "(" * 60_000}, {"regex": "(.{1000}){1000}|b{1000000}c{99999}"},
                        {"grammar": "root ::= " + groups}, {"grammar": "root ::= root"},
                        {"grammar": "root ::= \"a\"\nroot ::= \"b\"" * 30_000}, {"json": {"$ref": "#"}}, {"json": schema},
                        {"json": {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}},
                        {"json": {"type": "string", "pattern": groups}}, {"json": {"type": "string", "pattern": "(?=a)b"}}):
            self.refused(f'{{{HELLO}, "max_tokens": 2, "structured_outputs": {json.dumps(outputs)}}}', within=20)
        # What backtracking would never end has an automaton of one state.
        # And what has too many states for one is read state by state.
        for pattern in ("(a*)*" * 20_000, "((a|b)*a(a|b){30}|x)" * 40):
            start = time.monotonic()
            status, answer = self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 4, "structured_outputs": {"regex": pattern}})
            self.assertEqual(status, 200, answer)
            self.assertLess(time.monotonic() - start, 20)
        tools = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"$ref": "#"}}}]
        self.refused(f'{{{HELLO}, "tools": {json.dumps(tools)}, "tool_choice": "required"}}')

    def test_too_much_of_everything(self):
        for field, value in (("n", 17), ("stop", ["x"] * 17), ("logit_bias", {str(i): 1 for i in range(1025)}), ("top_logprobs", 21),
                             ("bad_words", ["x"] * 65), ("stop_token_ids", [1 << 40]), ("logit_bias", {"-1": 1}), ("logit_bias", {"1": "NaN"}),
                             ("tools", [{"type": "function", "function": {"name": "f"}}] * 257), ("max_tokens", -1), ("min_tokens", 1 << 29)):
            error = self.refused(f'{{{HELLO}, "max_tokens": 4, "{field}": {json.dumps(value)}}}' if field != "max_tokens"
                                 else f'{{{HELLO}, "max_tokens": -1}}')
            self.assertIn(field.split("_")[0], error["message"])


class HostileKeys(unittest.TestCase):
    """Wrong, broken, foreign and revoked keys."""

    def test_no_other_key_opens(self):
        server = Served(PROGRAM, "--require-keys")
        self.addCleanup(server.close)

        def keys(*arguments):
            return subprocess.run([PROGRAM, "keys", *arguments, "--data", server.data], check=True, capture_output=True, text=True).stdout

        key, metrics = keys("create", "good").strip(), keys("create", "figures", "--scope", "metrics").strip()
        deadline = time.monotonic() + 10
        while server.get("/v1/models", **{"x-api-key": key})[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(server.get("/v1/models", **{"x-api-key": key})[0], 200)
        body = b'{"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}'
        self.assertEqual(server.post("/v1/chat/completions", body, **{"x-api-key": metrics})[0], 403)
        self.assertEqual(server.get("/metrics", **{"x-api-key": key})[0], 403)
        wrong = [key[:-1], key + "x", key.upper(), key.replace("hg_", "hx_"), key[:-1] + ("a" if key[-1] != "a" else "b"), "hg_", "x" * 5000,
                 "' OR 1=1 --", "\u00e9"]
        for other in wrong:
            self.assertEqual(server.get("/v1/models", Authorization=f"Bearer {other}".encode().decode("latin-1"))[0], 401, other[:20])
        self.assertEqual(server.get("/v1/models")[0], 401)
        keys("revoke", "good")
        deadline = time.monotonic() + 5
        while server.get("/v1/models", **{"x-api-key": key})[0] == 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertIn(server.get("/v1/models", **{"x-api-key": key})[0], (401, 429))
        log = server.log()
        self.assertNotIn(key[9:], log)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Drives `headgate serve` with litellm and with lm-eval, unchanged, on the embedded model; no other host is asked.

Usage: ecosystem_test.py PROGRAM [unittest arguments]. Exits with 77 where they are not installed.
"""
import importlib.util
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from served import Served

for name in ("litellm", "lm_eval"):
    if importlib.util.find_spec(name) is None:
        print(f"skipped: no Python package {name}")
        sys.exit(77)

FOLDER = tempfile.TemporaryDirectory(prefix="headgate-ecosystem-")
# Neither package may ask its own hosts for anything; both read these when they are imported.
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1",
                  HF_HOME=FOLDER.name, TOKENIZERS_PARALLELISM="false", LOGLEVEL="ERROR")

import litellm
import lm_eval
from lm_eval.tasks import TaskManager

HELLO = [{"role": "user", "content": "Hello!"}]
ASK_WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}

PROGRAM = ""
server = None


def setUpModule():
    """One server for all tests."""
    global server
    server = Served(PROGRAM, "--name", "nano", "--ctx", "4096")


def tearDownModule():
    server.close()


class LiteLlm(unittest.TestCase):
    """The `litellm` package, as the provider `openai`."""

    def ask(self, function=litellm.completion, **fields):
        """One call to this server."""
        return function(model="openai/nano", api_base=server.url + "/v1", api_key="unused", **fields)

    def test_chat_and_stream_agree(self):
        whole = self.ask(messages=HELLO, temperature=0)
        self.assertEqual(whole.choices[0].finish_reason, "stop")
        self.assertEqual(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens)
        chunks = list(self.ask(messages=HELLO, temperature=0, stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
                         whole.choices[0].message.content)
        rebuilt = litellm.stream_chunk_builder(chunks, messages=HELLO)
        self.assertEqual(rebuilt.usage.completion_tokens, whole.usage.completion_tokens)

    def test_reasoning_comes_apart(self):
        answer = self.ask(messages=[{"role": "user", "content": "What is 12 + 30?"}], temperature=0,
                          extra_body={"enable_thinking": True})
        self.assertTrue(answer.choices[0].message.reasoning_content)
        self.assertNotIn("<think>", answer.choices[0].message.content)

    def test_tools(self):
        answer = self.ask(messages=ASK_WEATHER, tools=[WEATHER], temperature=0)
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(call.function.name, "get_weather")
        chunks = list(self.ask(messages=ASK_WEATHER, tools=[WEATHER], temperature=0, stream=True))
        streamed = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls[0]
        self.assertEqual(streamed.function.arguments, call.function.arguments)
        turns = ASK_WEATHER + [answer.choices[0].message.model_dump(exclude_none=True),
                               {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"}]
        self.assertTrue(self.ask(messages=turns, tools=[WEATHER], temperature=0).choices[0].message.content)

    def test_forms_and_errors(self):
        schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}},
                  "required": ["age"], "additionalProperties": False}
        answer = self.ask(messages=HELLO, max_tokens=100, response_format={
            "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}})
        self.assertIsInstance(json.loads(answer.choices[0].message.content)["age"], int)
        with self.assertRaises(litellm.ContextWindowExceededError):
            self.ask(messages=[{"role": "user", "content": "word " * 6000}], num_retries=0)
        with self.assertRaises(litellm.BadRequestError):
            self.ask(messages=HELLO, temperature=9, num_retries=0)

    def test_embeddings_and_texts(self):
        answer = self.ask(litellm.embedding, input=["a river", "a stream"])
        self.assertEqual(len(answer.data), 2)
        self.assertAlmostEqual(sum(x * x for x in answer.data[0]["embedding"]), 1, places=3)
        text = litellm.text_completion(model="text-completion-openai/nano", api_base=server.url + "/v1", api_key="unused",
                                       prompt="Once upon a", max_tokens=5, temperature=0)
        self.assertTrue(text.choices[0].text)


class Harness(unittest.TestCase):
    """The `lm-eval` package on task files of this folder."""

    def evaluate(self, model, task, **options):
        """Results and samples of a task."""
        path = "/v1/chat/completions" if "chat" in model else "/v1/completions"
        arguments = {"model": "nano", "base_url": server.url + path, **options.pop("model_args", {})}
        before = os.getcwd()
        os.chdir(HERE)  # the task files name their data from here
        try:
            out = lm_eval.simple_evaluate(model=model, model_args=arguments, tasks=[task], log_samples=True,
                                          task_manager=TaskManager(include_path=os.path.join(HERE, "tasks"), include_defaults=False),
                                          bootstrap_iters=0, **options)
        finally:
            os.chdir(before)
        return out["results"][task], out["samples"][task]

    def test_log_likelihood_with_the_tokenizer_of_the_server(self):
        # Token ids as prompts, echo, logprobs 1; the tokenizer is GET /tokenizer_info and POST /tokenize.
        result, samples = self.evaluate("local-completions", "headgate_continuations",
                                        model_args={"tokenizer_backend": "remote", "num_concurrent": 2, "batch_size": 1})
        right = 0
        for sample in samples:
            start, found, expected = sample["doc"]["start"], [float(r[0][0]) for r in sample["resps"]], []
            context = server.post("/tokenize", {"prompt": start})[1]["count"]
            for ending in sample["doc"]["endings"]:
                body = {"prompt": f"{start} {ending}", "max_tokens": 0, "echo": True, "logprobs": 1}
                columns = server.post("/v1/completions", body)[1]["choices"][0]["logprobs"]
                expected.append(sum(columns["token_logprobs"][context:]))
            for one, other in zip(found, expected):
                self.assertAlmostEqual(one, other, places=3)
                self.assertLess(one, 0)
            right += max(range(len(expected)), key=expected.__getitem__) == sample["doc"]["right"]
        self.assertEqual(result["acc,none"], right / len(samples))
        self.assertGreater(right, len(samples) // 2)

    def test_answers_of_conversations(self):
        result, samples = self.evaluate("local-chat-completions", "headgate_sums", apply_chat_template=True)
        self.assertEqual(len(samples), 3)
        self.assertTrue(all(sample["resps"][0][0] for sample in samples))
        self.assertGreater(result["exact_match,number"], 0.5)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Drives `headgate serve` with the official clients of OpenAI and Anthropic, unchanged, on the embedded model.

Usage: clients_test.py PROGRAM [unittest arguments]. Exits with 77 where the clients are not installed.
"""
import copy
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import Served

try:
    import anthropic
    import openai
    import pydantic
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

HELLO = [{"role": "user", "content": "Hello!"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
ASK_WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]

GREEDY = {"temperature": 0}  # a field that newer versions of the anthropic package do not name

PROGRAM = ""
server = None


def setUpModule():
    """One server for all tests."""
    global server
    server = Served(PROGRAM, "--name", "nano", "--ctx", "4096")


def tearDownModule():
    server.close()


class OpenAi(unittest.TestCase):
    """The `openai` package."""

    def setUp(self):
        self.client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)

    def test_models(self):
        models = self.client.models.list().data
        self.assertEqual(models[0].id, "nano")
        self.assertEqual(self.client.models.retrieve("nano").object, "model")

    def test_chat_and_stream_agree(self):
        whole = self.client.chat.completions.create(model="nano", messages=HELLO, temperature=0)
        self.assertEqual(whole.choices[0].finish_reason, "stop")
        text, usage, finish = "", None, None
        stream = self.client.chat.completions.create(model="nano", messages=HELLO, temperature=0, stream=True,
                                                     stream_options={"include_usage": True})
        for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
            usage = chunk.usage or usage
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(finish, "stop")
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_the_second_turn_reuses_the_first(self):
        first = self.client.chat.completions.create(model="nano", messages=HELLO, temperature=0)
        turns = HELLO + [{"role": "assistant", "content": first.choices[0].message.content}] + HELLO
        again = self.client.chat.completions.create(model="nano", messages=turns, temperature=0)
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)

    def test_every_sampling_field(self):
        answer = self.client.chat.completions.create(
            model="nano", messages=HELLO, n=2, seed=5, temperature=0.9, top_p=0.9, presence_penalty=0.5,
            frequency_penalty=0.5, logit_bias={"5": -100}, stop=["\n\n\n"], max_completion_tokens=12, logprobs=True,
            top_logprobs=3, user="me", metadata={"a": "b"}, parallel_tool_calls=True, store=False,
            extra_body={"top_k": 40, "min_p": 0.01, "repetition_penalty": 1.05, "enable_thinking": False,
                        "chat_template_kwargs": {"enable_thinking": False}})
        self.assertEqual(len(answer.choices), 2)
        for choice in answer.choices:
            entries = choice.logprobs.content
            self.assertEqual(len(entries[0].top_logprobs), 3)
            self.assertTrue(all(entry.logprob <= 0 for entry in entries))

    def test_thinking_comes_apart(self):
        answer = self.client.chat.completions.create(
            model="nano", messages=[{"role": "user", "content": "What is 12 + 30?"}], temperature=0,
            reasoning_effort="high")
        message = answer.choices[0].message
        self.assertTrue(message.reasoning_content)
        self.assertEqual(message.reasoning_content, message.reasoning)
        self.assertNotIn("<think>", message.content)
        self.assertGreater(answer.usage.completion_tokens_details.reasoning_tokens, 0)

    def test_tools(self):
        answer = self.client.chat.completions.create(model="nano", messages=ASK_WEATHER, tools=[WEATHER], temperature=0)
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(call.function.name, "get_weather")
        self.assertIn("city", json.loads(call.function.arguments))
        streamed = {"name": "", "arguments": "", "id": ""}
        for chunk in self.client.chat.completions.create(model="nano", messages=ASK_WEATHER, tools=[WEATHER],
                                                         temperature=0, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or []:
                streamed["id"] += delta.id or ""
                streamed["name"] += delta.function.name or ""
                streamed["arguments"] += delta.function.arguments or ""
        self.assertEqual(streamed["arguments"], call.function.arguments)
        self.assertEqual(streamed["name"], "get_weather")
        self.assertTrue(streamed["id"])
        turns = ASK_WEATHER + [answer.choices[0].message.model_dump(exclude_none=True),
                               {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"}]
        last = self.client.chat.completions.create(model="nano", messages=turns, tools=[WEATHER], temperature=0)
        self.assertTrue(last.choices[0].message.content)
        none = self.client.chat.completions.create(model="nano", messages=ASK_WEATHER, tools=[WEATHER], temperature=0,
                                                   tool_choice="none")
        self.assertFalse(none.choices[0].message.tool_calls)

    def test_answers_keep_the_form_that_was_asked_for(self):
        # Bounded, since a small model may go on with a name for ever.
        class Person(pydantic.BaseModel):
            name: str = pydantic.Field(max_length=40)
            age: int = pydantic.Field(ge=0, le=150)
        weather = copy.deepcopy(WEATHER)
        weather["function"]["parameters"]["properties"]["city"]["maxLength"] = 40

        answer = self.client.chat.completions.parse(model="nano", messages=HELLO, response_format=Person, max_tokens=300)
        self.assertIsInstance(answer.choices[0].message.parsed, Person)
        chosen = self.client.chat.completions.create(model="nano", messages=HELLO,
                                                     extra_body={"structured_outputs": {"choice": ["yes", "no"]}})
        self.assertIn(chosen.choices[0].message.content, ("yes", "no"))
        for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
            forced = self.client.chat.completions.create(model="nano", messages=HELLO, tools=[weather],
                                                         tool_choice=choice, max_tokens=300)
            call = forced.choices[0].message.tool_calls[0]
            self.assertEqual(call.function.name, "get_weather")
            self.assertIsInstance(json.loads(call.function.arguments)["city"], str)
        for hostile in ({"regex": "(" * 60000 + ")" * 60000}, {"json": {"$ref": "#"}}, {"grammar": "root ::= root"}):
            with self.assertRaises(openai.BadRequestError):
                self.client.chat.completions.create(model="nano", messages=HELLO, max_tokens=4,
                                                    extra_body={"structured_outputs": hostile})

    def test_completions_and_tokens(self):
        answer = self.client.completions.create(model="nano", prompt=["Once upon", "The river"], max_tokens=5,
                                                temperature=0, echo=True, logprobs=1)
        self.assertEqual(len(answer.choices), 2)
        columns = answer.choices[0].logprobs
        self.assertIsNone(columns.token_logprobs[0])
        self.assertEqual(len(columns.tokens), len(columns.token_logprobs))
        status, tokens = server.post("/tokenize", {"prompt": "Once upon"})
        self.assertEqual(status, 200)
        by_ids = self.client.completions.create(model="nano", prompt=tokens["tokens"], max_tokens=5,
                                                temperature=0, echo=True, logprobs=1)
        self.assertEqual(by_ids.choices[0].text, answer.choices[0].text)
        text = "".join(chunk.choices[0].text for chunk in self.client.completions.create(
            model="nano", prompt="Once upon", max_tokens=5, temperature=0, stream=True))
        self.assertEqual(text, self.client.completions.create(model="nano", prompt="Once upon", max_tokens=5,
                                                              temperature=0).choices[0].text)

    def test_responses(self):
        first = self.client.responses.create(model="nano", input="Hello!", instructions="Be brief.")
        self.assertTrue(first.output_text)
        self.assertEqual(first.status, "completed")
        self.assertEqual(self.client.responses.retrieve(first.id).output_text, first.output_text)
        self.assertEqual(self.client.responses.input_items.list(first.id).data[0].role, "user")
        events, text = [], ""
        for event in self.client.responses.create(model="nano", input="Hello!", previous_response_id=first.id, stream=True):
            events.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
        self.assertEqual(events[0], "response.created")
        self.assertEqual(events[-1], "response.completed")
        with self.client.responses.stream(model="nano", input="Hello!") as stream:
            final = stream.get_final_response()
        self.assertTrue(final.output_text)
        tool = {"type": "function", **WEATHER["function"], "strict": False}
        called = self.client.responses.create(model="nano", input="What is the weather in Paris?", tools=[tool],
                                              temperature=0)
        call = next(item for item in called.output if item.type == "function_call")
        after = self.client.responses.create(
            model="nano", previous_response_id=called.id, tools=[tool],
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}])
        self.assertTrue(after.output_text)
        self.client.responses.delete(first.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(first.id)

    def test_responses_in_the_background_and_parsed(self):
        running = self.client.responses.create(model="nano", input="Hello!", background=True)
        self.assertEqual(running.status, "queued")
        deadline = time.monotonic() + 60
        while running.status in ("queued", "in_progress") and time.monotonic() < deadline:
            time.sleep(0.02)
            running = self.client.responses.retrieve(running.id)
        self.assertEqual(running.status, "completed")
        self.assertTrue(running.output_text)
        self.assertEqual(self.client.responses.cancel(running.id).status, "completed")

        class Mood(pydantic.BaseModel):
            happy: bool

        parsed = self.client.responses.parse(model="nano", input="Hello!", text_format=Mood)
        self.assertIsInstance(parsed.output_parsed, Mood)

    def test_the_stream_helper_gathers_tools_and_forms(self):
        class Mood(pydantic.BaseModel):
            happy: bool

        with self.client.chat.completions.stream(model="nano", messages=HELLO, response_format=Mood) as stream:
            kinds = {event.type for event in stream}
            self.assertIsInstance(stream.get_final_completion().choices[0].message.parsed, Mood)
        self.assertIn("content.done", kinds)
        tool = openai.pydantic_function_tool(Mood, name="set_mood")
        with self.client.chat.completions.stream(model="nano", messages=HELLO, tools=[tool], tool_choice="required") as stream:
            call = stream.get_final_completion().choices[0].message.tool_calls[0]
        self.assertIsInstance(call.function.parsed_arguments, Mood)

    def test_embeddings(self):
        answer = self.client.embeddings.create(model="nano", input=["a river", "a stream"])
        self.assertEqual(len(answer.data), 2)
        floats = self.client.embeddings.create(model="nano", input="a river", encoding_format="float")
        for one, other in zip(answer.data[0].embedding, floats.data[0].embedding):
            self.assertAlmostEqual(one, other, places=5)

    def test_errors_are_typed(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="gpt-nothing", messages=HELLO)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="nano", messages=HELLO, temperature=9)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "word " * 6000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")


class Anthropic(unittest.TestCase):
    """The `anthropic` package."""

    def setUp(self):
        self.client = anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0)

    def test_messages_and_stream_agree(self):
        whole = self.client.messages.create(model="nano", max_tokens=100, messages=HELLO, extra_body=GREEDY)
        self.assertEqual(whole.stop_reason, "end_turn")
        with self.client.messages.stream(model="nano", max_tokens=100, messages=HELLO, extra_body=GREEDY) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)
        details = final.usage.model_extra["input_tokens_details"]
        self.assertEqual(details["cached_tokens"], final.usage.cache_read_input_tokens)
        self.assertIn(details["cache_tier"], ("memory", "none"))
        self.assertIn(details["miss_reason"], ("none", "differs"))
        count = self.client.messages.count_tokens(model="nano", messages=HELLO)
        self.assertEqual(count.input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens)

    def test_tools_and_thinking(self):
        tool = {"name": "get_weather", "description": "Current weather in a city",
                "input_schema": WEATHER["function"]["parameters"]}
        answer = self.client.messages.create(model="nano", max_tokens=200, tools=[tool], extra_body=GREEDY,
                                             messages=ASK_WEATHER)
        self.assertEqual(answer.stop_reason, "tool_use")
        use = next(block for block in answer.content if block.type == "tool_use")
        self.assertIn("city", use.input)
        with self.client.messages.stream(model="nano", max_tokens=200, tools=[tool], extra_body=GREEDY,
                                         messages=ASK_WEATHER) as stream:
            streamed = next(block for block in stream.get_final_message().content if block.type == "tool_use")
        self.assertEqual(streamed.input, use.input)
        turns = ASK_WEATHER + [{"role": "assistant", "content": [block.model_dump() for block in answer.content]},
                               {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id,
                                                             "content": "Sunny, 21 degrees"}]}]
        last = self.client.messages.create(model="nano", max_tokens=200, tools=[tool], messages=turns, extra_body=GREEDY)
        self.assertTrue(last.content)
        thought = self.client.messages.create(
            model="nano", max_tokens=1500, extra_body=GREEDY, thinking={"type": "enabled", "budget_tokens": 1024},
            messages=[{"role": "user", "content": "What is 12 + 30?"}])
        self.assertEqual(thought.content[0].type, "thinking")

    def test_errors_are_typed(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.client.messages.create(model="claude-nothing", max_tokens=10, messages=HELLO)
        with self.assertRaises(anthropic.BadRequestError):
            self.client.messages.create(model="nano", max_tokens=-1, messages=HELLO)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Texts drawn under random JSON schemas must be valid for jsonschema, and our verdicts on texts those of llguidance.

  grammar_differential.py path/to/headgate_grammar_tool [--schemas N] [--seed N]

Samples are random tokens of Qwen's vocabulary, one schema in 16 through the sampler at temperature 1.5. Exit 77 (skipped)
where jsonschema is missing; the comparison with llguidance is left out, with a note, where that is missing.
"""
import argparse
import json
import subprocess
import sys

from random_schemas import Schemas

try:
    import jsonschema
except ImportError:
    print("jsonschema is not installed: skipped")
    sys.exit(77)


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the tool died on {json.dumps(question)}")
        return json.loads(line)


def check_samples(tool, count, seed):
    """Number of findings; every sample must parse and be valid."""
    findings = texts = refused = unfinished = 0
    for index in range(count):
        schema = Schemas(seed * 1_000_003 + index).whole()
        spacing = ["compact", "python", "any"][index % 3]
        answer = tool.ask(kind="json_schema", source=schema, spacing=spacing, samples=2, seed=index, tokens=30,
                          unnamed_properties=index % 2 == 0, sampler=index % 16 == 0)
        if "error" in answer:
            refused += 1
            if "fits no text" not in answer["error"] and "minProperties" not in answer["error"]:
                print("refused:", answer["error"], json.dumps(schema))
                findings += 1
            continue
        unfinished += answer["unfinished"]
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        fits = tool.ask(kind="json_schema", source=schema, spacing=spacing, texts=answer["samples"],
                        unnamed_properties=index % 2 == 0)["fits"]
        for text, fit in zip(answer["samples"], fits):
            texts += 1
            try:
                error = next(validator.iter_errors(json.loads(text)), None)
            except ValueError as broken:
                error = broken
            if error is not None or not fit:
                findings += 1
                print("NOT VALID" if fit else "NOT READ BACK", text, "\n  schema", json.dumps(schema), "\n ",
                      str(error).split("\n")[0])
    print(f"{count} schemas: {texts} texts, {findings} findings, {refused} refused, {unfinished} unfinished")
    if texts < count or unfinished > count // 10:
        print("too few whole texts")
        findings += 1
    return findings


REGEXES = ["a|bc*", "[a-c]{2,4}x?", "(ab){1,3}", "\\d{2,}-\\d", "[^a-z]+", "(a|b)*abb", "x(y(z)?)*", "[\\w.]+@[\\w.]+",
           "(0|1(01*0)*1)+", "é+|[\u4e00-\u4e10]"]
TEXTS = ["", "a", "b", "bcc", "ab", "abc", "aabx", "ababab", "abab", "12-3", "1-2", "ABC", "abb", "babb", "xyzyz", "xz",
         "a.b@c", "@", "110", "0", "11", "éé", "\u4e05", "x", "abababab", "123-45"]
GBNF = ['root ::= "[" (root ("," root)*)? "]" | [0-9]+', 'root ::= "a" root "b" | ""',
        'root ::= e\ne ::= t ("+" t)*\nt ::= "x" | "(" e ")"']
GBNF_TEXTS = ["[]", "[1,[2]]", "[1,]", "ab", "aabb", "aab", "", "x", "x+x", "(x+(x))+x", "(x", "12", "[", "x+"]
SCHEMA_TEXTS = ["1", "-5", "0", "01", "1.5", '"a"', '"abc"', '"abcdef"', "null", "true", "[]", "[1]", "[1,2]", '["a"]',
                "{}", '{"a":1}', '{"a":"x"}', '{"a":1,"b":"x"}', '{"b":"x"}', '{"b":"x","a":1}', '{"a":1,"c":null}',
                '"x\\n"', '{"a":1,}', "[1,2,3]", '[1,"a"]', "12", "100", "7", "[[]]", '{"a":{"a":1}}']
SCHEMAS = [
    {"type": "integer"}, {"type": "integer", "minimum": 0, "maximum": 12}, {"type": "string", "maxLength": 3},
    {"type": "string", "minLength": 2}, {"type": "string", "pattern": "^[a-c]+$"}, {"enum": [1, "a", None]},
    {"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 2}, {"type": ["integer", "null"]},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"],
     "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
     "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "array", "items": {"$ref": "#"}},
    {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "boolean"}]},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}, "required": ["a"],
     "additionalProperties": False},
    {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 50}]}]


def peer_accepts(llguidance, tokenizer, grammar, text):
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    if matcher.is_error():
        raise ValueError(matcher.get_error())
    for byte in text.encode():
        if not matcher.consume_token(byte):
            return False
    return matcher.is_accepting()


def check_peer(tool):
    try:
        import llguidance
    except ImportError:
        print("llguidance is not installed: its verdicts are not compared")
        return 0
    pieces = [bytes([i]) for i in range(256)] + [b"<end>"]

    class Bytes:
        eos_token_id, bos_token_id, tokens, special_token_ids = 256, None, pieces, [256]

        def __call__(self, text):
            return list(text.encode() if isinstance(text, str) else text)

    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))
    compact = {"x-guidance": {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}}
    asked = findings = 0
    subjects = [("regex", r, llguidance.LLMatcher.grammar_from_regex(r), TEXTS) for r in REGEXES]
    subjects += [("gbnf", g, llguidance.LLMatcher.grammar_from_lark(llguidance.gbnf_to_lark.gbnf_to_lark(g)), GBNF_TEXTS)
                 for g in GBNF]
    subjects += [("json_schema", s, llguidance.LLMatcher.grammar_from_json_schema(json.dumps({**s, **compact})), SCHEMA_TEXTS)
                 for s in SCHEMAS]
    for kind, source, grammar, texts in subjects:
        ours = tool.ask(kind=kind, source=source, texts=texts)
        if "error" in ours:
            print("refused:", ours["error"], source)
            findings += 1
            continue
        for text, fit in zip(texts, ours["fits"]):
            asked += 1
            theirs = peer_accepts(llguidance, tokenizer, grammar, text)
            if theirs != fit:
                findings += 1
                print(f"DIFFERS on {text!r}: ours {fit}, llguidance {theirs}; {kind} {source}")
    print(f"llguidance: {asked} verdicts, {findings} findings")
    return findings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tool = Tool(options.tool)
    findings = check_samples(tool, options.schemas, options.seed) + check_peer(tool)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The JSON-Schema-Test-Suite: what is drawn under its schemas is valid, and what it calls invalid never fits.

  schema_suite.py path/to/headgate_grammar_tool [--suite FOLDER] [--drafts NAME,...] [--samples N]

FOLDER holds drafts (draft7, draft2020-12, ...); the default is Debian's package json-schema-test-suite. Of these the newest is
used, or all with `--drafts all`. A schema with a keyword
that docs/constrained.md calls refused is left out, and counted by keyword; every other refusal is a finding. Exit 77 (skipped)
where the suite or jsonschema is missing.
"""
import argparse
import collections
import json
import os
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("jsonschema is not installed: skipped")
    sys.exit(77)

VALIDATORS = {"draft4": jsonschema.Draft4Validator, "draft6": jsonschema.Draft6Validator, "draft7": jsonschema.Draft7Validator,
              "draft2019-09": jsonschema.Draft201909Validator, "draft2020-12": jsonschema.Draft202012Validator}
# Not about what a generated value looks like: references to other documents, and how schemas are found.
LEFT_OUT = {"refRemote.json", "vocabulary.json", "anchor.json", "id.json", "unknownKeyword.json", "dynamicRef.json",
            "recursiveRef.json", "content.json", "format.json", "default.json"}


class Tool:
    """headgate_grammar_tool, one question and one answer at a time."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, **question):
        """Its answer."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the tool died on {json.dumps(question)}")
        return json.loads(line)


class Suite:
    """Counts and findings."""

    def __init__(self, tool, samples):
        self.tool, self.samples = tool, samples
        self.count = collections.Counter()
        self.refusals = collections.Counter()
        self.findings = []

    def group(self, draft, name, group):
        """One schema with its instances."""
        schema, where = group["schema"], f"{draft}/{name}: {group['description']}"
        self.count["schemas"] += 1
        answer = self.tool.ask(kind="json_schema", source=schema, spacing="compact", unnamed_properties=True, seed=self.count["schemas"],
                               samples=self.samples, tokens=25, texts=[json.dumps(test["data"], ensure_ascii=False, separators=(",", ":"))
                                                                       for test in group["tests"]])
        if "error" in answer:
            self.refused(where, group, answer["error"])
            return
        self.count["used"] += 1
        # Notes of oneOf taken as anyOf and of unknown formats: more than the schema allows may come then, as documented.
        exact = not any("anyOf" in note or "format" in note for note in answer["notes"])
        self.count["with notes"] += not exact
        validator = VALIDATORS[draft](schema)
        for text in answer["samples"]:
            self.count["texts"] += 1
            try:
                error = next(validator.iter_errors(json.loads(text)), None)
            except ValueError as broken:
                error = broken
            if error is not None and exact:
                self.findings.append(f"NOT VALID {where}: {text}: {error}".split("\n")[0])
            self.count["invalid under a note"] += error is not None and not exact
        self.count["unfinished"] += answer["unfinished"]
        for test, fits in zip(group["tests"], answer["fits"]):
            if test["valid"]:
                self.count["valid instances"] += 1
                self.count["of these fit"] += fits
            elif exact:
                self.count["invalid instances"] += 1
                if fits:
                    self.findings.append(f"FITS {where}: {json.dumps(test['data'])} ({test['description']})")

    def refused(self, where, group, message):
        """Counts a refusal by its reason."""
        valid = [test for test in group["tests"] if test["valid"]]
        for reason in ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties", "uniqueItems", "contains",
                       "dependentSchemas", "dependencies", "if", "not", "minProperties", "patternProperties", "propertyNames",
                       "multipleOf", "pattern", "$ref", "$id", "fits no text"):
            if f'/{reason}' in message or f'"{reason}"' in message or reason in message.split():
                self.refusals[reason] += 1
                return
        if "fits no text" in message and not valid:
            self.refusals["fits no text, rightly"] += 1
            return
        self.refusals[message.split(": ", 1)[-1][:100]] += 1
        self.findings.append(f"REFUSED {where}: {message}")


def main():
    """Runs over all drafts that are there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--suite", default="/usr/share/json-schema-test-suite/tests")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--drafts", default="newest")
    options = parser.parse_args()
    if not os.path.isdir(options.suite):
        print(f"there is no {options.suite}: skipped")
        sys.exit(77)
    suite = Suite(Tool(options.tool), options.samples)
    there = [draft for draft in VALIDATORS if os.path.isdir(os.path.join(options.suite, draft))]
    drafts = {"newest": there[-1:], "all": there}.get(options.drafts) or options.drafts.split(",")
    for draft in drafts:
        folder = os.path.join(options.suite, draft)
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json") or name in LEFT_OUT:
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for group in json.load(file):
                    suite.group(draft, name, group)
    print("\n".join(suite.findings))
    print(dict(suite.count))
    print("refused:", dict(suite.refusals.most_common()))
    print(f"{len(suite.findings)} findings")
    sys.exit(1 if suite.findings or not suite.count["texts"] else 0)


if __name__ == "__main__":
    main()

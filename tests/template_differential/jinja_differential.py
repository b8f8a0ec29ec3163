#!/usr/bin/env python3
"""Compares our template engine with jinja2 in transformers' settings: same bytes, or both fail.

  jinja_differential.py path/to/headgate_jinja_tool [--seed N] [--random N] [--show N]

Exit 77 (skipped) where jinja2 is missing.
"""
import argparse
import copy
import json
import re
import subprocess
import sys
from datetime import datetime

from random_templates import Generator
from snippets import CONTEXT, EXPRESSIONS
from statements import STATEMENTS, split
from wild import WILD

try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("jinja2 is not installed: skipped")
    sys.exit(77)


class Generation(jinja2.ext.Extension):
    """The tag around generated text: it only makes a scope."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_run"), [], [], body).set_lineno(line)

    def _run(self, caller):
        return caller()


class SafeDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


class SafeNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            SafeNamespace._check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        SafeNamespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda f: datetime.now().strftime(f), dict=SafeDict(), namespace=SafeNamespace)
    return env


def expected(env, template, context):
    try:
        out = env.from_string(template).render(**copy.deepcopy(context))
        out.encode()
        return out, None
    except Exception as e:  # every failure counts
        return None, "%s: %s" % (type(e).__name__, e)


def known_difference(template, out, want_error, got):
    """Differences by design."""
    if out is not None and re.search(r"0x[0-9a-f]{8,}|<(Namespace|LoopContext|Macro)", out, re.IGNORECASE):
        return True  # prints of objects with addresses
    got_error = got.get("error", "")
    if "not supported" in got_error or "needs another template" in got_error or "integer overflow" in got_error:
        return True
    if got_error.startswith("chat_template:") and "the template uses more than" in got_error:
        return True
    if "reverse)|wordcount" in template:
        return True  # counts the words of a printed iterator
    if "cannot be sliced" in got_error or "escape of U+D" in got_error:
        return True  # folding of constants by jinja2's compiler swallows the first; lone surrogates are no text
    if want_error is not None and "NameError: name '" in want_error:
        return True  # jinja2 writes inf and nan as names when it folds constants
    # Python's own limits while it compiles the generated code, and lazily evaluated errors nobody looks at.
    return want_error is not None and ("too many statically nested" in want_error or "RecursionError" in want_error)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", type=int, default=3000)
    parser.add_argument("--show", type=int, default=40)
    args = parser.parse_args()

    cases = [("expression", "{{ %s }}" % e, CONTEXT) for e in EXPRESSIONS]
    cases += [("condition", "{%% if %s %%}yes{%% else %%}no{%% endif %%}" % e, CONTEXT) for e in EXPRESSIONS]
    cases += [("set", "{%% set v = %s %%}{{ v is defined }}{{ v is none }}" % e, CONTEXT) for e in EXPRESSIONS]
    cases += [("statement", t, CONTEXT) for t in split(STATEMENTS)]
    variants = [CONTEXT, dict(CONTEXT, messages=CONTEXT["messages"][1:2]), dict(CONTEXT, tools=None, add_generation_prompt=False),
                dict(CONTEXT, messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nr\n</think>\n\nb"}]),
                dict(CONTEXT, enable_thinking=False, messages=[{"role": "user", "content": "Grüße\n"}])]
    cases += [("wild", t, c) for t in split(WILD) for c in variants]
    generator = Generator(args.seed)
    cases += [("random", generator.template(), CONTEXT) for _ in range(args.random)]

    env = environment()
    lines = "".join(json.dumps(dict(template=t, context=c)) + "\n" for _, t, c in cases)
    run = subprocess.run([args.tool], input=lines.encode(), stdout=subprocess.PIPE, check=False)
    answers = [json.loads(x) for x in run.stdout.decode().split("\n") if x]
    if len(answers) != len(cases):
        print("the tool answered %d of %d cases and exited with %d; the next one: %r"
              % (len(answers), len(cases), run.returncode, cases[len(answers)][1]))
        return 1
    failed, known, rendered = 0, 0, 0
    for (kind, template, context), got in zip(cases, answers):
        out, error = expected(env, template, context)
        rendered += out is not None
        if (out is not None and got.get("output") == out) or (out is None and "error" in got):
            continue
        if known_difference(template, out, error, got):
            known += 1
            continue
        failed += 1
        if failed <= args.show:
            print("%s %r\n  jinja2: %r\n  ours:   %r" % (kind, template, out if out is not None else error, got.get("output", got.get("error"))))
    print("%d cases (%d render, the rest fail in both), %d known differences, %d failures" % (len(cases), rendered, known, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Converts golden checkpoints to GGUF and lets llama.cpp continue their prompts: the tokens are those of the reference.

    llama_cpp_test.py PATH_TO_HEADGATE

Needs PyPI `llama-cpp-python` in this interpreter (`build/venv/bin/python -m pip install llama-cpp-python` builds it, which
takes minutes); exit status 77 (skipped) without it.
"""
import array
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import llama_cpp
except ImportError:
    print("SKIPPED: the comparison with llama.cpp needs PyPI `llama-cpp-python`")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(ROOT, "tests", "golden", "cases")
# Cases with a tokenizer whose geometry GGUF can say.
NAMES = ("q3n_tiny", "q3n_wide", "q3n_yarn", "q3_dense", "q3_moe", "q35_moe")


def greedy_of(case):
    """(prompt, tokens) of the first greedy run in golden.safetensors."""
    with open(os.path.join(CASES, case, "golden.safetensors"), "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    prompt = min(name for name in header if name.startswith("greedy.") and name.endswith(".prompt"))

    def ids(name):
        begin, end = header[name]["data_offsets"]
        return array.array("i", data[start + begin:start + end]).tolist()

    return ids(prompt), ids(prompt.replace(".prompt", ".tokens"))


def continued(model, prompt, count):
    """`count` greedy tokens of llama.cpp after a prompt of ids."""
    engine = llama_cpp.Llama(model, n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    out = []
    for token in engine.generate(prompt, temp=0.0, top_k=1):
        out.append(int(token))
        if len(out) == count:
            break
    engine.close()
    return out


def main():
    program, failed = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for case in NAMES:
            gguf = os.path.join(folder, case + ".gguf")
            subprocess.run([program, "convert", os.path.join(CASES, case), gguf, "--type", "f32"], check=True,
                           stdout=subprocess.DEVNULL)
            prompt, expected = greedy_of(case)
            got = continued(gguf, prompt, len(expected))
            print(f"{case}: {'equal' if got == expected else f'{got} instead of {expected}'}", flush=True)
            failed += got != expected
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

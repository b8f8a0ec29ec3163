#!/usr/bin/env python3
"""Compares `headgate tokenizer train` with the BPE trainer of PyPI `tokenizers` on one text: equal merges, equal ids.

    tokenizer_training.py PROGRAM [--vocab 900] [FILES...]      # FILES: plain text; without them, generated skills

Exit status: 0 equal, 1 different, 77 (skipped) without the `tokenizers` package. A merge whose result is a token
already is not learnt here; PyPI learns it without a new id. Those are left out before the comparison.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

try:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("SKIPPED: the tokenizer training test needs PyPI `tokenizers`")
    sys.exit(77)

ADDED = 26
CHAT_TOKENS = re.compile(r"<\|[a-z_]+\|>|</?(?:think|tool_call|tool_response)>")


def generated_text(program):
    """Samples of every family without chat tokens, which PyPI's trainer would not cut out."""
    out = subprocess.run([program, "data", "skills", "--count", "120"], capture_output=True, check=True).stdout
    lines = [json.loads(line) for line in out.decode().splitlines()]
    texts = [text for line in lines for text, _ in line["segments"]]
    extra = "Ünïcödé — \U0001f600 e\u0301 \u4e2d\u6587 don't DON'T we'll   spaces\t\ttabs\r\n\r\n12345 a_b==c\n"
    return "\n".join(CHAT_TOKENS.sub("", text) for text in texts) + extra * 20


def reference(texts, size, regex):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=2))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    seen, kept = set(), []
    for pair in merges:
        left, right = pair if isinstance(pair, list) else pair.split(" ")
        if left + right not in seen:
            kept.append([left, right])
        seen.add(left + right)
    return tokenizer, kept


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--vocab", type=int, default=900)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = options.files
        if not files:
            files = [os.path.join(folder, "text.txt")]
            with open(files[0], "w", encoding="utf-8", newline="") as file:
                file.write(generated_text(options.program))
        out = os.path.join(folder, "tokenizer")
        subprocess.run([options.program, "tokenizer", "train", *files, "-o", out, "--vocab-size", str(options.vocab)],
                       check=True, stdout=subprocess.DEVNULL)
        path = os.path.join(out, "tokenizer.json")
        with open(path, encoding="utf-8") as file:
            ours = json.load(file)
        texts = [open(f, encoding="utf-8", newline="").read() for f in files]
        regex = ours["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        theirs, merges = reference(texts, options.vocab - ADDED, regex)
        if ours["model"]["merges"] != merges:
            at = next(i for i, (a, b) in enumerate(zip(ours["model"]["merges"] + [None], merges + [None])) if a != b)
            print(f"merge {at}: {ours['model']['merges'][at:at + 3]}, expected {merges[at:at + 3]}")
            return 1
        assert {k: v for k, v in ours["model"]["vocab"].items()} == theirs.get_vocab()
        text = texts[0][:200000]
        assert Tokenizer.from_file(path).encode(text).ids == theirs.encode(text).ids
        print(f"{len(merges)} merges and the ids of {len(text)} characters are equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())

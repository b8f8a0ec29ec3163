#!/usr/bin/env python3
"""Compares headgate_tokenizer_tool with PyPI `tokenizers` on random texts and random ids.

    tokenizer_differential.py TOOL [--cases 10000] [--seed 1]

Exit status: 0 equal, 1 different, 77 (skipped) without the `tokenizers` package.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import tokenizers
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
except ImportError:
    print("SKIPPED: the tokenizer differential test needs PyPI `tokenizers`")
    sys.exit(77)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizer"
QWEN35_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def qwen(regex=None, extra=()):
    """Qwen's tokenizer from its merges: ids 0..255 are the bytes, merge i makes id 256 + i."""
    about = json.loads((GOLDEN / "qwen_tokenizer.json").read_text())
    merges = [tuple(line.split(" ")) for line in (GOLDEN / "qwen_merges.txt").read_text("utf-8").splitlines()]
    shifted = iter(range(256, 512))
    spelled = {b: chr(b if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else next(shifted)) for b in range(256)}
    names = [spelled[b] for b in about["byte_order"]] + [a + b for a, b in merges]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(names)}, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex or about["split_regex_qwen2"]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    for token in about["added"]:
        assert tokenizer.add_tokens([AddedToken(token["content"], normalized=False, special=token["special"])]) == 1
        assert tokenizer.token_to_id(token["content"]) == token["id"]
    tokenizer.add_tokens(list(extra))
    return tokenizer


ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789\u00bd\u2167\u0663\uff15", " \t\n\r", "  ",
    "\n\r\n", " \u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u3000\u000b\u000c", ".,;:!?-_()[]{}<>|/\\\"'`~@#$%^&*+=",
    "\u0301\u0300\u0323\u0302\u0327\u0345\u0334\u05b0\u064b\u093c\u094d\u0f71\u3099\u0f72",
    "\u1100\u1102\u1161\u1175\u11a7\u11a8\u11c2\uac00\ud7a3\uac01", "\u00e9\u00c5\u212b\u1e9b\u0344\u0958\ufb1f\u2126\u2adc",
    "\U0001f600\U0001f468\u200d\U0001f469\ufe0f\U0001f1e9\U0001f1ea\U0001f3fd", "\u4e2d\u6587\u8a9e\u3042\u30a2\uff0c\u3002",
    "\u0915\u094d\u0937\u093f\u0e01\u0e33\u0e48", "\u0000\u0001\u001c\u001f\u007f\u00ad\ufeff\u200b\ufffd\uffff",
    "\U0001d15e\U0001109a\U000110ba\U00011131\U00011127\U0002f800\U000e0100\U0010ffff", "sStTmMdDrReEvVlL'\u017f\u2019",
]
WORDS = ["the", " the", "Hello", "'s", "'S", "'\u017f", "'ll", "'re ", "don't", "I'VE", "<|", "|>", "<think", "</", " \n ",
         "x'\u017fy", "\uac00\u11a7", "\u1100\u1161\u11a7\u11a8", "\r\n", "    ", "\t\t", "123", "http://", "e\u0301", "\u1112\u1161\u11ab", "tokenization", " caf\u00e9", "==", "<<|im_end|>"]


def random_text(rng, added):
    kind = rng.random()
    if kind < 0.003:
        return "".join(rng.choices(rng.choice(["etaoinsh", "ab", "\u4e2d\u6587\u7684\u662f", " \t", "=-+"]), k=rng.randint(3000, 9000)))
    if kind < 0.02:
        return rng.choice("a \n!0\u4e2d\u0301\u1100") * rng.randint(1, 3000)
    out = []
    for _ in range(rng.randint(0, 12)):
        pick = rng.random()
        if pick < 0.5:
            out += rng.choices(rng.choice(ALPHABETS), k=rng.randint(1, 8))
        elif pick < 0.68:
            out.append(rng.choice(WORDS))
        elif pick < 0.7:
            tail = rng.choice(["s", "t", "re", "ve", "m", "ll", "d", "\u017f", "l", "r", "\u212a"])
            out.append("'" + "".join(rng.choice([c, c.upper()]) for c in tail) + rng.choice(["", "x", " ", "1", "\u0301"]))
        elif pick < 0.82:
            out.append(rng.choice(added))
        elif pick < 0.85:
            name = rng.choice(added)
            out.append(name[:rng.randint(1, len(name))])
        else:
            limit = rng.choice([0x80, 0x800, 0x3400, 0x10000, 0x20000, 0x110000])
            out += [chr(c) for c in (rng.randrange(limit) for _ in range(rng.randint(1, 6))) if not 0xD800 <= c < 0xE000]
    return "".join(out)


def random_bytes(rng, added):
    data = bytearray(random_text(rng, added).encode())
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(data))
        data[at:at + rng.randint(0, 2)] = rng.choices([0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xA0, 0xF0, 0x90, 0xF4, 0xF5, 0xFF, 0x41], k=rng.randint(0, 3))
    return bytes(data)


def questions(rng, reference, count):
    """(question, expected answer) pairs: two thirds encode, one third decode."""
    added = [t.content for t in reference.get_added_tokens_decoder().values()]
    size = reference.get_vocab_size()
    for n in range(count):
        if n % 3 == 2:
            if rng.random() < 0.5:
                ids = [rng.randrange(size + 300) for _ in range(rng.randint(1, 12))]
            else:
                ids = [rng.randrange(256) if rng.random() < 0.7 else rng.randrange(size) for _ in range(rng.randint(1, 12))]
            skip = rng.random() < 0.3
            yield dict(decode=ids, skip_special=skip), dict(text=reference.decode(ids, skip_special_tokens=skip))
        else:
            keep_plain = rng.random() < 0.2
            reference.encode_special_tokens = keep_plain
            mode = dict(literal=True, keep_plain=True) if keep_plain else {}
            if n % 6 == 0:
                data = random_bytes(rng, added)
                ids = reference.encode(data.decode("utf-8", "replace"), add_special_tokens=False).ids
                yield dict(encode_hex=data.hex(), **mode), dict(ids=ids)
            else:
                text = random_text(rng, added)
                yield dict(encode=text, **mode), dict(ids=reference.encode(text, add_special_tokens=False).ids)


def every_code_point():
    """Code points between letters, after a space, before a mark, doubled: classes and NFC of all of Unicode. All that
    have properties, and a sample of the others."""
    chars = [chr(c) for c in range(0x110000)
             if (c < 0x33000 or 0xE0000 <= c < 0xE1000 or c % 61 == 0) and not 0xD800 <= c < 0xE000]
    for start in range(0, len(chars), 64):
        yield "".join(f"a{c}b {c} {c}{c}\u0301\u0323{c}\n" for c in chars[start:start + 64])


def compare(tool, name, reference, pairs):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tokenizer.json"
        reference.save(str(path))
        lines = "".join(json.dumps(question) + "\n" for question, _ in pairs)
        run = subprocess.run([tool, str(path)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in run.stdout.decode().splitlines()]
    assert len(answers) == len(pairs), "the tool did not answer every question"
    different = 0
    for (question, expected), answer in zip(pairs, answers):
        streamed = "".join(answer.get("stream", [])) == answer.get("text", "")
        if any(answer[key] != value for key, value in expected.items()) or not streamed:
            different += 1
            if different <= 5:
                print(f"{name}: {json.dumps(question)[:400]}\n  expected {str(expected)[:400]}\n  got      {str(answer)[:400]}")
    print(f"{name}: {len(pairs)} cases, {different} different")
    return different


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--cases", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"tokenizers {tokenizers.__version__}, seed {options.seed}")
    rng = random.Random(options.seed)
    different = 0
    odd = [AddedToken(" <left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
           AddedToken("caf\u00e9!", normalized=True), AddedToken("<|im_end|>x", normalized=False, special=True)]
    for name, reference, share in (("qwen2", qwen(), 0.7), ("qwen35 regex", qwen(QWEN35_REGEX), 0.2),
                                   ("odd added tokens", qwen(extra=odd), 0.1)):
        pairs = list(questions(rng, reference, int(options.cases * share)))
        different += compare(options.tool, name, reference, pairs)
        if "odd" not in name:
            reference.encode_special_tokens = False
            pairs = [(dict(encode=text), dict(ids=reference.encode(text, add_special_tokens=False).ids)) for text in every_code_point()]
            different += compare(options.tool, name + ", every code point", reference, pairs)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes src/text/unicode_tables.inc: character classes and canonical normalisation data.

    pip install unicodedata2==16.0.0 tokenizers
    python tools/make_unicode_tables.py > src/text/unicode_tables.inc

Two sources, because the reference (PyPI `tokenizers`) has two:
* its regular expressions know Unicode 16.0: classes come from unicodedata2 16.0.0;
* its NFC normaliser is older (Unicode 9 data): characters it does not know pass through it unchanged. So the
  normalisation data are those of unicodedata2, minus the code points that `tokenizers` leaves alone when asked.
"""
import sys

import unicodedata2 as ucd
from tokenizers import normalizers

LIMIT = 0x32400  # beyond it only the variation selectors U+E0100..U+E01EF (marks) have a class of interest
BLOCK = 128
LETTER, NUMBER, MARK, SPACE, NEWLINE = 1, 2, 3, 4, 5
HAS_COMBINING_CLASS, NOT_QUICK_NFC = 8, 16
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
reference_nfc = normalizers.NFC().normalize_str


def scalars():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def decomposition(c):
    """Canonical single-step decomposition as a list of code points, empty when there is none."""
    text = ucd.decomposition(chr(c))
    return [] if not text or text.startswith("<") else [int(part, 16) for part in text.split()]


def reference_reorders(c):
    """Does the reference know that c is a combining mark, that is, does it sort it among others?"""
    for before, after in (("\u0345", ""), ("", "\u0334")):  # classes 240 and 1: c sorts before or behind one of them
        text = before + chr(c) + after
        if ucd.normalize("NFD", text) != text and reference_nfc(text) != text:
            return True
    return False


def reference_decomposes(c):
    pieces = ucd.normalize("NFD", chr(c))
    return reference_nfc(pieces) == ucd.normalize("NFC", pieces) and (
        len(pieces) > 1 or reference_nfc(chr(c)) == pieces)


def collect():
    classes = {c: ucd.combining(chr(c)) for c in scalars() if ucd.combining(chr(c)) and reference_reorders(c)}
    steps = {c: decomposition(c) for c in scalars() if decomposition(c) and reference_decomposes(c)}
    # A pair composes unless normalisation says otherwise (exclusions, singletons, non-starters).
    composed = {tuple(s): c for c, s in steps.items() if len(s) == 2 and ucd.normalize("NFC", chr(c)) == chr(c)}
    maybe = {second for _, second in composed} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    for c, step in steps.items():
        assert len(step) <= 2 and (len(step) < 2 or step[1] not in steps), hex(c)
    return classes, steps, composed, maybe


def properties(c, classes, steps, composed, maybe):
    kind = {"L": LETTER, "N": NUMBER, "M": MARK}.get(ucd.category(chr(c))[0], 0)
    if c in WHITE_SPACE:
        kind = NEWLINE if c in (0x0A, 0x0D) else SPACE
    bits = HAS_COMBINING_CLASS if c in classes else 0
    if c in maybe or (c in steps and tuple(steps[c]) not in composed):
        bits |= NOT_QUICK_NFC
    return kind | bits


def ranges_of(classes):
    out = []
    for c in sorted(classes):
        if out and out[-1][1] == c - 1 and out[-1][2] == classes[c]:
            out[-1][1] = c
        else:
            out.append([c, c, classes[c]])
    return out


def write_rows(declaration, items):
    print(f"{declaration} = {{")
    line = ""
    for item in items:
        if len(line) + len(item) + 1 > 100:
            print(line)
            line = ""
        line += item + ","
    print(line + "};")


def main():
    classes, steps, composed, maybe = collect()
    outside = {c for c in scalars() if c >= LIMIT and properties(c, classes, steps, composed, maybe)}
    assert outside == set(range(0xE0100, 0xE01F0)), "the shape of the table no longer holds"

    values = [properties(c, classes, steps, composed, maybe) if not 0xD800 <= c < 0xE000 else 0 for c in range(LIMIT)]
    blocks, order = {}, []
    for start in range(0, LIMIT, BLOCK):
        order.append(blocks.setdefault(tuple(values[start:start + BLOCK]), len(blocks)))
    assert len(blocks) <= 256

    print("// Character classes (Unicode 16.0) and canonical normalisation data: written by tools/make_unicode_tables.py.")
    print(f"constexpr char32_t kTableLimit = {LIMIT:#x};")
    print("// Block of 128 code points -> row of kProperties.")
    write_rows("constexpr uint8_t kBlockRow[]", [str(row) for row in order])
    print("// One character per code point; its low five bits are the properties.")
    print("constexpr char kProperties[] =")
    text = "".join(chr(0x60 + value) for block in blocks for value in block)
    lines = [text[i:i + 96] for i in range(0, len(text), 96)]
    print("\n".join(f'"{line}"' for line in lines) + ";")
    print("// Canonical combining classes, by range.")
    write_rows("constexpr ClassRange kClassRanges[]", [f"{{{a:#x},{b:#x},{k}}}" for a, b, k in ranges_of(classes)])
    print("// Single-step canonical decompositions, by code point; a singleton has second = 0.")
    rows = sorted(steps)
    write_rows("constexpr Decomposition kDecompositions[]",
               [f"{{{c:#x},{steps[c][0]:#x},{steps[c][1] if len(steps[c]) == 2 else 0:#x}}}" for c in rows])
    print("// Rows of kDecompositions that compose again, ordered by (first, second).")
    index = {c: i for i, c in enumerate(rows)}
    write_rows("constexpr uint16_t kComposed[]", [str(index[composed[pair]]) for pair in sorted(composed)])
    print(f"{len(blocks)} blocks, {len(rows)} decompositions, {len(composed)} compositions", file=sys.stderr)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compares our codec and GGUF files with PyPI `gguf`, in both directions.

    convert_differential.py PATH_TO_HEADGATE_CONVERT_TOOL

Decoding is compared bit for bit on random blocks of every type, encoding on the types that have a closed form there.
Files written by the package are read and written again; quantised models of ours are read by the package. Needs `gguf`
and `numpy`; exit status 77 (skipped) without them.
"""
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf import GGMLQuantizationType as Type
    from gguf import quants
except ImportError:
    print("SKIPPED: the comparison of GGUF files needs PyPI `gguf` and `numpy`")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(ROOT, "tests", "golden", "cases")
BLOCK_TYPES = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K,
               Type.IQ4_NL, Type.IQ4_XS, Type.MXFP4]
CLOSED_FORM = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.MXFP4, Type.BF16]
# Where half floats stand in a block: random bits there would give NaN, whose payload is nobody's business.
HALVES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0], Type.Q2_K: [80, 82],
          Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.MXFP4: []}
MIXES = ["hg_q4", "hg_q3", "q4_k_m", "q4_k_s", "q5_k_m", "q6_k", "q8_0", "q3_k_m", "q2_k", "iq4_xs", "mxfp4_moe", "q4_0", "bf16", "f16"]

TOOL = sys.argv[1] if len(sys.argv) > 1 else None
failures = 0


def check(name, good):
    global failures
    if not good:
        failures += 1
        print("differs:", name, flush=True)


def tool(*arguments, data=b""):
    return subprocess.run([TOOL, *map(str, arguments)], input=data, stdout=subprocess.PIPE, check=True).stdout


def compare_decoding(rng):
    for kind in BLOCK_TYPES:
        _, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (2000, size), dtype=np.uint8)
        for offset in HALVES[kind]:
            halves = (rng.standard_normal(2000) * np.exp(rng.standard_normal(2000) * 4)).astype(np.float16)
            blocks[:, offset:offset + 2] = np.where(np.isfinite(halves), halves, np.float16(1)).view(np.uint8).reshape(-1, 2)
        want = quants.dequantize(blocks, kind).reshape(-1)
        got = np.frombuffer(tool("dequantize", kind.name, data=blocks.tobytes()), np.float32)
        check(f"decoding of {kind.name}", np.array_equal(got.view(np.uint32), want.view(np.uint32)))


def compare_encoding(rng):
    rows = [rng.standard_normal((200, 256)) * 0.02, rng.standard_t(3, (200, 256)), np.exp(rng.standard_normal((200, 256)) * 3),
            rng.integers(-3, 4, (200, 256)) * 0.25, np.zeros((1, 256))]
    values = np.concatenate(rows).astype(np.float32)
    for kind in CLOSED_FORM:
        want = quants.quantize(values, kind).tobytes()
        check(f"encoding of {kind.name}", tool("quantize", kind.name, 256, data=values.tobytes()) == want)


def field_map(reader):
    return {name: (field.types, field.contents()) for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def same_files(name, a, b):
    first, second = gguf.GGUFReader(a), gguf.GGUFReader(b)
    check(f"{name}: metadata", list(field_map(first).items()) == list(field_map(second).items()))
    check(f"{name}: tensor names", [t.name for t in first.tensors] == [t.name for t in second.tensors])
    for x, y in zip(first.tensors, second.tensors):
        check(f"{name}: {x.name}", x.tensor_type == y.tensor_type and list(x.shape) == list(y.shape) and
              x.data.tobytes() == y.data.tobytes())


def compare_containers(rng, folder):
    path, copy = os.path.join(folder, "package.gguf"), os.path.join(folder, "copy.gguf")
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_custom_alignment(64)
    writer.add_uint8("a.u8", 200)
    writer.add_int8("a.i8", -100)
    writer.add_uint64("a.u64", 2**64 - 1)
    writer.add_float64("a.f64", 0.1)
    writer.add_float32("a.f32", float("inf"))
    writer.add_bool("a.bool", True)
    writer.add_string("a.text", "grüße \N{SLOTH}")
    writer.add_array("a.texts", ["a", "", "b c"])
    writer.add_array("a.numbers", [1, -2, 3])
    writer.add_array("a.floats", [0.5, -1.25])
    writer.add_array("a.bools", [True, False])
    values = rng.standard_normal((3, 512)).astype(np.float32)
    for dtype in (np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64):
        writer.add_tensor(np.dtype(dtype).name, values.astype(dtype))
    for kind in CLOSED_FORM:
        writer.add_tensor(kind.name, quants.quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("cube", rng.standard_normal((2, 3, 4)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tool("copy", path, copy)
    same_files("a file of the package", path, copy)
    with open(path, "rb") as a, open(copy, "rb") as b:
        check("a file of the package: bytes", a.read() == b.read())


def compare_mixes(folder):
    reference = os.path.join(folder, "f32.gguf")
    tool("mix", "f32", os.path.join(CASES, "q3n_tiny"), reference)
    exact = {t.name: t.data for t in gguf.GGUFReader(reference).tensors}
    for mix in MIXES:
        path = os.path.join(folder, mix + ".gguf")
        tool("mix", mix, os.path.join(CASES, "q3n_tiny"), path)
        reader = gguf.GGUFReader(path)
        check(f"{mix}: tensor names", sorted(t.name for t in reader.tensors) == sorted(exact))
        for tensor in reader.tensors:
            want = exact[tensor.name].astype(np.float64)
            got = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).reshape(want.shape)
            error = np.sqrt(np.sum((got - want) ** 2) / max(np.sum(want ** 2), 1e-30))
            check(f"{mix}: {tensor.name} is off by {error:.3f}", error < 0.2)


def main():
    np.seterr(over="ignore")  # random scales reach infinity on purpose
    rng = np.random.default_rng(int(os.environ.get("HEADGATE_SEED", "1")))
    compare_decoding(rng)
    compare_encoding(rng)
    with tempfile.TemporaryDirectory() as folder:
        compare_containers(rng, folder)
        compare_mixes(folder)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

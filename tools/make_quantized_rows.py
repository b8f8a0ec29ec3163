"""Writes tests/golden/kernels/quantized_rows.safetensors: rows of floats, what the gguf package makes of them
with its closed-form quantisers, and the relative errors of ggml's own searches (the bar for ours).

usage: make_quantized_rows.py path/to/libggml-base.so      (needs numpy, safetensors, gguf)
"""

import ctypes
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants
from safetensors.numpy import save_file

CLOSED_FORM = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.MXFP4]
SEARCHED = [Type.IQ4_NL, Type.IQ4_XS, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]


def ggml_bytes(lib, kind, rows, importance):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros(rows.size // block * size, np.uint8)
    lib.ggml_quantize_chunk(
        ctypes.c_int(int(kind)), ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(0),
        ctypes.c_int64(rows.shape[0]), ctypes.c_int64(rows.shape[1]),
        ctypes.c_void_p(0 if importance is None else importance.ctypes.data))
    return out


def relative_error(lib, kind, rows, importance):
    values = quants.dequantize(ggml_bytes(lib, kind, rows, importance), kind).reshape(rows.shape).astype(np.float64)
    weight = 1.0 if importance is None else importance.astype(np.float64)
    return np.sqrt(np.sum(weight * (values - rows) ** 2) / np.sum(weight * rows.astype(np.float64) ** 2))


def main():
    lib = ctypes.CDLL(sys.argv[1])
    rng = np.random.default_rng(5)
    normal = (rng.standard_normal((16, 512)) * 0.02).astype(np.float32)
    heavy = (rng.standard_t(4, (16, 512)) * 0.02).astype(np.float32)
    importance = np.exp(rng.standard_normal(512) * 1.5).astype(np.float32)
    out = {"normal": normal, "heavy": heavy, "importance": importance}
    for kind in CLOSED_FORM:
        for name in ("normal", "heavy"):
            out[f"{kind.name}.{name}.bytes"] = quants.quantize(out[name], kind).reshape(-1)
    for kind in SEARCHED:
        for name in ("normal", "heavy"):
            errors = [relative_error(lib, kind, out[name], w) for w in (None, importance)]
            out[f"{kind.name}.{name}.errors"] = np.array(errors, np.float32)
    save_file(out, pathlib.Path(__file__).parent.parent / "tests/golden/kernels/quantized_rows.safetensors")


if __name__ == "__main__":
    main()

"""Fixtures without a model: the delta rule, rope tables, quantisation blocks, FP8 blocks, sampling probabilities."""
import json
import math
import os

import gguf
import numpy
import torch
from gguf import quants
from safetensors.torch import save_file
from transformers.generation import logits_process

from reference import delta_rule, rope_frequencies, unit

# Offsets of the half floats within a block; random bytes there would be NaN or huge.
HALVES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q2_K": (80, 82), "Q3_K": (108,),
          "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,), "MXFP4": ()}


def delta_fixture(path, seed=5, key_heads=1, value_heads=2, key_dim=128, value_dim=128, tokens=130):
    """Raw q, k, v, g, beta and S0 with the corners of the rule in them; o and S1 computed in fp64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    q, k, v = normal(tokens, key_heads, key_dim), normal(tokens, key_heads, key_dim), normal(tokens, value_heads, value_dim)
    k[5] = 0                       # a zero key has no direction
    k[6], q[7] = k[6] * 1e-3, q[7] * 1e-3   # here the eps of the norm shows
    k[20:24] = k[19]               # repeated keys make a chunk's system ill-conditioned
    g = -torch.rand(tokens, value_heads, generator=generator)
    g[:, 0] *= 0.02
    g[70:90, -1] = -40.0           # exp of a negated sum of these overflows
    beta = torch.sigmoid(2 * normal(tokens, value_heads))
    start = 0.1 * normal(value_heads, key_dim, value_dim)
    group = value_heads // key_heads
    out, end = delta_rule((unit(q.double()) / math.sqrt(key_dim)).repeat_interleave(group, 1),
                          unit(k.double()).repeat_interleave(group, 1), v.double(), g.double(), beta.double(),
                          start.double())
    save_file(dict(q=q, k=k, v=v, g=g, beta=beta, S0=start, o=out.float(), S1=end.float()), path)


def rope_fixture(path):
    """Frequencies, cos and sin at positions up to a million."""
    positions = torch.tensor([0, 1, 2, 63, 64, 4095, 65535, 262143, 1009999], dtype=torch.int32)
    plain = dict(type="default", rope_theta=1e7, partial_rotary_factor=0.25)
    yarn = dict(plain, type="yarn", factor=4.0, original_max_position_embeddings=262144)
    out = {"positions": positions}
    for name, rope in (("next", plain), ("next_yarn4", yarn), ("coder_next", dict(plain, rope_theta=5e6))):
        frequencies, scale = rope_frequencies(rope, 256)
        angle = positions.float()[:, None] * frequencies
        out.update({name + ".inv_freq": frequencies, name + ".attention_factor": torch.tensor([scale]),
                    name + ".cos": angle.cos() * scale, name + ".sin": angle.sin() * scale})
    save_file(out, path)


def block_fixture(path, seed=9, blocks=24):
    """Random blocks of every GGML type, and their values as the gguf package decodes them."""
    random, out = numpy.random.default_rng(seed), {}
    for name, halves in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        data = random.integers(0, 256, (blocks, gguf.GGML_QUANT_SIZES[kind][1]), dtype=numpy.uint8)
        for at in halves:
            scale = (random.standard_normal(blocks) * 0.05).astype(numpy.float16)
            data[:, at:at + 2] = scale.view(numpy.uint8).reshape(blocks, 2)
        if name == "MXFP4":
            data[:, 0] = random.integers(118, 134, blocks)   # exponents whose values stay moderate
        out[name + ".bytes"] = torch.from_numpy(data)
        out[name + ".values"] = torch.from_numpy(quants.dequantize(data, kind))
    for name, kind in (("F16", torch.float16), ("BF16", torch.bfloat16)):
        values = torch.from_numpy((random.standard_normal(64) * 3).astype(numpy.float32)).to(kind)
        out[name + ".bytes"], out[name + ".values"] = values.view(torch.uint8), values.float()
    save_file(out, path)


def fp8_fixture(path, seed=21, rows=200, columns=300):
    """All 256 codes of E4M3, and a matrix with 128 x 128 scales whose last blocks are cut."""
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    scales = torch.zeros(math.ceil(rows / 128), math.ceil(columns / 128))
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            block = weight[i * 128:(i + 1) * 128, j * 128:(j + 1) * 128]
            scales[i, j] = (block.abs().max() / 448).to(torch.bfloat16).float()
    spread = scales.repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :columns]
    stored = (weight / spread).clamp(-448, 448).to(torch.float8_e4m3fn)
    codes = torch.arange(256, dtype=torch.uint8)
    save_file(dict(codes=codes, code_values=codes.view(torch.float8_e4m3fn).float(), weight=stored,
                   weight_scale_inv=scales.to(torch.bfloat16), values=(stored.float() * spread).contiguous()), path)


def sampling_fixture(path, seed=31):
    """Logits and the probabilities that transformers' processors make of them, in transformers' order."""
    settings = [(0.7, 20, 0.8, 0.0, 1.0), (0.6, 20, 0.95, 0.0, 1.0), (1.0, 0, 1.0, 0.0, 1.0), (1.0, 0, 0.5, 0.0, 1.0),
                (1.3, 5, 1.0, 0.1, 1.0), (0.2, 0, 0.9, 0.05, 1.0), (1.0, 40, 0.9, 0.0, 1.3)]
    generator, context, out = torch.Generator().manual_seed(seed), torch.tensor([[3, 7, 7, 11]]), []
    for temperature, top_k, top_p, min_p, repetition in settings:
        logits = (torch.randn(48, generator=generator) * 2.5 * 1e6).round() / 1e6   # as the JSON will say them
        steps = []
        if repetition != 1:
            steps.append(logits_process.RepetitionPenaltyLogitsProcessor(repetition))
        if temperature != 1:
            steps.append(logits_process.TemperatureLogitsWarper(temperature))
        if top_k:
            steps.append(logits_process.TopKLogitsWarper(top_k))
        if top_p < 1:
            steps.append(logits_process.TopPLogitsWarper(top_p))
        if min_p:
            steps.append(logits_process.MinPLogitsWarper(min_p))
        scores = logits[None].clone()
        for step in steps:
            scores = step(context, scores)
        params = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        if repetition != 1:
            params["repetition_penalty"] = repetition
        out.append(dict(params=params, context=context[0].tolist(), logits=[round(float(x), 6) for x in logits],
                        probs=scores[0].double().softmax(-1).tolist()))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(out, file)


def write_all(folder):
    """Every fixture, under the name its test reads."""
    os.makedirs(folder, exist_ok=True)
    delta_fixture(os.path.join(folder, "gdn_kernel.safetensors"))
    rope_fixture(os.path.join(folder, "rope_tables.safetensors"))
    block_fixture(os.path.join(folder, "quant_blocks.safetensors"))
    fp8_fixture(os.path.join(folder, "fp8_blocks.safetensors"))
    sampling_fixture(os.path.join(folder, "sampling.json"))

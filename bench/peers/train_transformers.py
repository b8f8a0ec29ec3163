#!/usr/bin/env python3
"""Training speed of headgate beside transformers on the CPU: same network, same tokens per step, same threads.

Usage: train_transformers.py HEADGATE_TRAIN_BENCH [--threads 1] [--rows 4] [--length 512] [--steps 3] [--rounds 3]
                             [--experts grouped_mm,eager]

The network is the preset "small" without its MTP module. A step is forward, backward, clipping and AdamW. The programs
take turns, `rounds` times. On a machine that others use too, compare tokens per processor second: that is what one
thread did in the time it had. Needs torch and transformers 5.
"""
import argparse
import json
import resource
import statistics
import subprocess
import time

import torch
from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

SMALL = dict(vocab_size=8192, hidden_size=256, intermediate_size=768, num_hidden_layers=8, num_attention_heads=4,
             num_key_value_heads=1, head_dim=64, partial_rotary_factor=0.25, rope_theta=1e6, linear_num_key_heads=1,
             linear_num_value_heads=2, linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4,
             num_experts=64, num_experts_per_tok=4, moe_intermediate_size=64, shared_expert_intermediate_size=128,
             norm_topk_prob=True, max_position_embeddings=32768, tie_word_embeddings=False, use_cache=False)


def processor_seconds():
    """User and system time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Peer:
    """transformers' model with torch's fused AdamW."""

    def __init__(self, experts):
        torch.manual_seed(0)
        config = Qwen3NextConfig(**SMALL)
        config._experts_implementation = experts
        self.model = Qwen3NextForCausalLM(config)
        self.model.train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1,
                                           fused=True)

    def step(self, ids, bf16):
        """One step; returns wall and processor seconds."""
        start, before = time.perf_counter(), processor_seconds()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = self.model(input_ids=ids, labels=ids, output_router_logits=True).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return time.perf_counter() - start, processor_seconds() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="path of headgate_train_bench")
    for name, default in (("threads", 1), ("rows", 4), ("length", 512), ("steps", 3), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--experts", default="grouped_mm,eager", help="transformers' ways to run experts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokens = options.rows * options.length
    speeds = {}

    def note(name, wall, processor):
        speeds.setdefault(name, []).append((wall, processor))
        print(f"  {name}: {wall:.0f} tokens/s, {processor:.0f} per processor second", flush=True)

    peers = {name: Peer(name) for name in options.experts.split(",")}
    for peer in peers.values():   # first steps allocate
        peer.step(torch.randint(0, SMALL["vocab_size"], (options.rows, options.length)), False)
    for _ in range(options.rounds):
        for precision in ("f32", "bf16"):
            command = [options.program, "--precision", precision, "--steps", str(options.steps)]
            for name in ("threads", "rows", "length"):
                command += [f"--{name}", str(getattr(options, name))]
            line = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            note(f"headgate {precision}", line["tokens_per_second"], line["tokens_per_processor_second"])
            for name, peer in peers.items():
                ids = torch.randint(0, SMALL["vocab_size"], (options.rows, options.length))
                wall, processor = peer.step(ids, precision == "bf16")
                note(f"transformers {name} {precision}", tokens / wall, tokens / processor)
    best = {}
    for name, runs in speeds.items():
        wall, processor = (statistics.median(column) for column in zip(*runs))
        print(f"{name:32s} {wall:8.0f} tokens/s {processor:8.0f} tokens/processor second")
        kind = name.split()[0]
        best[kind] = max(best.get(kind, 0), processor)
    print(f"ratio of the best: {best['headgate'] / best['transformers']:.2f}")


if __name__ == "__main__":
    main()

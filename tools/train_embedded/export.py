"""Checkpoint -> Hugging Face directory (bf16 safetensors with mtp.*, config, tokenizer).

python export.py --run RUN --tokenizer DIR --out models/headgate-nano
"""

import argparse
import json
import os

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from model import Config, Model
from tokenizer import write_files


def hf_tensors(state, cfg):
    """Model state -> on-disk names: experts one by one, shared expert's fused matrix split."""
    out = {}
    inter, shared = cfg.moe_intermediate_size, cfg.shared_expert_intermediate_size
    for name, t in state.items():
        if name.endswith("mlp.experts.gate_up_proj"):
            base = name[: -len("gate_up_proj")]
            for e in range(t.shape[0]):
                out[f"{base}{e}.gate_proj.weight"] = t[e, :inter]
                out[f"{base}{e}.up_proj.weight"] = t[e, inter:]
        elif name.endswith("mlp.experts.down_proj"):
            base = name[: -len("down_proj")]
            for e in range(t.shape[0]):
                out[f"{base}{e}.down_proj.weight"] = t[e]
        elif name.endswith("shared_expert.gate_up.weight"):
            base = name[: -len("gate_up.weight")]
            out[base + "gate_proj.weight"], out[base + "up_proj.weight"] = t[:shared], t[shared:]
        else:
            out[name] = t
    return {k: v.to(torch.bfloat16).contiguous().clone() for k, v in out.items()}


def hf_config(cfg, im_end, pad):
    n = cfg.num_hidden_layers
    kinds = [
        "full_attention" if (i + 1) % cfg.full_attention_interval == 0 else "linear_attention"
        for i in range(n)
    ]
    return {
        "architectures": ["Qwen3NextForCausalLM"],
        "model_type": "qwen3_next",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": pad,
        "eos_token_id": im_end,
        "pad_token_id": pad,
        "decoder_sparse_step": 1,
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "full_attention_interval": cfg.full_attention_interval,
        "head_dim": cfg.head_dim,
        "hidden_act": "silu",
        "hidden_size": cfg.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": 4 * cfg.hidden_size,
        "layer_types": kinds,
        "linear_conv_kernel_dim": cfg.linear_conv_kernel_dim,
        "linear_key_head_dim": cfg.linear_key_head_dim,
        "linear_num_key_heads": cfg.linear_num_key_heads,
        "linear_num_value_heads": cfg.linear_num_value_heads,
        "linear_value_head_dim": cfg.linear_value_head_dim,
        "max_position_embeddings": cfg.max_position_embeddings,
        "mlp_only_layers": [],
        "moe_intermediate_size": cfg.moe_intermediate_size,
        "norm_topk_prob": True,
        "num_attention_heads": cfg.num_attention_heads,
        "num_experts": cfg.num_experts,
        "num_experts_per_tok": cfg.num_experts_per_tok,
        "num_hidden_layers": n,
        "num_key_value_heads": cfg.num_key_value_heads,
        "num_nextn_predict_layers": 1,
        "output_router_logits": False,
        "partial_rotary_factor": cfg.partial_rotary_factor,
        "rms_norm_eps": cfg.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": cfg.rope_theta,
        "router_aux_loss_coef": 0.01,
        "shared_expert_intermediate_size": cfg.shared_expert_intermediate_size,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": cfg.vocab_size,
    }


def write_json(path, obj):
    with open(path, "w", encoding="utf-8") as fh:
        json.dump(obj, fh, indent=2, ensure_ascii=False)
        fh.write("\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--run", required=True)
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    opt = ap.parse_args()
    os.makedirs(opt.out, exist_ok=True)
    cfg = Config.load(os.path.join(opt.run, "config.json"))
    ckpt = torch.load(os.path.join(opt.run, "last.pt"), map_location="cpu")
    net = Model(cfg)
    net.load_state_dict(ckpt["model"])
    save_file(
        hf_tensors(net.state_dict(), cfg),
        os.path.join(opt.out, "model.safetensors"),
        {"format": "pt"},
    )
    tok = Tokenizer.from_file(os.path.join(opt.tokenizer, "tokenizer.json"))
    im_end, pad = tok.token_to_id("<|im_end|>"), tok.token_to_id("<|endoftext|>")
    write_json(os.path.join(opt.out, "config.json"), hf_config(cfg, im_end, pad))
    write_json(
        os.path.join(opt.out, "generation_config.json"),
        {
            "bos_token_id": pad,
            "do_sample": True,
            "eos_token_id": [im_end, pad],
            "pad_token_id": pad,
            "temperature": 0.3,
            "top_k": 20,
            "top_p": 0.8,
        },
    )
    write_files(tok, opt.out)
    os.chmod(os.path.join(opt.out, "model.safetensors"), 0o644)
    size = os.path.getsize(os.path.join(opt.out, "model.safetensors"))
    print(f"step {ckpt['step']}, {ckpt['tokens']} tokens, {size} bytes")


if __name__ == "__main__":
    main()

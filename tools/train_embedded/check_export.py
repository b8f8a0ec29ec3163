"""Compares the export with transformers (logits, greedy tokens, template), MTP with its formula.

python check_export.py --model models/headgate-nano
"""

import argparse
import os

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from chat_format import render
from infer import load_model

TOOL = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Get the \u00e9 <time>",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CONVERSATIONS = [
    ([{"role": "user", "content": "Hello!"}], None),
    (
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "What is 12 plus 30?"},
        ],
        None,
    ),
    (
        [
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "B"},
            {"role": "user", "content": "C"},
        ],
        None,
    ),
    (
        [
            {"role": "user", "content": "Time in Rome and Oslo?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"name": "get_time", "arguments": {"city": "Rome"}},
                    {"name": "get_time", "arguments": {"city": "Oslo"}},
                ],
            },
            {"role": "tool", "content": "10:30"},
            {"role": "tool", "content": "10:31"},
        ],
        [TOOL],
    ),
]


def check_template(path):
    tok = AutoTokenizer.from_pretrained(path)
    for msgs, tools in CONVERSATIONS:
        for thinking in (False, True):
            want = "".join(t for t, _ in render(msgs, tools, thinking)) + "<|im_start|>assistant\n"
            want += "<think>\n" if thinking else ""
            if thinking and any(m.get("tool_calls") for m in msgs):
                want = want.replace("<think>\n\n</think>\n\n", "", 1)
            got = tok.apply_chat_template(
                msgs,
                tools=tools,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=thinking,
            )
            assert got == want, (got, want)
    print("chat template: equal to the generator's rendering")
    return tok


def check_logits(path, tok):
    net = load_model(path)
    hf = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    worst = 0.0
    for msgs, tools in CONVERSATIONS:
        text = tok.apply_chat_template(
            msgs, tools=tools, tokenize=False, add_generation_prompt=True
        )
        ids = tok(text, return_tensors="pt").input_ids
        with torch.no_grad():
            a = hf(ids).logits[0]
            b = net.logits(ids)[0]
        worst = max(worst, (a - b).abs().max().item())
        with torch.no_grad():
            want = hf.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :].tolist()
        got = net.generate(ids[0].tolist(), 24)
        assert got == want[: len(got)], (tok.decode(got), tok.decode(want))
    print(f"transformers: greedy tokens equal, largest logit difference {worst:.1e}")
    assert worst < 1e-3
    return net


def rms(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * (1 + w)


def plain_mtp(w, cfg, emb_ids, hid, pos):
    """The MTP block for one sequence from its definition: [embedding ; hidden], layer, norm."""
    p = "mtp.layers.0."
    x = (
        torch.cat(
            [
                rms(w["model.embed_tokens.weight"][emb_ids], w["mtp.pre_fc_norm_embedding.weight"]),
                rms(hid, w["mtp.pre_fc_norm_hidden.weight"]),
            ],
            -1,
        )
        @ w["mtp.fc.weight"].T
    )
    h = rms(x, w[p + "input_layernorm.weight"])
    t, n, d = x.shape[0], cfg.num_attention_heads, cfg.head_dim
    q, gate = (h @ w[p + "self_attn.q_proj.weight"].T).view(t, n, 2 * d).split(d, -1)
    k = rms(h @ w[p + "self_attn.k_proj.weight"].T, w[p + "self_attn.k_norm.weight"])[:, None]
    v = h @ w[p + "self_attn.v_proj.weight"].T
    q = rms(q, w[p + "self_attn.q_norm.weight"])
    half = int(d * cfg.partial_rotary_factor) // 2
    ang = pos.float()[:, None] / cfg.rope_theta ** (torch.arange(half) / half)
    c, s = ang.cos()[:, None], ang.sin()[:, None]

    def turn(y):
        a, b = y[..., :half], y[..., half : 2 * half]
        return torch.cat([a * c - b * s, b * c + a * s, y[..., 2 * half :]], -1)

    att = torch.einsum("tnd,sd->nts", turn(q), turn(k)[:, 0]) / d**0.5
    att = att.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -1e30).softmax(-1)
    o = torch.einsum("nts,sd->tnd", att, v) * torch.sigmoid(gate)
    x = x + o.reshape(t, n * d) @ w[p + "self_attn.o_proj.weight"].T
    h = rms(x, w[p + "post_attention_layernorm.weight"])
    prob = (h @ w[p + "mlp.gate.weight"].T).softmax(-1)
    top, idx = prob.topk(cfg.num_experts_per_tok)
    top = top / top.sum(-1, keepdim=True)

    def glu(y, q_):
        return (
            torch.nn.functional.silu(y @ w[q_ + "gate_proj.weight"].T)
            * (y @ w[q_ + "up_proj.weight"].T)
        ) @ w[q_ + "down_proj.weight"].T

    y = torch.sigmoid(h @ w[p + "mlp.shared_expert_gate.weight"].T) * glu(
        h, p + "mlp.shared_expert."
    )
    rows = [
        sum(top[i, j] * glu(h[i], f"{p}mlp.experts.{idx[i, j]}.") for j in range(idx.shape[1]))
        for i in range(t)
    ]
    return rms(x + y + torch.stack(rows), w["mtp.norm.weight"])


def check_mtp(path, tok, net):
    w = {k: v.float() for k, v in load_file(os.path.join(path, "model.safetensors")).items()}
    ids = tok(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
        return_tensors="pt",
    ).input_ids
    with torch.no_grad():
        hid = net.hidden_states(ids)
        got = net.mtp_states(ids, hid)[0]
        n = ids.shape[1] - 1
        want = plain_mtp(w, net.cfg, ids[0, 1:], hid[0, :n], torch.arange(n))
    diff = (got[:n] - want).abs().max().item()
    print(f"MTP: largest difference to the plain reference {diff:.1e}")
    assert diff < 1e-3


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", required=True)
    opt = ap.parse_args()
    torch.set_num_threads(1)
    tok = check_template(opt.model)
    fast = Tokenizer.from_file(os.path.join(opt.model, "tokenizer.json"))
    text = "It's 2025, caf\u00e9 <think> x\n\n  y"
    assert tok(text).input_ids == fast.encode(text, add_special_tokens=False).ids
    net = check_logits(opt.model, tok)
    check_mtp(opt.model, tok, net)


if __name__ == "__main__":
    main()

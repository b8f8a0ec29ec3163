"""Qwen3-Next in plain PyTorch, for training on a CPU: DeltaNet, gated attention, MoE, MTP head.

Parameters carry Hugging Face names (the experts are stacked; export.py splits them).  GEMMs run in
bf16 with fp32 master weights, everything else in fp32.  Rows may hold several packed documents:
nothing crosses a boundary.
"""

import dataclasses
import json
import math

import torch
import torch.nn.functional as F
from torch import nn

from gdn import chunk_masks, gated_delta
from moe import GroupedExperts


@dataclasses.dataclass
class Config:
    vocab_size: int = 3584
    hidden_size: int = 256
    num_hidden_layers: int = 4
    full_attention_interval: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 1
    head_dim: int = 64
    partial_rotary_factor: float = 0.25
    rope_theta: float = 1e6
    linear_num_key_heads: int = 2
    linear_num_value_heads: int = 4
    linear_key_head_dim: int = 64
    linear_value_head_dim: int = 64
    linear_conv_kernel_dim: int = 4
    num_experts: int = 16
    num_experts_per_tok: int = 4
    moe_intermediate_size: int = 64
    shared_expert_intermediate_size: int = 128
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 32768
    chunk: int = 32

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as fh:
            raw = json.load(fh)
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in raw.items() if k in names})


BF16 = True


def low(x):
    """To the dtype of the GEMM inputs."""
    return x.to(torch.bfloat16) if BF16 else x


def linear(x, w):
    """y = x w^T with bf16 inputs (fp32 accumulation inside), fp32 result."""
    return F.linear(low(x), low(w)).float()


def norm1(x, w, eps):
    """Zero-centred RMSNorm."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * (1 + w)


def l2norm(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def rope(x, cos, sin):
    """x [B,T,heads,d]; the first 2*half dims rotate in halves, the rest passes."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def rope_tables(pos, cfg):
    rot = int(cfg.head_dim * cfg.partial_rotary_factor)
    inv = 1.0 / cfg.rope_theta ** (torch.arange(0, rot, 2, dtype=torch.float32) / rot)
    ang = pos.float()[..., None, None] * inv
    return ang.cos(), ang.sin()


def row_masks(doc, cfg):
    """All masks of a batch of packed rows; doc [B,T]."""
    m = chunk_masks(doc, cfg.chunk) if doc.shape[1] % cfg.chunk == 0 else {}
    length = doc.shape[1]
    for j in range(1, cfg.linear_conv_kernel_dim):
        same = torch.zeros(doc.shape)
        same[:, j:] = (doc[:, j:] == doc[:, :-j]).float()
        m[f"shift{j}"] = same[..., None]
    ok = (doc[:, :, None] == doc[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    m["attn"] = torch.zeros(ok.shape).masked_fill_(~ok, -1e30)[:, None]
    return m


class Rms(nn.Module):
    def __init__(self, dim, init=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), init))


def matrix(out, inp, std=0.02):
    return nn.Parameter(torch.randn(out, inp) * std)


class Lin(nn.Module):
    def __init__(self, inp, out, std=0.02):
        super().__init__()
        self.weight = matrix(out, inp, std)

    def forward(self, x):
        return linear(x, self.weight)


def conv_split(y, w, s1, s2, s3, nk, nv, dk, dv):
    """Fused projection output -> convolved q, k, v (q, k normalised, repeated) and the gate z."""
    bsz, length = y.shape[:2]
    r = nv // nk
    q, k, v, z = y.view(bsz, length, nk, -1).split([dk, dk, r * dv, r * dv], -1)
    u = torch.cat([x.reshape(bsz, length, -1) for x in (q, k, v)], -1)
    c = w[:, 0, :]
    out = u * c[:, 3]
    for j, s in ((1, s1), (2, s2), (3, s3)):
        out = out + F.pad(u, (0, 0, j, 0))[:, :length] * s * c[:, 3 - j]
    out = F.silu(out)
    q, k, v = out.split([nk * dk, nk * dk, nv * dv], -1)
    q = l2norm(q.view(bsz, length, nk, dk)) * dk**-0.5
    k = l2norm(k.view(bsz, length, nk, dk))
    return (
        q.repeat_interleave(r, 2),
        k.repeat_interleave(r, 2),
        v.view(bsz, length, nv, dv),
        z.reshape(bsz, length, nv, dv),
    )


def gates(ba, a_log, dt_bias, nk, nv):
    bsz, length = ba.shape[:2]
    ba = ba.view(bsz, length, nk, -1)
    r = nv // nk
    b, a = ba[..., :r].reshape(bsz, length, nv), ba[..., r:].reshape(bsz, length, nv)
    return torch.sigmoid(b), -a_log.exp() * F.softplus(a + dt_bias)


def gated_norm(o, z, w, eps):
    y = o * torch.rsqrt((o * o).mean(-1, keepdim=True) + eps) * w * F.silu(z)
    return y.flatten(2)


def attend(q, k, v, mask):
    """q [B,T,n,d], k, v [B,T,m,d] -> [B,T,n*d]."""
    bsz, length, n, d = q.shape
    q = q.transpose(1, 2).reshape(bsz, n * length, d)
    k, v = k[:, :, 0], v[:, :, 0]
    s = torch.bmm(low(q * d**-0.5), low(k).transpose(1, 2)).float()
    p = low(torch.softmax(s.view(bsz, n, length, length) + mask, -1))
    o = torch.bmm(p.view(bsz, n * length, length), low(v)).float()
    return o.view(bsz, n, length, d).transpose(1, 2).reshape(bsz, length, n * d)


def qkv_rope(y, k, v, qn, kn, cos, sin, n, m, d, eps):
    bsz, length = y.shape[:2]
    q, gate = y.view(bsz, length, n, 2 * d).chunk(2, -1)
    q = rope(norm1(q, qn, eps), cos, sin)
    k = rope(norm1(k.view(bsz, length, m, d), kn, eps), cos, sin)
    return q, k, v.view(bsz, length, m, d), gate.reshape(bsz, length, n * d)


def route(logits, topk):
    p = torch.softmax(logits, -1)
    top, idx = torch.topk(p, topk, -1)
    return p, top / top.sum(-1, keepdim=True), idx


def swiglu(y):
    a, b = y.chunk(2, -1)
    return F.silu(a) * b


class DeltaNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        nk, nv, dk, dv = self.dims = (
            c.linear_num_key_heads,
            c.linear_num_value_heads,
            c.linear_key_head_dim,
            c.linear_value_head_dim,
        )
        h = c.hidden_size
        self.in_proj_qkvz = Lin(h, 2 * nk * dk + 2 * nv * dv)
        self.in_proj_ba = Lin(h, 2 * nv)
        self.conv1d = nn.Module()
        self.conv1d.weight = nn.Parameter(torch.randn(2 * nk * dk + nv * dv, 1, 4) * 0.3)
        self.A_log = nn.Parameter(torch.empty(nv).uniform_(0.5, 8).log())
        dt = torch.exp(torch.empty(nv).uniform_(math.log(0.001), math.log(0.1)))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.norm = Rms(dv, 1.0)
        self.out_proj = Lin(nv * dv, h, 0.02 / math.sqrt(2 * c.num_hidden_layers))

    def forward(self, x, m):
        nk, nv, dk, dv = self.dims
        q, k, v, z = conv_split(
            self.in_proj_qkvz(x),
            self.conv1d.weight,
            m["shift1"],
            m["shift2"],
            m["shift3"],
            nk,
            nv,
            dk,
            dv,
        )
        beta, g = gates(F.linear(x, self.in_proj_ba.weight), self.A_log, self.dt_bias, nk, nv)
        o = gated_delta(q, k, v, g, beta, m, self.c.chunk)
        return self.out_proj(gated_norm(o, z, self.norm.weight, self.c.rms_norm_eps))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        h, n, m, d = c.hidden_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.q_proj, self.k_proj, self.v_proj = Lin(h, n * 2 * d), Lin(h, m * d), Lin(h, m * d)
        self.o_proj = Lin(n * d, h, 0.02 / math.sqrt(2 * c.num_hidden_layers))
        self.q_norm, self.k_norm = Rms(d), Rms(d)

    def project(self, x, cos, sin):
        c = self.c
        return qkv_rope(
            self.q_proj(x),
            self.k_proj(x),
            self.v_proj(x),
            self.q_norm.weight,
            self.k_norm.weight,
            cos,
            sin,
            c.num_attention_heads,
            c.num_key_value_heads,
            c.head_dim,
            c.rms_norm_eps,
        )

    def forward(self, x, m):
        q, k, v, gate = self.project(x, m["cos"], m["sin"])
        o = attend(q, k, v, m["attn"])
        return self.o_proj(o * torch.sigmoid(gate))


class Moe(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        h, e, i, s = (
            c.hidden_size,
            c.num_experts,
            c.moe_intermediate_size,
            c.shared_expert_intermediate_size,
        )
        std = 0.02 / math.sqrt(2 * c.num_hidden_layers)
        self.gate = Lin(h, e)
        self.gate.weight.data = F.normalize(self.gate.weight.data, dim=1) * 0.32
        self.experts = nn.Module()
        self.experts.gate_up_proj = nn.Parameter(torch.randn(e, 2 * i, h) * 0.02)
        self.experts.down_proj = nn.Parameter(torch.randn(e, h, i) * std)
        self.shared_expert = nn.Module()
        self.shared_expert.gate_up = Lin(h, 2 * s)
        self.shared_expert.down_proj = Lin(s, h, std)
        self.shared_expert_gate = Lin(h, 1)

    def forward(self, x, m, stats):
        c = self.c
        flat = x.reshape(-1, x.shape[-1])
        p, top, idx = route(F.linear(flat, self.gate.weight), c.num_experts_per_tok)
        y = GroupedExperts.apply(
            low(flat), top, idx, low(self.experts.gate_up_proj), low(self.experts.down_proj)
        )
        with torch.no_grad():
            load = torch.bincount(idx.reshape(-1), minlength=c.num_experts).float() / idx.numel()
        stats.append((load, c.num_experts * (load * p.mean(0)).sum()))
        sh = self.shared_expert.down_proj(swiglu(self.shared_expert.gate_up(flat)))
        y = y + torch.sigmoid(F.linear(flat, self.shared_expert_gate.weight)) * sh
        return y.view(x.shape)


class Block(nn.Module):
    def __init__(self, c, full):
        super().__init__()
        self.eps = c.rms_norm_eps
        self.input_layernorm, self.post_attention_layernorm = Rms(c.hidden_size), Rms(c.hidden_size)
        if full:
            self.self_attn = Attention(c)
        else:
            self.linear_attn = DeltaNet(c)
        self.full = full
        self.mlp = Moe(c)

    def forward(self, x, m, stats):
        mixer = self.self_attn if self.full else self.linear_attn
        x = x + mixer(norm1(x, self.input_layernorm.weight, self.eps), m)
        return x + self.mlp(norm1(x, self.post_attention_layernorm.weight, self.eps), m, stats)


class Mtp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        h = c.hidden_size
        self.fc = Lin(2 * h, h)
        self.pre_fc_norm_embedding, self.pre_fc_norm_hidden, self.norm = Rms(h), Rms(h), Rms(h)
        self.layers = nn.ModuleList([Block(c, True)])

    def fuse(self, emb, hid):
        e = norm1(emb, self.pre_fc_norm_embedding.weight, self.c.rms_norm_eps)
        n = norm1(hid, self.pre_fc_norm_hidden.weight, self.c.rms_norm_eps)
        return self.fc(torch.cat([e, n], -1))

    def out(self, x):
        return norm1(x, self.norm.weight, self.c.rms_norm_eps)

    def step1(self, emb, hid, m, stats):
        """emb = embedding of the next token.  Returns the normed output and the keys and values."""
        blk = self.layers[0]
        x = self.fuse(emb, hid)
        h = norm1(x, blk.input_layernorm.weight, blk.eps)
        q, k, v, gate = blk.self_attn.project(h, m["cos"], m["sin"])
        o = attend(q, k, v, m["attn"])
        x = x + blk.self_attn.o_proj(o * torch.sigmoid(gate))
        x = x + blk.mlp(norm1(x, blk.post_attention_layernorm.weight, blk.eps), m, stats)
        return self.out(x), k, v

    def step2(self, emb, hid, k1, v1, m, stats):
        """Second draft: sees the keys of step 1 up to its row, and its own key (position + 1)."""
        blk = self.layers[0]
        x = self.fuse(emb, hid)
        h = norm1(x, blk.input_layernorm.weight, blk.eps)
        q, k, v, gate = blk.self_attn.project(h, m["cos2"], m["sin2"])
        bsz, length, n, d = q.shape
        qs = q.transpose(1, 2).reshape(bsz, n * length, d) * d**-0.5
        s = torch.bmm(qs, k1[:, :, 0].transpose(1, 2)).view(bsz, n, length, length) + m["attn"]
        own = ((q * k).sum(-1) * d**-0.5).transpose(1, 2)[..., None]
        p = torch.softmax(torch.cat([s, own], -1), -1)
        o = torch.bmm(p[..., :length].reshape(bsz, n * length, length), v1[:, :, 0])
        o = o.view(bsz, n, length, d) + p[..., length:] * v.transpose(1, 2)
        o = o.transpose(1, 2).reshape(bsz, length, n * d)
        x = x + blk.self_attn.o_proj(o * torch.sigmoid(gate))
        x = x + blk.mlp(norm1(x, blk.post_attention_layernorm.weight, blk.eps), m, stats)
        return self.out(x)


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.model = nn.Module()
        self.model.embed_tokens = nn.Module()
        self.model.embed_tokens.weight = matrix(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(
            [Block(c, (i + 1) % c.full_attention_interval == 0) for i in range(c.num_hidden_layers)]
        )
        self.model.norm = Rms(c.hidden_size)
        self.lm_head = Lin(c.hidden_size, c.vocab_size)
        self.mtp = Mtp(c)

    def masks(self, doc, pos):
        m = row_masks(doc, self.c)
        m["cos"], m["sin"] = rope_tables(pos, self.c)
        m["cos2"], m["sin2"] = rope_tables(pos + 1, self.c)
        return m

    def embed(self, ids):
        return F.embedding(ids, self.model.embed_tokens.weight)

    def hidden(self, ids, m, stats):
        x = self.embed(ids)
        for blk in self.model.layers:
            x = blk(x, m, stats)
        return norm1(x, self.model.norm.weight, self.c.rms_norm_eps)

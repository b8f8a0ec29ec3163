"""Loads an exported directory into the training model (fp32) and decodes greedily with caches."""

import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import model as model_mod
from model import Config, Model, norm1, rope_tables


def from_hf(tensors, cfg):
    """Inverse of export.hf_tensors."""
    state, experts = {}, {}
    for name, t in tensors.items():
        t = t.float()
        if ".mlp.experts." in name:
            base, rest = name.split(".mlp.experts.")
            e, which = rest.split(".")[:2]
            experts.setdefault(base, {}).setdefault(which, {})[int(e)] = t
        elif ".shared_expert.up_proj." in name:
            continue
        elif ".shared_expert.gate_proj." in name:
            up = tensors[name.replace("gate_proj", "up_proj")].float()
            state[name.replace("gate_proj", "gate_up")] = torch.cat([t, up])
        else:
            state[name] = t
    for base, g in experts.items():
        pick = {k: torch.stack([v[e] for e in range(len(v))]) for k, v in g.items()}
        state[base + ".mlp.experts.gate_up_proj"] = torch.cat(
            [pick["gate_proj"], pick["up_proj"]], 1
        )
        state[base + ".mlp.experts.down_proj"] = pick["down_proj"]
    return state


def load_model(path):
    model_mod.BF16 = False
    torch.set_float32_matmul_precision("highest")
    cfg = Config.load(os.path.join(path, "config.json"))
    net = Model(cfg)
    net.load_state_dict(from_hf(load_file(os.path.join(path, "model.safetensors")), cfg))
    return Infer(net.eval(), cfg)


class Infer:
    def __init__(self, net, cfg):
        self.net, self.cfg = net, cfg
        self.stop = {cfg.vocab_size - 26, cfg.vocab_size - 24}  # endoftext, im_end

    # ---- whole sequences ----
    def masks(self, length):
        doc = torch.zeros(1, length, dtype=torch.long)
        return self.net.masks(doc, torch.arange(length)[None])

    def hidden_states(self, ids):
        """ids [1,T] -> final-normed hidden states; padded to a multiple of the chunk."""
        t = ids.shape[1]
        pad = -t % self.cfg.chunk
        return self.net.hidden(F.pad(ids, (0, pad)), self.masks(t + pad), [])[:, :t]

    def logits(self, ids):
        return self.net.lm_head(self.hidden_states(ids))

    def mtp_states(self, ids, hid):
        nxt = torch.cat([ids[:, 1:], ids[:, -1:]], 1)
        return self.net.mtp.step1(self.net.embed(nxt), hid, self.masks(ids.shape[1]), [])[0]

    # ---- token by token, with caches --------
    @torch.no_grad()
    def generate(self, ids, limit):
        cache = [{} for _ in self.net.model.layers]
        out, pos = [], 0
        chunk = torch.tensor(ids)
        while len(out) < limit:
            x = self.net.embed(chunk)
            cos, sin = rope_tables(torch.arange(pos, pos + len(chunk))[None], self.cfg)
            for blk, c in zip(self.net.model.layers, cache):
                h = norm1(x, blk.input_layernorm.weight, blk.eps)
                y = (
                    self.attention(blk.self_attn, h, c, cos, sin)
                    if blk.full
                    else self.delta(blk.linear_attn, h, c)
                )
                x = x + y
                h = norm1(x, blk.post_attention_layernorm.weight, blk.eps)
                x = x + self.moe(blk.mlp, h)
            pos += len(chunk)
            last = norm1(x[-1], self.net.model.norm.weight, self.cfg.rms_norm_eps)
            t = int((self.net.lm_head.weight @ last).argmax())
            if t in self.stop:
                out.append(t)
                break
            out.append(t)
            chunk = torch.tensor([t])
        return out

    def attention(self, m, h, c, cos, sin):
        q, k, v, gate = m.project(h[None], cos, sin)
        k = torch.cat([c["k"], k], 1) if "k" in c else k
        v = torch.cat([c["v"], v], 1) if "v" in c else v
        c["k"], c["v"] = k, v
        t, s, n, d = q.shape[1], k.shape[1], q.shape[2], q.shape[3]
        att = torch.einsum("tnd,sd->nts", q[0], k[0, :, 0]) / d**0.5
        att = att.masked_fill(torch.ones(t, s, dtype=torch.bool).triu(s - t + 1), -1e30).softmax(-1)
        o = torch.einsum("nts,sd->tnd", att, v[0, :, 0]).reshape(t, n * d)
        return m.o_proj(o * torch.sigmoid(gate[0]))

    def delta(self, m, h, c):
        nk, nv, dk, dv = m.dims
        y = m.in_proj_qkvz(h)[None]
        hist = c.get("x", torch.zeros(1, 3, y.shape[-1]))
        full = torch.cat([hist, y], 1)
        c["x"] = full[:, -3:]
        one = torch.ones(1, full.shape[1], 1)
        q, k, v, z = (
            x[0, 3:]
            for x in model_mod.conv_split(full, m.conv1d.weight, one, one, one, nk, nv, dk, dv)
        )
        beta, g = model_mod.gates((h @ m.in_proj_ba.weight.T)[None], m.A_log, m.dt_bias, nk, nv)
        state = c.get("s", torch.zeros(nv, dk, dv))
        outs = []
        for t in range(h.shape[0]):
            state = state * g[0, t].exp()[:, None, None]
            err = (v[t] - torch.einsum("hkv,hk->hv", state, k[t])) * beta[0, t][:, None]
            state = state + k[t][:, :, None] * err[:, None]
            outs.append(torch.einsum("hkv,hk->hv", state, q[t]))
        c["s"] = state
        return m.out_proj(
            model_mod.gated_norm(
                torch.stack(outs)[None], z[None], m.norm.weight, self.cfg.rms_norm_eps
            )[0]
        )

    def moe(self, m, h):
        p = torch.softmax(h @ m.gate.weight.T, -1)
        top, idx = p.topk(self.cfg.num_experts_per_tok, -1)
        top = top / top.sum(-1, keepdim=True)
        sh = m.shared_expert.down_proj(model_mod.swiglu(m.shared_expert.gate_up(h)))
        y = torch.sigmoid(h @ m.shared_expert_gate.weight.T) * sh
        if h.shape[0] == 1:
            w1, w2 = m.experts.gate_up_proj[idx[0]], m.experts.down_proj[idx[0]]
            a, b = torch.einsum("kih,h->ki", w1, h[0]).chunk(2, -1)
            return y + torch.einsum("k,kih,kh->i", top[0], w2, F.silu(a) * b)[None]
        for e in range(self.cfg.num_experts):
            t, s = (idx == e).nonzero(as_tuple=True)
            if len(t):
                a, b = (h[t] @ m.experts.gate_up_proj[e].T).chunk(2, -1)
                y.index_add_(0, t, (F.silu(a) * b) @ m.experts.down_proj[e].T * top[t, s][:, None])
        return y

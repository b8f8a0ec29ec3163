"""A readable reference of the Qwen3 family: one sequence, token by token where the formula is, in any float type.

It checks transformers (a case is written only where both agree), gives the values inside a layer, and gives
everything about multi-token prediction, which transformers does not implement.
"""
import math

import torch
import torch.nn.functional as F


def rms_norm(x, weight, eps):
    """Scales the last axis to a root mean square of one, then by `weight`."""
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def unit(x):
    """The l2 norm of the delta net; its eps lies under the root."""
    return x / torch.sqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def rope_frequencies(rope, head_dim):
    """(frequencies [rotary / 2] in fp32, factor on cos and sin); YaRN as in arXiv 2309.00071."""
    rotary, theta = int(head_dim * rope["partial_rotary_factor"]), rope["rope_theta"]
    plain = 1.0 / theta ** (torch.arange(0, rotary, 2, dtype=torch.float32) / rotary)
    if rope["type"] == "default":
        return plain, 1.0
    if rope["type"] != "yarn":
        raise ValueError(f"rope type {rope['type']}")
    factor, trained = rope["factor"], rope["original_max_position_embeddings"]

    def dimension(turns):   # the dimension that makes this many turns within the trained length
        return rotary * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first = max(math.floor(dimension(rope.get("beta_fast") or 32)), 0)
    last = min(math.ceil(dimension(rope.get("beta_slow") or 1)), rotary - 1)
    last = last if last != first else last + 0.001
    stretched = ((torch.arange(rotary // 2, dtype=torch.float32) - first) / (last - first)).clamp(0, 1)
    scale = rope.get("attention_factor") or (0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0)
    return plain / factor * stretched + plain * (1 - stretched), scale


def rotate(x, positions, frequencies, scale):
    """Turns the first 2 * len(frequencies) entries of every head, first half against second half."""
    half = len(frequencies)
    angle = positions.float()[:, None] * frequencies   # in fp32, as every engine does
    cos, sin = ((f(angle) * scale).to(x.dtype)[:, None] for f in (torch.cos, torch.sin))
    first, second, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], -1)


def delta_rule(q, k, v, log_decay, beta, state):
    """The gated delta rule (arXiv 2412.06464, equation 10), one token after the other.

    q, k [tokens, heads, dk], already normalised; v [tokens, heads, dv]; log_decay, beta [tokens, heads];
    state [heads, dk, dv]. Returns outputs [tokens, heads, dv] and the last state.
    """
    outputs = []
    for t in range(len(q)):
        state = state * log_decay[t].exp()[:, None, None]
        recalled = (state * k[t][:, :, None]).sum(1)
        written = beta[t][:, None] * (v[t] - recalled)
        state = state + k[t][:, :, None] * written[:, None, :]
        outputs.append((state * q[t][:, :, None]).sum(1))
    return torch.stack(outputs), state


class Network:
    """One checkpoint: Geometry and tensors, named as in its files but without `language_model.`."""

    def __init__(self, geometry, tensors, dtype=torch.float32):
        self.geometry, self.dtype = geometry, dtype
        self.tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        self.frequencies, self.rope_scale = rope_frequencies(geometry.rope, geometry.head_dim)

    def __contains__(self, name):
        return name in self.tensors

    def weight(self, name):
        return self.tensors[name + ".weight"]

    def linear(self, x, name):
        return x @ self.weight(name).T

    def norm(self, x, name):
        """The norm of the decoder: weights of hybrid models are stored as scale - 1."""
        weight = self.weight(name)
        return rms_norm(x, 1 + weight if self.geometry.hybrid else weight, self.geometry.eps)

    def new_state(self):
        """An empty cache: position, and one dictionary per layer."""
        return {"position": 0, "layers": [{} for _ in self.geometry.layer_types]}

    def attention(self, x, name, positions, kept, seen):
        g, tokens = self.geometry, len(x)
        q = self.linear(x, name + "q_proj").view(tokens, g.heads, -1)
        q, gate = q[..., :g.head_dim], q[..., g.head_dim:]   # the gate is empty where attention is not gated
        k = self.linear(x, name + "k_proj").view(tokens, g.kv_heads, g.head_dim)
        v = self.linear(x, name + "v_proj").view(tokens, g.kv_heads, g.head_dim)
        q, k = (rotate(self.norm(y, name + part), positions, self.frequencies, self.rope_scale)
                for y, part in ((q, "q_norm"), (k, "k_norm")))
        seen.update(q_rot=q, k_rot=k, v=v)
        if "k" in kept:
            k, v = torch.cat([kept["k"], k]), torch.cat([kept["v"], v])
        kept["k"], kept["v"] = k, v
        shared = g.heads // g.kv_heads
        scores = torch.einsum("thd,shd->hts", q, k.repeat_interleave(shared, 1)) / math.sqrt(g.head_dim)
        future = torch.arange(len(k))[None] > torch.arange(len(k) - tokens, len(k))[:, None]
        mixed = torch.einsum("hts,shd->thd", scores.masked_fill(future, -math.inf).softmax(-1),
                             v.repeat_interleave(shared, 1)).reshape(tokens, -1)
        seen["attn"] = mixed
        if g.hybrid:
            gate = gate.reshape(tokens, -1)
            mixed = mixed * torch.sigmoid(gate)
            seen.update(gate=gate, gated=mixed)
        return self.linear(mixed, name + "o_proj")

    def delta_inputs(self, x, name):
        """q | k | v as the convolution sees them, gate z, write strength b and decay a before their activations."""
        g, tokens = self.geometry, len(x)
        if not g.fused_projections:
            return (self.linear(x, name + "in_proj_qkv"), self.linear(x, name + "in_proj_z"),
                    self.linear(x, name + "in_proj_b"), self.linear(x, name + "in_proj_a"))
        group = g.value_heads // g.key_heads   # rows lie key head by key head: q, k, its v heads, its z heads
        fused = self.linear(x, name + "in_proj_qkvz").view(tokens, g.key_heads, -1)
        parts = fused.split([g.key_dim, g.key_dim, group * g.value_dim, group * g.value_dim], -1)
        q, k, v, z = (part.reshape(tokens, -1) for part in parts)
        b, a = self.linear(x, name + "in_proj_ba").view(tokens, g.key_heads, 2 * group).split(group, -1)
        return torch.cat([q, k, v], -1), z, b.reshape(tokens, -1), a.reshape(tokens, -1)

    def delta_net(self, x, name, kept, seen):
        g, tokens = self.geometry, len(x)
        qkv, z, b, a = self.delta_inputs(x, name)
        taps = self.weight(name + "conv1d")[:, 0]   # [channels, width], oldest input first
        past = kept["conv"].T if "conv" in kept else qkv.new_zeros(g.conv_width - 1, qkv.shape[1])
        inputs = torch.cat([past, qkv])
        mixed = F.silu(torch.stack([inputs[t:t + tokens] for t in range(g.conv_width)], -1).mul(taps).sum(-1))
        q, k, v = mixed.split([g.key_heads * g.key_dim, g.key_heads * g.key_dim, g.value_heads * g.value_dim], -1)
        group = g.value_heads // g.key_heads
        q = (unit(q.view(tokens, g.key_heads, -1)) / math.sqrt(g.key_dim)).repeat_interleave(group, 1)
        k = unit(k.view(tokens, g.key_heads, -1)).repeat_interleave(group, 1)
        v, z = (y.view(tokens, g.value_heads, g.value_dim) for y in (v, z))
        beta = torch.sigmoid(b)
        log_decay = -self.tensors[name + "A_log"].exp() * F.softplus(a + self.tensors[name + "dt_bias"])
        state = kept.get("S", v.new_zeros(g.value_heads, g.key_dim, g.value_dim))
        out, kept["S"] = delta_rule(q, k, v, log_decay, beta, state)
        kept["conv"] = inputs[tokens:].T.contiguous()
        normed = rms_norm(out, self.weight(name + "norm"), g.eps) * F.silu(z)
        seen.update(qkv_preconv=qkv, conv_silu=mixed, q=q, k=k, v=v, z=z, beta=beta, g=log_decay, core=out,
                    normed=normed)
        return self.linear(normed.reshape(tokens, -1), name + "out_proj")

    def dense(self, x, name):
        return self.linear(F.silu(self.linear(x, name + "gate_proj")) * self.linear(x, name + "up_proj"),
                           name + "down_proj")

    def experts(self, x, name, seen):
        g = self.geometry
        scores = self.linear(x, name + "gate")
        weight, chosen = scores.softmax(-1).topk(g.active_experts, -1)
        if g.normalise_experts:
            weight = weight / weight.sum(-1, keepdim=True)
        gate_up, down = self.tensors[name + "experts.gate_up_proj"], self.tensors[name + "experts.down_proj"]
        rows = []
        for t in range(len(x)):
            gate, up = (gate_up[chosen[t]] @ x[t]).chunk(2, -1)   # [active, width] each
            each = torch.einsum("ehw,ew->eh", down[chosen[t]], F.silu(gate) * up)
            rows.append((weight[t][:, None] * each).sum(0))
        out = torch.stack(rows)
        seen.update(router_logits=scores, topk_index=chosen.to(torch.int32), topk_weight=weight, routed=out)
        if g.shared_width:
            shared, gate = self.dense(x, name + "shared_expert."), torch.sigmoid(self.linear(x, name + "shared_expert_gate"))
            seen.update(shared=shared, shared_gate=gate)
            out = out + gate * shared
        return out

    def layer(self, x, name, kind, positions, kept, seen):
        """One decoder layer; `kept` is its cache, `seen` collects the values inside."""
        normed = self.norm(x, name + "input_layernorm")
        if kind == "linear_attention":
            mixer = self.delta_net(normed, name + "linear_attn.", kept, seen)
        else:
            mixer = self.attention(normed, name + "self_attn.", positions, kept, seen)
        mid = x + mixer
        post = self.norm(mid, name + "post_attention_layernorm")
        sparse = name + "mlp.gate.weight" in self
        mlp = self.experts(post, name + "mlp.", seen) if sparse else self.dense(post, name + "mlp.")
        seen.update(input_norm=normed, mixer=mixer, mid=mid, post_norm=post, mlp=mlp, out=mid + mlp)
        return mid + mlp

    def hidden(self, ids, state=None, seen=None):
        """Hidden states [tokens, hidden] after the final norm; advances `state`, fills `seen[layer]`."""
        state = state if state is not None else self.new_state()
        x = self.weight("model.embed_tokens")[ids]
        positions = torch.arange(state["position"], state["position"] + len(ids))
        for index, kind in enumerate(self.geometry.layer_types):
            inside = {} if seen is None else seen.setdefault(index, {})
            x = self.layer(x, f"model.layers.{index}.", kind, positions, state["layers"][index], inside)
        state["position"] += len(ids)
        return self.norm(x, "model.norm")

    def head(self, hidden):
        return self.linear(hidden, "lm_head" if "lm_head.weight" in self else "model.embed_tokens")

    def logits(self, ids, state=None):
        return self.head(self.hidden(ids, state))

    def predict_ahead(self, hidden, next_ids, positions, kept, seen=None):
        """Multi-token prediction: from the hidden state of a position and the token after it, the hidden state that
        predicts the token after that. `kept` is the module's own KV cache."""
        both = torch.cat([self.norm(self.weight("model.embed_tokens")[next_ids], "mtp.pre_fc_norm_embedding"),
                          self.norm(hidden, "mtp.pre_fc_norm_hidden")], -1)
        x = self.linear(both, "mtp.fc")
        if seen is not None:
            seen["fc"] = x
        x = self.layer(x, "mtp.layers.0.", "full_attention", positions, kept, {})
        return self.norm(x, "mtp.norm")

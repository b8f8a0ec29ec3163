"""Random weights for a Geometry: every tensor does something, and every value is exact in bfloat16."""
import math

import torch


def exact(x):
    """Rounded to bfloat16, as float32."""
    return x.to(torch.bfloat16).float()


class WeightMaker:
    """Makes the tensors of one checkpoint, named as on disk with one tensor per expert."""

    def __init__(self, geometry, seed):
        self.geometry, self.tensors = geometry, {}
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape, spread=1.0, mean=0.0):
        return exact(torch.randn(*shape, generator=self.generator) * spread + mean)

    def linear(self, name, rows, columns, gain=1.0):
        self.tensors[name + ".weight"] = self.normal(rows, columns, spread=gain / math.sqrt(columns))

    def norm(self, name, size, more=0.0):
        """Never 1 or 0 everywhere: a forgotten norm weight, or a forgotten + 1, must show."""
        mean = more + (0.0 if self.geometry.hybrid else 1.0)
        self.tensors[name + ".weight"] = self.normal(size, spread=0.25, mean=mean)

    def mlp(self, name, width):
        self.linear(name + "gate_proj", width, self.geometry.hidden, 1.3)
        self.linear(name + "up_proj", width, self.geometry.hidden)
        self.linear(name + "down_proj", self.geometry.hidden, width)

    def experts(self, name):
        g = self.geometry
        self.linear(name + "gate", g.experts, g.hidden, 2.0)   # a wide spread keeps choices apart
        for expert in range(g.experts):
            self.mlp(f"{name}experts.{expert}.", g.expert_width)
        if g.shared_width:
            self.mlp(name + "shared_expert.", g.shared_width)
            self.linear(name + "shared_expert_gate", 1, g.hidden, 1.5)

    def attention(self, name):
        g = self.geometry
        self.linear(name + "q_proj", g.heads * g.head_dim * (2 if g.hybrid else 1), g.hidden)
        self.linear(name + "k_proj", g.kv_heads * g.head_dim, g.hidden)
        self.linear(name + "v_proj", g.kv_heads * g.head_dim, g.hidden)
        self.linear(name + "o_proj", g.hidden, g.heads * g.head_dim)
        self.norm(name + "q_norm", g.head_dim, more=0.4)       # sharper than random attention
        self.norm(name + "k_norm", g.head_dim)

    def delta_net(self, name, index):
        g = self.geometry
        keys, values = g.key_heads * g.key_dim, g.value_heads * g.value_dim
        if g.fused_projections:
            self.linear(name + "in_proj_qkvz", 2 * keys + 2 * values, g.hidden)
            self.linear(name + "in_proj_ba", 2 * g.value_heads, g.hidden)
        else:
            for part, rows in (("qkv", 2 * keys + values), ("z", values), ("b", g.value_heads), ("a", g.value_heads)):
                self.linear(f"{name}in_proj_{part}", rows, g.hidden)
        self.tensors[name + "conv1d.weight"] = self.normal(2 * keys + values, 1, g.conv_width, spread=0.5)
        decay = torch.rand(g.value_heads, generator=self.generator) * 1.5 + 0.02
        bias = torch.randn(g.value_heads, generator=self.generator) - 1.0
        decay[0] = 0.01                                        # remembers nearly everything
        if index % 3 == 1:
            decay[-1], bias[-1] = 16.0, 3.0                    # forgets at once: about e^-48 per token
        self.tensors[name + "A_log"], self.tensors[name + "dt_bias"] = exact(decay.log()), exact(bias)
        self.tensors[name + "norm.weight"] = self.normal(g.value_dim, spread=0.25, mean=1.0)
        self.linear(name + "out_proj", g.hidden, values)

    def layer(self, name, index, kind, dense):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            self.norm(name + norm, self.geometry.hidden)
        if kind == "linear_attention":
            self.delta_net(name + "linear_attn.", index)
        else:
            self.attention(name + "self_attn.")
        if dense:
            self.mlp(name + "mlp.", self.geometry.dense_width)
        else:
            self.experts(name + "mlp.")

    def all(self, ahead):
        """All tensors; with the multi-token prediction module where `ahead`."""
        g = self.geometry
        spread = 0.25 if g.tied else 1.0
        self.tensors[g.prefix + "embed_tokens.weight"] = self.normal(g.vocabulary, g.hidden, spread=spread)
        for index, kind in enumerate(g.layer_types):
            self.layer(f"{g.prefix}layers.{index}.", index, kind, index in g.dense_layers)
        self.norm(g.prefix + "norm", g.hidden)
        if not g.tied:
            self.linear("lm_head", g.vocabulary, g.hidden, 3.0)
        if ahead:
            for norm in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
                self.norm("mtp." + norm, g.hidden)
            self.linear("mtp.fc", g.hidden, 2 * g.hidden)
            self.layer("mtp.layers.0.", 0, "full_attention", dense=not g.experts)
        return self.tensors


def stack_experts(tensors):
    """One gate_up_proj [experts, 2 width, hidden] and down_proj [experts, hidden, width] per layer."""
    out, groups = {}, {}
    for name, tensor in tensors.items():
        layer, found, rest = name.partition(".mlp.experts.")
        if found:
            expert, part = rest.split(".")[:2]
            groups.setdefault(layer + found, {}).setdefault(part, {})[int(expert)] = tensor
        else:
            out[name] = tensor
    for name, parts in groups.items():
        gate, up, down = (torch.stack([part[e] for e in range(len(part))])
                          for part in (parts["gate_proj"], parts["up_proj"], parts["down_proj"]))
        out[name + "gate_up_proj"], out[name + "down_proj"] = torch.cat([gate, up], 1), down
    return out


def as_stored(geometry, tensors):
    """As a repository of that family stores them: bfloat16; Qwen3.5 stacks experts and keeps two kinds in float32."""
    if not geometry.nested:
        return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}
    exact_names = ("A_log", "linear_attn.norm.weight")
    return {name: (tensor if name.endswith(exact_names) else tensor.to(torch.bfloat16)).contiguous()
            for name, tensor in stack_experts(tensors).items()}


def for_reference(tensors):
    """As Network expects them."""
    return {name.replace("model.language_model.", "model."): tensor for name, tensor in stack_experts(tensors).items()}

"""The sizes of a checkpoint, read from its config.json once, so that nothing else looks into that file."""
from dataclasses import dataclass

HYBRID = {"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"}


@dataclass(frozen=True)
class Geometry:
    """What the reference network needs to know; names follow docs/formats.md."""
    kind: str                  # the text model's model_type
    nested: bool               # config and tensor names lie under text_config / language_model
    hidden: int
    vocabulary: int
    layer_types: tuple         # "linear_attention" or "full_attention", one per layer
    heads: int
    kv_heads: int
    head_dim: int
    rope: dict
    eps: float
    tied: bool
    key_heads: int             # of the gated delta net; 0 in models without one
    value_heads: int
    key_dim: int
    value_dim: int
    conv_width: int
    experts: int               # 0: every layer is dense
    active_experts: int
    normalise_experts: bool
    dense_layers: frozenset    # layers without experts
    dense_width: int
    expert_width: int
    shared_width: int          # 0: no shared expert

    @property
    def hybrid(self):
        """Hybrid models gate their attention, centre their norms at zero and mix in delta nets."""
        return self.kind in HYBRID

    @property
    def fused_projections(self):
        """Qwen3-Next keeps q, k, v, z in one matrix per key head; Qwen3.5 keeps them apart."""
        return self.kind == "qwen3_next"

    @property
    def prefix(self):
        return "model.language_model." if self.nested else "model."


def read_rope(text, hybrid):
    """The rope settings of old files (top-level keys) and new ones (rope_parameters) in one dictionary."""
    rope = dict(text.get("rope_scaling") or text.get("rope_parameters") or {})
    rope["type"] = rope.get("rope_type") or rope.get("type") or "default"
    rope.setdefault("rope_theta", text.get("rope_theta"))
    rope.setdefault("partial_rotary_factor", text.get("partial_rotary_factor", 0.25 if hybrid else 1.0))
    return rope


def read_layer_types(text, hybrid):
    """One type per layer: as listed, else every full_attention_interval-th layer attends."""
    if text.get("layer_types"):
        return tuple(text["layer_types"])
    every = text.get("full_attention_interval", 4) if hybrid else 1
    return tuple("full_attention" if (layer + 1) % every == 0 else "linear_attention"
                 for layer in range(text["num_hidden_layers"]))


def read_geometry(config):
    """The Geometry of a config.json (a dictionary)."""
    text = config.get("text_config", config)
    hybrid, experts = text["model_type"] in HYBRID, text.get("num_experts", 0)
    step, listed = text.get("decoder_sparse_step", 1), text.get("mlp_only_layers", [])
    dense = [layer for layer in range(text["num_hidden_layers"])
             if not experts or layer in listed or (layer + 1) % step]
    return Geometry(
        kind=text["model_type"], nested="text_config" in config, hidden=text["hidden_size"],
        vocabulary=text["vocab_size"], layer_types=read_layer_types(text, hybrid),
        heads=text["num_attention_heads"], kv_heads=text["num_key_value_heads"], head_dim=text["head_dim"],
        rope=read_rope(text, hybrid), eps=text["rms_norm_eps"],
        tied=config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)),
        key_heads=text.get("linear_num_key_heads", 0), value_heads=text.get("linear_num_value_heads", 0),
        key_dim=text.get("linear_key_head_dim", 0), value_dim=text.get("linear_value_head_dim", 0),
        conv_width=text.get("linear_conv_kernel_dim", 4), experts=experts,
        active_experts=text.get("num_experts_per_tok", 0),
        normalise_experts=text.get("norm_topk_prob", text["model_type"].startswith("qwen3_5")),
        dense_layers=frozenset(dense), dense_width=text.get("intermediate_size", 0),
        expert_width=text.get("moe_intermediate_size", 0),
        shared_width=text.get("shared_expert_intermediate_size", 0))

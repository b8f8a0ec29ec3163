"""What transformers says about a checkpoint: logits, greedy tokens, caches, layer outputs, router margins."""
import os

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers

CLASSES = {"qwen3": "Qwen3ForCausalLM", "qwen3_moe": "Qwen3MoeForCausalLM", "qwen3_next": "Qwen3NextForCausalLM",
           "qwen3_5": "Qwen3_5ForCausalLM", "qwen3_5_moe": "Qwen3_5MoeForCausalLM"}


def load(folder, config):
    """The model of a folder in fp32 with the plainest code paths; refuses tensors that are missing or unknown."""
    options = dict(dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if "text_config" in config:
        options["config"] = transformers.AutoConfig.from_pretrained(folder).text_config
    if "num_experts" in config.get("text_config", config):
        options["experts_implementation"] = "eager"
    model, info = getattr(transformers, CLASSES[config["model_type"]]).from_pretrained(folder, **options)
    unknown = [name for name in info["unexpected_keys"] if not name.startswith("mtp.")]
    if info["missing_keys"] or unknown or info["mismatched_keys"]:
        raise ValueError(f"{folder}: transformers does not accept the tensors: {info}")
    return model.eval()


class RouterMargin:
    """The smallest distance between the last chosen and the first unchosen expert's logit, while it is open."""

    def __init__(self, model):
        self.value = float("inf")
        routers = [m for m in model.modules() if type(m).__name__.endswith("TopKRouter")]
        self.hooks = [router.register_forward_hook(self.see) for router in routers]

    def see(self, router, _, output):
        ranked = output[0].detach().float().sort(-1, descending=True).values
        if router.top_k < ranked.shape[-1]:
            gap = ranked[:, router.top_k - 1] - ranked[:, router.top_k]
            self.value = min(self.value, float(gap.min()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


@torch.no_grad()
def logits(model, ids):
    """[tokens, vocabulary] of one pass without a cache."""
    return model(input_ids=ids[None], use_cache=False).logits[0]


@torch.no_grad()
def greedy(model, ids, count):
    """`count` tokens by decoding with a cache, and the lead of each over the second best."""
    tokens, leads, cache, step = [], [], None, ids[None]
    for _ in range(count):
        out = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache, best = out.past_key_values, out.logits[0, -1].topk(2)
        tokens.append(int(best.indices[0]))
        leads.append(float(best.values[0] - best.values[1]))
        step = best.indices[None, :1]
    return tokens, leads


@torch.no_grad()
def caches(model, ids, layer_types):
    """After a prompt: S and conv of every delta net, k and v of every attention, as `layer<i>.<part>`."""
    cache, out = model(input_ids=ids[None], use_cache=True).past_key_values, {}
    for index, kind in enumerate(layer_types):
        layer = cache.layers[index]
        if kind == "linear_attention":
            out[f"layer{index}.S"] = layer.recurrent_states[0][0].clone()
            out[f"layer{index}.conv"] = layer.conv_states[0][0][:, 1:].clone()   # drops the oldest, not needed again
        else:
            out[f"layer{index}.k"] = layer.keys[0].transpose(0, 1).clone()
            out[f"layer{index}.v"] = layer.values[0].transpose(0, 1).clone()
    return out


@torch.no_grad()
def layer_outputs(model, ids):
    """(logits, [output of every layer])."""
    seen = []
    hooks = [layer.register_forward_hook(
        lambda _, __, out: seen.append((out[0] if isinstance(out, tuple) else out)[0].detach().clone()))
        for layer in model.model.layers]
    result = logits(model, ids)
    for hook in hooks:
        hook.remove()
    return result, seen

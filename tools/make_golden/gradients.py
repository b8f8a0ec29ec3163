"""Training fixtures: losses and gradients of a case's checkpoint, and the gated delta rule with its gradients."""
import json
import os

import torch
from safetensors.torch import save_file

import hugging

PROBES = 64   # values kept of each gradient


def probe(gradient):
    """Evenly spread values of a gradient and its norm: enough to see any error, small enough to commit."""
    flat = gradient.detach().flatten()
    count = min(PROBES, flat.numel())
    at = torch.arange(count) * (flat.numel() - 1) // max(count - 1, 1)
    return torch.cat([flat[at], flat.norm()[None]])


def write_case(folder, seed=5, rows=2, length=70, padded=50, coefficient=1e-3, steps=5):
    """gradients.safetensors of a case: a batch whose last row ends early, its losses, a probe of every gradient, and
    the losses of some AdamW steps (rate 3e-4, betas 0.9 and 0.95, decay 0.1 on everything, clipping at 1), and of
    twenty with every expert chosen."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    model = hugging.load(folder, config).train()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, config["vocab_size"], (rows, length), generator=generator)
    labels, mask = ids.clone(), torch.ones_like(ids)
    labels[0, 3:11] = -100
    mask[-1, padded:] = 0
    labels[mask == 0] = -100

    def loss():
        out = model(input_ids=ids, labels=labels, attention_mask=mask, output_router_logits=True, use_cache=False)
        main = out.loss - model.router_aux_loss_coef * out.aux_loss
        return main, out.aux_loss, main + coefficient * out.aux_loss

    def train(count, first_gradients):
        """Losses and gradient norms of so many steps."""
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
        curve = []
        for step in range(count):
            optimizer.zero_grad()
            main, balance, total = loss()
            total.backward()
            if step == 0 and first_gradients:
                found["loss"] = torch.stack([main, balance, total]).detach()
                for name, parameter in model.named_parameters():
                    found["grad." + name] = probe(parameter.grad)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            curve.append([float(total.detach()), float(norm)])
            optimizer.step()
        return torch.tensor(curve)

    found = {"ids": ids.int(), "labels": labels.int(), "mask": mask.int()}
    found["adamw"] = train(steps, True)
    # Every expert chosen: no near tie can part the curves, so that they may be compared for longer.
    model = hugging.load(folder, config).train()
    model.num_experts_per_tok = config["num_experts"]
    for module in model.modules():
        if type(module).__name__.endswith("TopKRouter"):
            module.top_k = config["num_experts"]
    found["adamw20"] = train(20, False)
    save_file({name: value.contiguous() for name, value in found.items()}, os.path.join(folder, "gradients.safetensors"))


def delta_rule(q, k, v, g, beta, documents):
    """o [T, heads, dv] token by token; S starts at zero in every document."""
    state, out = None, []
    for t in range(len(documents)):
        if t == 0 or documents[t] != documents[t - 1]:
            state = torch.zeros(v.shape[1], k.shape[2], v.shape[2], dtype=v.dtype)
        state = state * g[t].exp()[:, None, None]
        write = beta[t][:, None] * (v[t] - torch.einsum("hkv,hk->hv", state, k[t]))
        state = state + k[t][:, :, None] * write[:, None, :]
        out.append(torch.einsum("hkv,hk->hv", state, q[t]))
    return torch.stack(out)


def write_delta(path, seed=3, tokens=150, key_heads=2, heads=4, dk=12, dv=10):
    """Inputs, output and gradients of the rule in fp64: documents that end inside chunks, at their edge and after one
    token; nearly equal keys with beta near 1, where a power series for the inverse fails; decays of e^-30 per token."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    documents = torch.zeros(tokens, dtype=torch.int32)
    for cut in (20, 21, 64, 100):
        documents[cut:] += 1
    q = torch.nn.functional.normalize(normal(tokens, key_heads, dk), dim=-1) * dk ** -0.5
    k = torch.nn.functional.normalize(0.2 * normal(tokens, key_heads, dk) + normal(1, key_heads, dk), dim=-1)
    v, beta = normal(tokens, heads, dv), torch.sigmoid(normal(tokens, heads) + 3)
    g = -torch.nn.functional.softplus(normal(tokens, heads) - 4)
    g[30:40, 1] = -30
    inputs = [x.clone().requires_grad_(True) for x in (q, k, v, g, beta)]
    wide = [x.repeat_interleave(heads // key_heads, 1) for x in inputs[:2]]
    o = delta_rule(*wide, *inputs[2:], documents)
    do = normal(*o.shape)
    gradients = torch.autograd.grad(o, inputs, do)
    found = {"documents": documents, "o": o.detach(), "do": do}
    for name, value, gradient in zip(("q", "k", "v", "g", "beta"), (q, k, v, g, beta), gradients):
        found[name], found["d" + name] = value, gradient
    save_file({name: value.float().contiguous() if value.is_floating_point() else value.contiguous()
               for name, value in found.items()}, path)

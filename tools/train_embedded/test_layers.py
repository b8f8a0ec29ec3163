"""Checks of the training code: chunked delta rule against the plain recurrence, packing, MoE.

python test_layers.py
"""

import torch
import torch.nn.functional as F

import gdn
import model as model_mod
from model import Config, Model
from moe import GroupedExperts


def recurrence(q, k, v, g, beta, doc):
    """One token at a time; the state restarts with each document."""
    bsz, length, heads, dim = q.shape
    state = torch.zeros(bsz, heads, dim, v.shape[-1], dtype=q.dtype)
    outs = []
    for t in range(length):
        keep = doc[:, t] == doc[:, max(t - 1, 0)]
        state = state * keep.to(q.dtype)[:, None, None, None] * g[:, t].exp()[..., None, None]
        err = (v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t])) * beta[:, t][..., None]
        state = state + k[:, t][..., None] * err[:, :, None, :]
        outs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outs, 1)


def test_delta_rule():
    torch.manual_seed(0)
    shape = (2, 128, 2, 16)
    doc = torch.zeros(2, 128, dtype=torch.long)
    doc[0, 37:], doc[0, 64:], doc[1, 100:] = 1, 2, 1

    def rand(*s):
        return torch.randn(*s, dtype=torch.float64)

    q, k = F.normalize(rand(*shape), dim=-1) / 4, F.normalize(rand(*shape), dim=-1)
    xs = [q, k, rand(*shape), -F.softplus(rand(*shape[:3]) - 2), torch.sigmoid(rand(*shape[:3]))]
    xs = [x.requires_grad_(True) for x in xs]
    masks = {n: m.double() for n, m in gdn.chunk_masks(doc, 32).items()}
    want, got = recurrence(*xs, doc), gdn.gated_delta(*xs, masks, 32)
    grad = torch.randn_like(want)
    diffs = [(want - got).abs().max().item()]
    for a, b in zip(torch.autograd.grad(want, xs, grad), torch.autograd.grad(got, xs, grad)):
        diffs.append((a - b).abs().max().item())
    assert max(diffs) < 1e-12, diffs


def test_experts():
    torch.manual_seed(1)
    x = torch.randn(50, 8, dtype=torch.float64, requires_grad=True)
    w1 = torch.randn(4, 12, 8, dtype=torch.float64, requires_grad=True)
    w2 = torch.randn(4, 8, 6, dtype=torch.float64, requires_grad=True)
    top, idx = torch.randn(50, 4, dtype=torch.float64).softmax(-1).topk(2)
    top = top.detach().requires_grad_(True)
    a, b = torch.einsum("nh,eih->nei", x, w1).chunk(2, -1)
    all_experts = torch.einsum("nei,ehi->neh", F.silu(a) * b, w2)
    want = (all_experts.gather(1, idx[..., None].expand(-1, -1, 8)) * top[..., None]).sum(1)
    got = GroupedExperts.apply(x, top, idx, w1, w2)
    grad = torch.randn_like(want)
    ins = [x, top, w1, w2]
    pairs = zip(torch.autograd.grad(want, ins, grad), torch.autograd.grad(got, ins, grad.float()))
    assert (want - got).abs().max() < 1e-5
    assert all((p - r).abs().max() < 1e-4 for p, r in pairs)


def test_packing():
    """Documents packed into one row give the same hidden states as alone."""
    model_mod.BF16 = False
    torch.manual_seed(2)
    net = Model(Config(vocab_size=64, num_experts=4, num_experts_per_tok=2)).eval()
    ids = torch.randint(0, 64, (1, 96))
    doc = torch.cat([torch.zeros(1, 41), torch.ones(1, 55)], 1).long()
    pos = torch.cat([torch.arange(41), torch.arange(55)])[None]
    with torch.no_grad():
        packed = net.hidden(ids, net.masks(doc, pos), [])
        tail = F.pad(ids[:, 41:], (0, 9))
        plain = net.masks(torch.zeros(1, 64, dtype=torch.long), torch.arange(64)[None])
        alone = net.hidden(tail, plain, [])[:, :55]
    assert (packed[:, 41:] - alone).abs().max() < 1e-4


if __name__ == "__main__":
    for test in (test_delta_rule, test_experts, test_packing):
        test()
        print("ok", test.__name__)

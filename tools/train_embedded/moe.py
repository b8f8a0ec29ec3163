"""Routed experts: tokens are grouped by expert with a stable sort, one GEMM pair per expert."""

import torch


class GroupedExperts(torch.autograd.Function):
    """x [N,H], weights of the chosen experts top [N,K] fp32, idx [N,K]; w1 [E,2I,H], w2 [E,H,I].

    x, w1 and w2 share one dtype (bf16 in training, fp32 for checks), which is that of the GEMMs.

    Returns sum_k top_k * down(silu(gate x) * up x), fp32.
    """

    @staticmethod
    def forward(ctx, x, top, idx, w1, w2):
        n_exp, two_i, _ = w1.shape
        topk = idx.shape[1]
        flat = idx.reshape(-1)
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=n_exp).tolist()
        tok = order // topk
        xs = x[tok]
        ab = torch.empty(xs.shape[0], two_i, dtype=x.dtype)
        ys = torch.empty_like(xs)
        pos = 0
        for e, c in enumerate(counts):
            if c:
                torch.mm(xs[pos : pos + c], w1[e].t(), out=ab[pos : pos + c])
            pos += c
        a, b = ab.float().chunk(2, -1)
        h = (torch.nn.functional.silu(a) * b).to(x.dtype)
        pos = 0
        for e, c in enumerate(counts):
            if c:
                torch.mm(h[pos : pos + c], w2[e].t(), out=ys[pos : pos + c])
            pos += c
        inv = torch.empty_like(order)
        inv[order] = torch.arange(order.numel())
        per_tok = ys[inv].view(-1, topk, x.shape[1])
        out = torch.bmm(top.to(x.dtype)[:, None, :], per_tok)[:, 0].float()
        ctx.save_for_backward(xs, ab, h, per_tok, top, order, inv, tok, w1, w2)
        ctx.counts = counts
        return out

    @staticmethod
    def backward(ctx, d_out):
        xs, ab, h, per_tok, top, order, inv, tok, w1, w2 = ctx.saved_tensors
        d_out = d_out.to(xs.dtype)
        topk = top.shape[1]
        d_top = torch.bmm(per_tok, d_out[:, :, None])[..., 0].float()
        d_ys = d_out[tok] * top.reshape(-1)[order].to(xs.dtype)[:, None]
        d_h = torch.empty_like(h)
        d_xs = torch.empty_like(xs)
        d_w1, d_w2 = torch.zeros_like(w1), torch.zeros_like(w2)
        pos = 0
        for e, c in enumerate(ctx.counts):
            if c:
                sl = slice(pos, pos + c)
                torch.mm(d_ys[sl], w2[e], out=d_h[sl])
                torch.mm(d_ys[sl].t(), h[sl], out=d_w2[e])
            pos += c
        a, b = ab.float().chunk(2, -1)
        s = torch.sigmoid(a)
        dh = d_h.float()
        sa = s * a
        d_ab = torch.cat([dh * b * (s + sa * (1 - s)), dh * sa], -1).to(xs.dtype)
        pos = 0
        for e, c in enumerate(ctx.counts):
            if c:
                sl = slice(pos, pos + c)
                torch.mm(d_ab[sl], w1[e], out=d_xs[sl])
                torch.mm(d_ab[sl].t(), xs[sl], out=d_w1[e])
            pos += c
        d_x = d_xs[inv].view(-1, topk, d_xs.shape[1]).sum(1)
        return d_x, d_top, None, d_w1, d_w2

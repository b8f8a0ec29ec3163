"""Chunked gated delta rule with a hand-written backward pass (fp32, packed documents).

Recurrence per head:
    S_t = a_t S_{t-1} + k_t d_t^T,  d_t = b_t (v_t - a_t S_{t-1}^T k_t),  o_t = S_t^T q_t.
A chunk of C tokens is solved at once (the WY form); only the state passes serially from chunk to
chunk.  Nothing crosses a document boundary: decay factors between different documents are zero.
"""

import torch


def chunk_masks(doc, chunk):
    """doc [B,T] document ids -> masks of the chunked form, all with a head axis of size 1.

    same [B,1,n,C,C] (lower triangle and same document), prev/last [B,1,n,C], carry [B,1,n,1],
    first [B,T] marks the first token of each document.
    """
    bsz, length = doc.shape
    n = length // chunk
    d = doc.view(bsz, 1, n, chunk)
    low = torch.ones(chunk, chunk, dtype=torch.bool).tril()
    same = (d[..., :, None] == d[..., None, :]) & low
    before = torch.cat([torch.full((bsz, 1, 1, 1), -1, dtype=doc.dtype), d[:, :, :-1, -1:]], 2)
    prev = d == before
    last = d == d[..., -1:]
    first = torch.ones_like(doc, dtype=torch.bool)
    first[:, 1:] = doc[:, 1:] != doc[:, :-1]
    return {
        "same": same.float(),
        "prev": prev.float(),
        "last": last.float(),
        "carry": prev[..., -1:].float(),
        "keep": (~first).float(),
    }


def _decays(g, m):
    cum = g.cumsum(-1)
    diff = (cum[..., :, None] - cum[..., None, :]).clamp(max=0.0)
    dmat = diff.exp() * m["same"]
    gam = cum.exp() * m["prev"]
    lam = (cum[..., -1:] - cum).exp() * m["last"]
    return dmat, gam, lam, gam[..., -1:] * m["carry"]


def _prepare(q, k, v, g, beta, m):
    """Everything of the forward pass that does not depend on the carried state."""
    dmat, gam, lam, g_end = _decays(g, m)
    kk = k @ k.transpose(-1, -2)
    amat = (beta[..., None] * kk * dmat).tril(-1)
    rhs = torch.cat([beta[..., None] * v, (beta * gam)[..., None] * k], -1)
    uw = torch.linalg.solve_triangular(amat, rhs, upper=False, unitriangular=True)
    pmat = (q @ k.transpose(-1, -2)) * dmat
    return dmat, gam, lam, g_end, kk, amat, uw, pmat


def core_forward(q, k, v, g, beta, same, prev, last, carry):
    m = {"same": same, "prev": prev, "last": last, "carry": carry}
    dmat, gam, lam, g_end, kk, amat, uw, pmat = _prepare(q, k, v, g, beta, m)
    dv = v.shape[-1]
    u, w = uw[..., :dv], uw[..., dv:]
    kh, qh = lam[..., None] * k, gam[..., None] * q
    states, news = [], []
    state = torch.zeros(*k.shape[:2], k.shape[-1], dv, dtype=v.dtype)
    for c in range(k.shape[2]):
        states.append(state)
        new = u[:, :, c] - w[:, :, c] @ state
        news.append(new)
        state = g_end[:, :, c, :, None] * state + kh[:, :, c].transpose(-1, -2) @ new
    s0, vn = torch.stack(states, 2), torch.stack(news, 2)
    out = qh @ s0 + pmat @ vn
    return out, s0, vn, uw, pmat, amat, kk, dmat, gam, lam, g_end


def core_backward(d_out, q, k, v, beta, s0, vn, uw, pmat, amat, kk, dmat, gam, lam, g_end):
    dvd = v.shape[-1]
    w = uw[..., dvd:]
    kh, qh = lam[..., None] * k, gam[..., None] * q
    pt_do, qt_do = pmat.transpose(-1, -2) @ d_out, qh.transpose(-1, -2) @ d_out
    n = k.shape[2]
    d_state = torch.zeros_like(s0[:, :, 0])
    d_states, d_news = [None] * n, [None] * n
    for c in range(n - 1, -1, -1):
        d_states[c] = d_state
        d_news[c] = pt_do[:, :, c] + kh[:, :, c] @ d_state
        d_state = (
            qt_do[:, :, c]
            + g_end[:, :, c, :, None] * d_state
            - w[:, :, c].transpose(-1, -2) @ d_news[c]
        )
    ds1, dvn = torch.stack(d_states, 2), torch.stack(d_news, 2)
    d_p = d_out @ vn.transpose(-1, -2)
    d_qh = d_out @ s0.transpose(-1, -2)
    d_kh = vn @ ds1.transpose(-1, -2)
    d_w = -(dvn @ s0.transpose(-1, -2))
    d_rhs = torch.linalg.solve_triangular(
        amat.transpose(-1, -2), torch.cat([dvn, d_w], -1), upper=True, unitriangular=True
    )
    d_bv, d_bk = d_rhs[..., :dvd], d_rhs[..., dvd:]
    d_a = -(d_rhs @ uw.transpose(-1, -2)).tril(-1)
    m_mat, n_mat = d_a * dmat, d_p * dmat
    b_m = beta[..., None] * m_mat
    bk = (beta * gam)[..., None] * k
    d_q = n_mat @ k + gam[..., None] * d_qh
    d_k = (
        n_mat.transpose(-1, -2) @ q
        + (b_m + b_m.transpose(-1, -2)) @ k
        + (beta * gam)[..., None] * d_bk
        + lam[..., None] * d_kh
    )
    d_v = beta[..., None] * d_bv
    d_beta = (d_bv * v).sum(-1) + gam * (d_bk * k).sum(-1) + (m_mat * kk).sum(-1)
    e_mat = d_a * amat + d_p * pmat
    r = (d_kh * kh).sum(-1)
    d_cum = e_mat.sum(-1) - e_mat.sum(-2) + (d_bk * bk).sum(-1) + (d_qh * qh).sum(-1) - r
    tail = r.sum(-1) + g_end[..., 0] * (s0 * ds1).sum((-1, -2))
    d_cum = torch.cat([d_cum[..., :-1], d_cum[..., -1:] + tail[..., None]], -1)
    d_g = d_cum.flip(-1).cumsum(-1).flip(-1)
    return d_q, d_k, d_v, d_g, d_beta


KERNELS = {
    "forward": core_forward,
    "backward": core_backward,
}  # train.py puts compiled versions here


class GatedDelta(torch.autograd.Function):
    """q (normalised, scaled), k (normalised), v: [B,H,n,C,d]; g (log decay), beta: [B,H,n,C]."""

    @staticmethod
    def forward(ctx, q, k, v, g, beta, same, prev, last, carry):
        out, *saved = KERNELS["forward"](q, k, v, g, beta, same, prev, last, carry)
        ctx.save_for_backward(q, k, v, beta, *saved)
        return out

    @staticmethod
    def backward(ctx, d_out):
        return (*KERNELS["backward"](d_out, *ctx.saved_tensors), None, None, None, None)


def gated_delta(q, k, v, g, beta, masks, chunk):
    """q, k, v [B,T,H,d]; g, beta [B,T,H] -> o [B,T,H,dv]."""
    bsz, length, heads, _ = q.shape
    n = length // chunk

    def split(x):
        return x.transpose(1, 2).reshape(bsz, heads, n, chunk, *x.shape[3:])

    g = g * masks["keep"][..., None]
    out = GatedDelta.apply(
        split(q),
        split(k),
        split(v),
        split(g),
        split(beta),
        masks["same"],
        masks["prev"],
        masks["last"],
        masks["carry"],
    )
    return out.reshape(bsz, heads, length, -1).transpose(1, 2)

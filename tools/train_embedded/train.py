"""Training loop: AdamW, warm-up / constant / linear decay, resumable, JSON-lines log.

python train.py --data DATA --tokenizer DIR --out RUN --minutes 90
"""

import argparse
import json
import math
import os
import signal
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import gdn as gdn_mod
import model as model_mod
from model import Config, Model
from packing import Packer


def arguments():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default="data")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--rows", type=int, default=4, help="rows per micro-batch")
    ap.add_argument("--accum", type=int, default=2)
    ap.add_argument("--length", type=int, default=512)
    ap.add_argument("--lr", type=float, default=2.5e-3)
    ap.add_argument("--warmup", type=int, default=60)
    ap.add_argument("--aux", type=float, default=1e-2)
    ap.add_argument("--text-weight", type=float, default=0.5)
    ap.add_argument(
        "--mtp", type=float, default=0.0, help="share of micro-batches with the MTP loss"
    )
    ap.add_argument(
        "--until", type=float, default=0.0, help="end of the constant phase or decay, Unix time"
    )
    ap.add_argument(
        "--decay-from", type=float, default=0.0, help="start of the linear decay, Unix time"
    )
    ap.add_argument("--max-steps", type=int, default=10**9)
    ap.add_argument("--save-every", type=float, default=180, help="seconds")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--no-compile", action="store_true")
    ap.add_argument("--seed", type=int, default=0)
    return ap.parse_args()


NO_DECAY = ("A_log", "dt_bias", "conv1d", "linear_attn.norm")


def make_optimiser(net, lr):
    """AdamW; decay on matrices and zero-centred norms, none on the recurrence parameters."""
    named = list(net.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(k in n for k in NO_DECAY)], "weight_decay": 0.1},
        {"params": [p for n, p in named if any(k in n for k in NO_DECAY)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8, fused=True)


def ce_sum(net, hid, targets, weights, head):
    """Weighted sum of cross entropies over the positions with weight > 0."""
    sel = weights.reshape(-1).nonzero()[:, 0]
    h = hid.reshape(-1, hid.shape[-1])[sel]
    t, w = targets.reshape(-1)[sel], weights.reshape(-1)[sel]
    nll = F.cross_entropy(model_mod.linear(h, head), t, reduction="none")
    return (nll * w).sum(), nll.detach(), w


def shift(x, n, fill):
    out = torch.full_like(x, fill)
    out[:, :-n] = x[:, n:]
    return out


def mtp_loss(net, ids, doc, wts, hid, m, stats):
    """Two draft steps on stopped trunk states: the trunk is trained by the main loss alone."""
    head, emb = net.lm_head.weight.detach(), net.model.embed_tokens.weight.detach()
    n1 = shift(ids, 1, 0)
    n2, d2 = shift(ids, 2, 0), shift(doc, 2, -1)
    n3, d3 = shift(ids, 3, 0), shift(doc, 3, -1)
    w2 = shift(wts, 2, 0.0) * (d2 == doc)
    w3 = shift(wts, 3, 0.0) * (d3 == doc)
    y, k1, v1 = net.mtp.step1(F.embedding(n1, emb), hid.detach(), m, stats)
    loss, nll, _ = ce_sum(net, y, n2, w2, head)
    y2 = net.mtp.step2(F.embedding(n2, emb), y, k1, v1, m, [])
    loss2, nll2, _ = ce_sum(net, y2, n3, w3, head)
    return loss + 0.8 * loss2, nll.mean().item(), nll2.mean().item()


def micro_step(net, batch, norm, aux, with_mtp):
    ids, doc, pos, wts = batch
    stats = []
    m = net.masks(doc, pos)
    hid = net.hidden(ids, m, stats)
    target_w = shift(wts, 1, 0.0)
    loss, nll, w = ce_sum(net, hid, shift(ids, 1, 0), target_w, net.lm_head.weight)
    total = loss / norm
    out = {"nll": nll, "w": w}
    if with_mtp:
        lm, out["mtp1"], out["mtp2"] = mtp_loss(net, ids, doc, wts, hid, m, stats)
        total = total + 0.3 * lm / norm
    auxes = torch.stack([s[1] for s in stats])
    total = total + aux * auxes.mean()
    total.backward()
    out["aux"] = auxes.mean().item()
    out["load"] = max(s[0].max().item() for s in stats) * net.c.num_experts
    return out


def rate_now(opt, step, now):
    """Fraction of the peak rate: warm-up by steps, decay by the clock."""
    f = min(1.0, (step + 1) / opt.warmup)
    if opt.decay_from and now > opt.decay_from:
        f *= max(0.0, (opt.until - now) / (opt.until - opt.decay_from))
    return f


def clip(net):
    """Clips trunk and MTP gradients separately to norm 1; returns the trunk's norm."""
    norms = []
    for draft in (False, True):
        part = [p for n, p in net.named_parameters() if n.startswith("mtp.") == draft]
        part = [p for p in part if p.grad is not None]
        norms.append(torch.nn.utils.clip_grad_norm_(part, 1.0).item() if part else 0.0)
    return norms[0]


def save(path, net, optim, step, tokens, elapsed):
    tmp = path + ".tmp"
    torch.save(
        {
            "model": net.state_dict(),
            "optim": optim.state_dict(),
            "step": step,
            "tokens": tokens,
            "seconds": elapsed,
        },
        tmp,
    )
    os.replace(tmp, path)


def compile_pieces():
    for name in ("conv_split", "gates", "gated_norm", "norm1", "qkv_rope", "swiglu"):
        setattr(model_mod, name, torch.compile(getattr(model_mod, name), dynamic=False))
    for name, fn in gdn_mod.KERNELS.items():
        gdn_mod.KERNELS[name] = torch.compile(fn, dynamic=False)


def main():
    opt = arguments()
    torch.set_num_threads(opt.threads)
    torch.set_float32_matmul_precision("medium")
    torch.manual_seed(opt.seed)
    os.makedirs(opt.out, exist_ok=True)
    cfg_path = os.path.join(opt.out, "config.json")
    cfg = Config.load(cfg_path) if os.path.exists(cfg_path) else Config()
    with open(cfg_path, "w", encoding="utf-8") as fh:
        json.dump(vars(cfg), fh, indent=2)
    tok = Tokenizer.from_file(os.path.join(opt.tokenizer, "tokenizer.json"))
    packer = Packer(tok, opt.data, opt.out, opt.seed, opt.text_weight)
    if not opt.no_compile:
        torch._dynamo.config.cache_size_limit = 64
        compile_pieces()
    net = Model(cfg)
    optim = make_optimiser(net, opt.lr)
    step = tokens = 0
    seconds = 0.0
    ckpt = os.path.join(opt.out, "last.pt")
    if os.path.exists(ckpt):
        s = torch.load(ckpt)
        net.load_state_dict(s["model"])
        optim.load_state_dict(s["optim"])
        step, tokens, seconds = s["step"], s["tokens"], s["seconds"]
    with open(os.path.join(opt.out, "log.jsonl"), "a", encoding="utf-8") as log:
        run(opt, net, optim, packer, log, ckpt, step, tokens, seconds)


def run(opt, net, optim, packer, log, ckpt, step, tokens, seconds):
    last_save = last = time.time()
    done = 0
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop and done < opt.max_steps and not (opt.until and time.time() > opt.until):
        full = packer.batch(step, opt.rows * opt.accum, opt.length)
        norm = full[3].sum().item()
        frac = rate_now(opt, step, time.time())
        outs = []
        for i in range(opt.accum):
            part = [x[i * opt.rows : (i + 1) * opt.rows] for x in full]
            use_mtp = math.floor((step * opt.accum + i + 1) * opt.mtp) > math.floor(
                (step * opt.accum + i) * opt.mtp
            )
            outs.append(micro_step(net, part, norm, opt.aux / opt.accum, use_mtp))
        gnorm = clip(net)
        for group in optim.param_groups:
            group["lr"] = opt.lr * frac
        optim.step()
        optim.zero_grad(set_to_none=True)
        step, done, tokens = step + 1, done + 1, tokens + full[0].numel()
        now = time.time()
        seconds += now - last
        nll, w = torch.cat([o["nll"] for o in outs]), torch.cat([o["w"] for o in outs])
        chat, text = nll[w == 1.0], nll[w != 1.0]
        rec = {
            "step": step,
            "tokens": tokens,
            "chat": round(chat.mean().item(), 4),
            "text": round(text.mean().item(), 4),
            "gnorm": round(gnorm, 3),
            "aux": round(outs[0]["aux"], 3),
            "load": round(max(o["load"] for o in outs), 2),
            "rate": round(frac, 4),
            "tps": round(full[0].numel() / (now - last)),
            "min": round(seconds / 60, 2),
        }
        rec.update({k: round(o[k], 4) for o in outs for k in ("mtp1", "mtp2") if k in o})
        log.write(json.dumps(rec) + "\n")
        log.flush()
        last = now
        if now - last_save > opt.save_every:
            save(ckpt, net, optim, step, tokens, seconds)
            last_save = now
    save(ckpt, net, optim, step, tokens, seconds)


if __name__ == "__main__":
    main()

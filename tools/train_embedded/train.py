"""Training loop: AdamW or Muon, warm-up / constant / linear decay, resumable, JSON-lines log.

python train.py --data DATA --tokenizer DIR --out RUN --minutes 90
"""
import argparse
import json
import math
import os
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

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
    ap.add_argument("--muon-lr", type=float, default=0.0, help="> 0: Muon for the hidden matrices")
    ap.add_argument("--warmup", type=int, default=60)
    ap.add_argument("--aux", type=float, default=1e-2)
    ap.add_argument("--text-weight", type=float, default=0.5)
    ap.add_argument("--mtp", type=float, default=0.0, help="share of micro-batches with the MTP loss")
    ap.add_argument("--until", type=float, default=0.0, help="end of the constant phase or decay, Unix time")
    ap.add_argument("--decay-from", type=float, default=0.0, help="start of the linear decay, Unix time")
    ap.add_argument("--max-steps", type=int, default=10 ** 9)
    ap.add_argument("--save-every", type=float, default=180, help="seconds")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--no-compile", action="store_true")
    ap.add_argument("--seed", type=int, default=0)
    return ap.parse_args()


def is_muon(name, p):
    return p.ndim >= 2 and any(k in name for k in ("proj", "experts", "gate_up", "mtp.fc", "down_proj")) \
        and "in_proj_ba" not in name


def orthogonalise(g):
    """Newton-Schulz iteration of Muon, batched over leading axes, in bf16."""
    x = g.to(torch.bfloat16)
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.mT if flip else x).float()


class Optimiser:
    """AdamW for everything, or Muon for hidden matrices and AdamW for the rest.  Plain tensors, easy to save."""

    def __init__(self, params, muon):
        self.named = dict(params)
        self.muon = {n for n, p in self.named.items() if muon and is_muon(n, p)}
        self.m = {n: torch.zeros_like(p) for n, p in self.named.items()}
        self.v = {n: torch.zeros_like(p) for n, p in self.named.items() if n not in self.muon}
        self.t = 0
        self.steps = {n: 0 for n in self.named}

    def decay(self, name, p):
        if any(k in name for k in ("A_log", "dt_bias", "conv1d", "linear_attn.norm")):
            return 0.0
        return 0.1

    @torch.no_grad()
    def step(self, lr, muon_lr):
        self.t += 1
        grads = [p.grad for p in self.named.values() if p.grad is not None]
        total = torch.stack([g.double().pow(2).sum() for g in grads]).sum().sqrt().item()
        scale = min(1.0, 1.0 / (total + 1e-6))
        for n, p in self.named.items():
            if p.grad is None:
                continue
            g = p.grad.mul_(scale)
            m = self.m[n]
            if n in self.muon:
                m.lerp_(g, 0.05)
                upd = orthogonalise(g.lerp(m, 0.95))
                rate = muon_lr * max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - muon_lr * 0.1).add_(upd, alpha=-rate)
                continue
            self.steps[n] += 1
            k = self.steps[n]
            v = self.v[n]
            m.lerp_(g, 0.1)
            v.mul_(0.95).addcmul_(g, g, value=0.05)
            den = (v / (1 - 0.95 ** k)).sqrt_().add_(1e-8)
            p.mul_(1 - lr * self.decay(n, p)).addcdiv_(m, den, value=-lr / (1 - 0.9 ** k))
        return total

    def state(self):
        return {"m": self.m, "v": self.v, "t": self.t, "steps": self.steps}

    def load(self, s):
        for n in self.m:
            self.m[n].copy_(s["m"][n])
        for n in self.v:
            if n in s["v"]:
                self.v[n].copy_(s["v"][n])
        self.t, self.steps = s["t"], s["steps"]


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
    total = 0.0
    n1, d1 = shift(ids, 1, 0), shift(doc, 1, -1)
    n2, d2 = shift(ids, 2, 0), shift(doc, 2, -1)
    n3, d3 = shift(ids, 3, 0), shift(doc, 3, -1)
    w2 = shift(wts, 2, 0.0) * (d2 == doc)
    w3 = shift(wts, 3, 0.0) * (d3 == doc)
    y, k1, v1 = net.mtp.step1(F.embedding(n1, emb), hid.detach(), m, stats)
    loss, nll, w = ce_sum(net, y, n2, w2, head)
    total = loss
    y2 = net.mtp.step2(F.embedding(n2, emb), y, k1, v1, m, [])
    loss2, nll2, _ = ce_sum(net, y2, n3, w3, head)
    total = total + 0.8 * loss2
    return total, nll.mean().item(), nll2.mean().item()


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


def save(path, net, optim, step, tokens, elapsed):
    tmp = path + ".tmp"
    torch.save({"model": net.state_dict(), "optim": optim.state(), "step": step, "tokens": tokens,
                "seconds": elapsed}, tmp)
    os.replace(tmp, path)


def compile_pieces():
    for name in ("conv_split", "gates", "gated_norm", "norm1", "qkv_rope", "swiglu"):
        setattr(model_mod, name, torch.compile(getattr(model_mod, name), dynamic=False))


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
    optim = Optimiser(net.named_parameters(), opt.muon_lr > 0)
    step = tokens = 0
    seconds = 0.0
    ckpt = os.path.join(opt.out, "last.pt")
    if os.path.exists(ckpt):
        s = torch.load(ckpt)
        net.load_state_dict(s["model"])
        optim.load(s["optim"])
        step, tokens, seconds = s["step"], s["tokens"], s["seconds"]
    log = open(os.path.join(opt.out, "log.jsonl"), "a", encoding="utf-8")
    run(opt, net, optim, packer, log, ckpt, step, tokens, seconds)


def run(opt, net, optim, packer, log, ckpt, step, tokens, seconds):
    last_save = last = time.time()
    done = 0
    while done < opt.max_steps and not (opt.until and time.time() > opt.until):
        full = packer.batch(step, opt.rows * opt.accum, opt.length)
        norm = full[3].sum().item()
        frac = rate_now(opt, step, time.time())
        outs = []
        for i in range(opt.accum):
            part = [x[i * opt.rows:(i + 1) * opt.rows] for x in full]
            use_mtp = math.floor((step * opt.accum + i + 1) * opt.mtp) > math.floor((step * opt.accum + i) * opt.mtp)
            outs.append(micro_step(net, part, norm, opt.aux / opt.accum, use_mtp))
        gnorm = optim.step(opt.lr * frac, opt.muon_lr * frac)
        for p in net.parameters():
            p.grad = None
        step, done, tokens = step + 1, done + 1, tokens + full[0].numel()
        now = time.time()
        seconds += now - last
        nll, w = torch.cat([o["nll"] for o in outs]), torch.cat([o["w"] for o in outs])
        chat, text = nll[w == 1.0], nll[w != 1.0]
        rec = {"step": step, "tokens": tokens, "chat": round(chat.mean().item(), 4), "text": round(text.mean().item(), 4),
               "gnorm": round(gnorm, 3), "aux": round(outs[0]["aux"], 3), "load": round(max(o["load"] for o in outs), 2),
               "rate": round(frac, 4), "tps": round(full[0].numel() / (now - last)), "min": round(seconds / 60, 2)}
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

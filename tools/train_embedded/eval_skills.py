"""Greedy exact match with known and held-out words and templates, as a JSON table.

python eval_skills.py --model models/headgate-nano --data DATA --cases 200 --out skills.json
"""

import argparse
import json
import math
import os
import re
import time

import torch
from tokenizers import Tokenizer

import corpus
import gen_tools
from infer import load_model
from pools import Ctx
from sources import Sources, to_segments

FAMILIES = {
    "arith": (False, True),
    "wordprob": (False, True),
    "vartrack": (False, True),
    "track": (False, True),
    "extract": (False,),
    "tool": (False,),
    "needle": (False,),
    "jslookup": (False,),
    "listop": (False,),
    "reading": (False,),
    "facts": (False,),
}
SAMPLES = [
    "Hello!",
    "Who are you?",
    "What can you do?",
    "What is the capital of France?",
    "What is a volcano?",
    "Tell me a short story about a fox.",
    "What is 47 plus 38?",
    "What is 12 * 7?",
    "What is the opposite of hot?",
    "Extract name, age, city as JSON: Maria is 34 years old and lives in Lisbon.",
    "Sort this list: pear, apple, fig",
    "Tom went to the kitchen. Tom picked up the key. Tom went to the garden. Where is the key?",
    "Tell me a joke.",
    "How do I sleep better?",
    "Explain quantum physics.",
    "Why is the sky blue?",
    (
        "Anna has 12 apples. Ben gives Anna 7 more. Then Anna loses 4 of them. How many apples "
        "does Anna have now?"
    ),
    "Write a poem.",
    "What is the plural of mouse?",
    "I am sad today.",
]


def prompt_of(c, s, thinking):
    """Text up to the last assistant turn, without the answer."""
    msgs = [m for m in s["messages"]]
    segs = to_segments(c, {**s, "messages": msgs}, thinking)
    cut = max(i for i, (t, _) in enumerate(segs) if t == "<|im_start|>assistant\n")
    text = "".join(t for t, _ in segs[: cut + 1])
    return text + ("<think>\n" if thinking else "")


def answer_of(text):
    return text.split("</think>")[-1].replace("<|im_end|>", "").replace("<|endoftext|>", "").strip()


def correct(skill, s, text):
    got, want = answer_of(text), s["answer"]
    if skill == "tool":
        m = re.search(r"<tool_call>\n(.*)\n</tool_call>$", got, re.S)
        try:
            return bool(m) and json.loads(m.group(1)) == json.loads(want)
        except json.JSONDecodeError:
            return False
    if skill in ("extract", "jslookup", "listop", "facts"):
        return got == want
    if skill in ("arith", "wordprob", "vartrack"):
        nums = re.findall(r"\d+", got)
        return bool(nums) and nums[-1] == want
    if skill == "needle":
        return got.rstrip(".").endswith(" is " + want)
    return bool(re.search(r"(?<!\w)" + re.escape(want) + r"(?!\w)", got))


def run_family(net, tok, c, fn, skill, thinking, cases, limit=110):
    right, bad = 0, []
    for _ in range(cases):
        s = fn(c)
        ids = tok.encode(prompt_of(c, s, thinking), add_special_tokens=False).ids
        text = tok.decode(net.generate(ids, limit), skip_special_tokens=False)
        ok = correct(skill, s, text)
        right += ok
        if not ok and len(bad) < 3:
            bad.append(
                {
                    "prompt": s["messages"][0]["content"][-200:],
                    "want": s["answer"],
                    "got": text[-200:],
                }
            )
    return right, bad


def needle_by_length(net, tok, c, cases):
    from gen_skills import needle

    out = {}
    for words in (100, 350, 750, 1500):
        right, _ = run_family(net, tok, c, lambda x, w=words: needle(x, w), "needle", False, cases)
        out[f"{words} words"] = {"right": right, "n": cases}
    return out


@torch.no_grad()
def perplexity(net, tok, path, length=512):
    with open(path, encoding="utf-8") as fh:
        text = fh.read()
    ids = tok.encode(text, add_special_tokens=False).ids
    total, count = 0.0, 0
    for p in range(0, len(ids) - length, length):
        row = torch.tensor(ids[p : p + length])[None]
        lp = torch.log_softmax(net.logits(row)[0, :-1], -1)
        total -= lp.gather(1, row[0, 1:, None]).sum().item()
        count += length - 1
    return {
        "perplexity": round(math.exp(total / count), 2),
        "tokens": count,
        "bits_per_byte": round(total / count / math.log(2) * len(ids) / len(text.encode()), 3),
    }


@torch.no_grad()
def mtp_acceptance(net, tok, c, src, cases):
    """Teacher-forced on answer tokens: P(first draft right), P(second right | first right)."""
    one = both = n1 = n2 = 0
    for i in range(cases):
        skill = list(FAMILIES)[i % len(FAMILIES)]
        ids, mask = [], []
        for text, target in to_segments(c, src.fns[skill](c), False):
            part = tok.encode(text, add_special_tokens=False).ids
            ids += part
            mask += [target] * len(part)
        row = torch.tensor(ids)[None]
        hid = net.hidden_states(row)
        m = net.masks(len(ids))
        nxt = torch.cat([row[:, 1:], row[:, -1:]], 1)
        nx2 = torch.cat([row[:, 2:], row[:, -2:]], 1)
        y, k, v = net.net.mtp.step1(net.net.embed(nxt), hid, m, [])
        z = net.net.mtp.step2(net.net.embed(nx2), y, k, v, m, [])
        a, b = net.net.lm_head(y)[0].argmax(-1), net.net.lm_head(z)[0].argmax(-1)
        for t in range(len(ids) - 3):
            if mask[t + 2]:
                good = int(a[t]) == ids[t + 2]
                one, n1 = one + good, n1 + 1
                if good and mask[t + 3]:
                    both, n2 = both + (int(b[t]) == ids[t + 3]), n2 + 1
    return {
        "first": round(one / max(1, n1), 3),
        "second_given_first": round(both / max(1, n2), 3),
        "tokens": n1,
    }


def samples(net, tok):
    out = []
    for q in SAMPLES:
        ids = tok.encode(
            f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False
        ).ids
        out.append(
            {
                "prompt": q,
                "answer": answer_of(tok.decode(net.generate(ids, 160), skip_special_tokens=False)),
            }
        )
    return out


class Facts:
    """Facts with exactly one right answer (the entities are those of training)."""

    def __init__(self, chat):
        self.kinds = [chat.country, chat.definition, chat.language]

    def __call__(self, c):
        while True:
            q, a = c.rng.choice(self.kinds)(c)
            if "three" not in q and not q.startswith("Name a"):
                break
        msgs = [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
        return {"skill": "facts", "answer": a, "messages": msgs}


def measure(net, tok, c, fn, skill, thinking, n, key):
    t0 = time.time()
    right, bad = run_family(net, tok, c, fn, skill, thinking, n)
    print(f"{key:28s} {right / n:.3f}  {time.time() - t0:.0f} s", flush=True)
    return {"accuracy": round(right / n, 3), "right": right, "n": n, "wrong": bad}


def unseen_tool(c):
    """A tool that exists only in this prompt, with names from the held-out pools."""
    spec, user, args, _ = gen_tools.invented(c)
    call = {"name": spec["function"]["name"], "arguments": args}
    return {
        "skill": "tool",
        "answer": json.dumps(call),
        "tools": [spec],
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ],
    }


SETTINGS = {"known": (False, False), "heldout": (True, False), "new": (True, True)}


def run_setting(net, tok, opt, src, setting):
    """known: words of the training pools; heldout: held-out words; new: and held-out templates."""
    test, new = SETTINGS[setting]
    c = Ctx(
        "evaluation " + setting,
        test=test,
        words=corpus.common_words(opt.data),
        passages=corpus.passages(opt.data, 300, test=True),
        new_templates=new,
    )
    out = {}
    for skill, modes in FAMILIES.items():
        fn = Facts(src.chat) if skill == "facts" else src.fns[skill]
        for thinking in modes if setting == "known" else modes[-1:]:
            key = skill + (" (thinking)" if thinking else "")
            out[key] = measure(net, tok, c, fn, skill, thinking, opt.cases, setting + " " + key)
    key = "tool (invented)"
    out[key] = measure(net, tok, c, unseen_tool, "tool", False, opt.cases, setting + " " + key)
    return out, c


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", required=True)
    ap.add_argument("--data", default="data")
    ap.add_argument("--cases", type=int, default=200)
    ap.add_argument("--settings", default="known,heldout,new", help="word and template splits")
    ap.add_argument("--heldout", default="tests/data/heldout.txt")
    ap.add_argument("--out")
    ap.add_argument("--samples-only", action="store_true")
    opt = ap.parse_args()
    torch.set_num_threads(1)
    net = load_model(opt.model)
    tok = Tokenizer.from_file(os.path.join(opt.model, "tokenizer.json"))
    res = {}
    if "known" in opt.settings or opt.samples_only:
        res["samples"] = samples(net, tok)
        for s in res["samples"]:
            print(f"> {s['prompt']}\n{s['answer']}", flush=True)
    if opt.samples_only:
        return
    src = Sources(opt.data)
    for setting in opt.settings.split(","):
        res[setting], c = run_setting(net, tok, opt, src, setting)
        if setting == "known":
            res["needle"] = needle_by_length(net, tok, c, max(10, opt.cases // 3))
            res["mtp"] = mtp_acceptance(net, tok, c, src, opt.cases)
            if os.path.exists(opt.heldout):
                res["heldout_text"] = perplexity(net, tok, opt.heldout)
            print(json.dumps({k: res[k] for k in ("needle", "mtp", "heldout_text") if k in res}))
    if opt.out:
        with open(opt.out, "w", encoding="utf-8") as fh:
            json.dump(res, fh, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()

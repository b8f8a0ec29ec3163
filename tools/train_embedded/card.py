"""Writes the model card (README.md) from the training log and the evaluation.

python card.py --model models/headgate-nano --run RUN --skills skills.json
"""

import argparse
import json
import os

from safetensors import safe_open

HEAD = """---
license: apache-2.0
language: en
library_name: headgate
pipeline_tag: text-generation
tags: [qwen3_next, moe, gated-deltanet, mtp]
---
# headgate-nano

A very small language model ({params:.2f} M parameters) with the architecture of Qwen3-Next. It is
built into Headgate so that the engine can be run, tested and measured without a download. It was
trained from scratch with the scripts in `tools/train_embedded`, on one CPU core; no weights of
another model were used.

It answers greetings and simple questions, tells short stories, does small sums, finds facts in a
given text, turns text into JSON and calls tools. It is **not** a general assistant: outside these
formats it is often wrong. Check whatever it says.

## Architecture

| | |
|---|---|
| model_type | `qwen3_next` (`Qwen3NextForCausalLM`), bf16, {bytes:,} bytes |
| layers | {layers}: Gated DeltaNet x3, gated attention x1 (3:1), plus one MTP layer |
| hidden size / vocabulary | {hidden} / {vocab} |
| DeltaNet | {nk} key heads, {nv} value heads, head dim {dk}, convolution 4 |
| attention | {heads} query heads, {kv} KV head, head dim {hd}, rotary 25 %, theta {theta:g} |
| MoE (every layer) | {experts} experts, top-{topk}, width {inter}; shared expert {shared} |
| context | trained on rows of up to {rowlen} tokens; longer inputs run, worse |

Chat format: ChatML as in Qwen3. `enable_thinking: true` opens a `<think>` block (useful for sums);
the default does not. Tools follow the Hermes format (`<tool_call>` with a JSON object). Suggested
sampling: greedy, or temperature 0.3, top-p 0.8.

## Training

| | |
|---|---|
| tokens seen | {tokens:,} ({steps:,} steps of {per_step:,} tokens) |
| time | {minutes:.0f} minutes on at most one core of a shared AMD Zen 5 machine, bf16 GEMMs |
| optimiser | AdamW, peak rate 2.5e-3, constant, then linear decay; clip 1, decay 0.1 |
| loss, last {tail} steps | {chat:.3f} on answers, {text:.3f} on book text (nats per token) |
| balance | auxiliary loss 1e-2; {aux:.2f} (1 is perfect), fullest expert {load:.1f}x its share |
| command | `train.py --data DATA --tokenizer TOK --out RUN --decay-from .. --until ..`{extra} |

Data (credits in `NOTICE`): public-domain books, CC BY 4.0 children's stories, CC BY-SA 4.0 tool
dialogues (Schema-Guided Dialogue), public-domain country facts, and generated skills and
conversations. {note}

"""

NAMES = {
    "arith": "arithmetic",
    "wordprob": "word problems",
    "vartrack": "variable tracking",
    "track": "state tracking",
    "extract": "extraction to JSON",
    "tool": "tool call (known tools)",
    "needle": "needle in book text",
    "jslookup": "JSON field lookup",
    "listop": "list operations",
    "reading": "reading a short note",
    "facts": "facts and small language tasks (trained facts)",
    "tool (invented)": "tool call (made-up tool)",
}


def describe(key):
    base = key.replace(" (thinking)", "")
    return NAMES.get(base, base) + (", thinking" if key.endswith("(thinking)") else "")


def cell(res, setting, key):
    r = res.get(setting, {}).get(key)
    return f"{r['accuracy']:.2f} ({r['right']}/{r['n']})" if r else ""


def skills_section(res):
    out = [
        "## Measured skills",
        "",
        "Greedy decoding, exact match, fresh prompts (right/total in brackets). *Known words*:",
        "names, cities and objects of the generator in new combinations. *Held-out words*: names,",
        "cities, objects and JSON keys the generator never used. *New templates*: held-out words",
        "in question templates that were never trained on. Facts are always the trained ones.",
        "",
        "| skill | known words | held-out words | new templates |",
        "|---|---|---|---|",
    ]
    for key in sorted(res["known"], key=lambda k: -res["known"][k]["accuracy"]):
        cells = " | ".join(cell(res, s, key) for s in ("known", "heldout", "new"))
        out.append(f"| {describe(key)} | {cells} |")
    out += ["", "| needle in book text of | accuracy | n |", "|---|---|---|"]
    for key, r in res.get("needle", {}).items():
        out.append(f"| {key} | {r['right'] / r['n']:.2f} | {r['n']} |")
    m = res["mtp"]
    out += [
        "",
        f"MTP, teacher-forced on answers of the families above ({m['tokens']} tokens): first "
        f"draft accepted {m['first']:.3f}, second "
        f"draft accepted {m['second_given_first']:.3f} when the first is right.",
    ]
    if "heldout_text" in res:
        h = res["heldout_text"]
        out += [
            "",
            "Perplexity on `tests/data/heldout.txt` (public-domain book, never trained on; "
            f"windows of 512 tokens): {h['perplexity']} "
            f"per token, {h['bits_per_byte']} bits per byte.",
        ]
    return out


def samples_section(res):
    out = ["", "## Samples", "", "Greedy, default template, unedited, including the mistakes.", ""]
    for s in res["samples"]:
        out += [f"**{s['prompt']}**", "", "```text", s["answer"], "```", ""]
    return out


LIMITS = """## Limits

* Very small and trained for about an hour and a half on narrow data. It invents facts, mixes names,
  and fails on long or unusual prompts. Its knowledge is a few hundred simple facts, some of them
  learned wrongly or out of date.
* English only. No code, no long reasoning, no safety training beyond the selection of the data.
* Do not use it for advice of any kind or for decisions about people.

## Licence

Apache-2.0 for weights, tokenizer and configuration; `NOTICE` has the credits of the training data.
"""


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", required=True)
    ap.add_argument("--run", required=True)
    ap.add_argument("--skills", required=True, nargs="+", help="outputs of eval_skills.py")
    ap.add_argument("--note", default="", help="remarks about the run")
    ap.add_argument("--extra", default="", help="further options of the training command")
    ap.add_argument("--row-length", type=int, default=512)
    opt = ap.parse_args()
    with open(os.path.join(opt.model, "config.json"), encoding="utf-8") as fh:
        c = json.load(fh)
    res = {}
    for path in opt.skills:
        with open(path, encoding="utf-8") as fh:
            res.update(json.load(fh))
    with open(os.path.join(opt.run, "log.jsonl"), encoding="utf-8") as fh:
        log = [json.loads(line) for line in fh]
    path = os.path.join(opt.model, "model.safetensors")
    params = 0
    with safe_open(path, "pt") as fh:
        for k in list(fh.keys()):
            n = 1
            for d in fh.get_slice(k).get_shape():
                n *= d
            params += n
    tail = log[-50:]

    def mean(key):
        return sum(r[key] for r in tail) / len(tail)

    text = HEAD.format(
        note=opt.note,
        params=params / 1e6,
        bytes=os.path.getsize(path),
        layers=c["num_hidden_layers"],
        hidden=c["hidden_size"],
        vocab=c["vocab_size"],
        nk=c["linear_num_key_heads"],
        nv=c["linear_num_value_heads"],
        dk=c["linear_key_head_dim"],
        heads=c["num_attention_heads"],
        kv=c["num_key_value_heads"],
        hd=c["head_dim"],
        theta=c["rope_theta"],
        experts=c["num_experts"],
        topk=c["num_experts_per_tok"],
        inter=c["moe_intermediate_size"],
        shared=c["shared_expert_intermediate_size"],
        rowlen=opt.row_length,
        tokens=log[-1]["tokens"],
        steps=log[-1]["step"],
        per_step=log[-1]["tokens"] // log[-1]["step"],
        minutes=log[-1]["min"],
        tail=len(tail),
        chat=mean("chat"),
        text=mean("text"),
        aux=mean("aux"),
        load=mean("load"),
        extra=f" {opt.extra}" if opt.extra else "",
    )
    text += "\n".join(skills_section(res) + samples_section(res)) + "\n" + LIMITS
    with open(os.path.join(opt.model, "README.md"), "w", encoding="utf-8") as fh:
        fh.write(text)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures a trained model and writes the measured part of its card.

    model_card.py HEADGATE MODEL --out FOLDER [--run RUN ...] [--passages TEXT] [--held-out TEXT] [--cases 200] [--needles 1024 4096 16384]

FOLDER gets evaluation.json (every figure), measured.md (tables and samples for the card) and log.csv (means of ten steps). RUN are
folders of `headgate train`, or RUN:N for the first N steps of one, in the order in which they followed each other: their logs
tell how many tokens were seen. Everything is greedy, on the threads that HEADGATE_THREADS names or one per core. Samples are
printed as they come, mistakes included.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess

SPLITS = {"fresh": "known words", "words": "held-out words", "templates": "new phrasings"}
CHATS = ["Hello! Who are you?", "What can you do?", "What is the capital of France?", "What is a volcano?",
         "I feel a bit tired today."]
STORIES = ["Tell me a short story about a fox.", "Tell me a story about a brave girl.", "Write a story about a lost boat.",
           "Tell me a bedtime story about the moon.", "Tell me a story about two friends."]
TASKS = [("What is 47 plus 38?", []), ("What is 47 plus 38?", ["--think"]),
         ("Turn this into JSON with the keys name, age and city: Mira is 34 years old and lives in Oslo.", [])]


class Program:
    def __init__(self, path, model):
        self.path, self.model, self.threads = path, model, os.environ.get("HEADGATE_THREADS", "0")

    def __call__(self, *arguments):
        done = subprocess.run([self.path, *map(str, arguments), "-m", self.model, "-t", self.threads], check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
        return done.stdout


def skills(program, args):
    """{split: rows of `eval skills`}; needles and recall by length once, in held-out words."""
    base = ["eval", "skills", "--cases", args.cases, "--json", "--draft", 2]
    passages = ["--passages", args.passages] if args.passages else []
    families = sorted({row["family"] for row in json.loads(program(*base[:3], 1, "--json", "--needles", 64))["results"]})
    named = [part for name in families if name != "needle" for part in ("--family", name)]
    found = {split: json.loads(program(*base, "--split", split, *named))["results"] for split in SPLITS}
    found["needle"] = json.loads(program(*base, "--split", "words", "--family", "needle", "--needles",
                                         ",".join(map(str, args.needles)), *passages))["results"]
    recall = [n for n in args.needles if n <= 16384]
    found["recall"] = json.loads(program(*base, "--split", "words", "--family", "recall", "--needles",
                                         ",".join(map(str, recall)), *passages))["results"]
    for rows in found.values():
        for row in rows:
            del row["wrong"]  # whole prompts
    return found


def cell(row):
    return f"{row['accuracy']:.3f} ± {row['uncertainty']:.3f}" if row else "-"


def skill_tables(found):
    columns = {split: {row["title"]: row for row in found[split]} for split in SPLITS}
    titles = [row["title"] for row in found["fresh"]]
    lines = ["| skill | " + " | ".join(SPLITS.values()) + " | first, second draft kept |", "|---" * (len(SPLITS) + 2) + "|"]
    for title in titles:
        rows = [columns[split].get(title) for split in SPLITS]
        kept = ", ".join(f"{share:.2f}" for share in rows[0]["drafts_kept"]) or "-"
        lines.append(f"| {title} | " + " | ".join(map(cell, rows)) + f" | {kept} |")
    lines += ["", "| finding things in book text | right | cases |", "|---|---|---|"]
    lines += [f"| {row['title']} | {cell(row)} | {row['cases']} |" for row in found["needle"] + found["recall"]]
    return lines


def steps_of(run):
    """{step: row of its log}; of a step that was done again after a crash the last time. RUN:N stands for its first N steps."""
    run, _, last = run.partition(":")
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as log:
        rows = [json.loads(line) for line in log]
    return {row["step"]: row for row in rows if "loss" in row and (not last or row["step"] <= int(last))}


def write_log(path, runs):
    keys = ("loss", "main", "balance", "gradient", "rate", "max_load", "dead")
    with open(path, "w", encoding="utf-8") as out:
        out.write("run,step,tokens,phase," + ",".join(keys) + "\n")
        for number, run in enumerate(runs, 1):
            steps = steps_of(run)
            order = sorted(steps)
            for first in range(0, len(order), 10):
                ten = [steps[step] for step in order[first:first + 10]]
                means = ",".join(f"{sum(row[key] for row in ten) / len(ten):.5g}" for key in keys)
                out.write(f"{number},{ten[-1]['step']},{ten[-1]['tokens']},{ten[-1]['phase']},{means}\n")


def training_lines(runs):
    tokens, phases = 0, {}
    for run in runs:
        steps, before = steps_of(run), 0
        for step in sorted(steps):
            row = steps[step]
            new = row["tokens"] - before
            before = row["tokens"]
            tokens += new
            phase = phases.setdefault(row["phase"], [0, 0, []])
            phase[0] += 1
            phase[1] += new
            phase[2].append(row)
    lines = ["| phase | steps | tokens | loss, last 50 steps | fullest expert, times its share |", "|---|---|---|---|---|"]
    for name, (count, seen, rows) in phases.items():
        tail = rows[-50:]
        lines.append(f"| {name} | {count:,} | {seen:,} | {sum(r['main'] for r in tail) / len(tail):.3f} | "
                     f"{sum(r['max_load'] for r in tail) / len(tail):.2f} |")
    lines += ["", f"{tokens:,} tokens seen."]
    return lines, tokens


def samples(program):
    lines = []
    for title, prompts in (("Chats", [(p, []) for p in CHATS]), ("Stories", [(p, []) for p in STORIES]), ("Tasks", TASKS)):
        lines += [f"### {title}", ""]
        for prompt, options in prompts:
            lines += [f"**{prompt}**" + (" (thinking)" if options else ""), "", "```text",
                      program("run", prompt, "--temp", 0, "-n", 400, *options).strip(), "```", ""]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("headgate")
    parser.add_argument("model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--run", nargs="*", default=[])
    parser.add_argument("--passages")
    parser.add_argument("--held-out")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--needles", type=int, nargs="*", default=[1024, 4096, 16384])
    args = parser.parse_args()
    program = Program(os.path.abspath(args.headgate), args.model)
    found = skills(program, args)
    report = {"date": datetime.date.today().isoformat(), "cpu": platform.processor() or platform.machine(), "cases": args.cases,
              "results": found}
    lines = ["## Measured skills", ""] + skill_tables(found)
    if args.held_out:
        report["perplexity"] = json.loads(program("perplexity", "-f", args.held_out, "--window", 1024, "--json"))
        lines += ["", f"Perplexity on `{os.path.relpath(args.held_out)}`: {report['perplexity']['perplexity']:.2f} per token."]
    if args.run:
        training, report["tokens_seen"] = training_lines(args.run)
        lines += ["", "## Training log", ""] + training
    lines += ["", "## Samples", "", "Greedy, unedited.", ""] + samples(program)
    os.makedirs(args.out, exist_ok=True)
    if args.run:
        write_log(os.path.join(args.out, "log.csv"), args.run)
    with open(os.path.join(args.out, "evaluation.json"), "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1, ensure_ascii=False)
        f.write("\n")
    with open(os.path.join(args.out, "measured.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

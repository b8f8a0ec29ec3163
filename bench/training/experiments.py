#!/usr/bin/env python3
"""Small training runs that differ in one thing: balance loss, decay of norms, the drafting module, a dense twin.

Usage: experiments.py HEADGATE --data FOLDER --out FOLDER [--steps 500] [--threads 2] [--only NAME,...] [--report]

FOLDER holds what models/headgate-s/README.md makes for the nano recipe: tokenizer/, books.tokens,
books-held-out.tokens, passages.txt. Every run sees the same rows in the same order. A run that was stopped goes on.
--report only reads the logs: a table on standard output, and SVG charts in OUT.
"""
import argparse
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from svg_chart import document, line, text, ticks  # noqa: E402

COLOURS = ["#0b7285", "#c92a2a", "#5f3dc4", "#e67700", "#2b8a3e"]

RECIPE = """name = "{name}"
seed = 1
tokenizer = "{data}/tokenizer"

[model]
preset = "nano"
{model}
[loss]
mtp_steps = {mtp}
{loss}
[optimizer]
warmup_steps = 50
{optimizer}
[[source]]
name = "books"
files = ["{data}/books.tokens"]
weight = 0.5

[[source]]
name = "skills"
kind = "skills"
passages = "{data}/passages.txt"

[[phase]]
name = "stable"
steps = {steps}
rows = 8
micro_rows = 4
row_length = 256
rate = {rate}
mix = {{ books = 20, skills = 80 }}

[evaluate]
steps = {evaluate}
rows = 32
files = ["{data}/books-held-out.tokens"]
"""

# The dense twin has the active width of the experts, 2 x 96 + 192, in one gated unit: equal work per token but for
# the router.
RUNS = {
    "base": dict(),
    "balance-micro": dict(loss='balance = "micro"'),
    "balance-high": dict(loss="balance_weight = 0.1"),
    "decay-norms-off": dict(optimizer="decay_norms = false"),
    "mtp-on": dict(mtp=1),
    "dense-twin": dict(model="set = { num_experts = 0, intermediate_size = 384 }\n"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rate", type=float, default=2.5e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--report", action="store_true")
    return parser.parse_args()


def run(options, name, changes):
    """Trains one variant, or goes on with it."""
    folder = pathlib.Path(options.out) / name
    folder.mkdir(parents=True, exist_ok=True)
    fields = dict(name=name, data=pathlib.Path(options.data).resolve(), model="", loss="", optimizer="", mtp=0,
                  steps=options.steps, rate=options.rate, evaluate=max(1, options.steps // 5))
    fields.update(changes)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(**fields))
    subprocess.run([options.program, "train", str(recipe), "-o", str(folder / "run"), "--resume", "--no-gguf", "--quiet",
                    "--threads", str(options.threads)], check=True)


def read_log(options, name):
    path = pathlib.Path(options.out) / name / "run" / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def smooth(rows, key, window=20):
    """Means of `window` steps, so that curves can be told apart."""
    out = []
    for at in range(window, len(rows) + 1, window):
        part = rows[at - window:at]
        out.append((part[-1]["step"], mean([row[key] for row in part])))
    return out


def difference(rows, base, key, window=50):
    """Means of `window` steps of one run less those of another that saw the same rows."""
    return [(step, value - other) for (step, value), (_, other) in zip(smooth(rows, key, window), smooth(base, key, window))]


def line_chart(title, axis, curves):
    """Curves {name: [(x, y), ...]} in one frame whose y axis holds 0."""
    width, height, left, top, bottom = 900, 420, 60, 60, 370
    xs = ticks(max(x for points in curves.values() for x, _ in points))
    values = [y for points in curves.values() for _, y in points]
    ys = ticks(max(max(values), -min(values)))
    if min(values) < 0:
        step = ys[1]
        ys = [i * step for i in range(int(min(values) / step) - 1, int(max(max(values), 0) / step + 0.999) + 1)]
    across, up = (width - left - 150) / xs[-1], (bottom - top) / (ys[-1] - ys[0])
    base = bottom + up * ys[0]
    parts = [text(20, 28, title, 17, weight="bold"), text(width - 150, bottom + 34, axis, 12, "end")]
    for x in xs:
        parts += [line(left + x * across, top, left + x * across, bottom),
                  text(left + x * across, bottom + 16, f"{x:g}", 11, "middle")]
    for y in ys:
        parts += [line(left, base - y * up, width - 150, base - y * up),
                  text(left - 8, base - y * up + 4, f"{y:.3g}", 11, "end")]
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{left + x * across:.1f},{base - y * up:.1f}" for x, y in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts.append(text(width - 140, top + 18 * (i + 1), name, 13, colour=colour))
    return document(width, height, parts)


def report(options):
    logs = {name: read_log(options, name) for name in RUNS}
    logs = {name: rows for name, rows in logs.items() if rows}
    print("| run | steps | loss, last 50 steps | held out | load max/mean, last 50: mean (worst) | dead experts |")
    print("|---|---|---|---|---|---|")
    for name, rows in logs.items():
        last = rows[-50:]
        held = [row["held_out"] for row in rows if row.get("held_out", -1) >= 0]
        load = [row["max_load"] for row in last]
        balance = f"{mean(load):.2f} ({max(load):.2f}) | {last[-1]['dead']}" if load[-1] > 0 else "- | -"
        print(f"| {name} | {rows[-1]['step']} | {mean([row['main'] for row in last]):.3f} | "
              f"{held[-1] if held else float('nan'):.3f} | {balance} |")
    out = pathlib.Path(options.out)
    balance = {name: smooth(logs[name], "max_load") for name in ("base", "balance-micro", "balance-high") if name in logs}
    charts = {"balance": ("Fullest expert, times its share", balance)}
    others = {name: difference(rows, logs["base"], "main") for name, rows in logs.items() if name != "base"} if "base" in logs else {}
    charts["ablations"] = ("Loss less that of the base run on the same rows, nats per target, means of 50 steps", others)
    both = {name: smooth(logs[name], "main") for name in ("base", "dense-twin") if name in logs}
    charts["dense-twin"] = ("Loss over the steps at equal work per token, nats per target", both)
    for chart, (title, lines) in charts.items():
        if lines:
            (out / f"{chart}.svg").write_text(line_chart(title, "step", lines))


def main():
    options = arguments()
    wanted = options.only.split(",") if options.only else list(RUNS)
    if not options.report:
        for name in wanted:
            run(options, name, RUNS[name])
    report(options)


if __name__ == "__main__":
    main()

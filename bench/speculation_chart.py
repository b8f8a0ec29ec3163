#!/usr/bin/env python3
"""Speed against acceptance and depth of drafts: `speculation_chart.py costs.json chart.svg`.

costs.json: {"title": ..., "costs": {"1": 1.40, ...}}, what a round of n drafts costs in plain steps, as measured by
headgate_speculation_bench --profile flat --flat 1 --drafts n. Each draft being kept with one probability, whatever its
place, the expected tokens of a round follow (arXiv 2211.17192, equation 1)."""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import svg_chart  # noqa: E402

COLOURS = ["#0b7285", "#c92a2a", "#5f3dc4", "#2b8a3e", "#e67700", "#495057", "#1864ab"]


def main():
    report = json.loads(Path(sys.argv[1]).read_text())
    shares = [0.3 + 0.05 * i for i in range(15)]
    series = [("plain decoding", svg_chart.THEIRS, True, [(100 * p, 1.0) for p in shares])]
    for i, (depth, cost) in enumerate(sorted(report["costs"].items())):
        points = [(round(100 * p), sum(p**k for k in range(int(depth) + 1)) / cost) for p in shares]
        series.append((f"{depth} drafts, a round costs {cost:.2f} plain steps", COLOURS[i], False, points))
    chart = svg_chart.line_chart(report["title"], report["subtitle"], "drafts kept, in percent, at every place",
                                 "speed in plain decoding's", series)
    Path(sys.argv[2]).write_text(chart)


main()

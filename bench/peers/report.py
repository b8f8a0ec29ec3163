"""The table and the chart of a file of results."""
from cases import describe_settings
from measure import statistics_of
from svg_chart import ratio_chart


def verdict(result, has_amx):
    goal = result["goal_amx"] if has_amx else result["goal"]
    if goal is None:
        return ""
    return f"{goal:g}x"


def ordered(results):
    return [results["cases"][name] for name in results["order"] if name in results["cases"]]


def about(results):
    m = results["machine"]
    calibrations = [r[key] for r in ordered(results) for key in ("calibration_before", "calibration_after")]
    low, high = (f(c["read_gbps"] for c in calibrations) for f in (min, max)) if calibrations else (0, 0)
    peer = results["peer"]
    return [
        f"{m['date']}, {m['cpu']}, {m['cores']} cores, {results['threads']} threads, Headgate at commit {m['commit']}, "
        f"level {m['isa']}.",
        f"llama.cpp of {peer['package']}, {peer['compiler']}. Read bandwidth during the run {low:.1f} to {high:.1f} GB/s; "
        f"load average {m['load_before']:.1f} before, {m['load_after']:.1f} after.",
    ]


def markdown(results):
    """Table of all cases, settings of the peer and check against llama-bench."""
    has_amx = results["machine"]["amx"]
    out = [*about(results), "",
           "| case | Headgate, tok/s | llama.cpp, tok/s | ratio of medians | of lower quartiles | spread of pairs | pairs | goal |"
           " MB/token | GB/s | of read bandwidth |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for r in ordered(results):
        s = statistics_of(r)
        size = [f"{s['bytes_per_token'] * 1e-6:.0f}", f"{s['gbps']:.1f}", f"{s['share_of_bandwidth']:.0%}"] if (
            "gbps" in s) else ["", "", ""]
        unsteady = "" if r["steady"] else " (unsteady)"
        out.append("| " + " | ".join([
            r["title"] + unsteady, f"{s['ours']:,.1f}", f"{s['theirs']:,.1f}", f"**{s['ratio']:.2f}**",
            f"{s['ratio_lower_quartiles']:.2f}", f"{s['least']:.2f} to {s['most']:.2f}", str(s["pairs"]),
            verdict(r, has_amx), *size]) + " |")
    out += ["", "Settings with which llama.cpp was fastest, and all that were tried (tok/s):", ""]
    for name in results["order"]:
        if name not in results["cases"]:
            continue
        tried = "; ".join(f"{describe_settings(e['settings'])}: {e['tokens_per_second']:.1f}"
                          for e in results["screening"].get(results["cases"][name]["screening"], []))
        out.append(f"- {name}: **{describe_settings(results['cases'][name]['settings'])}**. {tried}")
    if results.get("llama_bench"):
        out += ["", "The driver beside llama-bench itself, same settings (tok/s):", "", "| test | driver | llama-bench |",
                "|---|---:|---:|"]
        out += [f"| {c['name']} | {c['driver']:.1f} | {c['llama_bench']:.1f} |" for c in results["llama_bench"]]
    return "\n".join(out) + "\n"


def chart(results):
    has_amx = results["machine"]["amx"]
    rows = []
    for r in ordered(results):
        s = statistics_of(r)
        rows.append((r["title"], s["ratio"], s["least"], s["most"], r["goal_amx"] if has_amx else r["goal"],
                     f"{s['ours']:,.0f} / {s['theirs']:,.0f} tok/s"))
    m = results["machine"]
    return ratio_chart("Headgate beside llama.cpp: ratio of speed",
                       f"{m['cpu']}, {results['threads']} threads, {m['date']}, commit {m['commit']}", rows)

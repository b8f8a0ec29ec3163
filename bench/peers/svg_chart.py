"""Small SVG charts: bars with whiskers, and lines over a logarithmic axis."""
from math import log
from xml.sax.saxutils import escape

FONT = "font-family='system-ui, sans-serif'"
INK, PALE, OURS, THEIRS, GOAL = "#1f2933", "#cbd2d9", "#0b7285", "#adb5bd", "#c92a2a"


def text(x, y, words, size=13, anchor="start", colour=INK, weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' text-anchor='{anchor}' fill='{colour}' "
            f"font-weight='{weight}'>{escape(words)}</text>")


def line(x1, y1, x2, y2, colour=PALE, width=1.0, dash=""):
    dashes = f" stroke-dasharray='{dash}'" if dash else ""
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-width='{width}'{dashes}/>"


def rectangle(x, y, width, height, colour):
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0):.1f}' height='{height:.1f}' fill='{colour}'/>"


def document(width, height, parts):
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>",
                      rectangle(0, 0, width, height, "#ffffff"), *parts, "</svg>", ""])


def ticks(most, count=6):
    """Round numbers from 0 that reach `most`."""
    step = 1e-3
    for factor in (2, 2.5, 2) * 12:
        if most / step <= count:
            break
        step *= factor
    return [i * step for i in range(int(most / step + 0.999) + 1)]


def ratio_chart(title, subtitle, rows):
    """Horizontal bars of a ratio with its spread. Rows: (label, ratio, least, most, goal or None, note)."""
    left, right, top, height = 250, 150, 66, 30
    width, bottom = 900, top + height * len(rows)
    scale = ticks(1.05 * max(max(r[3], r[4] or 0) for r in rows))
    unit = (width - left - right) / scale[-1]
    parts = [text(20, 28, title, 17, weight="bold"), text(20, 48, subtitle, 12)]
    for value in scale:
        x = left + value * unit
        parts += [line(x, top, x, bottom), text(x, bottom + 16, f"{value:g}x", 11, "middle")]
    for i, (label, ratio, least, most, goal, remark) in enumerate(rows):
        y = top + i * height
        middle = y + height / 2
        parts += [text(left - 10, middle + 4, label, 13, "end"), rectangle(left, y + 6, ratio * unit, height - 12, OURS),
                  line(left + least * unit, middle, left + most * unit, middle, INK, 1.5)]
        for end in (least, most):
            parts.append(line(left + end * unit, middle - 4, left + end * unit, middle + 4, INK, 1.5))
        if goal:
            parts.append(line(left + goal * unit, y + 2, left + goal * unit, y + height - 2, GOAL, 2.5))
        parts.append(text(left + max(most, ratio, goal or 0) * unit + 8, middle + 4, f"{ratio:.2f}x  {remark}", 12))
    parts += [line(left + unit, top, left + unit, bottom, INK, 1.2, "4 3"),
              text(20, bottom + 36, "Bar: ratio of medians. Whisker: spread of the pairs. Red: goal.", 11)]
    return document(width, bottom + 48, parts)


def line_chart(title, subtitle, x_label, y_label, series):
    """Lines over a logarithmic x axis. Series: (label, colour, dashed, [(x, y)])."""
    left, right, top, bottom, width = 80, 30, 66, 380, 900
    xs = sorted({x for *_, points in series for x, _ in points})
    scale = ticks(1.05 * max(y for *_, points in series for _, y in points))

    def place(x, y):

        share = (log(x) - log(xs[0])) / (log(xs[-1]) - log(xs[0])) if len(xs) > 1 else 0.5
        return left + share * (width - left - right), bottom - y / scale[-1] * (bottom - top)

    parts = [text(20, 28, title, 17, weight="bold"), text(20, 48, subtitle, 12)]
    for value in scale:
        y = place(xs[0], value)[1]
        parts += [line(left, y, width - right, y), text(left - 8, y + 4, f"{value:g}", 11, "end")]
    for x in xs:
        parts.append(text(place(x, 0)[0], bottom + 16, f"{x // 1024:g} K" if x >= 1024 else f"{x:g}", 11, "middle"))
    for i, (label, colour, dashed, points) in enumerate(series):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
        dashes = " stroke-dasharray='6 4'" if dashed else ""
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'{dashes}/>")
        if not dashed:
            parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>" for x, y in (place(*p) for p in points)]
        parts += [line(left + 20, top + 12 + 18 * i, left + 44, top + 12 + 18 * i, colour, 2, "6 4" if dashed else ""),
                  text(left + 52, top + 16 + 18 * i, label, 12)]
    parts += [text((left + width - right) / 2, bottom + 36, x_label, 12, "middle"), text(20, top - 4, y_label, 12)]
    return document(width, bottom + 48, parts)

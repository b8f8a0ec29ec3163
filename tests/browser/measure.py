#!/usr/bin/env python3
"""Measures the page: first paint, bytes, and frames while an answer of long Markdown streams in. Prints one line of JSON.

    measure.py [TOKENS_PER_SECOND]

Figures mean something on an idle machine only, so no test depends on them.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mock_server
from support import BrowserTest

WATCH = """() => {
  window.frames_ = []; window.tasks_ = [];
  new PerformanceObserver((list) => tasks_.push(...list.getEntries().map((e) => e.duration))).observe({entryTypes: ['longtask']});
  const start = performance.now();
  let before = start;
  const frame = (now) => { frames_.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame((now) => { before = now; requestAnimationFrame(frame); });
}"""


def main(rate):
    """Sends one message to the page and watches its frames."""
    case = BrowserTest()
    BrowserTest.setUpClass()
    plain = mock_server.Handler.say
    mock_server.Handler.say = lambda self, field, text, gap, size=4: plain(self, field, text, 1 / rate if gap else 0, size)
    try:
        with case.page() as page:
            paint = page.evaluate("performance.getEntriesByType('paint').at(-1).startTime")
            size = page.evaluate("performance.getEntriesByType('resource').reduce((sum, e) => sum + (e.name.includes('/v1/') ? 0 : e.decodedBodySize), 0)")
            page.evaluate("import('./web/lib/katex.min.js').then(() => 0)")
            page.evaluate(WATCH)
            page.fill("#prompt", "long 1500")
            page.press("#prompt", "Enter")
            page.wait_for_timeout(12000)
            frames = sorted(page.evaluate("frames_.slice(10)"))
            shown = page.evaluate("document.querySelector('.answer > .prose').innerText.length")
            tasks = page.evaluate("tasks_")
            figures = page.inner_text(".answer .figures")
            page.press("#prompt", "Escape")
        print(json.dumps({"first_paint_ms": round(paint), "bytes": size, "characters": shown, "figures": figures.replace("\n", " "), "frames_per_second": round(1000 * len(frames) / sum(frames), 1),
                          "frame_ms_p50": round(frames[len(frames) // 2], 1), "frame_ms_p99": round(frames[len(frames) * 99 // 100], 1), "frame_ms_max": round(frames[-1], 1),
                          "frames_over_25_ms": sum(f > 25 for f in frames), "frames": len(frames), "tasks_over_50_ms": len(tasks)}))
    finally:
        BrowserTest.tearDownClass()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 200)

"""What the browser tests share: Chromium, the server with its model that obeys, and helpers to drive a page."""
import contextlib
import os
import shutil
import sys
import threading
import time
import unittest

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright
except ImportError:
    print("SKIPPED: the browser tests need PyPI `playwright` and `axe-playwright-python` in this interpreter")
    sys.exit(77)

import mock_server

CHROMIUM = os.environ.get("HEADGATE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if not CHROMIUM:
    print("SKIPPED: the browser tests need Debian's `chromium`")
    sys.exit(77)
missing = [path for path in mock_server.LIBRARIES.values() if not os.path.exists(path)]
if missing:
    print("SKIPPED: the browser tests need libjs-marked, node-dompurify, libjs-katex, fonts-katex:", *missing)
    sys.exit(77)


class BrowserTest(unittest.TestCase):
    """A server and a browser for the class, a fresh profile for each test. Fails on any error the page reports."""

    @classmethod
    def setUpClass(cls):
        cls.server = mock_server.Server(("127.0.0.1", 0), mock_server.Handler)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.url = f"http://127.0.0.1:{cls.server.server_address[1]}/"
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        mock_server.State.key = None
        mock_server.State.go.clear()
        mock_server.State.bodies.clear()
        self.expected = []  # parts of console errors that a test provokes

    @contextlib.contextmanager
    def page(self, path="", width=1280, height=800, ready=True, **context):
        """A page of a fresh profile, once its model is known."""
        profile = self.browser.new_context(viewport={"width": width, "height": height}, **context)
        page = profile.new_page()
        page.set_default_timeout(30000)
        problems, hosts = [], []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: hosts.append(request.url))
        page.goto(self.url + path)
        if ready:
            self.until(page, "document.querySelector('#model').value !== ''")
        try:
            yield page
            problems = [text for text in problems if not any(part in text for part in self.expected)]
            self.assertEqual(problems, [], "the page reported errors")
            strangers = [url for url in hosts if not url.startswith((self.url, "blob:", "data:"))]
            self.assertEqual(strangers, [], "the page asked other hosts")
        finally:
            profile.close()

    def until(self, page, expression, seconds=30):
        """Waits for an expression of JavaScript to hold. Playwright's own way needs eval in the page, which its policy forbids."""
        end = time.monotonic() + seconds
        while not page.evaluate(expression):
            self.assertLess(time.monotonic(), end, f"never true: {expression}")
            page.wait_for_timeout(25)

    def wait_for(self, holds, seconds=30):
        """Waits for something outside the page."""
        end = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), end, "it never came")
            time.sleep(0.05)

    def send(self, page, text, wait=True):
        page.fill("#prompt", text)
        page.press("#prompt", "Enter")
        if wait:
            self.settled(page)

    def settled(self, page):
        """Waits until no answer grows and the last has its figures."""
        self.until(page, "document.querySelector('.answer') && !document.querySelector('[aria-busy=true]')")
        page.wait_for_selector("#send[aria-label=Send]")

    def last_answer(self, page):
        return page.locator(".answer").last

    def check_access(self, page, where):
        """No finding of axe, which knows the rules of WCAG 2.2 AA and good practice."""
        page.evaluate("Promise.all(document.getAnimations().map((a) => a.effect.getComputedTiming().iterations < 100 ? a.finished : 0))")
        result = Axe().run(page)
        found = [f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes']][:4]} {v['nodes'][0]['failureSummary'][:300]}"
                 for v in result.response["violations"]]
        self.assertEqual(found, [], where)

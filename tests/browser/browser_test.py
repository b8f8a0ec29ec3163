#!/usr/bin/env python3
"""Drives the web page as people do: write, stream, stop, branch, tools, keys, narrow screens, and what strangers may send.

    browser_test.py [PATH_TO_HEADGATE] [TEST...]

With the program it also drives the page that the program serves, with the embedded model. Needs Debian's chromium and the page's libraries, PyPI playwright and axe-playwright-python; exit status 77 without them.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mock_server
from support import BrowserTest
from xss_corpus import corpus


class Chat(BrowserTest):
    """Writing and answers."""

    def test_answer_streams_with_formulas_code_and_figures(self):
        with self.page() as page:
            self.send(page, "How does water flow under a gate?")
            answer = self.last_answer(page)
            page.wait_for_selector(".katex svg path")
            self.assertEqual(answer.locator(".code pre").text_content(), mock_server.SHOWCASE.split("```python\n")[1].split("\n```")[0])
            self.assertGreater(answer.locator(".tk-word").count(), 3)
            self.assertEqual(answer.locator("table tbody tr").count(), 3)
            self.assertEqual(answer.locator(".katex-display, [data-math=block] .katex").first.is_visible(), True)
            figures = answer.locator(".figures").inner_text()
            for part in ("tok/s", "tokens", "first after", "79 % cached", "70 % of drafts kept"):
                self.assertIn(part, figures)
            self.assertIn("Thought for", answer.locator("summary").inner_text())
            answer.locator("summary").click()
            answer.locator(".thinking-text", has_text="orifice form").wait_for()
            self.assertIn("4.1k", page.locator("#meter").inner_text())
            body = mock_server.State.bodies[-1]
            self.assertEqual(body["stream_options"], {"include_usage": True})
            self.assertNotIn("temperature", body)

    def test_stream_shows_the_same_as_the_whole_text(self):
        with self.page() as page:
            page.evaluate("import('./web/lib/katex.min.js')")
            for text in (mock_server.SHOWCASE, mock_server.long_text(500), "```make\nall:\n\tcc x.c\n\n\trm x\n```\nend", "1. a\n\n   b\n2. c\n\n- d\n\t- e\n\nf\n===\n",
                         "a [x][1] b\n\n[1]: https://example.org/\n", "\\[ x \\\\\n\n y \\] and $5 or $6", "```\nopen fence\n\nwith blank", "> a\nb\n\n> c\n\n* * *\n\r\nd"):
                same = page.evaluate("""async (text) => {
                    const {MarkdownView, ready} = await import(new URL('web/js/markdown.js', location.href));
                    await ready;
                    const make = () => document.body.appendChild(document.createElement('div'));
                    const [grown, whole] = [make(), make()];
                    const growing = new MarkdownView(grown);
                    for (let end = 1; end < text.length; end += 1 + end % 7) growing.set(text.slice(0, end), false);
                    growing.set(text, true);
                    new MarkdownView(whole).set(text, true);
                    await new Promise((done) => setTimeout(done, 50));
                    const result = [grown.innerText, whole.innerText, grown.innerHTML === whole.innerHTML];
                    grown.remove(); whole.remove();
                    return result;
                }""", text)
                self.assertEqual(same[0], same[1])
                self.assertTrue(same[2], text[:80])

    def test_reading_of_a_long_prompt_is_shown(self):
        with self.page() as page:
            self.send(page, "read on", wait=False)
            page.wait_for_selector("text=Reading the prompt: 50 % of 32,000 tokens, 8,000 from the cache")
            mock_server.State.go.set()
            self.settled(page)
            self.assertFalse(page.locator(".reading").is_visible())

    def test_stop_keeps_what_came(self):
        with self.page() as page:
            self.send(page, "slow please", wait=False)
            self.until(page, "document.querySelector('.answer > .prose')?.innerText.length > 20")
            page.press("#prompt", "Escape")
            self.settled(page)
            self.assertIn("Stopped.", self.last_answer(page).inner_text())
            self.assertIn("One word after", self.last_answer(page).inner_text())
            self.wait_for(lambda: mock_server.State.requests["running"] == 0)

    def test_regenerate_and_edit_make_branches(self):
        with self.page() as page:
            self.send(page, "echo first")
            page.click(".answer [data-tool=redo]")
            self.settled(page)
            self.assertEqual(page.locator(".answer .branch-count").inner_text(), "2 / 2")
            page.click(".answer [data-tool=back]")
            self.assertEqual(page.locator(".answer .branch-count").inner_text(), "1 / 2")
            page.hover(".mine")
            page.click(".mine [data-tool=edit]")
            page.fill(".edit-field", "echo second")
            page.press(".edit-field", "Enter")
            page.wait_for_selector("text=second >> nth=0")
            self.settled(page)
            self.assertEqual(self.last_answer(page).locator(".prose").last.inner_text(), "second")
            self.assertEqual(page.locator(".mine .branch-count").inner_text(), "2 / 2")
            page.hover(".mine")
            page.click(".mine [data-tool=back]")
            self.assertEqual(self.last_answer(page).locator(".prose").last.inner_text(), "first")
            page.reload()
            page.wait_for_selector(".answer")
            self.assertEqual(self.last_answer(page).locator(".prose").last.inner_text(), "first")

    def test_tool_calls_are_shown_and_answered(self):
        with self.page() as page:
            self.send(page, "tools please")
            calls = page.locator(".call")
            self.assertEqual(calls.count(), 2)
            self.assertIn('"city": "Bern"', calls.first.locator("pre").first.inner_text())
            page.fill(".call >> nth=0 >> textarea", '{"celsius": 14}')
            page.fill(".call >> nth=1 >> textarea", "1.62")
            page.click("text=Return results")
            page.wait_for_selector("text=It is 14 °C")
            self.settled(page)
            messages = mock_server.State.bodies[-1]["messages"]
            self.assertEqual([m["role"] for m in messages], ["user", "assistant", "tool", "tool"])
            self.assertEqual(messages[1]["tool_calls"][1]["function"], {"name": "get_level", "arguments": '{"river": "Aare", "unit": "m"}'})
            self.assertEqual(messages[3], {"role": "tool", "tool_call_id": "call_1", "content": "1.62"})

    def test_errors_say_what_to_do(self):
        self.expected = ["Failed to load resource"]
        with self.page() as page:
            for text, title, remedy in (("error 429", "The server is busy", "The server asks for 3 s"), ("error context", "The chat no longer fits", "5,120"),
                                        ("error 500", "Something failed", "req-7f3a"), ("broken", "Something failed", "a number that is none")):
                self.send(page, text)
                self.assertIn(title, self.last_answer(page).inner_text())
                self.assertIn(remedy, self.last_answer(page).inner_text())
            self.assertIn("This answer will not", self.last_answer(page).inner_text())
            self.send(page, "limit")
            self.assertIn("Cut at the token limit", self.last_answer(page).inner_text())
            self.send(page, "error 500")
            self.last_answer(page).get_by_role("button", name="Try again").click()
            page.wait_for_timeout(100)
            self.settled(page)
            self.assertEqual(page.locator(".branch-count").count(), 0)

    def test_key_is_asked_for_and_kept_in_the_tab(self):
        mock_server.State.key = "hg-secret"
        self.expected = ["401"]
        with self.page(ready=False) as page:
            page.wait_for_selector("dialog.dialog")
            page.fill("#key", "hg-secret")
            page.press("#key", "Enter")
            self.until(page, "document.querySelector('#model').value !== ''")
            self.send(page, "echo with key")
            self.assertIn("with key", self.last_answer(page).inner_text())
            self.assertEqual(page.evaluate("[sessionStorage.length, Object.values(localStorage).join().includes('hg-secret')]"), [1, False])


class Keeping(BrowserTest):
    """Settings and chats that outlive the page."""

    def test_settings_reach_the_request_and_stay(self):
        with self.page() as page:
            page.click("#open-settings")
            for name, value in (("temperature", "0.7"), ("top_p", "0.9"), ("top_k", "40"), ("min_p", "0.05"), ("repetition_penalty", "1.1"), ("presence_penalty", "0.5"),
                                ("frequency_penalty", "-0.5"), ("seed", "7"), ("max_tokens", "99")):
                page.fill(f"#s-{name}", value)
            page.fill("#system", "Be brief.")
            page.check("input[name=thinking][value=off]", force=True)
            page.locator("section", has_text="Tools").locator("text=Example").click()
            self.send(page, "echo set")
            body = mock_server.State.bodies[-1]
            self.assertEqual(body["messages"][0], {"role": "system", "content": "Be brief."})
            self.assertEqual([body[k] for k in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "max_tokens")],
                             [0.7, 0.9, 40, 0.05, 1.1, 0.5, -0.5, 7, 99])
            self.assertEqual(body["chat_template_kwargs"], {"enable_thinking": False})
            self.assertEqual(body["tools"][0]["function"]["name"], "get_weather")
            page.fill("#s-temperature", "99")
            self.assertEqual(page.get_attribute("#s-temperature", "aria-invalid"), "true")
            page.reload()
            page.wait_for_selector(".answer")
            self.send(page, "echo again")
            self.assertEqual((mock_server.State.bodies[-1].get("temperature"), mock_server.State.bodies[-1]["seed"]), (None, 7))

    def test_tokens_show_their_probabilities(self):
        with self.page() as page:
            page.click("#open-settings")
            page.check("input[name=tokens][value=on]", force=True)
            page.click("#settings-close")
            self.send(page, "rain")
            self.assertEqual((mock_server.State.bodies[-1]["logprobs"], mock_server.State.bodies[-1]["top_logprobs"]), (True, 5))
            page.click("[data-tool=tokens]")
            self.assertEqual(page.locator(".token-list").text_content().replace("↵", ""), mock_server.SHORT)
            page.focus(".token-list")
            page.keyboard.press("ArrowRight")
            self.assertEqual(page.inner_text(".token-told"), "Rain 98 %, instead of ·else 1 %")
            self.check_access(page, "tokens")
            page.click("[data-tool=tokens]")
            self.assertEqual(page.locator(".tokens").count(), 0)

    def test_chats_are_listed_found_renamed_deleted_and_brought_back(self):
        with self.page() as page:
            for text in ("echo apple pie", "echo banana split"):
                self.send(page, text)
                page.keyboard.press("Control+Shift+O")
            self.assertEqual(page.locator("#chats li").count(), 2)
            page.keyboard.press("Control+k")
            page.keyboard.type("apple")
            self.until(page, "document.querySelectorAll('#chats li').length === 1")
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.wait_for_selector(".answer:has-text('apple pie')")
            page.fill("#search", "")
            page.hover("#chats li >> nth=0")
            self.until(page, "document.querySelectorAll('#chats li').length === 2")
            page.hover("#chats li.current")
            page.click("#chats li.current [aria-label^=Rename]")
            page.fill("input.rename", "Dessert")
            page.press("input.rename", "Enter")
            page.wait_for_selector("h1:has-text('Dessert')")
            page.hover("#chats li.current")
            page.click("#chats li.current [aria-label^=Delete]")
            self.until(page, "document.querySelectorAll('#chats li').length === 1")
            page.click("text=Undo")
            page.wait_for_selector("#chats >> text=Dessert")

    def test_export_comes_back_by_import(self):
        with self.page() as page:
            self.send(page, "How does water flow under a gate?")
            page.click("#open-settings")
            with page.expect_download() as download:
                page.click("text=Export all")
            with open(download.value.path(), encoding="utf-8") as file:
                exported = json.load(file)
            self.assertEqual((exported["format"], len(exported["conversations"])), ("headgate-chats", 1))
            page.click("text=Delete all")
            page.click("dialog.dialog >> text=Delete all >> nth=-1")
            page.wait_for_selector("#chats .hint")
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "chats.json")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(exported, file)
                page.set_input_files("input[type=file]", path)
                page.wait_for_selector("text=1 chat was imported")
                page.set_input_files("input[type=file]", path)
                page.wait_for_selector("text=0 chats were imported, 1 left out")
                with open(path, "w", encoding="utf-8") as file:
                    file.write('{"format": "headgate-chats", "conversations": [{"nodes": {"a": {"id": "__proto__", "role": "user"}}}, 7, null]}')
                page.set_input_files("input[type=file]", path)
                page.wait_for_selector("text=0 chats were imported, 3 left out")
            page.click("#chats li a")
            page.wait_for_selector(".answer .katex")

    def test_full_storage_is_said_with_a_remedy(self):
        with self.page() as page:
            page.evaluate("void (IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); })")
            self.send(page, "echo kept in memory")
            page.wait_for_selector("text=no room left for chats")
            self.assertIn("kept in memory", self.last_answer(page).inner_text())


class Access(BrowserTest):
    """Keys, colours, small screens, assistive technology."""

    def test_everything_by_keyboard(self):
        with self.page() as page:
            page.keyboard.type("echo one")
            page.keyboard.press("Enter")
            self.settled(page)
            page.keyboard.press("Alt+ArrowUp")
            self.assertTrue(page.evaluate("document.activeElement.matches('.answer')"))
            page.keyboard.press("r")
            self.settled(page)
            page.wait_for_selector("text=2 / 2")
            page.keyboard.press("Alt+ArrowUp")
            page.keyboard.press("[")
            page.wait_for_selector("text=1 / 2")
            page.keyboard.press("ArrowUp")
            self.assertTrue(page.evaluate("document.activeElement.matches('.mine')"))
            page.keyboard.press("e")
            page.keyboard.press("Control+a")
            page.keyboard.type("echo two")
            page.keyboard.press("Enter")
            page.wait_for_selector(".answer >> text=two")
            self.settled(page)
            page.keyboard.press("Control+/")
            page.wait_for_selector("dialog.sheet")
            page.keyboard.press("Escape")
            self.until(page, "!document.querySelector('dialog.sheet')")
            page.keyboard.press("Control+,")
            self.assertTrue(page.evaluate("document.querySelector('#settings').contains(document.activeElement)"))
            page.keyboard.press("Escape")
            self.assertFalse(page.locator("#settings").is_visible())
            page.keyboard.press("Control+b")
            self.assertTrue(page.evaluate("document.querySelector('#list').inert"))
            page.keyboard.press("Control+k")
            self.assertTrue(page.evaluate("document.activeElement.id === 'search'"))

    def test_focus_is_visible_wherever_tab_goes(self):
        with self.page() as page:
            self.send(page, "How does water flow under a gate?")
            page.focus("#search")
            unseen = []
            for _ in range(30):
                page.keyboard.press("Tab")
                state = page.evaluate("""() => { const e = document.activeElement; const s = getComputedStyle(e);
                    const ring = e.id === 'prompt' ? getComputedStyle(e.form).boxShadow !== 'none' : s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
                    return e === document.body || ring ? null : e.outerHTML.slice(0, 120); }""")
                unseen += [state] if state else []
            self.assertEqual(unseen, [])

    def test_axe_finds_nothing(self):
        for scheme in ("light", "dark"):
            with self.page(color_scheme=scheme) as page:
                self.check_access(page, f"empty, {scheme}")
                self.send(page, "How does water flow under a gate?")
                page.click("summary")
                self.send(page, "tools")
                page.click("#open-settings")
                self.check_access(page, f"chat with settings, {scheme}")
                page.click("#settings-close")
                page.keyboard.press("Control+/")
                self.check_access(page, f"shortcuts, {scheme}")
            with self.page("status", ready=False, color_scheme=scheme) as page:
                page.wait_for_selector(".tile")
                self.check_access(page, f"status, {scheme}")

    def test_colours_follow_the_system_and_the_choice(self):
        with self.page(color_scheme="dark") as page:
            background = "getComputedStyle(document.body).backgroundColor"
            dark = page.evaluate(background)
            page.click("#open-settings")
            page.check("input[name=theme][value=light]", force=True)
            self.assertNotEqual(page.evaluate(background), dark)
            page.reload()
            self.assertNotEqual(page.evaluate(background), dark)

    def test_narrow_screen_has_all_of_it(self):
        with self.page(width=360, height=720, has_touch=True, is_mobile=True) as page:
            self.send(page, "How does water flow under a gate?", wait=False)
            page.click("#send")
            self.settled(page)
            wide = page.evaluate("[document.documentElement.scrollWidth, ...[...document.querySelectorAll('#messages > *')].map((e) => e.getBoundingClientRect().right)]")
            self.assertLessEqual(max(wide), 361)
            self.assertFalse(page.locator("#search").is_visible())
            page.click("#toggle-list")
            self.until(page, "document.querySelector('#list').getBoundingClientRect().left === 0")
            self.check_access(page, "list on a phone")
            page.keyboard.press("Escape")
            self.until(page, "document.querySelector('#list').inert")
            page.click("#open-settings")
            self.assertEqual(page.evaluate("document.querySelector('#settings').getBoundingClientRect().width"), 360)
            page.click("#settings-close")
        with self.page("status", ready=False, width=360, height=720) as page:
            page.wait_for_selector(".tile")
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 360)


class Strangers(BrowserTest):
    """What a model, a file or another page may try."""

    FOUND = """(root) => [...root.querySelectorAll('*')].filter((e) =>
        e.matches('script, iframe, object, embed, form, base, meta, link, style, img, video, audio, source, input:not([type]), dialog, template, marquee') ||
        [...e.attributes].some((a) => a.name.startsWith('on') || /^(?:src|srcdoc|action|formaction|xlink:href|data|background)$/.test(a.name)) ||
        (e.hasAttribute('href') && !/^(?:https?:|mailto:)/.test(e.getAttribute('href')))).map((e) => e.outerHTML.slice(0, 200))"""

    def render_all(self, page):
        """Every string of the corpus as an answer, whole and in pieces; gives what should not be there."""
        page.evaluate("import('./web/lib/katex.min.js')")
        return page.evaluate("""async (strings) => {
            const find = FIND;
            const {MarkdownView, ready} = await import(new URL('web/js/markdown.js', location.href));
            await ready;
            const root = document.body.appendChild(document.createElement('div'));
            for (const text of strings) {
                const view = new MarkdownView(root.appendChild(document.createElement('div')));
                view.set(text.slice(0, text.length >> 1), false);
                view.set(text, false);
                view.set(text, true);
            }
            await new Promise((done) => setTimeout(done, 300));
            for (const kind of ['click', 'focus', 'pointerenter', 'mouseover'])
                root.querySelectorAll('*').forEach((e) => e.dispatchEvent(new MouseEvent(kind, {cancelable: true, bubbles: true})));
            return find(root);
        }""".replace("FIND", self.FOUND), corpus())

    def test_hostile_strings_stay_text_with_and_without_the_policy(self):
        self.assertGreaterEqual(len(corpus()), 500)
        strict = mock_server.CSP
        try:
            for mock_server.CSP in (strict, "default-src * 'unsafe-inline' 'unsafe-eval' data: blob:"):
                with self.page() as page:
                    page.evaluate("document.addEventListener('click', (e) => e.preventDefault(), true)")
                    self.assertEqual(self.render_all(page), [])
                    self.assertIsNone(page.evaluate("window.__run ?? null"))
        finally:
            mock_server.CSP = strict

    def test_without_a_sanitiser_text_is_text(self):
        self.expected = ["Failed to load resource"]
        library = mock_server.LIBRARIES.pop("purify.min.js")
        try:
            with self.page() as page:
                self.send(page, "echo **bold** <b>x</b> $y$")
                self.assertEqual(self.last_answer(page).locator(".prose").last.inner_html(), "**bold** &lt;b&gt;x&lt;/b&gt; $y$")
        finally:
            mock_server.LIBRARIES["purify.min.js"] = library

    def test_hostile_chats_stay_text_everywhere(self):
        nodes, parent, attacks = {}, "root", corpus()
        for index, text in enumerate(attacks[:120]):
            name = f"n{index}"
            nodes[name] = {"id": name, "parent": parent, "role": ("user", "assistant")[index % 2], "text": text, "reasoning": text, "at": index, "model": text, "finish": text,
                           "calls": [{"id": text, "name": text, "arguments": text}] if index % 2 else None}
            parent = name
        picks = {node["parent"]: name for name, node in nodes.items()}
        chats = [{"id": f"attack{index}", "title": text, "nodes": nodes, "picks": picks, "system": text, "updated": index} for index, text in enumerate(attacks[:12])]
        with self.page() as page, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "chats.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"format": "headgate-chats", "conversations": chats}, file)
            page.click("#open-settings")
            page.set_input_files("input[type=file]", path)
            page.wait_for_selector("text=12 chats were imported")
            page.click("#chats li a >> nth=3")
            self.until(page, "document.querySelectorAll('.message').length === 120")
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            page.wait_for_timeout(300)
            self.assertEqual(page.evaluate(f"({self.FOUND})(document.querySelector('#messages'))"), [])
            self.assertEqual(page.evaluate(f"({self.FOUND})(document.querySelector('#chats')).filter((e) => !/^<a href=\"#/.test(e))"), [])
            self.assertIsNone(page.evaluate("window.__run ?? null"))

    def test_page_keeps_its_policy(self):
        self.expected = ["TrustedHTML"]
        with self.page() as page:
            self.send(page, "How does water flow under a gate?")
            self.assertEqual(page.evaluate("document.querySelectorAll('#messages script, #messages link').length"), 0)
            self.assertEqual(page.evaluate("""() => { try { document.body.insertAdjacentHTML('beforeend', '<p>x</p>'); return 'allowed'; } catch { return 'refused'; } }"""), "refused")


class Status(BrowserTest):
    """The live view."""

    def test_figures_and_charts_move(self):
        with self.page() as chat, self.page("status", ready=False) as page:
            page.wait_for_selector(".tile")
            self.send(chat, "slow please", wait=False)
            page.wait_for_selector("td:has-text('decoding')")
            self.until(page, "document.querySelector('.chart .line').getAttribute('d').split('L').length > 2")
            self.assertIn("Ready", page.inner_text("#state"))
            self.assertIn("headgate-s", page.inner_text("#facts"))
            self.assertRegex(page.get_attribute(".chart svg >> nth=2", "aria-label"), "Requests, now: running 1, waiting 0")
            page.click("#pause")
            self.assertEqual(page.get_attribute("#pause", "aria-label"), "Go on")
            chat.press("#prompt", "Escape")

    def test_page_is_small(self):
        with self.page() as page:
            size = page.evaluate("performance.getEntriesByType('resource').filter((e) => !e.name.includes('/v1/')).reduce((sum, e) => sum + e.decodedBodySize, 0)")
            self.assertLess(size, 250_000)
            self.assertEqual(page.evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('katex')).length"), 0)


class Served(BrowserTest):
    """The page as headgate serve sends it, with the embedded model behind it."""

    binary = None

    @classmethod
    def setUpClass(cls):
        if cls.binary is None:
            raise unittest.SkipTest("no program was named")
        super().setUpClass()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        cls.data = tempfile.TemporaryDirectory()
        cls.program = subprocess.Popen([cls.binary, "serve", "--port", str(port), "--access-log", "off", "--data", cls.data.name], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        cls.url = f"http://127.0.0.1:{port}/"
        for _ in range(600):
            try:
                urllib.request.urlopen(cls.url + "health", timeout=5).close()
                return
            except OSError:
                if cls.program.poll() is not None:
                    break
                time.sleep(0.1)
        cls.tearDownClass()
        raise AssertionError("headgate serve did not answer")

    @classmethod
    def tearDownClass(cls):
        cls.program.terminate()
        cls.program.wait(60)
        cls.data.cleanup()
        super().tearDownClass()

    def running(self):
        """Requests that the server computes now."""
        with urllib.request.urlopen(self.url + "v1/status", timeout=10) as answer:
            return json.load(answer)["requests"]["running"]

    def test_chat_with_the_embedded_model(self):
        with self.page() as page:
            page.click("#open-settings")
            page.fill("#s-max_tokens", "24")
            page.fill("#s-seed", "1")
            page.click("#settings-close")
            for text in ("Tell me a short story about a fox.", "And then?"):
                self.send(page, text)
                self.assertEqual(page.locator(".error-card").count(), 0, page.locator(".answer").last.inner_text())
            figures = self.last_answer(page).locator(".figures").inner_text()
            self.assertRegex(figures, "[0-9]+ tokens?")  # so few may come too fast to have a speed
            self.assertRegex(figures, "[1-9][0-9]? % cached")
            self.assertIn("headgate-s", page.locator("#model").input_value())
            self.check_access(page, "chat with the embedded model")
        with self.page("status", ready=False) as page:
            page.wait_for_selector(".tile >> text=Completed")
            self.assertIn("headgate-s", page.inner_text("#facts"))
            self.assertEqual(page.inner_text("#state"), "Ready")

    def test_stop_ends_the_work_of_the_server(self):
        with self.page() as page:
            # The small model ends soon by itself; told not to, it goes on until somebody stops it.
            page.route("**/v1/chat/completions", lambda route: route.continue_(post_data=json.dumps({**route.request.post_data_json, "ignore_eos": True})))
            self.send(page, "Tell me a very long story.", wait=False)
            self.until(page, "document.querySelector('.answer .figures')?.innerText.includes('tok/s')")
            self.wait_for(lambda: self.running() == 1)
            page.press("#prompt", "Escape")
            self.settled(page)
            self.wait_for(lambda: self.running() == 0)

    def test_every_file_comes_with_its_type_and_the_policy(self):
        names = ["", "status", "web/css/chat.css", "web/js/app.js", "web/icon.svg", "web/lib/purify.min.js", "web/lib/fonts/KaTeX_Main-Regular.woff2"]
        types = []
        for name in names:
            with urllib.request.urlopen(self.url + name, timeout=10) as answer:
                types.append(answer.headers["content-type"])
                self.assertIn("require-trusted-types-for 'script'", answer.headers["content-security-policy"])
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertEqual(types, ["text/html; charset=utf-8"] * 2 + ["text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml", "text/javascript; charset=utf-8",
                                                                   "font/woff2"])


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isfile(sys.argv[1]):
        Served.binary = os.path.abspath(sys.argv.pop(1))
    first = unittest.main(exit=False).result
    failed = [test.id() for test, _ in first.failures + first.errors]
    if not 0 < len(failed) <= 2:
        sys.exit(1 if failed else 0)
    # A browser on a busy machine may be late; what is wrong is wrong twice.
    print("once more:", *failed, file=sys.stderr)
    sys.exit(not unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromNames(failed)).wasSuccessful())

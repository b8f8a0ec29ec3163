#!/usr/bin/env python3
"""Takes the pictures of docs/web.md: screenshots.py [FOLDER] [PROGRAM]. Needs PyPI pillow to make them small.

With a program (headgate), those that the embedded model can fill are taken from `headgate serve`; else all from the scripted model.
With HEADGATE_FONT=NAME they are set in that font, as systems with a better default have it.
"""
import http.client
import io
import json
import math
import os
import random
import sys
import threading

from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mock_server
from browser_test import Served
from support import BrowserTest

OLDER = ("Where do herons nest?", "A plan for the weekend in the hills", "Why is the sky blue at noon?", "Rewrite this letter to the council",
         "Sourdough with rye, step by step")


class Life:
    """A server that is busy the way servers are: invented figures that move plausibly."""

    def __init__(self):
        self.random = random.Random(4)
        self.asked, self.time, self.tokens, self.running, self.waiting = 0, 0, {k: 0 for k in ("prompt", "cached", "generated", "drafted", "accepted")}, 6, 0

    def step(self):
        """One second later."""
        self.time += 1
        self.running = max(1, min(16, round(8 + 5 * math.sin(self.time / 24) + self.random.gauss(0, 1.4))))
        self.waiting = max(0, self.running - 12)
        written = round(self.running ** 0.7 * 62 * (1 + self.random.gauss(0, 0.05)))
        prompt = max(0, round(900 + 700 * math.sin(self.time / 9) + self.random.gauss(0, 260)))
        share = 0.62 + 0.2 * math.sin(self.time / 40) + self.random.gauss(0, 0.03)
        for name, more in (("generated", written), ("prompt", prompt), ("cached", round(prompt * share)), ("drafted", written),
                           ("accepted", round(written * (0.66 + self.random.gauss(0, 0.03))))):
            self.tokens[name] += more

    def status(self, _handler):
        """The answer of GET /v1/status."""
        self.asked += 1
        return {"version": "0.1.0", "state": "ready", "uptime_s": 93_000 + self.time, "model": {"id": "headgate-s", "context": 4096},
                "requests": {"running": self.running, "waiting": self.waiting, "completed": 18_204 + 3 * self.time, "failed": 2, "cancelled": 311},
                "tokens": {name: 900_000 + value for name, value in self.tokens.items()},
                "memory": {"state_bytes": (96 + 21 * self.running) << 20, "state_budget_bytes": 1 << 30, "cached_prefix_bytes": (64 + self.time // 4) << 20},
                "latency": {"ttft_ms": {"p50": 84, "p99": 310}, "gap_ms": {"p50": 14.1, "p99": 31}},
                "active": [{"id": f"req-{self.random.getrandbits(48):012x}", "state": "decoding" if i else "prefilling", "age_s": 0.4 + 2.3 * i, "prompt_tokens": 3120 - 241 * i,
                            "cached_tokens": 2048 - 190 * i, "generated_tokens": 61 * i} for i in range(min(6, self.running))]}


def keep(page, folder, name):
    """A screenshot of few colours and few bytes."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
    path = os.path.join(folder, name)
    image.save(path, optimize=True)
    print(path, os.path.getsize(path), "bytes")


def dress(page):
    """Sets the font that was asked for."""
    if os.environ.get("HEADGATE_FONT"):
        page.evaluate("(name) => document.documentElement.style.setProperty('--sans', name)", os.environ["HEADGATE_FONT"])


def chats(case, folder):
    """The pictures of the chat on a wide screen."""
    with case.page(width=1280, height=860, color_scheme="light") as page:
        dress(page)
        for text in OLDER:
            case.send(page, text)
            page.keyboard.press("Control+Shift+O")
        case.send(page, "How much water flows under a sluice gate?")
        page.wait_for_selector(".katex svg path")
        page.wait_for_timeout(300)
        page.evaluate("document.querySelector('#scroller').scrollTop = 0")
        page.mouse.move(640, 30)
        page.wait_for_timeout(300)
        keep(page, folder, "web-chat.png")
        page.keyboard.press("Control+Shift+O")
        case.send(page, "Is there a flood warning for the Aare?")
        page.fill(".call >> nth=0 >> textarea", '{"celsius": 14, "rain_mm": 2}')
        keep(page, folder, "web-tools.png")
        page.click("#open-settings")
        page.check("input[name=theme][value=dark]", force=True)
        page.click("#chats li:nth-child(2) a")
        page.wait_for_selector(".katex svg path")
        page.click("summary")
        page.mouse.move(640, 30)
        page.fill("#system", "You are an engineer who likes short answers.")
        page.fill("#s-temperature", "0.7")
        page.evaluate("document.querySelector('#settings-content').scrollTop = 0; document.querySelector('#scroller').scrollTop = 0; document.activeElement.blur()")
        page.wait_for_timeout(300)
        keep(page, folder, "web-settings.png")


def phone(case, folder):
    """The picture of the chat on a phone."""
    with case.page(width=390, height=780, device_scale_factor=1.5, has_touch=True, is_mobile=True, color_scheme="dark") as page:
        dress(page)
        page.fill("#prompt", "How much water flows under a sluice gate?")
        page.click("#send")
        case.settled(page)
        page.wait_for_selector(".katex svg path")
        page.evaluate("document.querySelector('#scroller').scrollTop = 0")
        page.wait_for_timeout(300)
        keep(page, folder, "web-phone.png")


def status(case, folder):
    """The picture of the live view, three minutes in."""
    life = Life()
    mock_server.Handler.status = lambda handler: life.status(handler)
    with case.page("favicon.none", ready=False, width=1280, height=980) as page:
        case.expected = ["404"]
        page.clock.install(time=0)
        page.goto(case.url + "status")
        page.clock.pause_at(60_000)
        dress(page)
        for _ in range(185):
            life.step()
            asked = life.asked
            page.clock.run_for(1000)
            for _ in range(20):
                page.wait_for_timeout(15)
                if life.asked > asked:
                    break
        page.wait_for_timeout(100)
        keep(page, folder, "web-status.png")


WEATHER = [{"type": "function", "function": {
    "name": "get_weather", "description": "Current weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]


def real_chats(case, folder):
    """A story, a sum with thinking and a tool call of the embedded model."""
    with case.page(width=1280, height=860, color_scheme="light") as page:
        dress(page)
        page.click("#open-settings")
        page.fill("#s-temperature", "0")
        page.click("#settings-close")
        for text in ("What is 5 + 4?", "Tell me a short story about a hen."):
            case.send(page, text)
            page.keyboard.press("Control+Shift+O")
        page.click("#thinking")
        case.send(page, "What is 17 + 25?")
        page.locator(".answer").last.locator("summary").first.click()
        page.click("#thinking")
        case.send(page, "Tell me a short story about a fox.")
        page.wait_for_timeout(400)
        keep(page, folder, "web-story.png")
    with case.page(width=1280, height=860, color_scheme="dark") as page:
        dress(page)
        page.click("#open-settings")
        page.fill("#s-temperature", "0")
        page.fill("#tools", json.dumps(WEATHER))
        page.click("#settings-close")
        case.send(page, "What is the weather in Paris?")
        page.fill(".call >> nth=0 >> textarea", "Sunny, 21 degrees")
        page.wait_for_timeout(300)
        keep(page, folder, "web-tools.png")


def load(case, stop, seed):
    """A client that asks one question after another."""
    rand = random.Random(seed)
    host = case.url.split("/")[2]
    words = ("fox", "hen", "river", "boat", "lamp", "garden", "kite")
    connection = http.client.HTTPConnection(host, timeout=120)
    turns = []
    while not stop.is_set():
        if len(turns) > 8:
            turns = []
        turns.append({"role": "user", "content": f"Tell me a short story about a {rand.choice(words)}. " + "It should be kind. " * rand.randint(0, 40)})
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": turns, "seed": rand.getrandbits(30), "max_tokens": rand.randint(40, 400), "ignore_eos": True}))
        answer = json.load(connection.getresponse())
        turns.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
        stop.wait(rand.random() * 0.6)


def real_status(case, folder):
    """The live view while clients ask."""
    stop = threading.Event()
    clients = [threading.Thread(target=load, args=(case, stop, i)) for i in range(12)]
    with case.page("status", ready=False, width=1280, height=980) as page:
        dress(page)
        for client in clients:
            client.start()
        page.wait_for_timeout(60_000)
        keep(page, folder, "web-status.png")
        stop.set()
    for client in clients:
        client.join()


def main(folder, program):
    """All pictures into the folder."""
    os.makedirs(folder, exist_ok=True)
    Served.binary = program
    taken = [(BrowserTest, (chats, phone, status))]
    if program:
        taken.append((Served, (real_chats, real_status)))
    for kind, takes in taken:
        case = kind()
        kind.setUpClass()
        try:
            case.setUp()
            for take in takes:
                take(case, folder)
        finally:
            kind.tearDownClass()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(mock_server.ROOT, "docs", "images"), os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None)

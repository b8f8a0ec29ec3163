"""Serves the web page with a model that says what the test wants: errors, tool calls and speeds on demand.

What the last message says decides the answer: see SCRIPTS. Usage: mock_server.py [PORT]; without one any free port, printed.
"""
import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEB = os.path.join(ROOT, "src", "server", "web")
LIBRARIES = {"marked.min.js": "/usr/share/javascript/marked/marked.min.js", "katex.min.js": "/usr/share/javascript/katex/katex.min.js",
             "purify.min.js": "/usr/share/nodejs/dompurify/dist/purify.min.js", "katex.min.css": "/usr/share/javascript/katex/katex.min.css"}
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".woff2": "font/woff2"}
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify")

SHOWCASE = r"""A sluice gate holds back water until someone decides how much may pass. The flow under a half-raised gate is

$$Q = C_d\, b\, a \sqrt{2 g h_1}$$

with opening $a$, width $b$ and upstream depth $h_1$. In code:

```python
from math import sqrt

def flow(opening, width, depth, cd=0.61, g=9.81):
    # Free flow: the jet below the gate is not drowned.
    return cd * width * opening * sqrt(2 * g * depth)

print(f"{flow(0.2, 1.5, 1.8):.2f} m³/s")
```

| depth in m | opening in m | flow in m³/s |
|---|---:|---:|
| 1.2 | 0.20 | 0.89 |
| 1.8 | 0.20 | 1.09 |
| 1.8 | 0.35 | 1.90 |

Two things to keep in mind:

1. The formula holds while the jet is **free**; once it drowns, use the difference of both depths.
2. `cd` lies between 0.58 and 0.63 for sharp edges.
"""
THOUGHT = ("The user asks about flow under a gate. I should give the orifice form, a small function, and a table.\n\n"
           "- Check the units: $b a \\sqrt{2 g h}$ is m² times m/s, fine.\n- A discharge coefficient of 0.61 is usual.\n")
SHORT = "Rain on the gate,\nthe river learns to be patient.\nMorning lets it through."


def pieces(text, size=4):
    """Text cut as tokens might be."""
    return [text[i:i + size] for i in range(0, len(text), size)]


def long_text(words):
    """Markdown of about so many words: paragraphs, lists, code, tables, formulas in turn."""
    out, made, block = [], 0, 0
    while made < words:
        kind = block % 5
        if kind == 0:
            out.append(f"## Part {block}\n\n" + "Water finds its **level**, and `levels` find their _gate_. " * 6)
        elif kind == 1:
            out.append("\n".join(f"- item {i} with *stress* and a [link](https://example.org/{i})" for i in range(8)))
        elif kind == 2:
            out.append("```js\n" + "\n".join(f"const value{i} = compute({i}, 'text'); // line {i}" for i in range(14)) + "\n```")
        elif kind == 3:
            out.append("| a | b | c |\n|---|---|---:|\n" + "\n".join(f"| {i} | {i * i} | {i ** 3} |" for i in range(6)))
        else:
            out.append("Euler: $e^{i\\pi} + 1 = 0$, and $$\\int_0^1 x^2\\,dx = \\tfrac13$$ so be it.")
        made += len(out[-1].split())
        block += 1
    return "\n\n".join(out)


class State:
    """What the status view shows."""

    lock = threading.Lock()
    started = time.time()
    requests = {"running": 0, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "preempted": 0}
    tokens = {"prompt": 0, "cached": 0, "generated": 0, "drafted": 0, "accepted": 0}
    key = None  # when set, requests need it
    go = threading.Event()  # lets an answer go on that waits for the test
    bodies = []  # of the chat requests that came

    @classmethod
    def count(cls, kind, amount=1):
        with cls.lock:
            (cls.requests if kind in cls.requests else cls.tokens)[kind] += amount


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, content_type="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("content-type", content_type), ("content-length", str(len(data))), ("content-security-policy", CSP),
                            ("x-content-type-options", "nosniff"), ("cache-control", "no-cache"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, code=None, headers=(), kind="invalid_request_error"):
        self.answer(status, {"error": {"message": message, "type": kind, "param": None, "code": code}},
                    headers=(("x-request-id", "req-7f3a"), *headers))

    def page(self, path):
        name = {"/": "index.html", "/status": "status.html"}.get(path) or path.removeprefix("/web/")
        font = re.fullmatch(r"lib/fonts/([\w-]+\.woff2)", name)
        if font:
            file = "/usr/share/javascript/katex/fonts/" + font[1]
        elif name.startswith("lib/"):
            file = LIBRARIES.get(name[4:], "")
        else:
            file = os.path.join(WEB, name)
        if ".." in name or not os.path.isfile(file):
            return self.refuse(404, "not found")
        with open(file, "rb") as opened:
            self.answer(200, opened.read(), TYPES[os.path.splitext(file)[1]])

    def allowed(self):
        if State.key is None or self.headers.get("authorization") == f"Bearer {State.key}":
            return True
        self.refuse(401, "A valid API key is needed in the Authorization header.", "invalid_api_key", kind="authentication_error")
        return False

    def do_GET(self):
        path = self.path.split("?")[0]
        if path in ("/", "/status") or path.startswith("/web/"):
            self.page(path)
        elif not self.allowed():
            pass
        elif path == "/v1/models":
            self.answer(200, {"object": "list", "data": [
                {"id": "headgate-s", "object": "model", "owned_by": "headgate", "max_model_len": 4096, "meta": {"n_params": 36_000_000, "size": 38_995_104}},
                {"id": "qwen3-next-80b-a3b", "object": "model", "owned_by": "headgate", "max_model_len": 262144}]})
        elif path == "/v1/status":
            self.answer(200, self.status())
        else:
            self.refuse(404, "not found")

    def status(self):
        with State.lock:
            running = State.requests["running"]
            return {"version": "0.1.0", "state": "ready", "uptime_s": time.time() - State.started, "model": {"id": "headgate-s", "context": 4096},
                    "requests": dict(State.requests), "tokens": dict(State.tokens),
                    "memory": {"state_bytes": (18 + 14 * running) << 20, "state_budget_bytes": 512 << 20, "cached_prefix_bytes": 12 << 20},
                    "latency": {"ttft_ms": {"p50": 84, "p99": 310}, "gap_ms": {"p50": 5.1, "p99": 12.4}},
                    "active": [{"id": f"req-{i + 1:04x}", "state": "decoding", "age_s": 1.5 + i, "prompt_tokens": 812, "cached_tokens": 640, "generated_tokens": 44 * (i + 1)}
                               for i in range(running)]}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if self.path != "/v1/chat/completions":
            return self.refuse(404, "not found")
        if not self.allowed():
            return None
        State.bodies.append(body)
        last = body["messages"][-1]
        text = last["content"] if last["role"] == "user" else "after tools"
        if text.startswith("error 429"):
            return self.refuse(429, "32 requests wait already.", "overloaded", (("retry-after", "3"),), "rate_limit_error")
        if text.startswith("error context"):
            return self.refuse(400, "This prompt has 5,120 tokens; the context has 4,096.", "context_length_exceeded")
        if text.startswith("error"):
            return self.refuse(500, "The engine failed.", "internal", kind="server_error")
        State.count("running")
        try:
            self.stream(body, text)
            State.count("completed")
        except (BrokenPipeError, ConnectionResetError):
            State.count("cancelled")
        finally:
            State.count("running", -1)
        return None

    def event(self, delta=None, finish=None, **more):
        choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
        if choices and State.bodies[-1].get("logprobs") and choices[0]["delta"].get("content"):
            token = choices[0]["delta"]["content"]
            sure = -0.02 - 3 * (sum(token.encode()) % 7 == 0) - 1.2 * (token[0] == " ")
            choices[0]["logprobs"] = {"content": [{"token": token, "logprob": sure, "top_logprobs": [{"token": token, "logprob": sure}, {"token": " else", "logprob": -4.2}]}]}
        self.data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "headgate-s", "choices": choices, **more})

    def data(self, event):
        self.chunk("data: " + (event if isinstance(event, str) else json.dumps(event)) + "\n\n")

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def say(self, field, text, gap, size=4):
        for piece in pieces(text, size):
            self.event({field: piece})
            State.count("generated")
            time.sleep(gap)

    def stream(self, body, text):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.chunk(": keep-alive\n\n")  # clients must skip comments
        prompt = sum(len(json.dumps(message)) for message in body["messages"]) // 4 + 12
        before = State.tokens["generated"]
        time.sleep(0.05)
        self.event({"role": "assistant", "content": ""})
        finish = self.speak(body, text)
        written = State.tokens["generated"] - before
        self.event({}, finish)
        State.count("prompt", prompt)
        State.count("cached", prompt * 4 // 5)
        State.count("drafted", written)
        State.count("accepted", written * 7 // 10)
        self.event(None, None, usage={
            "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written, "prompt_tokens_details": {"cached_tokens": prompt * 4 // 5},
            "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": written * 7 // 10, "rejected_prediction_tokens": written - written * 7 // 10}})
        self.data("[DONE]")
        self.chunk("")

    def speak(self, body, text):
        """Writes what the text asks for; returns the reason for the end."""
        if text.startswith("tools") or "flood" in text:
            for index, (name, arguments) in enumerate((("get_weather", '{"city": "Bern"}'), ("get_level", '{"river": "Aare", "unit": "m"}'))):
                self.event({"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}]})
                for piece in pieces(arguments):
                    self.event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                    time.sleep(0.01)
            return "tool_calls"
        if text.startswith("long"):
            words = int(text.split()[1])
            self.say("content", long_text(words), 0.005, 5)
        elif text.startswith("read"):
            self.event(prompt_progress={"total": 32000, "cache": 8000, "processed": 16000, "time_ms": 1})
            State.go.wait(60)
            self.say("content", SHORT, 0.01)
        elif text.startswith("slow"):
            self.say("content", "One word after the other, without any haste. " * 40, 0.05)
        elif text.startswith("echo "):
            self.say("content", text[5:], 0, 40)
        elif text.startswith("broken"):
            self.event({"content": "This answer will not"})
            self.data({"error": {"message": "The engine met a number that is none.", "type": "server_error", "param": None, "code": "engine_failed"}})
            raise BrokenPipeError
        elif text.startswith("after tools"):
            self.say("content", "It is 14 °C in Bern and the Aare stands at 1.62 m.", 0.005)
        elif text.startswith("limit"):
            self.say("content", "This stops in the middle of", 0.005)
            return "length"
        elif "gate" in text:
            self.say("reasoning_content", THOUGHT, 0.004)
            self.say("content", SHOWCASE, 0.002)
        else:
            self.say("content", SHORT, 0.01)
        return "stop"


class Server(ThreadingHTTPServer):
    """Threads end with the program."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()

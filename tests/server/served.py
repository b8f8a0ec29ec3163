"""A headgate server for tests: started on a free port with the embedded model, stopped at the end."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request


class Served:
    """`headgate serve` with these arguments; `url` is its root."""

    def __init__(self, program, *arguments, environment=None, restore_signals=True):
        self.folder = tempfile.TemporaryDirectory(prefix="headgate-server-")
        self.log_path = os.path.join(self.folder.name, "log")
        data = os.path.join(self.folder.name, "data")
        self.command = [program, "serve", "--port", "0", "--data", data, *arguments]
        self.environment = {**os.environ, **(environment or {})}
        self.restore_signals = restore_signals
        self.data = data
        self.process = None
        self.start()

    def start(self):
        """Starts it and waits until it says where it listens."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdout=log, env=self.environment,
                                            restore_signals=self.restore_signals)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = re.search(r"(https?://[\w.:\[\]]+:\d+)/v1", self.log())
            if found:
                self.url = found.group(1)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("the server did not start: " + self.log())

    def log(self):
        """What it has written so far."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def get(self, path, **headers):
        """Status and body of a GET request."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path, body, **headers):
        """Status and JSON of a POST request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Ends it with a signal; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def close(self):
        """Ends it and removes its files."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

#!/usr/bin/env python3
"""What ends other servers below their API: endless heads, half-open and dripping connections, readers that leave, paths that climb,
certificates that have expired, a disk that is full.

Usage: transport_test.py PROGRAM [unittest arguments]. Needs Python's standard library (and openssl for certificates).
"""
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import Served

PROGRAM = ""
BODY = {"prompt": "The river is", "max_tokens": 3}


def connect(server):
    """A connection that waits for nothing longer than 30 s."""
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=30)


def exchange(server, request):
    """All that comes back for these bytes."""
    answer = b""
    with connect(server) as link:
        try:
            link.sendall(request)
            while piece := link.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return answer


class Transport(unittest.TestCase):
    """Strangers' bytes cost the others nothing."""

    @classmethod
    def setUpClass(cls):
        cls.server = Served(PROGRAM)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def tearDown(self):
        status, answer = self.server.post("/v1/completions", BODY)
        self.assertEqual((status, answer["usage"]["completion_tokens"]), (200, 3))

    def test_a_head_of_a_megabyte_is_refused_before_it_has_come(self):
        for head in (b"X: " + b"x" * (1 << 20), b"".join(b"X%d: y\r\n" % i for i in range(100_000)), b"Cookie: " + b"a=b; " * 200_000):
            answer = exchange(self.server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
            self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 431"), answer[:100])
        long_line = exchange(self.server, b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(long_line == b"" or long_line[9:10] == b"4", long_line[:100])

    def test_half_open_and_dripping_connections_keep_nobody_out(self):
        links = [connect(self.server) for _ in range(120)]
        over = threading.Event()

        def drip():
            text = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000
            for byte in text:
                for link in links[60:]:
                    try:
                        link.send(bytes([byte]))
                    except OSError:
                        pass
                if over.wait(0.02):
                    return

        slow = threading.Thread(target=drip)
        slow.start()
        for link in links[:30]:
            link.send(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        for _ in range(10):
            self.assertEqual(self.server.get("/health")[0], 200)
            self.assertEqual(self.server.post("/v1/completions", BODY)[0], 200)
        over.set()
        slow.join()
        for i, link in enumerate(links):
            if i % 2:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            link.close()

    def test_readers_that_leave_or_stop_reading_free_their_place(self):
        body = json.dumps({"prompt": "The river is", "stream": True, "ignore_eos": True}).encode()
        request = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        links = [connect(self.server) for _ in range(12)]
        for link in links:
            link.sendall(request)
        for link in links[:6]:
            self.assertIn(b"200 OK", link.recv(4096))
        for i, link in enumerate(links):
            if i % 3 == 0:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            link.close()
        deadline = time.monotonic() + 20
        while json.loads(self.server.get("/v1/status")[1])["requests"]["running"] and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(json.loads(self.server.get("/v1/status")[1])["requests"]["running"], 0)

    def test_paths_do_not_climb(self):
        steps = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "....//", "..;/", "%252e%252e%252f", "..%c0%af", "..%00/")
        roots = ("/", "/web/", "/web/js/", "/v1/responses/", "/v1/models/")
        tried = 0
        for root in roots:
            for step in steps:
                for target in ("etc/passwd", "headgate.db", "proc/self/environ", "web/index.html"):
                    path = (root + step * 8 + target).encode()
                    answer = exchange(self.server, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    self.assertIn(answer[9:12], (b"400", b"404"), path)
                    self.assertNotIn(b"root:", answer)
                    tried += 1
        self.assertEqual(tried, 220)
        for line in (b"GET //etc/passwd HTTP/1.1", b"GET file:///etc/passwd HTTP/1.1", b"GET http://localhost/../../etc/passwd HTTP/1.1"):
            self.assertNotIn(b"root:", exchange(self.server, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"))


def make_certificate(folder, name, start, end):
    """A certificate that signs itself, valid between two dates of form YYYYMMDDHHMMSSZ."""
    home = os.path.join(folder, name)
    os.makedirs(home)
    config = os.path.join(home, "ca.cnf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={home}/index\nserial={home}/serial\nnew_certs_dir={home}\npolicy=p\n"
                   "default_md=sha256\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\n"
                   "[req]\ndistinguished_name=n\n[n]\n")
    open(os.path.join(home, "index"), "w", encoding="ascii").close()
    with open(os.path.join(home, "serial"), "w", encoding="ascii") as file:
        file.write("01\n")
    key, request, certificate = (os.path.join(home, part) for part in ("key.pem", "request.pem", "cert.pem"))
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True)
    run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj",
        "/CN=localhost", "-config", config)
    run("ca", "-batch", "-config", config, "-selfsign", "-keyfile", key, "-in", request, "-out", certificate, "-startdate", start,
        "-enddate", end, "-notext")
    return certificate, key


class Certificates(unittest.TestCase):
    """Nobody is served with a certificate that has expired."""

    def test_an_expired_certificate_is_refused_at_start_and_at_reload(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl program")
        with tempfile.TemporaryDirectory() as folder:
            good = make_certificate(folder, "good", "20200101000000Z", "21200101000000Z")
            old = make_certificate(folder, "old", "20200101000000Z", "20200201000000Z")
            data = os.path.join(folder, "data")
            refused = subprocess.run([PROGRAM, "serve", "--port", "0", "--data", data, "--tls-cert", old[0], "--tls-key", old[1]],
                                     capture_output=True, text=True, timeout=60, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("expired", refused.stderr)
            used = [os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")]
            for source, target in zip(good, used):
                shutil.copy(source, target)
            server = Served(PROGRAM, "--tls-cert", used[0], "--tls-key", used[1])
            self.addCleanup(server.close)
            context = ssl.create_default_context(cafile=good[0])
            with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as link:
                first = link.getpeercert(True)
            for source, target in zip(old, used):
                shutil.copy(source, target)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 20
            while "expired" not in server.log() and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertIn("expired", server.log())
            with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as link:
                self.assertEqual(link.getpeercert(True), first)


class FullDisk(unittest.TestCase):
    """A store that can write no more is an error of one request, not the end."""

    def test_the_server_goes_on_and_recovers(self):
        # A limit on the size of files stands for a full disk: it needs no rights and no file system of its own.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            server = Served(PROGRAM, "--require-keys", restore_signals=False)
        finally:
            signal.signal(signal.SIGXFSZ, ignored)
        self.addCleanup(server.close)
        key = subprocess.run([PROGRAM, "keys", "create", "a", "--data", server.data], check=True, capture_output=True, text=True).stdout.strip()
        headers = {"x-api-key": key}
        deadline = time.monotonic() + 10
        while server.get("/v1/models", **headers)[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        body = {"input": "Hello! " * 40, "max_output_tokens": 2}
        kept = [server.post("/v1/responses", body, **headers)[1]["id"] for _ in range(3)]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        failures = []
        for _ in range(4):
            status, answer = server.post("/v1/responses", body, **headers)
            if status != 200:
                failures.append((status, answer["error"]["message"]))
        self.assertTrue(failures)
        self.assertTrue(all(500 <= status < 600 for status, _ in failures), failures)
        self.assertEqual(server.post("/v1/responses", {**body, "store": False}, **headers)[0], 200)
        self.assertEqual(server.post("/v1/completions", BODY, **headers)[0], 200)
        for name in kept:
            self.assertEqual(server.get("/v1/responses/" + name, **headers)[0], 200)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
        status, answer = server.post("/v1/responses", body, **headers)
        self.assertEqual(status, 200, answer)
        self.assertEqual(server.get("/v1/responses/" + answer["id"], **headers)[0], 200)
        server.stop(signal.SIGKILL)
        server.start()
        for name in [*kept, answer["id"]]:
            self.assertEqual(server.get("/v1/responses/" + name, **headers)[0], 200)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

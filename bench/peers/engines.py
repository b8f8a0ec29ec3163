"""The two programs that are timed in turns: processes that read one command a line and answer with one line of JSON."""
import json
import subprocess
import sys
import time

from peer_build import PeerError

# OpenMP threads go on spinning for 200 ms after a region: the other program waits for that to end.
SETTLE_SECONDS = 0.3


class Engine:
    """A process with a model loaded. Closing it frees the memory."""

    def __init__(self, name, command):
        self.name = name
        self.command = command
        self.opened, self.position = None, 0  # (sequences, room, settings) of the last open, and tokens since
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            raise PeerError(f"{name}: cannot run {command[0]}: {error.strerror}") from None

    def ask(self, line):
        """Sends a command and returns its answer. Raises PeerError for a refusal or a process that ended."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise PeerError(f"{self.name}: ended with status {self.process.wait()} at '{line}'")
        reply = json.loads(answer)
        if "error" in reply:
            raise PeerError(f"{self.name}: {line}: {reply['error']}")
        return reply

    def seconds(self, verb, tokens):
        """Runs prefill or decode of so many tokens; the seconds it took."""
        answer = self.ask(f"{verb} {tokens}")
        self.position = answer["position"]
        return answer["seconds"]

    def holds(self, sequences, depth, room, settings):
        """Whether the open sequences can serve as they are. The micro-batch does not matter for decoding."""
        if self.opened is None or self.position != depth or depth == 0:
            return False
        had_sequences, had_room, had = self.opened
        same = had is None or all(had[key] == settings[key] for key in ("repack", "flash", "kv"))
        return had_sequences == sequences and had_room >= room and same

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.close()
                self.process.wait(timeout=30)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


class Headgate(Engine):
    """headgate bench --interactive."""

    def __init__(self, binary, model, threads, extra=()):
        super().__init__("headgate", [binary, "bench", "-m", model, "-t", str(threads), "--no-mtp", "--interactive", *extra])

    def open(self, sequences, tokens, _settings=None):
        self.ask(f"open {sequences} {tokens}")
        self.opened, self.position = (sequences, tokens, None), 0


class LlamaCpp(Engine):
    """llama_cpp_driver."""

    def __init__(self, driver, model, threads, repack):
        super().__init__("llama.cpp", [driver, model, str(threads), str(repack)])
        self.system = json.loads(self.process.stdout.readline() or "{}").get("system")
        if self.system is None:
            raise PeerError(f"llama.cpp: cannot load {model}")

    def open(self, sequences, tokens, settings):
        self.ask(f"open {sequences} {tokens} {settings['micro_batch']} {settings['flash']} {settings['kv']}")
        self.opened, self.position = (sequences, tokens, settings), 0


class Quiet:
    """Holds a command that silences the machine while something is timed; without a command, does nothing.

    The command is run with a program behind it that says when it has begun and ends when told: the machine is taken to be
    silent between the two. `lost` tells that the command ended before it was told to.
    """

    HOLD = "import sys; print('ready', flush=True); sys.stdin.readline()"

    def __init__(self, command, seconds, linger=False):
        """Silence is broken for a moment by breathe() when it has lasted `seconds`. With `linger` it outlasts the with block,
        for the next one, until close(): where many programs wait for their turn, getting it takes longest."""
        self.command, self.limit, self.linger = command, seconds, linger
        self.process = None
        self.since = 0.0
        self.lost = False

    def __enter__(self):
        self.lost = False
        if self.process is None:
            self.begin()
        else:
            self.breathe()
        return self

    def __exit__(self, *_):
        if not self.linger:
            self.end()
        elif self.process is not None and self.process.poll() is not None:
            self.end()

    def begin(self):
        if self.command:
            self.process = subprocess.Popen([*self.command, sys.executable, "-c", self.HOLD], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
            if self.process.stdout.readline().strip() != "ready":
                raise PeerError(f"{self.command[0]}: ended before the measurement began")
        self.since = time.monotonic()

    def end(self):
        if self.process is None:
            return
        self.lost = self.lost or self.process.poll() is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.close()
        except BrokenPipeError:
            self.lost = True
        self.process.wait()
        self.process = None

    def breathe(self):
        """Lets others go on for a moment when the silence has lasted long enough, or makes a broken one anew."""
        if self.command and (time.monotonic() - self.since > self.limit or self.process.poll() is not None):
            self.end()
            time.sleep(0.2)
            self.begin()

"""Timing in turns: the peer's best settings first, then pairs of runs of both programs."""
import statistics
import sys
import time

from cases import SCREEN_TOKENS, describe_settings, peer_settings
from engines import SETTLE_SECONDS, Headgate, LlamaCpp, Quiet
from peer_build import PeerError

CALIBRATION_LIMIT = 0.15
DECODE_ROOM = 1024


def note(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    """Both programs on the models of one run. Only one process of each is alive at a time: models are large."""

    def __init__(self, options, peer, models):
        self.options = options
        self.peer = peer
        self.models = models
        self.quiet = Quiet(options.quiet_command, options.quiet_seconds, linger=True)
        self.alive = {}  # program -> (key, engine)

    def engine(self, program, key, make):
        """The living engine of a program, made anew when the key is another."""
        if program in self.alive and self.alive[program][0] != key:
            self.alive.pop(program)[1].close()
        if program not in self.alive:
            self.quiet.end()  # loading may take a minute: nobody has to wait for that
            self.alive[program] = (key, make())
        return self.alive[program][1]

    def llama(self, model, repack):
        return self.engine("llama.cpp", (model, repack), lambda: LlamaCpp(
            self.peer.driver, self.models[model], self.options.threads, repack))

    def headgate(self, case):
        long = max(case.depth, case.tokens) >= self.options.long_depth
        extra = [*self.options.headgate_options, "--kv-type", self.options.long_kv_type if long else self.options.kv_type]
        return self.engine("headgate", (case.model, tuple(extra)), lambda: Headgate(
            self.options.headgate, self.models[case.model], self.options.threads, extra))

    def close(self):
        self.quiet.end()
        for _, engine in self.alive.values():
            engine.close()
        self.alive.clear()

    # Settings of the peer.

    def screen(self, case, repack, done):
        """Adds to `done` the tokens per second, best of three runs, of every setting with this `repack` that it lacks."""
        known = [entry["settings"] for entry in done]
        depth, tokens = min(case.depth, SCREEN_TOKENS), min(case.tokens, SCREEN_TOKENS)
        for settings in peer_settings(case):
            if settings in known or settings["repack"] != repack:
                continue
            engine = self.llama(case.model, settings["repack"])
            seconds = []
            with self.quiet as quiet:
                engine.open(case.sequences, depth + 4 * tokens + 16, settings)
                if depth:
                    engine.seconds("prefill", depth)
                for _ in range(1 if tokens >= SCREEN_TOKENS else 4):  # the first of several warms up
                    if case.kind == "prefill":
                        engine.open(case.sequences, tokens, settings)
                    quiet.breathe()
                    seconds.append(engine.seconds(case.kind, tokens))
            best = tokens * case.sequences / min(seconds)
            note(f"  {case.name}: {describe_settings(settings)}: {best:.1f} tok/s")
            done.append({"settings": settings, "tokens_per_second": best, "depth": depth, "tokens": tokens})

    # Pairs.

    def measure(self, case, settings):
        """Times the pairs of a case; the result as it goes into the JSON file."""
        ours, theirs = self.headgate(case), self.llama(case.model, settings["repack"])
        for _ in range(3):
            pairs = self.prefill_pairs if case.kind == "prefill" else self.decode_pairs
            result = {"title": case.title(), "kind": case.kind, "tokens": case.tokens, "depth": case.depth,
                      "sequences": case.sequences, "model": case.model, "goal_amx": case.goal_amx, "goal": case.goal,
                      "settings": settings, "ours_command": ours.command[5:], "pairs": []}
            lost = pairs(case, settings, ours, theirs, result)
            if not lost:
                break
            note(f"  {case.name}: the quiet command ended too early: once more")
        else:
            raise PeerError(f"{case.name}: the quiet command ends before the runs are over (see --quiet-seconds)")
        before, after = result["calibration_before"]["read_gbps"], result["calibration_after"]["read_gbps"]
        result["calibration_change"] = after / before - 1
        result["steady"] = abs(result["calibration_change"]) <= CALIBRATION_LIMIT
        note(f"  {case.name}: {summary_line(result)}")
        return result

    def prefill_pairs(self, case, settings, ours, theirs, result):
        long = len(case.pieces()) > 1

        def reopen():
            for engine in (theirs, ours):
                # Room behind a long prompt for the decode case of this depth.
                engine.open(case.sequences, case.tokens + (DECODE_ROOM if long else 0), settings)

        if not long:
            reopen()
            one_pair(case, ours, theirs, case.tokens)  # warms up
        with self.quiet as quiet:
            result["calibration_before"] = ours.ask("calibrate")
            for _ in range(self.options.long_pairs if long else self.options.pairs):
                reopen()
                seconds = [0.0, 0.0]
                for piece in case.pieces():
                    quiet.breathe()
                    seconds = [sum(x) for x in zip(seconds, one_pair(case, ours, theirs, piece))]
                result["pairs"].append(seconds)
            result["calibration_after"] = ours.ask("calibrate")
        return quiet.lost

    def decode_pairs(self, case, settings, ours, theirs, result):
        runs = max(self.options.pairs, self.options.decode_pairs)
        for engine in (theirs, ours):
            if not engine.holds(case.sequences, case.depth, case.room(runs), settings):
                if case.depth > SCREEN_TOKENS:
                    self.quiet.end()  # filling a long context is not timed
                engine.open(case.sequences, case.room(runs), settings)
                engine.seconds("prefill", case.depth or 1)
        with self.quiet as quiet:
            result["calibration_before"] = ours.ask("calibrate")
            one_pair(case, ours, theirs, case.tokens)  # warms up
            while len(result["pairs"]) < runs:
                result["pairs"].append(one_pair(case, ours, theirs, case.tokens))
                quiet.breathe()
            result["ours_bytes"] = ours.ask("bytes")
            result["calibration_after"] = ours.ask("calibrate")
        return quiet.lost


def one_pair(case, ours, theirs, tokens):
    """Seconds of [ours, llama.cpp], one directly after the other."""
    time.sleep(SETTLE_SECONDS)
    a = ours.seconds(case.kind, tokens)
    b = theirs.seconds(case.kind, tokens)
    return [a, b]


def lower_quartile(values):
    return statistics.quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else values[0]


def statistics_of(result):
    """What the table shows of the pairs. Ratios are of speed, ours to the peer's: above 1 we are faster."""
    ours, theirs = [p[0] for p in result["pairs"]], [p[1] for p in result["pairs"]]
    count = result["tokens"] * result["sequences"]
    pairwise = sorted(b / a for a, b in result["pairs"])
    out = {"ours": count / statistics.median(ours), "theirs": count / statistics.median(theirs),
           "ratio": statistics.median(theirs) / statistics.median(ours),
           "ratio_lower_quartiles": lower_quartile(theirs) / lower_quartile(ours),
           "least": pairwise[0], "most": pairwise[-1], "pairs": len(pairwise)}
    if "ours_bytes" in result:
        calibration = (result["calibration_before"]["read_gbps"] + result["calibration_after"]["read_gbps"]) / 2
        step = result["ours_bytes"]["bytes_per_step"]
        out["bytes_per_token"] = step / result["sequences"]
        out["gbps"] = step * 1e-9 * result["tokens"] / statistics.median(ours)
        out["share_of_bandwidth"] = out["gbps"] / calibration
    return out


def summary_line(result):
    s = statistics_of(result)
    share = f", {s['share_of_bandwidth']:.0%} of read bandwidth" if "share_of_bandwidth" in s else ""
    return (f"ours {s['ours']:.1f} tok/s, llama.cpp {s['theirs']:.1f}, ratio {s['ratio']:.2f} "
            f"({s['least']:.2f} to {s['most']:.2f}){share}")

"""What is measured: the cases of the table, and the settings that the peer may choose among."""
import itertools

# The least ratio that each case must reach, with AMX and without.
CASES = [
    # name, kind, sequences, depth, tokens, model, goal with AMX, goal without
    ("prefill-512-q4", "prefill", 1, 0, 512, "q4", 4.0, 2.0),
    ("prefill-4096-q4", "prefill", 1, 0, 4096, "q4", 6.0, 3.0),
    ("decode-0-q4", "decode", 1, 0, 32, "q4", 1.9, 1.9),
    ("decode-4096-q4", "decode", 1, 4096, 32, "q4", None, None),
    # Directly before the decode case of this depth, which then finds its context.
    ("prefill-32768-q4", "prefill", 1, 0, 32768, "q4", 8.0, 4.0),
    ("decode-32768-q4", "decode", 1, 32768, 32, "q4", 2.5, 2.5),
    ("batch-4-q4", "decode", 4, 0, 16, "q4", None, None),
    ("batch-8-q4", "decode", 8, 0, 16, "q4", 2.0, 1.8),
    ("batch-16-q4", "decode", 16, 0, 16, "q4", 2.0, 1.8),
    ("prefill-512-q8", "prefill", 1, 0, 512, "q8", None, None),
    ("prefill-4096-q8", "prefill", 1, 0, 4096, "q8", None, None),
    ("decode-0-q8", "decode", 1, 0, 32, "q8", 1.4, 1.4),
]
# A longer prompt is timed in pieces of so many tokens, the two programs in turns.
PIECE_TOKENS = 8192
# Settings of the peer are compared with at most so many tokens before and in a run.
SCREEN_TOKENS = 4096


class Case:
    def __init__(self, name, kind, sequences, depth, tokens, model, goal_amx, goal):
        self.name, self.kind, self.sequences, self.depth, self.tokens, self.model = name, kind, sequences, depth, tokens, model
        self.goal_amx, self.goal = goal_amx, goal

    def title(self):
        weights = {"q4": "Q4_K_M", "q8": "Q8_0"}.get(self.model, self.model)
        if self.kind == "prefill":
            return f"prefill {self.tokens:,}, {weights}"
        if self.sequences > 1:
            return f"decode of {self.sequences} sequences, {weights}"
        return f"decode at depth {self.depth:,}, {weights}"

    def pieces(self):
        """Token counts that are timed one after the other, in turns with the other program, and added up."""
        whole, rest = divmod(self.tokens, PIECE_TOKENS)
        return [PIECE_TOKENS] * whole + ([rest] if rest else [])

    def screen_name(self):
        """The case at whose size the settings of the peer are chosen: cases of one name share the choice."""
        if self.kind == "prefill":
            return f"prefill-{min(self.tokens, SCREEN_TOKENS)}-{self.model}"
        return f"decode-{self.sequences}x{self.tokens}-at-{min(self.depth, SCREEN_TOKENS)}-{self.model}"

    def room(self, runs):
        """Tokens of context that so many runs need."""
        return self.tokens if self.kind == "prefill" else (self.depth or 1) + self.tokens * (runs + 1) + 16


def all_cases():
    return [Case(*row) for row in CASES]


def peer_settings(case):
    """Every setting of llama.cpp that may be its best for a case. A quantised value cache needs flash attention."""
    micro_batches = (512, 2048) if case.kind == "prefill" and case.tokens > 512 else (512,)
    caches = [(1, "f16"), (0, "f16")] + ([(1, "q8_0")] if case.depth > 0 else [])
    return [{"repack": repack, "micro_batch": micro_batch, "flash": flash, "kv": kv}
            for repack, micro_batch, (flash, kv) in itertools.product((1, 0), micro_batches, caches)]


def describe_settings(s):
    return (f"repack {'on' if s['repack'] else 'off'}, micro-batch {s['micro_batch']}, "
            f"flash attention {'on' if s['flash'] else 'off'}, KV {s['kv']}")

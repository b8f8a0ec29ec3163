"""Writes one case: a random checkpoint and what is expected of it, checked against transformers on the way."""
import json
import os

import torch
from safetensors.torch import save_file

import hugging
from geometry import read_geometry
from reference import Network
from toy_tokenizer import write_tokenizer
from weights import WeightMaker, as_stored, for_reference

GREEDY_TOKENS = 32
ROUTER_MARGIN = 2e-4      # in `in.*` prompts: two engines whose rounding differs must choose the same experts
LEAD = 0.02               # of every greedy token over the second best


def distance(a, b):
    """The largest absolute difference."""
    return float((a.double() - b.double()).abs().max())


class CaseMaker:
    """One case: `spec` is an entry of cases.py, `folder` the place of its files."""

    def __init__(self, spec, folder):
        self.spec, self.folder, self.config = spec, folder, spec["config"]
        self.geometry = read_geometry(self.config)
        self.golden, self.errors, self.margins, self.leads = {}, {}, {}, {}
        self.prompts = {}

    def note(self, what, value, limit):
        """Keeps the worst value of a kind and refuses one above its limit."""
        self.errors[what] = max(self.errors.get(what, 0.0), value)
        if value > limit:
            raise ValueError(f"{self.spec['name']}: {what} differs by {value:.2e}, at most {limit:.0e} is allowed")

    def random_ids(self, length, seed):
        generator = torch.Generator().manual_seed(self.spec["seed"] * 10007 + length * 101 + seed)
        return torch.randint(0, self.geometry.vocabulary, (length,), generator=generator)

    def write_checkpoint(self):
        """The files of the checkpoint; then the three networks that must agree on it."""
        os.makedirs(self.folder, exist_ok=True)
        tensors = WeightMaker(self.geometry, self.spec["seed"]).all(self.spec.get("ahead", False))
        with open(os.path.join(self.folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=1)
        save_file(as_stored(self.geometry, tensors), os.path.join(self.folder, "model.safetensors"),
                  metadata={"format": "pt"})
        if self.spec.get("tokenizer"):
            write_tokenizer(self.folder, self.config.get("text_config", self.config))
        self.single = Network(self.geometry, for_reference(tensors))
        self.double = Network(self.geometry, for_reference(tensors), torch.float64)
        self.model = hugging.load(self.folder, self.config)

    def clear_prompt(self, length, margin, offset=0):
        """Random ids for which no choice of experts is close; the best of 40 tries. Also its margin."""
        best = None
        for seed in range(40):
            ids = self.random_ids(length, offset + seed)
            with hugging.RouterMargin(self.model) as seen:
                hugging.logits(self.model, ids)
            if best is None or seen.value > best[1]:
                best = (ids, seen.value)
            if best[1] >= margin:
                break
        return best

    def logits(self):
        """in.L.ids, out.L.logits."""
        for length in self.spec["lengths"]:
            ids, margin = self.clear_prompt(length, ROUTER_MARGIN)
            self.prompts[length], self.margins[length] = ids, margin
            out = hugging.logits(self.model, ids)
            scale = max(1.0, float(out.abs().max()))
            self.note("logits_single", distance(out, self.single.logits(ids)), 2e-4 * scale)
            self.note("logits_double", distance(out, self.double.logits(ids)), 2e-4 * scale)
            self.golden[f"in.{length}.ids"] = ids.to(torch.int32)
            self.golden[f"out.{length}.logits"] = out[-80:] if length > 100 else out

    def greedy(self):
        """greedy.L.*: a prompt whose continuation has no close call, in tokens or in experts."""
        for length in self.spec["greedy"]:
            best = None
            for seed in range(30):
                ids = self.prompts[length] if seed == 0 and length in self.prompts else self.random_ids(length, 900 + seed)
                with hugging.RouterMargin(self.model) as seen:
                    tokens, leads = hugging.greedy(self.model, ids, GREEDY_TOKENS)
                clear = min(min(leads) / LEAD, seen.value / (ROUTER_MARGIN / 2))
                if best is None or clear > best[0]:
                    best = (clear, ids, tokens, leads)
                if clear > 1:
                    break
            _, ids, tokens, leads = best
            again = self.double.logits(torch.cat([ids, torch.tensor(tokens[:-1])]))[length - 1:].argmax(-1)
            if again.tolist() != tokens:
                raise ValueError(f"{self.spec['name']}: greedy tokens of length {length} are not reproduced")
            self.golden[f"greedy.{length}.prompt"] = ids.to(torch.int32)
            self.golden[f"greedy.{length}.tokens"] = torch.tensor(tokens, dtype=torch.int32)
            self.golden[f"greedy.{length}.margin"] = torch.tensor(leads)
            self.leads[length] = min(leads)

    def states(self):
        """state.L.layerI.*: caches after a prompt; long keys and values are left out."""
        for length in self.spec["states"]:
            ids = self.prompts.get(length, torch.arange(length) * 7 % self.geometry.vocabulary)
            if length not in self.prompts:
                self.golden[f"state.{length}.ids"] = ids.to(torch.int32)
            state = self.double.new_state()
            self.double.hidden(ids, state)
            for name, value in hugging.caches(self.model, ids, self.geometry.layer_types).items():
                layer, part = name.removeprefix("layer").split(".")
                self.note("state", distance(value, state["layers"][int(layer)][part]), 1e-4)
                if part in ("S", "conv") or length <= 65:
                    self.golden[f"state.{length}.{name}"] = value

    def trace(self):
        """trace.*: every layer's output (transformers), and the values inside some layers (reference)."""
        ids, self.margins["trace"] = self.clear_prompt(7, 5 * ROUTER_MARGIN, offset=500)
        seen = {}
        hidden = self.single.hidden(ids, seen=seen)
        logits, outputs = hugging.layer_outputs(self.model, ids)
        self.golden.update({"trace.ids": ids.to(torch.int32), "trace.logits": logits, "trace.final_norm": hidden,
                            "trace.embed": self.single.weight("model.embed_tokens")[ids]})
        for layer, output in enumerate(outputs):
            self.note("layer_output", distance(output, seen[layer]["out"]), 1e-4 * max(1.0, float(output.abs().max())))
            self.golden[f"trace.layer{layer}.out"] = output
        for layer in self.spec["trace"]:
            for name, value in seen[layer].items():
                if name != "out":
                    self.golden[f"trace.layer{layer}.{name}"] = value

    def ahead(self):
        """mtp.L.*: the module on a whole prompt, then four drafts in a chain. Pair (h[i], x[i + 1]) has position i."""
        for length in self.spec["ahead_lengths"]:
            ids, seen, kept = self.prompts[length], {}, {}
            trunk = self.single.hidden(ids)
            following = torch.cat([ids[1:], self.single.head(trunk[-1:]).argmax(-1)])
            hidden = self.single.predict_ahead(trunk, following, torch.arange(length), kept, seen)
            exact = self.double.predict_ahead(self.double.hidden(ids), following, torch.arange(length), {})
            self.note("ahead", distance(self.single.head(hidden), self.double.head(exact)), 2e-3)
            put = {"next_token": following[-1:].to(torch.int32), "trunk_hidden": trunk[-4:], "hidden": hidden,
                   "logits": self.single.head(hidden[-4:]), "fc_last": seen["fc"][-1:],
                   "kv_k": kept["k"], "kv_v": kept["v"]}
            last, rows, drafts = hidden[-1:], [], []
            for step in range(4):
                rows.append(self.single.head(last)[0])
                drafts.append(int(rows[-1].argmax()))
                last = self.single.predict_ahead(last, torch.tensor(drafts[-1:]), torch.tensor([length + step]), kept)
            put["draft_tokens"], put["draft_logits"] = torch.tensor(drafts, dtype=torch.int32), torch.stack(rows)
            self.golden.update({f"mtp.{length}.{name}": value for name, value in put.items()})

    @torch.no_grad()
    def write(self):
        """Everything the spec asks for."""
        self.write_checkpoint()
        self.logits()
        self.greedy()
        self.states()
        self.trace()
        if self.spec.get("ahead"):
            self.ahead()
        save_file({name: value.detach().clone().contiguous() for name, value in self.golden.items()},
                  os.path.join(self.folder, "golden.safetensors"))
        about = dict(name=self.spec["name"], model_type=self.config["model_type"], errors=self.errors,
                     router_gap={k: v for k, v in self.margins.items() if v != float("inf")}, greedy_margin=self.leads,
                     cfg=self.config)
        with open(os.path.join(self.folder, "golden.json"), "w", encoding="utf-8") as file:
            json.dump(about, file, indent=1)
        return about

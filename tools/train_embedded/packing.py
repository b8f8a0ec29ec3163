"""Fills rows of T tokens with documents.  A batch is a pure function of (seed, step)."""

import os

import numpy as np
import torch

import corpus
from pools import Ctx
from sources import MIX, TEXT_SHARE, Sources, to_segments


class BookTokens:
    """All training books as one token array with the starts of paragraphs; cached on disk."""

    def __init__(self, tok, data, cache):
        path = os.path.join(cache, "books.npz")
        if not os.path.exists(path):
            ids, starts = [], []
            for d in corpus.books(data):
                paras = d["text"].split("\n\n")
                for enc in tok.encode_batch([p + "\n\n" for p in paras if p.strip()]):
                    starts.append(len(ids))
                    ids.extend(enc.ids)
            np.savez(
                path, ids=np.array(ids, dtype=np.uint16), starts=np.array(starts, dtype=np.int64)
            )
        z = np.load(path)
        self.ids, self.starts = z["ids"], z["starts"]

    def excerpt(self, rng, n):
        s = int(self.starts[rng.randrange(len(self.starts))])
        s = min(s, len(self.ids) - n)
        return self.ids[s : s + n].astype(np.int64).tolist()


class Packer:
    def __init__(self, tok, data, cache, seed=0, text_weight=0.5):
        self.tok, self.seed, self.text_weight = tok, seed, text_weight
        self.books = BookTokens(tok, data, cache)
        self.words = corpus.common_words(data)
        self.passages = corpus.passages(data)
        self.proper = corpus.proper_nouns(data)
        self.src = Sources(data)
        self.mix = {n: w for n, w in MIX.items() if n in self.src.fns}
        self.text_share = TEXT_SHARE
        self.im_end = tok.token_to_id("<|im_end|>")
        self.mean = self._lengths()

    def ctx(self, key):
        return Ctx(key, words=self.words, passages=self.passages, proper=self.proper)

    def _lengths(self):
        c = self.ctx("lengths")
        return {
            n: np.mean([len(self.encode(c, self.src.sample(n, c))[0]) for _ in range(40)])
            for n in self.mix
        }

    def encode(self, c, s, limit=10**9):
        """-> token ids and target weights; long dialogues are cut after an assistant turn."""
        ids, wts = [], []
        for text, target in to_segments(c, s):
            part = self.tok.encode(text, add_special_tokens=False).ids
            ids += part
            wts += [float(target)] * len(part)
        if len(ids) > limit and s.get("cut"):
            cut = limit
            while cut > 0 and not (ids[cut - 1] == self.im_end and wts[cut - 1]):
                cut -= 1
            ids, wts = ids[:cut], wts[:cut]
        return ids, wts

    def row(self, c, length):
        names = list(self.mix)
        probs = [self.mix[n] / self.mean[n] for n in names]
        text_p = (
            self.text_share
            * sum(self.mix.values())
            / max(1e-6, 1 - self.text_share)
            / 200
            / sum(probs)
        )
        docs, used, misses = [], 0, 0
        while misses < 6 and length - used > 40:
            room = length - used
            if c.chance(text_p / (1 + text_p)):
                n = min(room, c.rng.randint(100, 300))
                docs.append((self.books.excerpt(c.rng, n), [self.text_weight] * n))
            else:
                doc = self.encode(c, self.src.sample(c.rng.choices(names, probs)[0], c), room)
                if not doc[0] or len(doc[0]) > room:
                    misses += 1
                    continue
                docs.append(doc)
            used += len(docs[-1][0])
        if used < length:
            n = length - used
            docs.append((self.books.excerpt(c.rng, n), [self.text_weight] * n))
        return docs

    def batch(self, step, rows, length):
        """-> ids, doc, pos [rows, length] and weights of predicting ids[t] (0 at starts)."""
        c = self.ctx(f"{self.seed}/{step}")
        ids, doc, pos, wts = [], [], [], []
        for _ in range(rows):
            r = [[], [], [], []]
            for i, (x, w) in enumerate(self.row(c, length)):
                r[0] += x
                r[1] += [i] * len(x)
                r[2] += list(range(len(x)))
                r[3] += [0.0] + w[1:]
            for full, part in zip((ids, doc, pos, wts), r):
                full.append(part)
        return torch.tensor(ids), torch.tensor(doc), torch.tensor(pos), torch.tensor(wts)

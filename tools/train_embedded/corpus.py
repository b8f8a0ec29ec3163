"""Reads the data folder (xz-compressed JSON lines) and cuts texts into documents."""

import json
import lzma
import os
import random
import re

from pools import held_out_words

HELD_OUT_BOOK = "The Princess and the Goblin"


def read_lines(data, name):
    with lzma.open(os.path.join(data, name), "rt", encoding="utf-8") as fh:
        for line in fh:
            yield json.loads(line)


def books(data, held_out=False):
    for name in ("books_children.jsonl.xz", "books_fiction.jsonl.xz"):
        for d in read_lines(data, name):
            if (d["title"] == HELD_OUT_BOOK) == held_out:
                yield d


def stories(data):
    """Short stories; single line breaks inside a paragraph are joined."""
    out = []
    for d in read_lines(data, "stories_ccby.jsonl.xz"):
        paras = [" ".join(p.split()) for p in d["text"].split("\n\n")]
        d["text"] = "\n\n".join(p for p in paras if p)
        if 150 < len(d["text"]) < 1700:
            out.append(d)
    return out


def countries(data):
    return list(read_lines(data, "country_facts.jsonl.xz"))


def sgd(data):
    with lzma.open(
        os.path.join(data, "tool_dialogs_sgd_tools.json.xz"), "rt", encoding="utf-8"
    ) as fh:
        tools = json.load(fh)["train"]
    return tools, list(read_lines(data, "tool_dialogs_sgd_train.jsonl.xz"))


def passages(data, count=4000, seed=1, test=False):
    """Plain stretches of book text used as hay for the needle task."""
    rng = random.Random(seed + test)
    texts = [d["text"] for d in books(data, held_out=test)]
    out = []
    for _ in range(count):
        t = rng.choice(texts)
        p = rng.randrange(max(1, len(t) - 12000))
        out.append(re.sub(r"\s+", " ", t[p : p + 12000]).strip())
    return out


def common_words(data, seed=1):
    """Lower-case words of the children's books, for values in JSON and needles."""
    count = {}
    for d in read_lines(data, "books_children.jsonl.xz"):
        for w in re.findall(r"\b[a-z]{3,9}\b", d["text"]):
            count[w] = count.get(w, 0) + 1
    words = sorted(w for w, n in count.items() if 20 <= n <= 2000 and w not in held_out_words())
    random.Random(seed).shuffle(words)
    return words


def proper_nouns(data):
    """Capitalised words inside sentences of the books: more names than the pools have."""
    count = {}
    for d in read_lines(data, "books_children.jsonl.xz"):
        for w in re.findall(r"(?<=[a-z,;] )[A-Z][a-z]{2,9}\b", d["text"]):
            count[w] = count.get(w, 0) + 1
    return sorted(w for w, n in count.items() if n >= 4 and w not in held_out_words())


def tokenizer_texts(data):
    """Texts for the vocabulary: books, stories, facts, tool dialogues, generated samples."""
    from pools import Ctx
    from sources import generated_text

    for d in books(data):
        yield d["text"][:200000]
    for d in stories(data):
        yield d["text"]
    for d in countries(data):
        yield json.dumps({k: d[k] for k in d if k != "background"}, ensure_ascii=False)
    _, dialogs = sgd(data)
    for d in dialogs[:1500]:
        for m in d["messages"]:
            yield m.get("content") if isinstance(m.get("content"), str) else json.dumps(m)
    yield from generated_text(
        Ctx(7, words=common_words(data), passages=passages(data, 200)), data, 4000000
    )

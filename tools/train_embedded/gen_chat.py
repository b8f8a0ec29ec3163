"""Conversations: greetings, identity, facts, language tasks, unknown topics, several turns."""

import html
import os
import re

import corpus
import tables as tb
from pools import article

HERE = os.path.dirname(os.path.abspath(__file__))
DEF_T = [
    "What is {x}?",
    "Explain {x}.",
    "Tell me about {x}.",
    "What does {x} mean?",
    "Define {x}.",
    "Can you explain {x}?",
    "what is {x}",
    "Explain to me what {x} is.",
    "Do you know what {x} is?",
    "Please explain {x}.",
    "What's {x}?",
    "Describe {x}.",
    "Can you tell me what {x} is?",
    "Explain {x} to a child.",
    "I want to know what {x} is.",
    "Give me a short explanation of {x}.",
    "Tell me what {x} is.",
    "How would you describe {x}?",
]
WRAP = [
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "Please tell me: {q}",
    "I have a question. {q}",
    "Hi! {q}",
    "Hello, {q}",
    "{q} Please answer.",
    "Can you help me? {q}",
    "Question: {q}",
    "{q} Thanks!",
    "Tell me, {q}",
    "Hey, {q}",
]
SORRY = [
    (
        "I am sorry, I do not know that. I am a very small model. I can tell stories, do sums and "
        "answer simple questions."
    ),
    (
        "I do not know enough about {t}. I am a small language model, but I can help with sums, "
        "stories and simple facts."
    ),
    "I am sorry, {t} is too hard for me. I am a small model.",
    "I am not sure about {t}. Please ask a larger model or look it up.",
]


def read_blocks():
    with open(os.path.join(HERE, "questions.txt"), encoding="utf-8") as fh:
        lines = [x.rstrip("\n") for x in fh if x.strip()]
    return [
        (q.split("|"), a[1:].replace("\\n", "\n").split("|"))
        for q, a in zip(lines[::2], lines[1::2])
    ]


def read_definitions():
    with open(os.path.join(HERE, "definitions.txt"), encoding="utf-8") as fh:
        return [x.rstrip("\n").split("|", 1) for x in fh if x.strip()]


def clean_country(d):
    """A few short facts per country, brackets removed; None if the entry is not usable."""

    def plain(s, n=90):
        s = html.unescape(re.sub(r"&(\w+);?", r"&\1;", s or ""))
        s = re.sub(r"\s*\([^)]*\)", "", s).split(";")[0].strip()
        return s if 0 < len(s) <= n else ""

    name = html.unescape(re.sub(r"&(\w+);?", r"&\1;", d["name"]))
    name = tb.COUNTRY_NAMES.get(name, name)
    if not name or "," in name or len(name) > 28:
        return None
    langs = [
        x[len(name) + 1 :]
        for x in tb.LANGUAGES.replace("\n", "").split(";")
        if x.startswith(name + " ")
    ]
    return {
        "name": name,
        "capital": tb.CAPITALS.get(name) or plain(d.get("capital"), 30),
        "where": plain(d.get("location"), 160),
        "pop": int(re.sub(r"\D", "", (d.get("population") or "0").split("(")[0]) or 0),
        "langs": langs,
    }


def turn(q, a):
    return [{"role": "user", "content": q}, {"role": "assistant", "content": a}]


class Chat:
    def __init__(self, data):
        self.blocks = read_blocks()
        self.defs = read_definitions()
        rows = [clean_country(d) for d in corpus.countries(data)]
        self.countries = [r for r in rows if r and r["capital"] and r["pop"] > 200000]
        self.weights = [8.0 if r["name"] in tb.WELL_KNOWN else 1.0 for r in self.countries]
        self.books = sorted(
            {
                (d["title"], d["author"])
                for d in corpus.books(data)
                if d["author"] not in ("Various", "Anonymous") and len(d["title"]) < 45
            }
        )

    # ---- single exchanges: each returns (question, answer) ----
    def block(self, c):
        qs, ans = c.rng.choice(self.blocks[:45] if c.chance(0.4) else self.blocks)
        q = c.rng.choice(qs)
        return self.vary(c, q), c.rng.choice(ans)

    def vary(self, c, q):
        if c.chance(0.75):
            return q
        r = c.rng.random()
        if r < 0.4:
            return c.rng.choice(WRAP).format(q=q)
        if r < 0.7:
            return q.lower()
        return q.rstrip("?.!") if r < 0.9 else q + "!"

    def definition(self, c):
        x, a = c.rng.choice(self.defs)
        return self.vary(c, c.template(DEF_T).format(x=x)), a

    def country(self, c):
        d = c.rng.choices(self.countries, self.weights)[0]
        n, cap = d["name"], d["capital"]
        kind = c.rng.random()
        if kind < 0.6:
            q = c.template(
                [
                    "What is the capital of {n}?",
                    "Which city is the capital of {n}?",
                    "Capital of {n}?",
                    "Tell me the capital of {n}.",
                    "What's the capital of {n}?",
                    "Name the capital of {n}.",
                    "what is the capital of {n}",
                    "Do you know the capital of {n}?",
                    "The capital of {n} is which city?",
                    "Can you tell me the capital of {n}?",
                    "I need the capital of {n}.",
                    "What is {n}'s capital?",
                ]
            )
            return self.vary(c, q.format(n=n)), f"The capital of {n} is {cap}."
        if kind < 0.78:
            q = c.template(
                [
                    "Which country has the capital {c}?",
                    "{c} is the capital of which country?",
                    "Where is {c}?",
                    "What country is {c} in?",
                    "In which country is {c}?",
                ]
            )
            return self.vary(c, q.format(c=cap)), f"{cap} is the capital of {n}."
        if kind < 0.9 or not d["langs"]:
            q = c.template(
                [
                    "Where is {n}?",
                    "Where is {n} located?",
                    "Tell me where {n} is.",
                    "In which part of the world is {n}?",
                    "where is {n}",
                ]
            )
            return self.vary(c, q.format(n=n)), f"{n} is in {d['where']}." if d[
                "where"
            ] else f"The capital of {n} is {cap}."
        q = c.template(
            [
                "Which language do people speak in {n}?",
                "What language is spoken in {n}?",
                "What do people speak in {n}?",
                "Which languages are spoken in {n}?",
            ]
        )
        return self.vary(c, q.format(n=n)), f"People in {n} speak {' and '.join(d['langs'])}."

    def author(self, c):
        t, a = c.rng.choice(self.books)
        q = c.template(
            [
                "Who wrote {t}?",
                "Who is the author of {t}?",
                "Who wrote the book {t}?",
                "Which author wrote {t}?",
                "{t} was written by whom?",
            ]
        )
        return self.vary(c, q.format(t=t)), f"{t} was written by {a}."

    def language(self, c):
        """Opposites, past tense, plurals, sounds, number words, spelling, kinds of things."""
        rng, k = c.rng, c.rng.randrange(10)
        if k == 0:
            a, b = rng.choice(tb.pairs(tb.OPPOSITES))
            if c.chance(0.5):
                a, b = b, a
            q = c.template(
                [
                    "What is the opposite of {a}?",
                    "Opposite of {a}?",
                    "Give me the opposite of {a}.",
                    'What\'s the opposite of "{a}"?',
                    "Name the opposite of {a}.",
                ]
            )
            return q.format(a=a), f"The opposite of {a} is {b}."
        if k == 1:
            a, b = rng.choice(tb.pairs(tb.PAST))
            q = c.template(
                [
                    "What is the past tense of {a}?",
                    "Past tense of {a}?",
                    "Give me the past tense of {a}.",
                    "What is {a} in the past tense?",
                ]
            )
            return q.format(a=a), f"The past tense of {a} is {b}."
        if k == 2:
            a, b = rng.choice(tb.pairs(tb.PLURALS))
            q = c.template(
                [
                    "What is the plural of {a}?",
                    "Plural of {a}?",
                    "Give me the plural of {a}.",
                    "What do you call more than one {a}?",
                ]
            )
            return q.format(a=a), f"The plural of {a} is {b}."
        if k == 3:
            a, b = rng.choice(tb.pairs(tb.SOUNDS))
            q = c.template(
                [
                    "What sound does {x} make?",
                    "What does {x} do?",
                    "Which sound does {x} make?",
                    "Tell me the sound of {x}.",
                ]
            )
            return q.format(x=article(a)), f"{article(a).capitalize()} {b}."
        if k == 4:
            words = tb.NUMBERS.split()
            i = rng.randrange(len(words))
            q = c.template(
                [
                    "Write {i} as a word.",
                    "How do you spell {i}?",
                    "What is {i} in words?",
                    "Spell the number {i}.",
                ]
            )
            return q.format(i=i), words[i]
        if k in (5, 6):
            w = c.word() if c.chance(0.5) else c.one(rng.choice(["thing", "animal"]))
            q = c.template(
                [
                    "Spell the word {w}.",
                    "How do you spell {w}?",
                    "Spell {w}",
                    "Please spell {w}.",
                    "Give me the letters of {w}.",
                ]
            )
            return q.format(w=w), "-".join(w)
        if k == 7:
            kind = rng.choice(list(tb.KINDS))
            x = rng.choice(tb.KINDS[kind].split())
            q = c.template(
                [
                    "Is {x} {k}?",
                    "What is {x}, {k} or {o}?",
                    "Is {x} {k} or {o}?",
                    "Tell me, is {x} {k}?",
                ]
            )
            o = rng.choice([y for y in tb.KINDS if y != kind])
            return q.format(x=x, k=kind, o=o), f"{x.capitalize()} is {kind}."
        if k == 8:
            kind = rng.choice(list(tb.KINDS))
            xs = rng.sample(tb.KINDS[kind].split(), 3)
            noun = kind.split(" ", 1)[1]
            n = rng.choice([1, 3])
            if n == 1:
                return f"Name {kind}.", f"{xs[0].capitalize()} is {kind}."
            plural = noun + ("s" if not noun.endswith("furniture") else " pieces")
            return c.template(
                ["Name three {p}.", "Give me three {p}.", "List three {p}.", "Tell me three {p}."]
            ).format(p=plural), f"{xs[0].capitalize()}, {xs[1]} and {xs[2]}."
        seq = c.pools[rng.choice(["day", "month"])]
        i = rng.randrange(len(seq))
        if c.chance(0.5):
            return f"What comes after {seq[i]}?", f"{seq[(i + 1) % len(seq)]} comes after {seq[i]}."
        return f"What comes before {seq[i]}?", f"{seq[i - 1]} comes before {seq[i]}."

    def unknown(self, c):
        rng = c.rng
        topic = rng.choice(tb.TOPICS.replace("\n", "").split(";"))
        w, w2 = c.word(), c.word()
        f = {
            "w": w,
            "w2": w2,
            "W": (w + " " + w2).title(),
            "a": article(w).split()[0],
            "t": topic,
            "N": c.one("name"),
            "C": c.one("city"),
            "C2": c.one("city"),
            "y": rng.randint(100, 2100),
            "z": rng.randint(10, 999),
            "k": rng.choice(["cup", "war", "prize", "race", "election"]),
        }
        pattern = c.template(tb.UNKNOWN)
        about = "that"
        if "{t}" in pattern:
            about = topic
        return self.vary(c, pattern.format(**f)), rng.choice(SORRY).format(t=about)

    def feeling(self, c):
        f, a = c.rng.choice(list(tb.FEELINGS.items()))
        n, t = c.one("name"), c.one("thing")
        q = c.rng.choice(
            [
                f"I am {f}.",
                f"I feel {f} today.",
                f"I am so {f} because of my {t}.",
                f"My friend {n} is {f}.",
                f"{n} makes me {f}.",
                f"I'm {f}",
            ]
        )
        return q, a

    # ---- families ----------------------------------------
    def facts(self, c):
        f = c.rng.choices(
            [self.country, self.definition, self.language, self.author, self.block],
            [40, 22, 20, 6, 12],
        )[0]
        q, a = f(c)
        return {"skill": "facts", "answer": a, "messages": turn(q, a)}

    def chat(self, c):
        r = c.rng.random()
        if r < 0.16:
            return {"skill": "chat", "answer": "", "messages": self.memory(c)}
        one = [self.block, self.unknown, self.definition, self.feeling, self.country, self.language]
        n = 1 if r < 0.72 else c.rng.choice([2, 2, 3, 4])
        msgs, seen = [], set()
        for _ in range(n):
            q, a = c.rng.choices(one, [48, 17, 12, 5, 9, 9])[0](c)
            if q not in seen:
                msgs += turn(q, a)
            seen.add(q)
        return {"skill": "chat", "answer": msgs[-1]["content"], "messages": msgs}

    def memory(self, c):
        """Something said earlier in the conversation is asked for later."""
        rng = c.rng
        c.wild = True
        n = c.one("name")
        kind = rng.randrange(4)
        if kind == 0:
            first = turn(
                c.template(
                    [
                        "My name is {n}.",
                        "I am {n}.",
                        "Hi, I am {n}.",
                        "Hello, my name is {n}.",
                        "I'm {n}",
                        "Call me {n}.",
                        "People call me {n}.",
                    ]
                ).format(n=n),
                rng.choice([f"Nice to meet you, {n}!", f"Hello {n}! How can I help you?"]),
            )
            last = turn(
                rng.choice(
                    [
                        "What is my name?",
                        "Do you know my name?",
                        "Who am I?",
                        "What's my name?",
                        "How am I called?",
                    ]
                ),
                f"Your name is {n}.",
            )
        elif kind == 1:
            k, v = rng.choice(
                [
                    ("color", c.one("color")),
                    ("animal", c.one("animal")),
                    ("fruit", c.one("fruit")),
                    ("city", c.one("city")),
                    ("day", c.one("day")),
                ]
            )
            first = turn(
                rng.choice([f"My favorite {k} is {v}.", f"{v.capitalize()} is my favorite {k}."]),
                rng.choice([f"That is a nice {k}!", f"Good to know that you like {v}."]),
            )
            last = turn(
                rng.choice(
                    [
                        f"What is my favorite {k}?",
                        f"Do you know my favorite {k}?",
                        f"Which {k} do I like?",
                    ]
                ),
                f"Your favorite {k} is {v}.",
            )
        elif kind == 2:
            v = c.one(rng.choice(["city", "place"]))
            at = v if v[0].isupper() else "the " + v
            first = turn(
                rng.choice([f"I live in {at}.", f"I am in {at} now."]),
                f"I hope you like it in {at}.",
            )
            last = turn(
                rng.choice(["Where am I?", "Where do I live?", "Do you know where I am?"]),
                f"You are in {at}.",
            )
        else:
            t, p = c.one("thing"), c.one("place")
            first = turn(
                rng.choice([f"Remember: the {t} is in the {p}.", f"I put the {t} in the {p}."]),
                rng.choice(["I will remember that.", f"All right, the {t} is in the {p}."]),
            )
            last = turn(
                rng.choice([f"Where is the {t}?", f"Where did I put the {t}?"]),
                f"The {t} is in the {p}.",
            )
        c.wild = False
        middle = []
        for _ in range(rng.choice([0, 0, 1, 2])):
            middle += turn(*rng.choice([self.language, self.country, self.definition])(c))
        return first + middle + last

    def story(self, c):
        from gen_stories import story

        return story(c)

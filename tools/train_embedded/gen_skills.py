"""Skill families with checkable answers: retrieval, JSON, tracking, lists, reading."""

import json

from gen_math import arith, wordprob
from pools import article, sample

# ------------------------------------------------------------ retrieval
NEEDLE_T = [
    "What is the {k} for {x}? Find it in this text:\n\n{t}",
    "Find the {k} for {x} in the text below.\n\n{t}",
    "{t}\n\nWhat is the {k} for {x}?",
    "Read this text and tell me the {k} for {x}.\n\n{t}",
    "Here is a text:\n{t}\n\nQuestion: what is the {k} for {x}?",
    "{t}\n\nTell me the {k} for {x}.",
]


def needle(c, words=None):
    rng = c.rng
    kind = rng.choice(
        ["magic number", "secret code", "special word", "password", "room number", "lucky number"]
    )
    subjects = c.some(rng.choice(["city", "name", "thing"]), 3)

    def value():
        if kind in ("special word", "password") and c.chance(0.6):
            return c.word()
        return str(rng.randint(10 ** rng.choice([2, 3, 4, 6]), 10**7))

    if words is None:
        words = rng.choice([10, 20, 40, 60, 100, 160, 260])
    body = rng.choice(c.passages).split(" ") if c.passages else ["and"] * 400
    start = rng.randrange(max(1, len(body) - words))
    body = body[start : start + words]
    facts = [(x, value()) for x in subjects[: rng.choice([1, 1, 2, 3])]]
    sents = [f"The {kind} for {x} is {v}." for x, v in facts]
    for s in sents:
        body.insert(rng.randint(0, len(body)), s)
    x, v = rng.choice(facts)
    q = c.template(NEEDLE_T).format(k=kind, x=x, t=" ".join(body))
    return sample("needle", q, v, f"The {kind} for {x} is {v}.")


def json_value(c):
    return c.rng.choice(
        [
            c.one("name"),
            c.one("city"),
            c.rng.randint(1, 999),
            c.chance(0.5),
            c.one("color"),
            c.word(),
            c.one("thing"),
        ]
    )


def show(v):
    return v if isinstance(v, str) else json.dumps(v)


JS_T = [
    'Give me the "{k}" field.\n{j}',
    "Read the JSON and tell me the {k}.\n{j}",
    'What is the value of "{k}" in this JSON?\n{j}',
    "{j}\nWhat is the {k}?",
    "From this JSON, return {k}: {j}",
    'Here is some JSON: {j} What does "{k}" contain?',
    "{j}\n\nTell me the value of {k}.",
]


def jslookup(c):
    keys = c.some("key", c.rng.randint(3, 8))
    obj = {k: json_value(c) for k in keys}
    k = c.rng.choice(keys)
    return sample(
        "jslookup", c.template(JS_T).format(k=k, j=json.dumps(obj)), show(obj[k]), show(obj[k])
    )


EXTRACT_T = [
    "Extract {f} as JSON: {t}",
    "Extract the fields {f} from this text and answer with JSON.\n{t}",
    "Return JSON with {f}.\nText: {t}",
    "{t}\nExtract {f} as JSON.",
    "Give me {f} as a JSON object: {t}",
    "Turn this into JSON with the keys {f}: {t}",
    "Read the text and write {f} as JSON. {t}",
]


def extract_facts(c):
    rng = c.rng
    n, city = c.one("name"), c.one("city")
    kind = rng.randrange(7)
    if kind == 0:
        d = {"name": n, "age": rng.randint(5, 90), "city": city}
        t = c.template(
            [
                "{name} is {age} years old and lives in {city}.",
                "{name} lives in {city} and is {age} years old.",
                "My friend {name} from {city} is {age}.",
                "In {city} lives {name}, aged {age}.",
            ]
        )
    elif kind == 1:
        d = {
            "name": n,
            "item": c.one("thing"),
            "color": c.one("color"),
            "price": rng.randint(2, 99),
            "city": city,
        }
        t = c.template(
            [
                "In {city}, {name} bought a {color} {item} for {price} dollars.",
                "{name} paid {price} dollars for a {color} {item} in {city}.",
                "A {color} {item} cost {name} {price} dollars in {city}.",
                "For {price} dollars {name} got a {color} {item} in {city}.",
            ]
        )
    elif kind == 2:
        d = {"name": n, "job": c.one("job"), "city": city, "age": rng.randint(20, 80)}
        t = c.template(
            [
                "{name} works as a {job} in {city} and is {age} years old.",
                "{name}, {age}, is a {job} from {city}.",
                "The {job} {name} is {age} and lives in {city}.",
                "At {age}, {name} became a {job} in {city}.",
            ]
        )
    elif kind == 3:
        d = {
            "event": rng.choice(["concert", "meeting", "lecture", "party", "game", "market"]),
            "day": c.one("day"),
            "time": f"{rng.randint(7, 21)}:{rng.choice(['00', '15', '30', '45'])}",
            "city": city,
        }
        t = c.template(
            [
                "The {event} in {city} starts on {day} at {time}.",
                "On {day} at {time} there is a {event} in {city}.",
                "Come to the {event} in {city}, {day}, {time}.",
                "Our {event} takes place in {city} on {day} at {time}.",
            ]
        )
    elif kind == 4:
        d = {"name": n, "item": c.one("fruit"), "quantity": rng.randint(2, 99), "day": c.one("day")}
        t = c.template(
            [
                "{name} ordered {quantity} {item} on {day}.",
                "Please send {quantity} {item} to {name} by {day}.",
                "On {day}, {name} sold {quantity} {item}.",
                "{name} needs {quantity} {item} for {day}.",
            ]
        )
    elif kind == 5:
        d = {
            "city": city,
            "temperature": rng.randint(-9, 39),
            "weather": rng.choice(["sunny", "rainy", "cloudy", "windy", "foggy"]),
            "day": c.one("day"),
        }
        t = c.template(
            [
                "On {day} it was {weather} in {city} with {temperature} degrees.",
                "{city} will be {weather} on {day}, {temperature} degrees.",
                "The weather in {city} on {day}: {weather} and {temperature} degrees.",
                "{day} in {city}: {temperature} degrees and {weather}.",
            ]
        )
    else:
        d = {
            "animal": c.one("animal"),
            "name": n,
            "color": c.one("color"),
            "age": rng.randint(1, 20),
        }
        t = c.template(
            [
                "{name} is a {color} {animal} and {age} years old.",
                "The {color} {animal} {name} is {age} years old.",
                "We have a {color} {animal} called {name}, aged {age}.",
                "My {animal} {name} is {color} and turned {age}.",
            ]
        )
    return d, t.format(**d)


def extract(c):
    d, t = extract_facts(c)
    keys = list(d)
    if c.chance(0.6):
        keys = c.rng.sample(keys, c.rng.randint(1, len(keys)))
    ans = json.dumps({k: d[k] for k in keys})
    return sample("extract", c.template(EXTRACT_T).format(f=", ".join(keys), t=t), ans, ans)


READ_Q = {
    "age": "How old is {name}?",
    "job": "What is the job of {name}?",
    "price": "How much did the {item} cost?",
    "color": "What color is the {thing}?",
    "time": "At what time is the {event}?",
    "day": "On which day was it?",
    "temperature": "How many degrees was it?",
    "weather": "What was the weather like?",
    "quantity": "How many {item} were there?",
    "animal": "What kind of animal is {name}?",
    "city": "Which city is it about?",
    "name": "What is the name in the text?",
}


def reading(c):
    """Short passage of one to three facts, a question about one of them."""
    d, t = extract_facts(c)
    keys = [k for k in d if k in READ_Q]
    k = c.rng.choice(keys)
    texts = [t] + [extract_other(c, d) for _ in range(c.rng.choice([0, 0, 1]))]
    c.rng.shuffle(texts)
    q = READ_Q[k].format(**{"thing": d.get("item", d.get("animal", "")), **d})
    user = c.template(
        [
            "{t}\n{q}",
            "{t} {q}",
            "Read this: {t}\n{q}",
            "{q}\n{t}",
            "Text: {t}\nQuestion: {q}",
            "Here is a note. {t} My question: {q}",
        ]
    ).format(t=" ".join(texts), q=q)
    unit = {"age": " years old", "price": " dollars", "temperature": " degrees"}.get(k, "")
    full = {
        "age": "{name} is {v} years old.",
        "job": "{name} is a {v}.",
        "price": "The {item} cost {v} dollars.",
        "color": "The {thing} is {v}.",
        "time": "The {event} is at {v}.",
    }.get(k, "{v}" + unit + ".")
    if k == "job":
        full = "{name} is {av}."
    v = str(d[k])
    reply = full.format(
        **{"thing": d.get("item", d.get("animal", "")), **d, "v": v, "av": article(v)}
    )
    return sample("reading", user, v, reply[0].upper() + reply[1:])


def extract_other(c, d):
    """A distracting sentence that shares no question key with d."""
    thing, place, name = c.one("thing"), c.one("place"), c.one("name")
    return c.rng.choice(
        [
            f"The {thing} is in the {place}.",
            f"{name} likes to sing.",
            f"There is a {thing} on the table.",
            f"{name} went to the {place}.",
        ]
    )


# ------------------------------------------------------------ tracking
def track(c):
    rng = c.rng
    people, things = c.some("name", rng.randint(1, 3)), c.some("thing", 3)
    where, holds, lines = {}, {}, []
    for _ in range(rng.randint(2, 8)):
        p = rng.choice(people)
        if p in where and c.chance(0.25):
            free = [t for t in things if t not in holds]
            if free:
                t = rng.choice(free)
                holds[t] = p
                lines.append(f"{p} {rng.choice(['picked up', 'took', 'grabbed'])} the {t}.")
                continue
        where[p] = c.one("place")
        lines.append(
            f"{p} {rng.choice(['went to', 'walked to', 'ran to', 'moved to'])} the {where[p]}."
        )
    for p in people:
        if p not in where:
            where[p] = c.one("place")
            lines.append(f"{p} went to the {where[p]}.")
    text = " ".join(lines)
    if holds and c.chance(0.5):
        x = rng.choice(list(holds))
        p = holds[x]
        return sample(
            "track",
            f"{text} Where is the {x}?",
            where[p],
            f"{p} has the {x}. The {x} is in the {where[p]}.",
            f"{p} has the {x}. {p} is in the {where[p]}.",
            think_reply=f"The {x} is in the {where[p]}.",
        )
    p = rng.choice(people)
    q = c.template(
        ["Where is {p}?", "Where is {p} now?", "In which place is {p}?", "Where did {p} end up?"]
    ).format(p=p)
    return sample(
        "track",
        f"{text} {q}",
        where[p],
        f"{p} is in the {where[p]}.",
        f"The last place of {p} is the {where[p]}.",
    )


def vartrack(c):
    rng = c.rng
    names = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rng.randint(3, 7))
    vals, src, lines, links = {}, {}, [], 0
    for v in names:
        if vals and links < 4 and c.chance(0.5):
            s = rng.choice(list(vals))
            src[v], vals[v] = s, vals[s]
            links += 1
            lines.append(f"{v} = {s}")
        else:
            vals[v] = rng.randint(100, 9999)
            lines.append(f"{v} = {vals[v]}")
    v = rng.choice(list(src) or names)
    chain, x = [], v
    while x in src:
        chain.append(f"{x} = {src[x]}")
        x = src[x]
    chain.append(f"{x} = {vals[x]}")
    q = c.template(
        [
            "What is {v}?",
            "What is the value of {v}?",
            "Find {v}.",
            "Tell me the value of {v}.",
            "What does {v} equal?",
            "Which number is {v}?",
        ]
    ).format(v=v)
    steps = "; ".join(chain) + "."
    reply = f"{v} = {vals[v]}" if len(chain) == 1 else f"{steps} So {v} = {vals[v]}"
    return sample(
        "vartrack",
        "; ".join(lines) + f". {q}",
        str(vals[v]),
        reply,
        steps,
        think_reply=f"{v} = {vals[v]}",
    )


# ------------------------------------------------------------ lists
LIST_T = {
    "first": [
        "What is the first item of this list? {l}",
        "Give me the first item: {l}",
        "Which item comes first? {l}",
        "Name the first element of {l}.",
    ],
    "last": [
        "What is the last item of this list? {l}",
        "Give me the last item: {l}",
        "Which item comes last? {l}",
        "Name the last element of {l}.",
    ],
    "count": [
        "How many items are in this list? {l}",
        "Count the items: {l}",
        "How long is this list? {l}",
        "Count these for me: {l}",
    ],
    "sort": [
        "Sort this list: {l}",
        "Put this list in order: {l}",
        "Sort these: {l}",
        "Please sort: {l}",
    ],
    "reverse": [
        "Reverse this list: {l}",
        "Write this list backwards: {l}",
        "Turn this list around: {l}",
        "List these in reverse order: {l}",
    ],
    "repeat": ["Repeat after me: {l}", "Say this: {l}", "Repeat this: {l}", "Copy this list: {l}"],
    "largest": [
        "What is the largest number? {l}",
        "Which of these is the biggest: {l}",
        "Find the maximum of {l}",
        "Name the greatest number in {l}",
    ],
    "smallest": [
        "What is the smallest number? {l}",
        "Which of these is the smallest: {l}",
        "Find the minimum of {l}",
        "Name the least number in {l}",
    ],
    "json": [
        "Write this list as a JSON array: {l}",
        "Make a JSON array: {l}",
        "JSON array of {l}",
        "As a JSON list please: {l}",
    ],
}


def listop(c):
    rng = c.rng
    op = rng.choice(list(LIST_T))
    n = rng.randint(2, 7)
    nums = op in ("largest", "smallest") or c.chance(0.4)
    pool = rng.choice(["thing", "animal", "fruit", "name"])
    items = [str(rng.randint(1, 99)) for _ in range(n)] if nums else c.some(pool, n)
    text = ", ".join(items)
    key = (lambda s: int(s)) if nums else (lambda s: s)
    ans = {
        "first": items[0],
        "last": items[-1],
        "count": str(n),
        "repeat": text,
        "sort": ", ".join(sorted(items, key=key)),
        "reverse": ", ".join(items[::-1]),
        "largest": max(items, key=key),
        "smallest": min(items, key=key),
        "json": json.dumps([int(x) for x in items] if nums else items),
    }[op]
    return sample("listop", c.template(LIST_T[op]).format(l=text), ans, ans)


FAMILIES = {
    "arith": arith,
    "wordprob": wordprob,
    "needle": needle,
    "jslookup": jslookup,
    "extract": extract,
    "reading": reading,
    "track": track,
    "vartrack": vartrack,
    "listop": listop,
}

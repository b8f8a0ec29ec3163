"""Skill families with checkable answers: arithmetic, word problems, retrieval, JSON, tracking, lists, reading."""
import json

from pools import article, sample


# ------------------------------------------------------------------------------------------------ arithmetic
def add_steps(a, b):
    x, y = str(a)[::-1], str(b)[::-1]
    n, carry, parts = max(len(x), len(y)), 0, []
    for i in range(n):
        p, q = int(x[i]) if i < len(x) else 0, int(y[i]) if i < len(y) else 0
        s = p + q + carry
        text = f"{p}+{q}" + ("+1" if carry else "") + f"={s}"
        carry = s // 10
        parts.append(text + f", write {s % 10}" + (", carry 1" if carry else ""))
    if carry:
        parts.append("write 1")
    return "; ".join(parts) + f". So {a}+{b}={a + b}."


def sub_steps(a, b):
    x, y = str(a)[::-1], str(b)[::-1]
    borrow, parts = 0, []
    for i in range(len(x)):
        p, q = int(x[i]), int(y[i]) if i < len(y) else 0
        text = f"{p}-{q}" + ("-1" if borrow else "")
        d = p - q - borrow
        borrow = int(d < 0)
        if borrow:
            d += 10
            text += f" borrow: {d}"
        else:
            text += f"={d}"
        parts.append(text + f", write {d}")
    return "; ".join(parts) + f". So {a}-{b}={a - b}."


def mul_steps(a, b):
    """a has up to three digits, b one or two."""
    if b < 10:
        terms = [(int(ch) * 10 ** i, int(ch) * 10 ** i * b) for i, ch in enumerate(str(a)[::-1]) if ch != "0"]
        text = ", ".join(f"{b}*{t}={p}" for t, p in terms)
        total, run = 0, []
        for i, (_, p) in enumerate(terms):
            if i:
                run.append(f"{total}+{p}={total + p}")
            total += p
        return text + (". " + ", ".join(run) if run else "") + f". So {a}*{b}={a * b}."
    tens, ones = b // 10 * 10, b % 10
    return (f"{a}*{tens}={a * tens}, {a}*{ones}={a * ones}. {a * tens}+{a * ones}={a * b}. "
            f"So {a}*{b}={a * b}.")


ADD_T = ["What is {a} plus {b}?", "{a}+{b}=?", "What is {a} + {b}?", "Calculate {a} + {b}.", "Compute {a}+{b}",
         "How much is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b}", "What is the sum of {a} and {b}?",
         "Please add {b} to {a}.", "Can you add {a} and {b}?", "what is {a}+{b}", "Work out {a} + {b}.",
         "Tell me {a} plus {b}.", "What do you get if you add {a} and {b}?"]
SUB_T = ["What is {a} minus {b}?", "{a}-{b}=?", "What is {a} - {b}?", "Calculate {a} - {b}.", "Compute {a}-{b}",
         "How much is {a} minus {b}?", "Subtract {b} from {a}.", "{a} - {b}", "What is {a} less {b}?",
         "Can you subtract {b} from {a}?", "what is {a}-{b}", "Work out {a} - {b}.",
         "Take {b} away from {a}.", "What is left if you take {b} from {a}?"]
MUL_T = ["What is {a} times {b}?", "{a}*{b}=?", "What is {a} * {b}?", "Calculate {a} x {b}.", "Compute {a}*{b}",
         "How much is {a} times {b}?", "Multiply {a} by {b}.", "{a} * {b}", "What is {a} x {b}?",
         "What is the product of {a} and {b}?", "Can you multiply {a} by {b}?", "what is {a}*{b}",
         "Work out {a} times {b}.", "What do you get if you multiply {a} by {b}?"]
DIV_T = ["What is {a} divided by {b}?", "{a}/{b}=?", "What is {a} / {b}?", "Calculate {a} / {b}.",
         "How much is {a} divided by {b}?", "Divide {a} by {b}.", "{a} / {b}", "what is {a}/{b}",
         "Can you divide {a} by {b}?", "Work out {a} divided by {b}."]


def number(rng):
    return rng.randint(0, 10 ** rng.choice([1, 1, 2, 2, 2, 3, 3, 4]) - 1)


def arith(c):
    rng = c.rng
    op = rng.choice("++--**/")
    if op == "+":
        a, b = number(rng), number(rng)
        user, steps, r = c.template(ADD_T), add_steps(a, b), a + b
    elif op == "-":
        a, b = sorted((number(rng), number(rng)), reverse=True)
        user, steps, r = c.template(SUB_T), sub_steps(a, b), a - b
    elif op == "*":
        a = rng.randint(2, rng.choice([9, 12, 99, 99, 999]))
        b = rng.randint(2, 9) if a > 99 or c.chance(0.75) else rng.randint(10, 20)
        user, steps, r = c.template(MUL_T), mul_steps(a, b), a * b
    else:
        b = rng.randint(2, 9)
        r = rng.randint(2, 30)
        a = b * r
        user, steps = c.template(DIV_T), f"{b}*{r}={a}. So {a}/{b}={r}."
    sign = {"*": "*", "/": "/"}.get(op, op)
    small = a < 13 and b < 13 or op == "/"
    final = f"{a} {sign} {b} = {r}"
    reply = final if small else f"{steps[:steps.rindex('So')]}{final}"
    return sample("arith", user.format(a=a, b=b), str(r), reply, steps, think_reply=final)


# ---------------------------------------------------------------------------------------------- word problems
def wordprob(c):
    rng, n, o = c.rng, c.one("name"), c.one("fruit")
    m = c.rng.choice([x for x in c.pools["name"] if x != n])
    kind = rng.randrange(9)
    if kind == 0:
        a, b = rng.randint(5, 60), rng.randint(2, 40)
        d = rng.randint(1, a + b - 1 if a + b < 20 else 19)
        q = c.template([f"{n} has {a} {o}. {m} gives {n} {b} more. Then {n} loses {d} of them. How many {o} does {n} have now?",
                        f"{n} found {a} {o} and got {b} more from {m}. Later {n} gave away {d}. How many {o} are left?",
                        f"There are {a} {o} in a basket. {n} puts in {b} more, and {m} takes out {d}. How many {o} are in the basket?",
                        f"{n} starts with {a} {o}, gets {b} {o} from {m} and then drops {d}. How many {o} does {n} have?"])
        r, s = a + b - d, f"Start with {a}. {a}+{b}={a + b}. {a + b}-{d}={a + b - d}."
    elif kind in (1, 2):
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        q = c.template([f"{n} buys {a} boxes of {o}. Each box has {b} {o}. How many {o} is that in total?",
                        f"There are {a} bags with {b} {o} in each bag. How many {o} are there in all?",
                        f"{n} has {a} baskets. Every basket holds {b} {o}. How many {o} does {n} have?",
                        f"{n} packs {b} {o} into each of {a} crates. How many {o} did {n} pack?"])
        r, s = a * b, f"{a} times {b} each: {a}*{b}={a * b}."
    elif kind == 3:
        b = rng.randint(2, 9)
        r = rng.randint(2, 15)
        a = b * r
        q = c.template([f"{n} shares {a} {o} equally among {b} friends. How many {o} does each friend get?",
                        f"{a} {o} are put into {b} bags, the same number in each. How many {o} are in one bag?",
                        f"{n} splits {a} {o} into {b} equal piles. How many {o} are in each pile?",
                        f"{b} children divide {a} {o} fairly. How many {o} does each child get?"])
        s = f"{a} shared by {b}: {b}*{r}={a}, so each gets {r}."
    elif kind == 4:
        a, b, k = rng.randint(5, 60), rng.randint(5, 30), rng.randint(2, 6)
        q = (f"{n} reads {a} pages on Monday and {b} pages on Tuesday. On Wednesday {n} reads {k} times as many pages "
             f"as on Tuesday. How many pages does {n} read in all?")
        r = a + b + k * b
        s = f"Monday {a}. Tuesday {b}. Wednesday {k}*{b}={k * b}. {a}+{b}={a + b}. {a + b}+{k * b}={r}."
    elif kind == 5:
        a, b = rng.randint(5, 60), rng.randint(2, 20)
        more = c.chance(0.5) or b >= a
        q = c.template([f"{n} is {a} years old. {m} is {b} years {'older' if more else 'younger'} than {n}. How old is {m}?",
                        f"{m} is {b} years {'older' if more else 'younger'} than {n}, who is {a}. How old is {m}?",
                        f"{n} is {a}. How old is {m}, who is {b} years {'older' if more else 'younger'}?",
                        f"How old is {m} if {n} is {a} and {m} is {b} years {'older' if more else 'younger'}?"])
        r = a + b if more else a - b
        s = f"{a}{'+' if more else '-'}{b}={r}."
    elif kind == 6:
        p, k = rng.randint(2, 12), rng.randint(2, 9)
        pay = p * k + rng.randint(1, 20)
        q = c.template([f"{n} buys {k} {o} for {p} dollars each and pays with {pay} dollars. How much change does {n} get?",
                        f"One of the {o} costs {p} dollars. {n} has {pay} dollars and buys {k}. How much money is left?",
                        f"{n} had {pay} dollars and bought {k} {o} at {p} dollars each. How many dollars does {n} have now?",
                        f"With {pay} dollars {n} buys {k} {o} that cost {p} dollars each. What is the change?"])
        r, s = pay - p * k, f"Cost {k}*{p}={k * p}. {pay}-{k * p}={pay - k * p}."
    else:
        a, b = rng.randint(3, 80), rng.randint(3, 80)
        q = c.template([f"{n} has {a} {o} and {m} has {b} {o}. How many {o} do they have together?",
                        f"{n} picked {a} {o}. {m} picked {b} {o}. How many did they pick in all?",
                        f"There are {a} red {o} and {b} green {o}. How many {o} are there?",
                        f"{m} sold {b} {o} and {n} sold {a}. How many {o} were sold in total?"])
        r, s = a + b, f"{a}+{b}={a + b}."
    return sample("wordprob", q, str(r), f"{s} The answer is {r}.", s, think_reply=f"The answer is {r}.")


# ------------------------------------------------------------------------------------------------- retrieval
NEEDLE_T = ["What is the {k} for {x}? Find it in this text:\n\n{t}", "Find the {k} for {x} in the text below.\n\n{t}",
            "{t}\n\nWhat is the {k} for {x}?", "Read this text and tell me the {k} for {x}.\n\n{t}",
            "Here is a text:\n{t}\n\nQuestion: what is the {k} for {x}?", "{t}\n\nTell me the {k} for {x}."]


def needle(c, words=None):
    rng = c.rng
    kind = rng.choice(["magic number", "secret code", "special word", "password", "room number", "lucky number"])
    subjects = c.some(rng.choice(["city", "name", "thing"]), 3)

    def value():
        if kind in ("special word", "password") and c.chance(0.6):
            return c.word()
        return str(rng.randint(10 ** rng.choice([2, 3, 4, 6]), 10 ** 7))
    if words is None:
        words = rng.choice([20, 40, 80, 120, 180, 260])
    body = rng.choice(c.passages).split(" ") if c.passages else ["and"] * 400
    start = rng.randrange(max(1, len(body) - words))
    body = body[start:start + words]
    facts = [(x, value()) for x in subjects[:rng.choice([1, 1, 2, 3])]]
    sents = [f"The {kind} for {x} is {v}." for x, v in facts]
    for s in sents:
        body.insert(rng.randint(0, len(body)), s)
    x, v = rng.choice(facts)
    q = c.template(NEEDLE_T).format(k=kind, x=x, t=" ".join(body))
    return sample("needle", q, v, f"The {kind} for {x} is {v}.")


def json_value(c):
    return c.rng.choice([c.one("name"), c.one("city"), c.rng.randint(1, 999), c.chance(0.5), c.one("color"), c.word(),
                         c.one("thing")])


def show(v):
    return v if isinstance(v, str) else json.dumps(v)


JS_T = ["Give me the \"{k}\" field.\n{j}", "Read the JSON and tell me the {k}.\n{j}",
        "What is the value of \"{k}\" in this JSON?\n{j}", "{j}\nWhat is the {k}?", "From this JSON, return {k}: {j}",
        "Here is some JSON: {j} What does \"{k}\" contain?", "{j}\n\nTell me the value of {k}."]


def jslookup(c):
    keys = c.some("key", c.rng.randint(3, 8))
    obj = {k: json_value(c) for k in keys}
    k = c.rng.choice(keys)
    return sample("jslookup", c.template(JS_T).format(k=k, j=json.dumps(obj)), show(obj[k]), show(obj[k]))


EXTRACT_T = ["Extract {f} as JSON: {t}", "Extract the fields {f} from this text and answer with JSON.\n{t}",
             "Return JSON with {f}.\nText: {t}", "{t}\nExtract {f} as JSON.", "Give me {f} as a JSON object: {t}",
             "Turn this into JSON with the keys {f}: {t}", "Read the text and write {f} as JSON. {t}"]


def extract_facts(c):
    rng = c.rng
    n, city = c.one("name"), c.one("city")
    kind = rng.randrange(7)
    if kind == 0:
        d = {"name": n, "age": rng.randint(5, 90), "city": city}
        t = c.template(["{name} is {age} years old and lives in {city}.", "{name} lives in {city} and is {age} years old.",
                        "My friend {name} from {city} is {age}.", "In {city} lives {name}, aged {age}."])
    elif kind == 1:
        d = {"name": n, "item": c.one("thing"), "color": c.one("color"), "price": rng.randint(2, 99), "city": city}
        t = c.template(["In {city}, {name} bought a {color} {item} for {price} dollars.",
                        "{name} paid {price} dollars for a {color} {item} in {city}.",
                        "A {color} {item} cost {name} {price} dollars in {city}.",
                        "For {price} dollars {name} got a {color} {item} in {city}."])
    elif kind == 2:
        d = {"name": n, "job": c.one("job"), "city": city, "age": rng.randint(20, 80)}
        t = c.template(["{name} works as a {job} in {city} and is {age} years old.",
                        "{name}, {age}, is a {job} from {city}.", "The {job} {name} is {age} and lives in {city}.",
                        "At {age}, {name} became a {job} in {city}."])
    elif kind == 3:
        d = {"event": rng.choice(["concert", "meeting", "lecture", "party", "game", "market"]), "day": c.one("day"),
             "time": f"{rng.randint(7, 21)}:{rng.choice(['00', '15', '30', '45'])}", "city": city}
        t = c.template(["The {event} in {city} starts on {day} at {time}.", "On {day} at {time} there is a {event} in {city}.",
                        "Come to the {event} in {city}, {day}, {time}.", "Our {event} takes place in {city} on {day} at {time}."])
    elif kind == 4:
        d = {"name": n, "item": c.one("fruit"), "quantity": rng.randint(2, 99), "day": c.one("day")}
        t = c.template(["{name} ordered {quantity} {item} on {day}.", "Please send {quantity} {item} to {name} by {day}.",
                        "On {day}, {name} sold {quantity} {item}.", "{name} needs {quantity} {item} for {day}."])
    elif kind == 5:
        d = {"city": city, "temperature": rng.randint(-9, 39), "weather": rng.choice(["sunny", "rainy", "cloudy", "windy", "foggy"]),
             "day": c.one("day")}
        t = c.template(["On {day} it was {weather} in {city} with {temperature} degrees.",
                        "{city} will be {weather} on {day}, {temperature} degrees.",
                        "The weather in {city} on {day}: {weather} and {temperature} degrees.",
                        "{day} in {city}: {temperature} degrees and {weather}."])
    else:
        d = {"animal": c.one("animal"), "name": n, "color": c.one("color"), "age": rng.randint(1, 20)}
        t = c.template(["{name} is a {color} {animal} and {age} years old.", "The {color} {animal} {name} is {age} years old.",
                        "We have a {color} {animal} called {name}, aged {age}.", "My {animal} {name} is {color} and turned {age}."])
    return d, t.format(**d)


def extract(c):
    d, t = extract_facts(c)
    keys = list(d)
    if c.chance(0.6):
        keys = c.rng.sample(keys, c.rng.randint(1, len(keys)))
    ans = json.dumps({k: d[k] for k in keys})
    return sample("extract", c.template(EXTRACT_T).format(f=", ".join(keys), t=t), ans, ans)


READ_Q = {"age": "How old is {name}?", "job": "What is the job of {name}?", "price": "How much did the {item} cost?",
          "color": "What color is the {thing}?", "time": "At what time is the {event}?", "day": "On which day was it?",
          "temperature": "How many degrees was it?", "weather": "What was the weather like?",
          "quantity": "How many {item} were there?", "animal": "What kind of animal is {name}?",
          "city": "Which city is it about?", "name": "What is the name in the text?"}


def reading(c):
    """Short passage of one to three facts, a question about one of them."""
    d, t = extract_facts(c)
    keys = [k for k in d if k in READ_Q]
    k = c.rng.choice(keys)
    texts = [t] + [extract_other(c, d) for _ in range(c.rng.choice([0, 0, 1]))]
    c.rng.shuffle(texts)
    q = READ_Q[k].format(**{"thing": d.get("item", d.get("animal", "")), **d})
    user = c.template(["{t}\n{q}", "{t} {q}", "Read this: {t}\n{q}", "{q}\n{t}", "Text: {t}\nQuestion: {q}",
                       "Here is a note. {t} My question: {q}"]).format(t=" ".join(texts), q=q)
    unit = {"age": " years old", "price": " dollars", "temperature": " degrees"}.get(k, "")
    full = {"age": "{name} is {v} years old.", "job": "{name} is a {v}.", "price": "The {item} cost {v} dollars.",
            "color": "The {thing} is {v}.", "time": "The {event} is at {v}."}.get(k, "{v}" + unit + ".")
    if k == "job":
        full = "{name} is {av}."
    v = str(d[k])
    reply = full.format(**{"thing": d.get("item", d.get("animal", "")), **d, "v": v, "av": article(v)})
    return sample("reading", user, v, reply[0].upper() + reply[1:])


def extract_other(c, d):
    """A distracting sentence that shares no question key with d."""
    thing, place, name = c.one("thing"), c.one("place"), c.one("name")
    return c.rng.choice([f"The {thing} is in the {place}.", f"{name} likes to sing.", f"There is a {thing} on the table.",
                         f"{name} went to the {place}."])


# -------------------------------------------------------------------------------------------------- tracking
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
        lines.append(f"{p} {rng.choice(['went to', 'walked to', 'ran to', 'moved to'])} the {where[p]}.")
    for p in people:
        if p not in where:
            where[p] = c.one("place")
            lines.append(f"{p} went to the {where[p]}.")
    text = " ".join(lines)
    if holds and c.chance(0.5):
        x = rng.choice(list(holds))
        p = holds[x]
        return sample("track", f"{text} Where is the {x}?", where[p], f"{p} has the {x}. The {x} is in the {where[p]}.",
                      f"{p} has the {x}. {p} is in the {where[p]}.", think_reply=f"The {x} is in the {where[p]}.")
    p = rng.choice(people)
    q = c.template(["Where is {p}?", "Where is {p} now?", "In which place is {p}?", "Where did {p} end up?"]).format(p=p)
    return sample("track", f"{text} {q}", where[p], f"{p} is in the {where[p]}.", f"The last place of {p} is the {where[p]}.")


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
    q = c.template(["What is {v}?", "What is the value of {v}?", "Find {v}.", "Tell me the value of {v}.",
                    "What does {v} equal?", "Which number is {v}?"]).format(v=v)
    steps = "; ".join(chain) + "."
    reply = f"{v} = {vals[v]}" if len(chain) == 1 else f"{steps} So {v} = {vals[v]}"
    return sample("vartrack", "; ".join(lines) + f". {q}", str(vals[v]), reply, steps, think_reply=f"{v} = {vals[v]}")


# ----------------------------------------------------------------------------------------------------- lists
LIST_T = {"first": ["What is the first item of this list? {l}", "Give me the first item: {l}", "Which item comes first? {l}",
                    "Name the first element of {l}."],
          "last": ["What is the last item of this list? {l}", "Give me the last item: {l}", "Which item comes last? {l}",
                   "Name the last element of {l}."],
          "count": ["How many items are in this list? {l}", "Count the items: {l}", "How long is this list? {l}",
                    "Count these for me: {l}"],
          "sort": ["Sort this list: {l}", "Put this list in order: {l}", "Sort these: {l}", "Please sort: {l}"],
          "reverse": ["Reverse this list: {l}", "Write this list backwards: {l}", "Turn this list around: {l}",
                      "List these in reverse order: {l}"],
          "repeat": ["Repeat after me: {l}", "Say this: {l}", "Repeat this: {l}", "Copy this list: {l}"],
          "largest": ["What is the largest number? {l}", "Which of these is the biggest: {l}", "Find the maximum of {l}",
                      "Name the greatest number in {l}"],
          "smallest": ["What is the smallest number? {l}", "Which of these is the smallest: {l}", "Find the minimum of {l}",
                       "Name the least number in {l}"],
          "json": ["Write this list as a JSON array: {l}", "Make a JSON array: {l}", "JSON array of {l}",
                   "As a JSON list please: {l}"]}


def listop(c):
    rng = c.rng
    op = rng.choice(list(LIST_T))
    n = rng.randint(2, 7)
    nums = op in ("largest", "smallest") or c.chance(0.4)
    pool = rng.choice(["thing", "animal", "fruit", "name"])
    items = [str(rng.randint(1, 99)) for _ in range(n)] if nums else c.some(pool, n)
    text = ", ".join(items)
    key = (lambda s: int(s)) if nums else (lambda s: s)
    ans = {"first": items[0], "last": items[-1], "count": str(n), "repeat": text,
           "sort": ", ".join(sorted(items, key=key)), "reverse": ", ".join(items[::-1]),
           "largest": max(items, key=key), "smallest": min(items, key=key),
           "json": json.dumps([int(x) for x in items] if nums else items)}[op]
    return sample("listop", c.template(LIST_T[op]).format(l=text), ans, ans)


FAMILIES = {"arith": arith, "wordprob": wordprob, "needle": needle, "jslookup": jslookup, "extract": extract,
            "reading": reading, "track": track, "vartrack": vartrack, "listop": listop}

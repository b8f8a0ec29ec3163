"""Arithmetic with written-out steps, and word problems."""

from pools import sample


# ------------------------------------------------------------ arithmetic
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
        terms = [
            (int(ch) * 10**i, int(ch) * 10**i * b) for i, ch in enumerate(str(a)[::-1]) if ch != "0"
        ]
        text = ", ".join(f"{b}*{t}={p}" for t, p in terms)
        total, run = 0, []
        for i, (_, p) in enumerate(terms):
            if i:
                run.append(f"{total}+{p}={total + p}")
            total += p
        return text + (". " + ", ".join(run) if run else "") + f". So {a}*{b}={a * b}."
    tens, ones = b // 10 * 10, b % 10
    return (
        f"{a}*{tens}={a * tens}, {a}*{ones}={a * ones}. {a * tens}+{a * ones}={a * b}. "
        f"So {a}*{b}={a * b}."
    )


ADD_T = [
    "What is {a} plus {b}?",
    "{a}+{b}=?",
    "What is {a} + {b}?",
    "Calculate {a} + {b}.",
    "Compute {a}+{b}",
    "How much is {a} plus {b}?",
    "Add {a} and {b}.",
    "{a} + {b}",
    "What is the sum of {a} and {b}?",
    "Please add {b} to {a}.",
    "Can you add {a} and {b}?",
    "what is {a}+{b}",
    "Work out {a} + {b}.",
    "Tell me {a} plus {b}.",
    "What do you get if you add {a} and {b}?",
]
SUB_T = [
    "What is {a} minus {b}?",
    "{a}-{b}=?",
    "What is {a} - {b}?",
    "Calculate {a} - {b}.",
    "Compute {a}-{b}",
    "How much is {a} minus {b}?",
    "Subtract {b} from {a}.",
    "{a} - {b}",
    "What is {a} less {b}?",
    "Can you subtract {b} from {a}?",
    "what is {a}-{b}",
    "Work out {a} - {b}.",
    "Take {b} away from {a}.",
    "What is left if you take {b} from {a}?",
]
MUL_T = [
    "What is {a} times {b}?",
    "{a}*{b}=?",
    "What is {a} * {b}?",
    "Calculate {a} x {b}.",
    "Compute {a}*{b}",
    "How much is {a} times {b}?",
    "Multiply {a} by {b}.",
    "{a} * {b}",
    "What is {a} x {b}?",
    "What is the product of {a} and {b}?",
    "Can you multiply {a} by {b}?",
    "what is {a}*{b}",
    "Work out {a} times {b}.",
    "What do you get if you multiply {a} by {b}?",
]
DIV_T = [
    "What is {a} divided by {b}?",
    "{a}/{b}=?",
    "What is {a} / {b}?",
    "Calculate {a} / {b}.",
    "How much is {a} divided by {b}?",
    "Divide {a} by {b}.",
    "{a} / {b}",
    "what is {a}/{b}",
    "Can you divide {a} by {b}?",
    "Work out {a} divided by {b}.",
]


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
    reply = final if small else f"{steps[: steps.rindex('So')]}{final}"
    return sample("arith", user.format(a=a, b=b), str(r), reply, steps, think_reply=final)


# ------------------------------------------------------------ word problems
def wordprob(c):
    rng, n, o = c.rng, c.one("name"), c.one("fruit")
    m = c.rng.choice([x for x in c.some("name", 4) if x != n])
    kind = rng.randrange(9)
    if kind == 0:
        a, b = rng.randint(5, 60), rng.randint(2, 40)
        d = rng.randint(1, a + b - 1 if a + b < 20 else 19)
        q = c.template(
            [
                (
                    f"{n} has {a} {o}. {m} gives {n} {b} more. Then {n} loses {d} of them. "
                    f"How many {o} does {n} have now?"
                ),
                (
                    f"{n} found {a} {o} and got {b} more from {m}. Later {n} gave away {d}. "
                    f"How many {o} are left?"
                ),
                (
                    f"There are {a} {o} in a basket. {n} puts in {b} more, and {m} takes "
                    f"out {d}. How many {o} are in the basket?"
                ),
                (
                    f"{n} starts with {a} {o}, gets {b} {o} from {m} and then drops {d}. "
                    f"How many {o} does {n} have?"
                ),
            ]
        )
        r, s = a + b - d, f"Start with {a}. {a}+{b}={a + b}. {a + b}-{d}={a + b - d}."
    elif kind in (1, 2):
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        q = c.template(
            [
                f"{n} buys {a} boxes of {o}. Each box has {b} {o}. How many {o} is that in total?",
                f"There are {a} bags with {b} {o} in each bag. How many {o} are there in all?",
                f"{n} has {a} baskets. Every basket holds {b} {o}. How many {o} does {n} have?",
                f"{n} packs {b} {o} into each of {a} crates. How many {o} did {n} pack?",
            ]
        )
        r, s = a * b, f"{a} times {b} each: {a}*{b}={a * b}."
    elif kind == 3:
        b = rng.randint(2, 9)
        r = rng.randint(2, 15)
        a = b * r
        q = c.template(
            [
                f"{n} shares {a} {o} equally among {b} friends. How many {o} does each friend get?",
                (
                    f"{a} {o} are put into {b} bags, the same number in each. How many {o} "
                    f"are in one bag?"
                ),
                f"{n} splits {a} {o} into {b} equal piles. How many {o} are in each pile?",
                f"{b} children divide {a} {o} fairly. How many {o} does each child get?",
            ]
        )
        s = f"{a} shared by {b}: {b}*{r}={a}, so each gets {r}."
    elif kind == 4:
        a, b, k = rng.randint(5, 60), rng.randint(5, 30), rng.randint(2, 6)
        q = (
            f"{n} reads {a} pages on Monday and {b} pages on Tuesday. On Wednesday {n} reads "
            f"{k} times as many pages "
            f"as on Tuesday. How many pages does {n} read in all?"
        )
        r = a + b + k * b
        s = f"Monday {a}. Tuesday {b}. Wednesday {k}*{b}={k * b}. "
        s += f"{a}+{b}={a + b}. {a + b}+{k * b}={r}."
    elif kind == 5:
        a, b = rng.randint(5, 60), rng.randint(2, 20)
        more = c.chance(0.5) or b >= a
        q = c.template(
            [
                (
                    f"{n} is {a} years old. {m} is {b} years "
                    f"{'older' if more else 'younger'} than {n}. How old is {m}?"
                ),
                (
                    f"{m} is {b} years {'older' if more else 'younger'} than {n}, who is "
                    f"{a}. How old is {m}?"
                ),
                f"{n} is {a}. How old is {m}, who is {b} years {'older' if more else 'younger'}?",
                (
                    f"How old is {m} if {n} is {a} and {m} is {b} years "
                    f"{'older' if more else 'younger'}?"
                ),
            ]
        )
        r = a + b if more else a - b
        s = f"{a}{'+' if more else '-'}{b}={r}."
    elif kind == 6:
        p, k = rng.randint(2, 12), rng.randint(2, 9)
        pay = p * k + rng.randint(1, 20)
        q = c.template(
            [
                (
                    f"{n} buys {k} {o} for {p} dollars each and pays with {pay} dollars. "
                    f"How much change does {n} get?"
                ),
                (
                    f"One of the {o} costs {p} dollars. {n} has {pay} dollars and buys {k}. "
                    f"How much money is left?"
                ),
                (
                    f"{n} had {pay} dollars and bought {k} {o} at {p} dollars each. How "
                    f"many dollars does {n} have now?"
                ),
                (
                    f"With {pay} dollars {n} buys {k} {o} that cost {p} dollars each. What "
                    f"is the change?"
                ),
            ]
        )
        r, s = pay - p * k, f"Cost {k}*{p}={k * p}. {pay}-{k * p}={pay - k * p}."
    else:
        a, b = rng.randint(3, 80), rng.randint(3, 80)
        q = c.template(
            [
                f"{n} has {a} {o} and {m} has {b} {o}. How many {o} do they have together?",
                f"{n} picked {a} {o}. {m} picked {b} {o}. How many did they pick in all?",
                f"There are {a} red {o} and {b} green {o}. How many {o} are there?",
                f"{m} sold {b} {o} and {n} sold {a}. How many {o} were sold in total?",
            ]
        )
        r, s = a + b, f"{a}+{b}={a + b}."
    return sample(
        "wordprob", q, str(r), f"{s} The answer is {r}.", s, think_reply=f"The answer is {r}."
    )

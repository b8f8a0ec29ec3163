"""Short made-up stories from a small plot grammar about one hero, one friend and one thing."""

from pools import article

ASK = [
    "Tell me a story about {h}.",
    "Tell me a short story about {h}.",
    "Write a story about {h}.",
    "Can you tell me a story about {h}?",
    "Please write a short story about {h}.",
    "I want to hear a story about {h}.",
    "Make up a story about {h}.",
    "Write a short story about {h}.",
    "Tell a story with {h}.",
    "story about {h}",
    "A story about {h}, please.",
    "Do you know a story about {h}?",
    "Give me a story about {h}.",
    "Invent a tale about {h}.",
]
ASK_FREE = [
    "Tell me a story.",
    "Tell me a short story.",
    "Write a story.",
    "I want to hear a story.",
    "Tell me a bedtime story.",
    "Can you tell me a story?",
    "Please tell a story.",
    "story please",
    "A short story, please.",
    "Another story, please.",
]
MOODS = (
    "little old brave shy hungry clever lazy kind young proud lonely curious sleepy happy".split()
)
WHERE = [
    "in a small house near the forest",
    "on a farm by the river",
    "in a deep green wood",
    "at the foot of a high mountain",
    "in an old tree",
    "near the sea",
    "in a quiet village",
    "behind the mill",
    "in a warm cave",
    "under a stone bridge",
    "at the edge of a big city",
    "by a blue lake",
]
LIKES = [
    "loved the {c} {t} more than anything",
    "had only one treasure, a {c} {t}",
    "found a {c} {t} on the road one day",
    "had always wanted a {c} {t}",
    "got a {c} {t} from an old friend",
    "made a {c} {t} with much care",
]
OPEN = [
    "Once upon a time there was a {m} {h} named {n}.",
    "Long ago, a {m} {h} called {n} lived {w}.",
    "There was once a {m} {h} whose name was {n}.",
    "{n} was a {m} {h} who lived {w}.",
    "In a land far away lived a {m} {h} named {n}.",
]
TROUBLE = [
    [
        "One night a great storm came, and the {t} was blown into the river.",
        "{n} ran along the water but could not reach it.",
    ],
    [
        "One morning the {t} was gone.",
        "{n} looked under the bed, behind the door and in the garden, but it was not there.",
    ],
    [
        "One day {a2} came by and took the {t} away.",
        "{n} was very sad and did not know what to do.",
    ],
    ["But one day the {t} fell into a deep hole.", "{n} looked down and began to cry."],
    [
        "Then winter came, and there was nothing left to eat.",
        "{n} thought of selling the {t} for some bread.",
    ],
    ["One day {n} went for a walk and lost the way.", "It grew dark, and the {t} was all {n} had."],
    [
        "One evening {n} put the {t} on a high shelf and forgot it there.",
        "The next day nobody could find it.",
    ],
]
MEET = [
    ['"Why are you crying?" asked {a2} named {f}.', '"I have lost my {t}," said {n}.'],
    ["On the way {n} met {a2} named {f}.", '"Can you help me?" asked {n}. "Of course," said {f}.'],
    [
        "{f}, {a2} from the hill, heard about it and came at once.",
        '"Two can do more than one," said {f}.',
    ],
    [
        "Then {a2} called {f} sat down next to {n}.",
        '"Do not be afraid," said {f}. "I know what we can do."',
    ],
    ["{n} went to {f}, {a2} that knew everything.", '"Be patient," said {f}, "and look again."'],
]
ACT = [
    [
        "Together they walked through the forest and asked every bird.",
        "At last a small bird showed them the place.",
    ],
    ["They worked all day and did not give up.", "When the sun went down, they had done it."],
    ["{f} held a long rope, and {n} climbed down.", "It was cold and dark, but {n} was brave."],
    ["They looked in the {p}, and there was the {t}!", "{n} laughed and jumped for joy."],
    [
        "{f} had a good idea and built a small boat.",
        "So they crossed the water and found the {t} on the other side.",
    ],
    [
        "They followed the marks in the snow until they came to an old barn.",
        "There lay the {t}, safe and dry.",
    ],
]
END = [
    ["{n} thanked {f} with all {hh} heart.", "From that day on they were the best of friends."],
    [
        "{n} gave {f} half of the bread, and they ate together.",
        "And they lived happily ever after.",
    ],
    ['"A good friend is worth more than {a} {t}," said {n}.', "And that was true."],
    ["That night {n} slept well and dreamed of the {t}.", "{f} came to visit every Sunday."],
    [
        "So {n} learned that it is good to ask for help.",
        "The two friends told the story for many years.",
    ],
    ["{n} never lost the {t} again.", "And whenever {f} needed help, {n} was there."],
]


def story(c):
    rng = c.rng
    free = c.chance(0.2)
    h, other = c.some("animal", 2)
    if c.chance(0.25):
        h = rng.choice(
            [
                "girl",
                "boy",
                "king",
                "farmer",
                "sailor",
                "baker",
                "teacher",
                "fisherman",
                "princess",
                "robot",
                "dragon",
                "giant",
                "witch",
                "doctor",
                "queen",
                "miller",
            ]
        )
    n, f = c.some("name", 2)
    v = {
        "h": h,
        "n": n,
        "f": f,
        "a2": article(other),
        "m": rng.choice(MOODS),
        "w": rng.choice(WHERE),
        "c": c.one("color"),
        "t": c.one("thing"),
        "p": c.one("place"),
        "hh": rng.choice(["his", "her"]),
    }
    v["a"] = article(v["t"]).split()[0]
    parts = [rng.choice(OPEN), "{n} " + rng.choice(LIKES) + "."]
    for group in (TROUBLE, MEET, ACT, END):
        parts += rng.choice(group)
    text = " ".join(parts).format(**v)
    for m in MOODS + [v["c"]]:
        if m[0] in "aeiou":
            text = text.replace(f" a {m} ", f" an {m} ")
    hero = article(h)
    roll = rng.random()
    if roll < 0.2:
        hero += f" and {article(v['t'])}"
    elif roll < 0.35:
        hero += f" named {n}"
    elif roll < 0.5:
        hero += f" and {article(other)}"
    elif roll < 0.58:
        hero = article(v["m"]) + " " + h
    q = c.template(ASK_FREE) if free else c.template(ASK).format(h=hero)
    return {
        "skill": "story",
        "answer": h,
        "messages": [{"role": "user", "content": q}, {"role": "assistant", "content": text}],
    }

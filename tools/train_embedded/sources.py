"""Everything that can be sampled for training, and the mix."""

import json

import corpus
import gen_skills
from chat_format import render

try:
    import gen_chat
    import gen_tools
except ImportError:
    gen_chat = gen_tools = None


# share of the tokens per source; book text fills the rest of each row
MIX = {
    "arith": 11,
    "wordprob": 8,
    "needle": 9,
    "jslookup": 7,
    "extract": 10,
    "reading": 9,
    "track": 8,
    "vartrack": 4,
    "listop": 8,
    "tool": 17,
    "chat": 19,
    "facts": 8,
    "story": 5,
    "ccby": 1,
    "sgd": 1,
}
TEXT_SHARE = 0.04
THINK_SHARE = {
    "arith": 0.5,
    "wordprob": 0.5,
    "track": 0.5,
    "vartrack": 0.5,
    "chat": 0.06,
    "facts": 0.05,
    "tool": 0.05,
    "reading": 0.05,
    "extract": 0.05,
    "listop": 0.05,
    "jslookup": 0.05,
    "needle": 0.05,
}
SYSTEMS = [
    "You are a helpful assistant.",
    "You are Headgate nano, a small language model.",
    "Answer briefly.",
    "You are a friendly assistant.",
    "Be kind and clear.",
    "You are a helpful AI assistant. Answer in English.",
]


def short_thought(c, sample):
    """Reasoning for families that have none of their own."""
    return c.rng.choice(
        {
            "needle": ["I look for the sentence that names it.", "I search the text."],
            "jslookup": ["I look up the key.", "I find the key in the JSON."],
            "extract": [
                "I find each field in the text.",
                "I read the text and fill in the fields.",
            ],
            "reading": ["The answer is in the text.", "I read the text."],
            "listop": ["I go through the list.", "I look at the items."],
            "tool": ["I can use a tool for this.", "This needs a function call."],
        }.get(
            sample["skill"],
            ["This is a simple question.", "I answer in a few words.", "I know what to say."],
        )
    )


def to_segments(c, s, thinking=None):
    """Sample -> segments [(text, is_target)] in thinking or instruct mode."""
    if thinking is None:
        thinking = c.chance(THINK_SHARE.get(s["skill"], 0.0))
    msgs = [dict(m) for m in s["messages"]]
    if thinking:
        last = msgs[-1]
        if not last.get("think"):
            last["think"] = short_thought(c, s)
        last["content"] = s.get("think_reply", last.get("content"))
        query = max(i for i, m in enumerate(msgs) if m["role"] == "user")
        for i, m in enumerate(msgs[:-1]):
            if m["role"] == "assistant" and i > query:
                m["think"] = m.get("think") or short_thought(c, s)
            elif m["role"] == "assistant":
                m["context"] = True
    if msgs[0]["role"] != "system" and not s.get("tools") and c.chance(0.06):
        msgs.insert(0, {"role": "system", "content": c.rng.choice(SYSTEMS)})
    return render(msgs, s.get("tools"), thinking)


class Sources:
    """Sampling functions by name; each returns a sample dict."""

    def __init__(self, data):
        self.fns = dict(gen_skills.FAMILIES)
        self.stories = corpus.stories(data)
        self.tools, self.dialogs = corpus.sgd(data)
        self.fns["ccby"] = self.ccby
        self.fns["sgd"] = self.sgd
        if gen_chat:
            self.fns["tool"] = gen_tools.tool
            self.chat = chat = gen_chat.Chat(data)
            self.fns.update({"chat": chat.chat, "facts": chat.facts, "story": chat.story})

    def sample(self, name, c):
        """Draws one sample; skills and tools use the wide word lists half of the time."""
        c.wild = name in gen_skills.FAMILIES or name == "tool"
        out = self.fns[name](c)
        c.wild = False
        return out

    def ccby(self, c):
        d = c.rng.choice(self.stories)
        title = d["title"].strip()
        q = c.rng.choice(
            [
                f'Tell me the story "{title}".',
                f"Do you know the story {title}?",
                f"Please tell me {title}.",
                f"Tell me a story called {title}.",
                f'Write a story with the title "{title}".',
            ]
        )
        return {
            "skill": "ccby",
            "answer": "",
            "messages": [
                {"role": "user", "content": q},
                {"role": "assistant", "content": d["text"].strip()},
            ],
        }

    def sgd(self, c):
        d = c.rng.choice(self.dialogs)
        tools = [
            {"type": "function", "function": f}
            for s in d["services"][:1]
            for f in self.tools.get(s, [])
        ]
        c.rng.shuffle(tools)
        msgs = []
        for m in d["messages"]:
            m = dict(m)
            if m["role"] == "tool" and not isinstance(m["content"], str):
                m["content"] = json.dumps(m["content"][:1], ensure_ascii=False)
            msgs.append(m)
        return {"skill": "sgd", "answer": "", "tools": tools[:3], "messages": msgs, "cut": True}


def generated_text(c, data, chars):
    """Raw text of generated samples, for the tokenizer."""
    src = Sources(data)
    names = [n for n in MIX if n in src.fns]
    done = 0
    while done < chars:
        s = src.sample(c.rng.choices(names, [MIX[n] for n in names])[0], c)
        text = "".join(t for t, _ in to_segments(c, s))
        done += len(text)
        yield text

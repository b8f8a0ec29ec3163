"""Tool calls: hand-written tools with many phrasings, invented tools, answers from results."""

import json

from pools import article


def fn(name, desc, /, **props):
    """props: name -> (type, required) or (type, required, enum)."""
    p = {}
    for k, v in props.items():
        p[k] = {"type": v[0]}
        if len(v) > 2:
            p[k]["enum"] = v[2]
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": desc,
            "parameters": {
                "type": "object",
                "properties": p,
                "required": [k for k, v in props.items() if v[1]],
            },
        },
    }


S, N, INT, B = "string", "number", "integer", "boolean"
UNITS = ["celsius", "fahrenheit"]

TOOLS = {
    "get_weather": fn(
        "get_weather", "Get the current weather for a city", city=(S, True), unit=(S, False, UNITS)
    ),
    "get_time": fn("get_time", "Get the local time of a city", city=(S, True)),
    "convert_currency": fn("convert_currency", "Convert money", amount=(N, True), to=(S, True)),
    "lights": fn("lights", "Turn the lights in a room on or off", room=(S, True), on=(B, True)),
    "set_temperature": fn(
        "set_temperature", "Set the temperature of a room", room=(S, True), degrees=(INT, True)
    ),
    "search_book": fn("search_book", "Find a book in the library", title=(S, True)),
    "send_message": fn("send_message", "Send a message to a person", to=(S, True), text=(S, True)),
    "set_timer": fn("set_timer", "Start a timer", minutes=(INT, True)),
    "set_alarm": fn("set_alarm", "Set an alarm", time=(S, True)),
    "play_music": fn("play_music", "Play a song", song=(S, True), artist=(S, False)),
    "add_to_list": fn(
        "add_to_list", "Add an item to the shopping list", item=(S, True), quantity=(INT, False)
    ),
    "book_table": fn(
        "book_table",
        "Book a table in a restaurant",
        city=(S, True),
        people=(INT, True),
        time=(S, True),
    ),
    "find_train": fn(
        "find_train",
        "Find a train connection",
        **{"from": (S, True), "to": (S, True), "day": (S, False)},
    ),
    "calculator": fn("calculator", "Evaluate an arithmetic expression", expression=(S, True)),
    "create_event": fn(
        "create_event",
        "Add an event to the calendar",
        title=(S, True),
        day=(S, True),
        time=(S, True),
    ),
    "translate": fn("translate", "Translate a word", word=(S, True), language=(S, True)),
    "call_contact": fn("call_contact", "Call a person", name=(S, True)),
    "get_stock": fn("get_stock", "Get the number of items in stock", product=(S, True)),
    "get_population": fn("get_population", "Get the population of a city", city=(S, True)),
    "web_search": fn("web_search", "Search the web", query=(S, True)),
    "order_food": fn("order_food", "Order food", dish=(S, True), quantity=(INT, True)),
    "write_note": fn("write_note", "Save a note", text=(S, True)),
    "open_door": fn("open_door", "Open or close a door", room=(S, True), open=(B, True)),
}
LANGUAGES = "French German Spanish Italian Dutch Polish Turkish Greek Swedish Korean".split()
CURRENCIES = "euro dollar yen pound franc peso rupee krona".split()
DISHES = "pizza soup salad pasta burger curry sandwich omelette pancake noodles".split()
TITLES = "meeting dinner lunch party concert lesson interview picnic training visit".split()


def clock(c):
    return f"{c.rng.randint(6, 22)}:{c.rng.choice(['00', '10', '15', '30', '40', '45'])}"


def book_title(c):
    return c.rng.choice(
        ["The {a} {b}", "My {a} {b}", "The {b} of {n}", "{n} and the {b}", "The Secret {b}"]
    ).format(a=c.one("color").title(), b=c.one("thing").title(), n=c.one("name"))


def phrase(c, n):
    return " ".join(c.word() for _ in range(n))


TEXTS = [
    "I am late",
    "see you soon",
    "happy birthday",
    "please call me",
    "dinner is ready",
    "I am at the station",
    "thank you for the book",
    "the meeting is over",
    "do not forget the milk",
    "I will be home at six",
    "good luck",
    "where are you",
    "bring the keys",
    "we won the game",
    "the train is late",
]


def request(c, name):
    """-> (user text, arguments, (tool result, answer text))."""
    rng = c.rng
    city, person, room = c.one("city"), c.one("name"), c.one("room")
    if name == "get_weather":
        a = {"city": city}
        t, sky = rng.randint(-5, 38), rng.choice(["sunny", "cloudy", "rainy", "windy", "snowy"])
        if c.chance(0.35):
            a["unit"] = rng.choice(UNITS)
            u = c.template(
                [
                    "What is the weather in {city} in {unit}?",
                    "Weather in {city}, in {unit} please.",
                    "Give me the {city} weather in {unit}.",
                    "Tell me the weather for {city} in {unit}.",
                ]
            )
        else:
            u = c.template(
                [
                    "What is the weather in {city}?",
                    "How is the weather in {city}?",
                    "Weather in {city}?",
                    "What's the weather like in {city} today?",
                    "Is it raining in {city}?",
                    "weather {city}",
                    "Do I need an umbrella in {city}?",
                    "How warm is it in {city}?",
                    "Is it sunny in {city} now?",
                    "Tell me the weather in {city}.",
                    "Please check the weather for {city}.",
                    "Can you look up the weather in {city}?",
                ]
            )
        return u, a, ({"temperature": t, "sky": sky}, f"It is {sky} in {city} with {t} degrees.")
    if name == "get_time":
        t = clock(c)
        u = c.template(
            [
                "What time is it in {city}?",
                "Tell me the time in {city}.",
                "How late is it in {city}?",
                "What's the time in {city} now?",
                "Current time in {city}?",
                "time in {city}",
                "Can you tell me the local time of {city}?",
                "Please give me the time in {city}.",
            ]
        )
        return u, {"city": city}, ({"time": t}, f"The time in {city} is {t}.")
    if name == "convert_currency":
        a = {"amount": rng.randint(2, 900), "to": rng.choice(CURRENCIES)}
        r = rng.randint(2, 2000)
        u = c.template(
            [
                "Convert {amount} to {to}.",
                "How much is {amount} in {to}?",
                "Change {amount} into {to}.",
                "What is {amount} in {to}?",
                "Please convert {amount} to {to}.",
            ]
        )
        return u, a, ({"result": r}, f"That is {r} in {a['to']}.")
    if name == "lights":
        a = {"room": room, "on": c.chance(0.5)}
        w = "on" if a["on"] else "off"
        u = c.template(
            [
                f"Turn {w} the lights in the {room}.",
                f"Lights {w} in the {room}, please.",
                f"Please switch {w} the {room} lights.",
                f"Switch the light in the {room} {w}.",
                f"Turn the {room} lights {w}.",
                f"Can you turn {w} the light in the {room}?",
                f"The {room} lights should be {w}.",
            ]
        )
        return u, a, ({"status": "ok"}, f"The lights in the {room} are {w} now.")
    if name == "set_temperature":
        a = {"room": room, "degrees": rng.randint(10, 28)}
        u = c.template(
            [
                "Set the {room} to {degrees} degrees.",
                "Make the {room} {degrees} degrees warm.",
                "Heat the {room} to {degrees} degrees.",
                "I want {degrees} degrees in the {room}.",
                "Please put the {room} at {degrees} degrees.",
            ]
        )
        return u, a, ({"status": "ok"}, f"The {room} is set to {a['degrees']} degrees.")
    if name == "search_book":
        a = {"title": book_title(c)}
        n = rng.randint(1, 60)
        u = c.template(
            [
                'Find the book "{title}".',
                'Do you have the book "{title}"?',
                'Where is the book "{title}"?',
                "Search for the book {title}.",
                'I am looking for "{title}".',
            ]
        )
        return u, a, ({"found": True, "shelf": n}, f'"{a["title"]}" is on shelf {n}.')
    if name == "send_message":
        a = {
            "to": person,
            "text": rng.choice(TEXTS) if not c.test else "the " + c.one("thing") + " is ready",
        }
        u = c.template(
            [
                "Send {to} the message: {text}",
                "Tell {to}: {text}",
                "Write to {to}: {text}",
                'Message {to} "{text}"',
                "Send a message to {to} saying {text}",
                "Let {to} know: {text}",
            ]
        )
        return u, a, ({"status": "sent"}, f"I sent the message to {person}.")
    return request2(c, name, city, person, room)


def request2(c, name, city, person, room):
    rng = c.rng
    if name == "set_timer":
        a = {"minutes": rng.randint(1, 90)}
        u = c.template(
            [
                "Set a timer for {minutes} minutes.",
                "Start a {minutes} minute timer.",
                "Timer: {minutes} minutes",
                "Wake me in {minutes} minutes.",
                "Please start a timer of {minutes} minutes.",
            ]
        )
        return u, a, ({"status": "running"}, f"The timer is set for {a['minutes']} minutes.")
    if name == "set_alarm":
        a = {"time": clock(c)}
        u = c.template(
            [
                "Wake me at {time}.",
                "Set an alarm for {time}.",
                "Alarm at {time}, please.",
                "I need an alarm at {time}.",
                "Please set the alarm to {time}.",
            ]
        )
        return u, a, ({"status": "ok"}, f"Your alarm is set for {a['time']}.")
    if name == "play_music":
        a = {"song": book_title(c)}
        if c.chance(0.5):
            a["artist"] = person
        by = " by {artist}" if "artist" in a else ""
        u = c.template(
            [
                'Play "{song}"' + by + ".",
                "Please play the song {song}" + by + ".",
                "I want to hear {song}" + by + ".",
                'Put on "{song}"' + by + ".",
            ]
        )
        return u, a, ({"status": "playing"}, f"Now playing {a['song']}.")
    if name == "add_to_list":
        a = {"item": c.one("fruit")}
        if c.chance(0.6):
            a["quantity"] = rng.randint(2, 20)
        q = "{quantity} " if "quantity" in a else ""
        u = c.template(
            [
                "Add " + q + "{item} to my shopping list.",
                "Put " + q + "{item} on the list.",
                "I need " + q + "{item}.",
                "We have to buy " + q + "{item}.",
                "Please add " + q + "{item}.",
            ]
        )
        return u, a, ({"status": "added"}, f"I added {a['item']} to your list.")
    if name == "book_table":
        a = {"city": city, "people": rng.randint(2, 9), "time": clock(c)}
        u = c.template(
            [
                "Book a table for {people} in {city} at {time}.",
                "I need a table in {city} for {people} people at {time}.",
                "Reserve a table at {time} for {people} in {city}.",
                "Please get us a table in {city}, {people} people, {time}.",
            ]
        )
        n = rng.randint(100, 999)
        return u, a, ({"booking": n}, f"Your table in {city} is booked. The number is {n}.")
    if name == "find_train":
        a = {"from": city, "to": rng.choice([x for x in c.some("city", 4) if x != city])}
        if c.chance(0.5):
            a["day"] = c.one("day")
        on = " on {day}" if "day" in a else ""
        u = c.template(
            [
                "Find a train from {from} to {to}" + on + ".",
                "I want to go from {from} to {to}" + on + ".",
                "Is there a train from {from} to {to}" + on + "?",
                "How do I get from {from} to {to}" + on + "?",
            ]
        )
        t = clock(c)
        return u, a, ({"departure": t}, f"There is a train to {a['to']} at {t}.")
    if name == "calculator":
        x, y, o = rng.randint(2, 9999), rng.randint(2, 9999), rng.choice("+-*")
        a = {"expression": f"{x} {o} {y}"}
        r = {"+": x + y, "-": x - y, "*": x * y}[o]
        u = c.template(
            [
                "What is {expression}?",
                "Calculate {expression}.",
                "Compute {expression}",
                "How much is {expression}?",
            ]
        )
        return u, a, ({"result": r}, f"{x} {o} {y} = {r}")
    if name == "create_event":
        a = {"title": rng.choice(TITLES), "day": c.one("day"), "time": clock(c)}
        u = c.template(
            [
                "Add a {title} on {day} at {time}.",
                "Put the {title} in my calendar: {day}, {time}.",
                "I have a {title} on {day} at {time}.",
                "Schedule a {title} for {day} at {time}.",
            ]
        )
        return (
            u,
            a,
            (
                {"status": "ok"},
                f"The {a['title']} is in your calendar for {a['day']} at {a['time']}.",
            ),
        )
    if name == "translate":
        a = {"word": c.one("thing"), "language": rng.choice(LANGUAGES)}
        u = c.template(
            [
                "Translate {word} to {language}.",
                "What is {word} in {language}?",
                "How do you say {word} in {language}?",
                "Give me the {language} word for {word}.",
            ]
        )
        w = c.word()
        return u, a, ({"translation": w}, f"{a['word'].capitalize()} in {a['language']} is {w}.")
    return request3(c, name, city, person, room)


def request3(c, name, city, person, room):
    rng = c.rng
    if name == "call_contact":
        u = c.template(
            [
                "Call {name}.",
                "Please ring {name}.",
                "I want to talk to {name}.",
                "Phone {name} for me.",
            ]
        )
        return u, {"name": person}, ({"status": "calling"}, f"I am calling {person}.")
    if name == "get_stock":
        a, n = {"product": c.one("thing")}, rng.randint(0, 99)
        u = c.template(
            [
                "How many {product} items are in stock?",
                "Do we have {product} in stock?",
                "Check the stock of {product}.",
                "What is the stock of {product}?",
            ]
        )
        return u, a, ({"stock": n}, f"There are {n} in stock.")
    if name == "get_population":
        n = rng.randint(10, 9000) * 1000
        u = c.template(
            [
                "How many people live in {city}?",
                "What is the population of {city}?",
                "Population of {city}?",
                "Tell me how many people live in {city}.",
            ]
        )
        return u, {"city": city}, ({"population": n}, f"{n} people live in {city}.")
    if name == "web_search":
        q = c.rng.choice(
            [
                f"{c.one('color')} {c.one('thing')}",
                f"{c.one('animal')} {c.one('place')}",
                phrase(c, 2),
            ]
        )
        u = c.template(
            [
                "Search the web for {query}.",
                "Look up {query} on the web.",
                "Google {query}",
                "Find {query} online.",
            ]
        )
        return u, {"query": q}, ({"hits": 3}, "I found 3 results.")
    if name == "order_food":
        a = {"dish": rng.choice(DISHES), "quantity": rng.randint(1, 9)}
        u = c.template(
            [
                "Order {quantity} {dish}.",
                "I would like {quantity} {dish}, please.",
                "Get me {quantity} {dish}.",
                "Please order {dish}, {quantity} of them.",
            ]
        )
        return u, a, ({"status": "ordered"}, f"I ordered {a['quantity']} {a['dish']}.")
    if name == "write_note":
        a = {
            "text": rng.choice(["buy", "call", "visit", "thank", "remember"])
            + " "
            + c.rng.choice([person, c.one("fruit")])
        }
        u = c.template(
            ["Make a note: {text}", "Note: {text}", "Save this note: {text}", "Write down: {text}"]
        )
        return u, a, ({"status": "saved"}, "I saved the note.")
    a = {"room": room, "open": c.chance(0.5)}
    w = "open" if a["open"] else "close"
    u = c.template(
        [
            w.title() + " the {room} door.",
            "Please " + w + " the door of the {room}.",
            "Can you " + w + " the {room} door?",
            w.title() + " the door in the {room}.",
        ]
    )
    return u, a, ({"status": "ok"}, f"The {room} door is {w if w == 'open' else 'closed'} now.")


VERBS = [
    "count",
    "check",
    "find",
    "paint",
    "move",
    "clean",
    "fix",
    "sell",
    "list",
    "track",
    "rate",
    "print",
]


def invented(c):
    """A made-up tool: the name and the arguments must be copied from the schema and the request."""
    rng = c.rng
    verb, noun = rng.choice(VERBS), c.one(rng.choice(["thing", "animal"]))
    kinds = {
        "color": lambda: c.one("color"),
        "count": lambda: rng.randint(1, 99),
        "city": lambda: c.one("city"),
        "owner": lambda: c.one("name"),
        "day": lambda: c.one("day"),
        "place": lambda: c.one("place"),
        "code": lambda: rng.randint(100, 9999),
        "size": lambda: rng.choice(["small", "medium", "large"]),
    }
    keys = rng.sample(list(kinds), rng.randint(1, 3))
    args = {k: kinds[k]() for k in keys}
    props = {k: (INT if isinstance(v, int) else S, True) for k, v in args.items()}
    spec = fn(f"{verb}_{noun}", f"{verb.title()} {article(noun)}", **props)
    said = [f"{k} {v}" for k, v in args.items()]
    u = c.template(
        [
            "{v} the {n} with {s}.",
            "Please {v} {a}: {s}",
            "{v} {a} with {s}.",
            "Can you {v} the {n}? {s}",
            "I want to {v} {a}, {s}.",
        ]
    ).format(v=verb, n=noun, a=article(noun), s=", ".join(said))
    return spec, u[0].upper() + u[1:], args, ({"status": "ok"}, "Done.")


def tool(c):
    rng = c.rng
    kind = rng.random()
    if kind < 0.3:
        spec, user, args, res = invented(c)
        name = spec["function"]["name"]
        others = rng.sample(list(TOOLS), rng.choice([0, 0, 1]))
        if c.chance(0.4):
            others_spec = [TOOLS[o] for o in others] + [invented(c)[0]]
        else:
            others_spec = [TOOLS[o] for o in others]
        specs = [spec] + [s for s in others_spec if s["function"]["name"] != name]
    else:
        name = rng.choice(list(TOOLS))
        user, args, res = request(c, name)
        user = user.format(**args)
        specs = [TOOLS[name]] + [
            TOOLS[o] for o in rng.sample([t for t in TOOLS if t != name], rng.choice([0, 1, 1, 2]))
        ]
    rng.shuffle(specs)
    if kind > 0.93 and not c.test:
        return no_tool(c, specs, name)
    call = {"name": name, "arguments": args}
    msgs = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    answer = json.dumps(call)
    if not c.test and c.chance(0.5):
        msgs += [
            {"role": "tool", "content": json.dumps(res[0])},
            {"role": "assistant", "content": res[1]},
        ]
    return {"skill": "tool", "answer": answer, "tools": specs, "messages": msgs}


def no_tool(c, specs, name):
    """A request that none of the offered tools covers."""
    specs = [s for s in specs if s["function"]["name"] != name] or [TOOLS["set_timer"]]
    user, reply = c.rng.choice(
        [
            ("Hello!", "Hello! How can I help you?"),
            ("Thank you.", "You are welcome!"),
            ("Who are you?", "I am Headgate nano, a small language model."),
            ("Tell me a joke.", "Why did the book go to the doctor? It had lost its cover."),
            ("Buy me a house.", "I am sorry, I have no tool for that."),
            ("Write a letter to the king.", "I am sorry, I have no tool for that."),
            ("Repair my car.", "I am sorry, I have no tool for that."),
            ("Good morning", "Good morning! How can I help you today?"),
        ]
    )
    return {
        "skill": "tool",
        "answer": reply,
        "tools": specs,
        "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": reply}],
    }

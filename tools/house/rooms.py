"""Reads the rooms: their CMakeLists.txt, their includes, and the table of allowed edges in docs/architecture.md."""
import os
import re
from dataclasses import dataclass, field

KEYWORDS = ("DEPS", "LIBS", "PUBLIC_LIBS", "HEADERS", "SOURCES", "TESTS", "TEST_LIBS")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
SOURCE_ENDINGS = (".cpp", ".h", ".S", ".c", ".cc", ".inc", ".cu", ".cuh")


@dataclass
class Room:
    """One folder of src/ with what its CMakeLists.txt says."""
    name: str
    deps: list = field(default_factory=list)
    doors: set = field(default_factory=set)    # relative to the room's folder
    listed: set = field(default_factory=set)   # every file that is named


def cmake_words(text):
    """Words of a CMake file, without comments and quotes; brackets are words of their own."""
    text = re.sub(r"#[^\n]*", "", text)
    return re.findall(r"\(|\)|\$\{\w+\}|[^\s()\"]+", text)


def cmake_calls(text):
    """Yields (command, [words]) for every call; nested brackets are flattened."""
    words, at = cmake_words(text), 0
    while at + 1 < len(words):
        if words[at + 1] != "(":
            at += 1
            continue
        command, depth, inside = words[at], 1, []
        at += 2
        while at < len(words) and depth:
            depth += {"(": 1, ")": -1}.get(words[at], 0)
            if words[at] not in "()":
                inside.append(words[at])
            at += 1
        yield command.lower(), inside


def expand(words, variables):
    """Replaces ${name} by the words that any set() or list(APPEND) of the file gave it."""
    out = []
    for word in words:
        name = re.fullmatch(r"\$\{(\w+)\}", word)
        out += variables.get(name.group(1), []) if name else [word]
    return out


def read_room(src, name):
    """The Room of src/<name>/CMakeLists.txt, or None where the folder has none."""
    path = os.path.join(src, name, "CMakeLists.txt")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        text = file.read()
    variables, room = {}, Room(name)
    for command, words in cmake_calls(text):
        words = expand(words, variables)
        if command == "set" and words:
            variables.setdefault(words[0], []).extend(words[1:])
        elif command == "list" and words[:1] == ["APPEND"] and len(words) > 1:
            variables.setdefault(words[1], []).extend(words[2:])
        elif command == "headgate_room" and words:
            section = None
            for word in words[1:]:
                if word in KEYWORDS:
                    section = word
                elif section == "DEPS":
                    room.deps.append(word)
                elif section == "HEADERS":
                    room.doors.add(word)
        room.listed.update(w for w in words if w.endswith(SOURCE_ENDINGS) and not w.startswith("/"))
    return room


def includes_of(text):
    """Yields (line, quote, path) of every #include."""
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(1), match.group(2)


def allowed_edges(page):
    """{room: set of rooms it may include} from the table in docs/architecture.md."""
    allowed, table = {}, re.search(r"^\| room \|.*?(?:\n\n|\Z)", page, re.M | re.S)
    for line in (table.group(0) if table else "").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4:
            continue
        for room, rooms in ((cells[0], cells[1]), (cells[2], cells[3])):
            if re.fullmatch(r"[a-z_]+", room) and re.fullmatch(r"[a-z_ ]+|–", rooms):
                allowed[room] = {"base"} | set(rooms.replace("–", "").split())
    allowed.pop("room", None)
    allowed["base"] = set()
    return allowed

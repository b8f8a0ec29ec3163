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


def cmake_calls(text):
    """(command, [words]) of every call; comments and quotes are left out, nested brackets flattened."""
    words = re.findall(r"\(|\)|[^\s()\"]+", re.sub(r"#[^\n]*", "", text))
    calls, at = [], 0
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
        calls.append((command.lower(), inside))
    return calls


def expand(words, variables):
    """Replaces variables that the file set: a word that is one becomes its list, ${a}/${b} becomes one word."""
    out = []
    for word in words:
        whole = re.fullmatch(r"\$\{(\w+)\}", word)
        if whole:
            out += variables.get(whole.group(1), [])
        else:
            out.append(re.sub(r"\$\{(\w+)\}", lambda m: ";".join(variables.get(m.group(1), [])), word))
    return out


def run_cmake(calls, variables):
    """Yields (command, expanded words), running set(), list(APPEND) and foreach(); every if() counts as true."""
    at = 0
    while at < len(calls):
        command, words = calls[at][0], expand(calls[at][1], variables)
        at += 1
        if command == "set" and words:
            variables[words[0]] = variables.get(words[0], []) + words[1:]
        elif command == "list" and words[:1] == ["APPEND"] and len(words) > 1:
            variables.setdefault(words[1], []).extend(words[2:])
        elif command == "foreach" and words:
            end, depth = at, 1
            while end < len(calls) and depth:
                depth += {"foreach": 1, "endforeach": -1}.get(calls[end][0], 0)
                end += 1
            lists = words[1:3] == ["IN", "LISTS"]
            items = [item for name in words[3:] for item in variables.get(name, [])] if lists else words[1:]
            for item in items:
                variables[words[0]] = [item]
                yield from run_cmake(calls[at:end - 1], variables)
            at = end
        yield command, words


def read_room(src, name):
    """The Room of src/<name>/CMakeLists.txt, or None where the folder has none."""
    path = os.path.join(src, name, "CMakeLists.txt")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        calls = cmake_calls(file.read())
    room = Room(name)
    for command, words in run_cmake(calls, {}):
        if command == "headgate_room":
            section = None
            for word in words[1:]:
                if word in KEYWORDS:
                    section = word
                elif section == "DEPS":
                    room.deps.append(word)
                elif section == "HEADERS":
                    room.doors.add(word)
        if command in ("headgate_room", "add_executable", "add_library", "target_sources", "headgate_program"):
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

"""Finds the functions of a C++ file by their braces, well enough to count their lines."""
import re

# Comments, raw strings, strings and character literals; a digit separator (1'000) is none of them.
NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])*'", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.M)
TYPE = re.compile(r"(?:^|[\s>])(?:class|struct|union|enum)\b(?![^<]*\)\s*(?:const|noexcept|override|\s)*$)")
NAMESPACE = re.compile(r'\bnamespace\b[^;()]*$|\bextern\s+""\s*$')


def blank(match):
    """As many lines as the match had, with an empty string in place of a string."""
    text = match.group(0)
    return ('""' if text[0] in 'R"' else "") + "\n" * text.count("\n")


def kind_of(head, outer):
    """What a '{' opens, told by the text before it and by the scope around it."""
    head = head.strip()
    if outer == "function":
        return "function part"
    if outer not in ("namespace", "type"):
        return outer
    if NAMESPACE.search(head):
        return "namespace"
    if TYPE.search(head) and not re.search(r"\)\s*(?:const|noexcept|override|final|\s)*$", head):
        return "type"
    if re.search(r"\)\s*(?:noexcept\s*)?:[^:].*[\w>]$", head, re.S):
        return "initialiser"   # of a member, in front of the body: `X() : a_{1} {`
    if re.search(r"=\s*$|=\s*[\w:<>, ]+$", head) or "(" not in head:
        return "initialiser"
    return "function"


def functions_of(text):
    """Yields (name, first line, number of lines) of every function body; lines count from 1."""
    code = NOT_CODE.sub(blank, text)
    code = DIRECTIVE.sub(lambda m: "\n" * m.group(0).count("\n"), code)
    scopes, head, line, start = [], "", 1, 1
    for char in code:
        if char == "\n":
            line += 1
        outer = scopes[-1][0] if scopes else "namespace"
        if char == "{":
            kind = kind_of(head, outer)
            name = re.search(r"([~\w:]+|operator\s*\S+)\s*\(", head)
            scopes.append((kind, start if head.strip() else line, name.group(1) if name else "?", head))
            head = ""
        elif char == "}":
            kind, first, name, before = scopes.pop() if scopes else ("namespace", line, "?", "")
            if kind == "function":
                yield name, first, line - first + 1
            # The body may still follow an initialiser, so what was read stays.
            head = before + "{}" if kind == "initialiser" and "(" in before else ""
        elif char == ";" and outer in ("namespace", "type"):
            head = ""
        else:
            if not head.strip() and not char.isspace():
                start = line
            head += char

"""Random templates for jinja_differential.py: mostly sensible expressions and statements over the shared context."""
import random

NAMES = ["s", "e", "u", "n", "z", "neg", "f", "t", "no", "l", "mixed", "empty", "d", "nested", "users", "messages", "tools", "missing", "x", "y"]
FILTERS = ["upper", "lower", "trim", "length", "first", "last", "list", "join", "join(',')", "sort", "reverse", "tojson", "string", "int", "float",
           "default('q')", "default('q', true)", "title", "capitalize", "abs", "sum", "min", "max", "unique|list", "round", "items|list",
           "map('string')|list", "map('upper')|join('-')", "select|list", "reject('none')|list", "select('string')|list", "replace('o', '0')",
           "tojson(indent=1)", "map(attribute='name')|list", "selectattr('age')|list", "wordcount", "indent(2)", "truncate(7)", "e", "batch(2)|list",
           "dictsort", "round(1)", "center(9)", "slice(2)|list", "urlencode", "reverse|list", "groupby('age')|length", "count"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable", "sequence", "true", "false", "odd",
         "even", "lower", "upper", "not none", "not defined", "eq 1", "in l", "divisibleby 2", "sameas none"]
METHODS = ["upper()", "lower()", "strip()", "split()", "split('o')", "title()", "items()|list", "keys()|list", "get('a')", "get('zz', 1)", "startswith('H')",
           "endswith('d')", "replace('l', 'L')", "find('o')", "count('l')", "rstrip('d')", "splitlines()", "index(1)", "isdigit()", "format(1)", "name", "a",
           "role", "content", "x", "capitalize()", "rsplit(' ', 1)", "join(['a', 'b'])", "zfill(12)", "partition(' ')", "values()|list"]
LITERALS = ["1", "0", "-2", "2.5", "'a'", "\"b c\"", "''", "true", "false", "none", "[]", "[1, 2]", "['b', 'a']", "{'a': 1}", "{}", "(1, 'x')", "10", "'é🙂'", "0.1", "1e3"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or", "**"]
SLICES = ["[0]", "[-1]", "[1:]", "[:2]", "[::-1]", "['a']", "['name']", "[::2]", "[5]", "[-2:]", "['role']", "[1:3]"]
SPACE = ["", "", " ", "\n", "  \n", "\n  ", "\n\n"]


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def pick(self, items):
        return self.rng.choice(items)

    def expression(self, depth):
        r = self.rng.random()
        if depth <= 0 or r < 0.2:
            return self.pick(NAMES) if self.rng.random() < 0.6 else self.pick(LITERALS)
        if r < 0.4:
            return "%s %s %s" % (self.expression(depth - 1), self.pick(OPERATORS), self.expression(depth - 1))
        if r < 0.55:
            return "%s|%s" % (self.primary(depth - 1), self.pick(FILTERS))
        if r < 0.65:
            return "%s is %s" % (self.primary(depth - 1), self.pick(TESTS))
        if r < 0.75:
            return self.primary(depth - 1) + self.pick(SLICES)
        if r < 0.85:
            return self.primary(depth - 1) + "." + self.pick(METHODS)
        if r < 0.9:
            return "%s if %s else %s" % tuple(self.expression(depth - 1) for _ in range(3))
        if r < 0.93:
            return "not " + self.expression(depth - 1)
        return self.pick(["[%s, %s]", "(%s, %s)", "{'k': %s, 'm': %s}", "(%s ~ %s)"]) % (self.expression(depth - 1), self.expression(depth - 1))

    def primary(self, depth):
        e = self.expression(depth)
        return e if e.isidentifier() else "(%s)" % e

    def tag(self, inner):
        return "{%%%s %s %s%%}" % (self.pick(["", "", "-", "+"]), inner, self.pick(["", "", "-", "+"]))

    def output(self, depth):
        return "{{%s %s %s}}" % (self.pick(["", "", "-"]), self.expression(depth), self.pick(["", "", "-"]))

    def body(self, depth):
        parts = []
        for _ in range(self.rng.randint(1, 3)):
            parts.append(self.pick(SPACE) + self.pick(["", "text", "é", "<|im_start|>", "{", "}"]) + self.pick(SPACE))
            parts.append(self.statement(depth))
        return "".join(parts) + self.pick(SPACE)

    def statement(self, depth):
        r = self.rng.random()
        if depth <= 0 or r < 0.35:
            return self.output(self.rng.randint(0, 2))
        if r < 0.5:
            return self.tag("if " + self.expression(2)) + self.body(depth - 1) + \
                (self.tag("else") + self.body(depth - 1) if self.rng.random() < 0.5 else "") + self.tag("endif")
        if r < 0.7:
            target = self.pick(["x", "y", "x", "k, v"])
            source = self.pick(["l", "mixed", "d.items()", "d", "s", "users", "messages", "range(3)", "empty", "[[1, 2], [3, 4]]", self.expression(1)])
            where = self.pick(["", "", " if x", " if loop is not defined"])
            inner = self.pick(["", "{{ loop.index }}", "{{ loop.last }}{{ x }}", "{{ loop.length }}", "{{ loop.previtem }}"])
            stop = self.pick(["", "", "", "{% break %}", "{% if x %}{% continue %}{% endif %}"])
            return self.tag("for %s in %s%s" % (target, source, where)) + inner + self.body(depth - 1) + stop + \
                (self.tag("else") + "none" if self.rng.random() < 0.2 else "") + self.tag("endfor")
        if r < 0.8:
            return self.tag("set %s = %s" % (self.pick(["x", "y"]), self.expression(2))) + self.body(depth - 1)
        if r < 0.85:
            return self.tag("set x") + self.body(depth - 1) + self.tag("endset") + "{{ x }}"
        if r < 0.9:
            return "{% macro m(x, y=" + self.expression(1) + ") %}" + self.body(depth - 1) + "{% endmacro %}{{ m(" + self.expression(1) + ") }}"
        if r < 0.94:
            return self.tag("filter " + self.pick(["upper", "trim", "indent(2)", "replace('e', 'E')"])) + self.body(depth - 1) + self.tag("endfilter")
        if r < 0.97:
            return self.tag("with x = " + self.expression(1)) + self.body(depth - 1) + self.tag("endwith")
        return "{#" + self.pick(["", "-"]) + " c " + self.pick(["", "-"]) + "#}"

    def template(self):
        return self.body(self.rng.randint(0, 3))

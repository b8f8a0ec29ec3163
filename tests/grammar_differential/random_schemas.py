"""Random JSON schemas from the keywords that constrained decoding supports."""
import random

WORDS = ["name", "age", "id", "tags", "kind", "größe", "a b", "x\"y", "note", "unit", "city", "价格", "ok", "v", "next"]
PATTERNS = ["^[a-z]+$", "^[A-Z]{2}-\\d{1,3}$", "b", "^(red|green|blue)$", "\\d$", "^\\w+@\\w+$", "^[^\"\\\\]*$",
            "^.{2,5}$", "^a|z$", "^(?:ab)*c?$"]
FORMATS = ["date", "date-time", "time", "uuid", "email", "ipv4", "ipv6", "uri"]


class Schemas:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, p):
        return self.random.random() < p

    def value(self, depth=2):
        r = self.random
        kind = r.choice(["null", "bool", "int", "float", "text", "list", "dict"][: 7 if depth else 5])
        if kind == "null":
            return None
        if kind == "bool":
            return r.choice([True, False])
        if kind == "int":
            return r.randint(-1000, 1000)
        if kind == "float":
            return r.choice([0.5, -1.25, 3.75e-5, 1e20])
        if kind == "text":
            return r.choice(WORDS + ["", "\n", "\\", "\u0001", "é😀"])
        if kind == "list":
            return [self.value(depth - 1) for _ in range(r.randint(0, 3))]
        return {r.choice(WORDS): self.value(depth - 1) for _ in range(r.randint(0, 2))}

    def integer(self):
        r, out = self.random, {"type": "integer"}
        low = r.randint(-10 ** r.randint(0, 7), 10 ** r.randint(0, 7))
        if self.chance(0.4):
            out[r.choice(["minimum", "exclusiveMinimum"])] = low
        if self.chance(0.4):
            out[r.choice(["maximum", "exclusiveMaximum"])] = low + r.randint(3, 10 ** r.randint(1, 6))
        if self.chance(0.2):
            out["multipleOf"] = r.choice([1, 2, 3, 5, 7, 10, 64, 100])
        return out

    def number(self):
        r, out = self.random, {"type": "number"}
        low = r.choice([0, -1, 0.5, -2.25, 100, 1e-3, 99.99, -1e6])
        if self.chance(0.4):
            out[r.choice(["minimum", "exclusiveMinimum"])] = low
        if self.chance(0.4):
            out[r.choice(["maximum", "exclusiveMaximum"])] = low + r.choice([1, 0.5, 0.125, 10, 1234.5])
        if self.chance(0.1):
            out["multipleOf"] = r.choice([0.5, 0.25, 2, 0.125])
        return out

    def string(self):
        r, out = self.random, {"type": "string"}
        choice = r.random()
        if choice < 0.2:
            out["pattern"] = r.choice(PATTERNS)
        elif choice < 0.4:
            out["format"] = r.choice(FORMATS)
        elif choice < 0.7:
            low = r.randint(0, 30)
            if self.chance(0.6):
                out["minLength"] = low
            if self.chance(0.7):
                out["maxLength"] = low + r.randint(0, 40)
        if "pattern" in out and self.chance(0.2):
            out["maxLength"] = r.randint(6, 20)
        return out

    def array(self, depth):
        r, out = self.random, {"type": "array"}
        if self.chance(0.2):
            out["prefixItems"] = [self.schema(depth - 1) for _ in range(r.randint(1, 3))]
        if self.chance(0.9):
            out["items"] = False if "prefixItems" in out and self.chance(0.3) else self.schema(depth - 1)
        low = r.randint(0, len(out["prefixItems"]) if out.get("items") is False else 4)
        if self.chance(0.4):
            out["minItems"] = low
        if self.chance(0.4):
            out["maxItems"] = low + r.randint(0, 5)
        return out

    def object(self, depth):
        r, out = self.random, {"type": "object"}
        names = r.sample(WORDS, r.randint(0, 5))
        if names or self.chance(0.5):
            out["properties"] = {name: self.schema(depth - 1) for name in names}
        if names and self.chance(0.7):
            out["required"] = r.sample(names, r.randint(1, len(names)))
        if self.chance(0.1):
            out.setdefault("required", []).append("extra")
        extra = r.random()
        if extra < 0.3:
            out["additionalProperties"] = False if "extra" not in out.get("required", []) else True
        elif extra < 0.5:
            out["additionalProperties"] = self.schema(depth - 1)
        if self.chance(0.1):
            out["patternProperties"] = {r.choice(["^x-", "_id$", "^[A-Z]"]): self.schema(depth - 1)}
        if self.chance(0.1) and "patternProperties" not in out:
            out["propertyNames"] = {"maxLength": 12}
        if self.chance(0.1):
            out["maxProperties"] = len(out.get("required", [])) + r.randint(1, 3)
        if len(names) > 2 and self.chance(0.15):
            out["dependentRequired"] = {names[0]: [names[1]], names[2]: [names[0]]}
        return out

    def schema(self, depth=3):
        r, choice = self.random, self.random.random()
        if depth <= 0 or choice < 0.45:
            return r.choice([self.integer, self.number, self.string, self.string, lambda: {"type": "boolean"},
                             lambda: {"type": "null"}, lambda: {"enum": [self.value(1) for _ in range(r.randint(1, 4))]},
                             lambda: {"const": self.value()}, lambda: {"type": ["string", "null", "integer"]}])()
        if choice < 0.6:
            return self.array(depth)
        if choice < 0.85:
            return self.object(depth)
        if choice < 0.92:
            return {"anyOf": [self.schema(depth - 1) for _ in range(r.randint(1, 3))]}
        if choice < 0.95:
            base = self.object(depth)
            base.pop("additionalProperties", None)
            base.pop("maxProperties", None)
            other = {"properties": {"more": self.schema(depth - 1)}, "required": ["more"]}
            base.pop("propertyNames", None)
            return {"allOf": [base, other]} if self.chance(0.5) else {**base, "anyOf": [other, {"required": []}]}
        if choice < 0.97:
            return {"type": "string", "not": {"enum": r.sample(WORDS, 2)}}
        return {"$ref": r.choice(["#/$defs/one", "#/$defs/tree"])}

    def whole(self):
        out = self.schema()
        if isinstance(out, dict):
            out["$defs"] = {
                "one": self.string(),
                "tree": {"type": "object", "properties": {"v": self.integer(), "kids": {
                    "type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 3}}, "required": ["v"]}}
        return out

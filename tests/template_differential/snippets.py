"""Hand-made template snippets for jinja_differential.py: every feature, its corners and its errors."""

CONTEXT = {
    "s": "Hello World", "e": "", "u": "Grüße 東京 🙂 ǅ", "n": 7, "z": 0, "neg": -3, "f": 2.5, "big": 1e20, "t": True, "no": None,
    "l": [3, 1, 2], "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}], "empty": [], "d": {"b": 1, "a": 2, "C": 3},
    "ed": {}, "nested": {"x": {"y": [1, {"z": "deep"}]}, "items": "shadow"}, "html": "<b>&\"'</b>",
    "users": [{"name": "Bob", "age": 30, "tags": ["x"]}, {"name": "alice", "age": 25, "tags": []}, {"name": "Carl", "age": 30}],
    "lines": "one\n two\n\nthree\n", "messages": [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi  "},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": "é", "b": [1, 2.0]}}}]},
        {"role": "tool", "content": "42"}, {"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d <x>", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}],
    "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
}

EXPRESSIONS = """
1 + 2 ;; 7 - 10 ;; 3 * 4 ;; 7 / 2 ;; 8 / 2 ;; 7 // 2 ;; -7 // 2 ;; 7 % 3 ;; -7 % 3 ;; 7 % -3 ;; -7.5 % 2 ;; 7.5 // 2
-7.5 // 2 ;; 2 ** 10 ;; 2 ** 3 ** 2 ;; 2 ** -1 ;; -2 ** 2 ;; 2.0 ** 0.5 ;; 0 ** 0 ;; 1 / 0 ;; 1 // 0 ;; 1 % 0
1.5 % 0 ;; 1 + 2 * 3 - 4 / 2 ;; (1 + 2) * 3 ;; 1 + 2.5 ;; 1e3 ;; 1_000 ;; 0x1f ;; 0b101 ;; 0o17 ;; 1.5e-7
123456789012345678 ;; 10 ** 20 ;; 1 ~ 2 ;; 1 ~ "a" ~ none ~ true ;; "a" ~ 1 + 2 ;; "a" + "b" ;; "a" + 1 ;; 1 + "a"
"a" * 3 ;; 3 * "ab" ;; "a" * -1 ;; [1] + [2, 3] ;; [1] * 2 ;; (1, 2) + (3,) ;; [1] + (2,) ;; (1,) ;; () ;; (1, 2, "a")
1, 2 ;; [1, [2, "x"], {"a": none}] ;; {"a": 1, "b": [1, 2], 3: "c"} ;; {1: "a", true: "b"} ;; {"a": 1, "a": 2} ;; []
{} ;; none ;; None ;; true ;; True ;; false ;; 1.0 ;; 1e16 ;; 1e15 ;; 1e-5 ;; 0.1 + 0.2 ;; 100000000000000000000.0
1.5e300 * 1e10 ;; -0.0 ;; -n ;; +n ;; - -n ;; -f ;; -s ;; not t ;; not e ;; not not e ;; n and s ;; e and s
e or "default" ;; z or e or no ;; n == 7 ;; n == 7.0 ;; n == "7" ;; t == 1 ;; no == none ;; n != 7 ;; n < 10 ;; n <= 7
n > 10 ;; n >= 7 ;; 1 < 2 < 3 ;; 1 < 3 < 2 ;; 1 < 2 == 2 ;; "a" < "b" ;; "a" < "B" ;; "é" > "z" ;; [1, 2] < [1, 3]
[1, 2] < [1] ;; (1, "a") < (1, "b") ;; 1 < "a" ;; none < 1 ;; [1] < [none] ;; "ell" in s ;; "xyz" in s ;; 1 in l
9 not in l ;; "a" in d ;; 1 in d ;; "b" not in d ;; 1 in s ;; 1 in n ;; none in [none] ;; "" in e ;; 1.0 in [1]
s if t else e ;; s if z else e ;; s if z ;; (s if z) is defined ;; "a" if t else "b" if z else "c"
("a" if z else "b") ~ "c" ;; s[0] ;; s[-1] ;; s[100] ;; s[1:3] ;; s[:-1] ;; s[::2] ;; s[::-1] ;; s[-3:] ;; s[5:2]
s[100:] ;; s[::-2] ;; s[10:0:-3] ;; u[6] ;; u[::-1] ;; u[2:9] ;; u[-1] ;; s[0:5:0] ;; l[0] ;; l[-1] ;; l[5] ;; l[1:]
l[::-1] ;; l[:2] ;; l["x"] ;; l[1.0] ;; l[true] ;; l[none:2] ;; mixed[5][0] ;; mixed[6].k ;; mixed[6]["k"]
(1, 2, 3)[1:] ;; (1, 2, 3)[::-1] ;; range(10)[2:5] ;; range(10)[::-2]|list ;; range(5)[1] ;; range(5)
range(1, 10, 2) ;; range(5)|list ;; range(5, 0, -2)|list ;; range(0)|list ;; range(200000) ;; range(1, 2, 0)
range("a") ;; n[0] ;; no[0] ;; no.foo ;; no["x"] is defined ;; d.a ;; d["a"] ;; d.missing ;; d["missing"]
d.missing.deeper ;; d.missing is defined ;; d["missing"]["deeper"] ;; missing ;; missing.foo ;; missing[0]
missing() ;; missing + 1 ;; 1 + missing ;; missing ~ "x" ;; missing == missing2 ;; missing == none ;; missing < 1
missing in [1] ;; 1 in missing ;; not missing ;; -missing ;; missing|length ;; missing|list ;; missing|default("dflt")
missing.x|default("dflt") ;; missing|upper ;; missing|int ;; missing|tojson ;; missing|join(",") ;; missing|first
missing|items|list ;; [missing] ;; {"a": missing} ;; missing[1:] ;; missing is iterable ;; missing is sequence
missing is callable ;; missing is mapping ;; missing is string ;; missing is none ;; nested.x.y[1].z
nested["x"]["y"][0] ;; nested.x.y.1.z ;; nested.items ;; nested["items"] ;; nested.items()|list ;; d.items()
d.keys() ;; d.values() ;; d.items()|list ;; d.keys()|list ;; d.values()|list ;; d.items()|length ;; d.keys()|first
d.items()[0] ;; d.keys() == d.keys() ;; "a" in d.keys() ;; 2 in d.values() ;; d.get("a") ;; d.get("zz")
d.get("zz", 5) ;; d.get("a", default=5) ;; d.get() ;; d.pop("a") ;; d.update({"x": 1}) ;; d.copy() ;; d.clear
l.append(4) ;; l.sort() ;; l.index(1) ;; l.index(99) ;; l.count(3) ;; l.pop ;; (1, 1, 2).count(1) ;; s.upper()
s.lower() ;; s.title() ;; "it's a dog-house o'neil".title() ;; s.capitalize() ;; "ÉCOLE ßtraße ΑΣ ΣΑΣ".lower()
"école ßtraße ŉ ﬁ ǆ".upper() ;; "école ßtraße ŉ ﬁ ǆ".title() ;; "éCOLE ΣΑΣ".capitalize() ;; "ǆabc".capitalize()
"aB cD".swapcase() ;; "Straße".casefold ;; s.split() ;; s.split("o") ;; s.split("o", 1) ;; s.split(" ", maxsplit=1)
s.split(sep="l") ;; s.split("") ;; s.rsplit("o", 1) ;; s.rsplit("l") ;; "  a  b  c  ".split()
"  a  b  c  ".split(none, 1) ;; "  a  b  c  ".rsplit(none, 1) ;; "  a  b  c  ".split(" ") ;; "a,b,,c".split(",")
"a,b,,c".rsplit(",", 2) ;; "".split() ;; "".split(",") ;; "aXXbXXc".split("XX") ;; "aaa".split("aa")
"aaa".rsplit("aa") ;; "a\\nb\\r\\nc\\rd\\n\\ne".splitlines() ;; "a\\nb\\n".splitlines(true) ;; "".splitlines()
"  x y \\n".strip() ;; "xxhixx".strip("x") ;; "xyhixy".lstrip("xy") ;; "xyhixy".rstrip("xy")
"\\u00a0\\u3000x\\u2003".strip() ;; "ééaéé".strip("é") ;; s.strip(none) ;; s.strip(1) ;; s.startswith("Hell")
s.startswith(("x", "H")) ;; s.startswith("World", 6) ;; s.endswith("ld") ;; s.endswith(("x",))
s.endswith("lo", 0, 5) ;; s.startswith(1) ;; s.replace("l", "L") ;; s.replace("l", "L", 1) ;; s.replace("", "-")
s.replace("", "-", 3) ;; "".replace("", "x") ;; s.replace("l") ;; s.find("o") ;; s.find("o", 5) ;; s.find("zz")
s.rfind("o") ;; s.index("o") ;; s.index("zz") ;; u.find("東") ;; u.find("") ;; u.find("", 100) ;; s.count("l")
s.count("") ;; s.count("l", 4) ;; "aaaa".count("aa") ;; ",".join(["a", "b"]) ;; ",".join("abc") ;; ",".join([1])
", ".join(d) ;; s.removeprefix("Hello ") ;; s.removesuffix("World") ;; s.removeprefix("x") ;; s.partition(" ")
s.rpartition("o") ;; s.partition("zz") ;; s.rpartition("zz") ;; s.center(20) ;; s.center(21, "*") ;; s.center(3)
"ab".center(5) ;; "abc".center(6) ;; s.ljust(15, ".") ;; s.rjust(15, ".") ;; "42".zfill(5) ;; "-42".zfill(5)
"a\\tb\\tc".expandtabs(4) ;; s.isalpha() ;; "abc".isalpha() ;; "123".isdigit() ;; "²".isdigit() ;; "½".isnumeric()
"12a".isalnum() ;; "".isdigit() ;; " ".isspace() ;; "abc".islower() ;; "ABC1".isupper() ;; "Abc Def".istitle()
"abc_1".isidentifier() ;; "1abc".isidentifier() ;; "abc".isascii() ;; u.isascii() ;; "٣".isdecimal() ;; s.nothing
s.nothing() ;; "{} and {}".format(1, "b") ;; "{0} {1} {0}".format("a", "b")
"{a} {b[0]} {c.k}".format(a=1, b=[2], c={"k": 3}) ;; "{:>8}|{:<8}|{:^8}|".format("ab", "cd", "ef")
"{:08.3f}|{:+d}|{:,}|{:x}|{:#x}|{:b}|{:e}|{:g}|{:%}".format(3.14159, 5, 1234567, 255, 255, 5, 12345.678, 0.0001, 0.25)
"{:.2f}".format(1) ;; "{:5}|{:<5}|{:05d}".format(42, 42, 42) ;; "{!r} {!s}".format("a", "b") ;; "{{}} {}".format(1)
"{} {".format(1) ;; "{}".format() ;; "{x}".format() ;; "{:{}}|".format("a", 5) ;; "{:.3}|".format("abcdef")
"{:*^9}".format("mid") ;; "{:d}".format("a") ;; "{:_}".format(1234567) ;; "{}".format(none) ;; "{:.3}".format(3.14159)
"{}".format(1e20) ;; "%s is %d years" % ("Bob", 30) ;; "%s" % "x"
"%05.2f|%5s|%-5s|%x|%X|%o|%e|%g|%%|%c" % (3.14159, "ab", "cd", 255, 255, 8, 12345.678, 0.00001, "z")
"%(a)s-%(b)d" % {"a": 1, "b": 2} ;; "%d" % 3.99 ;; "%d" % "x" ;; "%s %s" % "a" ;; "%s" % ("a", "b") ;; "%r" % "q"
"%s" % none ;; "%s" % [1, 2] ;; "%+d % d %03d" % (5, 5, 7) ;; "%.3s|%*d" % ("abcdef", 6, 42) ;; "%i%%" % 50
"no" % () ;; "no" % 1 ;; "abc"|upper ;; s|lower ;; "hello wORLD foo-bar (baz) o'neil"|title ;; "hELLO"|capitalize
"  x "|trim ;; "xxaxx"|trim("x") ;; n|string ;; n|string|length ;; no|string ;; s|length ;; u|length ;; l|length
d|length ;; n|length ;; s|count ;; l|first ;; l|last ;; empty|first ;; empty|last ;; s|first ;; d|first ;; d|last
s|last ;; l|sum ;; empty|sum ;; [0.1, 0.2, 0.3]|sum ;; [[1], [2]]|sum(start=[]) ;; ["a"]|sum
users|sum(attribute="age") ;; users|sum(attribute="age", start=10) ;; l|min ;; l|max ;; empty|min
["b", "A", "c"]|min ;; ["b", "A", "c"]|max ;; ["b", "A"]|min(case_sensitive=true) ;; users|min(attribute="age")
users|max(attribute="name") ;; [1, "a"]|max ;; l|sort ;; l|sort(reverse=true) ;; ["b", "A", "c"]|sort
["b", "A", "c"]|sort(case_sensitive=true) ;; ["b", "A", "c"]|sort(true)
users|sort(attribute="name")|map(attribute="name")|list
users|sort(attribute="age,name")|map(attribute="name")|join(",")
users|sort(attribute="age", reverse=true)|map(attribute="name")|join(",") ;; mixed|sort ;; s|sort|join ;; d|sort
l|reverse|list ;; s|reverse ;; u|reverse ;; d|reverse|list ;; range(3)|reverse|list ;; l|map("string")|reverse|list
n|reverse ;; l|join ;; l|join(", ") ;; l|join(1) ;; mixed|join("|") ;; s|join("-")
users|join(", ", attribute="name") ;; n|join ;; l|map("string")|list ;; users|map(attribute="name")|list
users|map(attribute="tags")|list ;; users|map(attribute="tags", default=0)|list
users|map(attribute="missing", default="x")|list ;; users|map(attribute="tags.0")|list ;; ["a", "b"]|map("upper")|join
["a", "b"]|map("replace", "a", "z")|list ;; ["ab", "cd"]|map("first")|list ;; l|map("nofilter")|list ;; l|map|list
[" a ", "b "]|map("trim")|list ;; l|select|list ;; l|select("odd")|list ;; l|select("gt", 1)|list
l|select("divisibleby", 3)|list ;; l|reject("odd")|list ;; mixed|select("string")|list ;; mixed|reject("none")|list
mixed|select|list ;; users|selectattr("age", "eq", 30)|map(attribute="name")|list
users|selectattr("age", "==", 30)|list|length ;; users|selectattr("tags")|list
users|selectattr("tags", "defined")|map(attribute="name")|list ;; users|rejectattr("tags")|map(attribute="name")|list
users|rejectattr("name", "in", ["Bob"])|map(attribute="name")|list ;; users|selectattr("age", "notest")|list
messages|selectattr("role", "equalto", "user")|list|length ;; messages|selectattr|list
[1, 1, 2, 1.0, true, "a", "A"]|unique|list ;; ["a", "A", "b"]|unique(case_sensitive=true)|list
users|unique(attribute="age")|map(attribute="name")|list ;; [[1], [1]]|unique|list ;; d|dictsort ;; d|dictsort(true)
d|dictsort(false, "value") ;; d|dictsort(by="value", reverse=true) ;; d|dictsort(by="x") ;; l|dictsort ;; d|items|list
l|items|list ;; users|groupby("age") ;; users|groupby("age")|map("first")|list ;; users|groupby("name")|list|length
(users|groupby("age"))[0].grouper ;; (users|groupby("age"))[0].list|map(attribute="name")|join
users|groupby("tags", default="none") ;; [1, 2, 3, 4, 5]|batch(2)|list ;; [1, 2, 3, 4, 5]|batch(2, 0)|list
[1, 2, 3, 4, 5]|slice(2)|list ;; [1, 2, 3, 4, 5]|slice(3, "x")|list ;; [1]|slice(0)|list ;; "42"|int ;; "42.7"|int
"abc"|int ;; "abc"|int(5) ;; "abc"|int(default=-1) ;; "0x1f"|int(0, 16) ;; "1f"|int(base=16) ;; "101"|int(0, 2)
" 42 "|int ;; "1_000"|int ;; "-5"|int ;; "1e3"|int ;; none|int ;; l|int ;; 2.9|int ;; -2.9|int ;; true|int
"inf"|int ;; "3.5"|float ;; "abc"|float ;; "abc"|float(1.5) ;; "1e5"|float ;; " 2 "|float ;; "nan"|float
"inf"|float ;; "-inf"|float ;; "1_0.5"|float ;; none|float ;; 5|float ;; -5|abs ;; -5.5|abs ;; "a"|abs ;; 2.5|round
3.5|round ;; 2.567|round(2) ;; 2.675|round(2) ;; 1234.5|round(-2) ;; 1250|round(-2) ;; 42|round ;; 42|round(1)
-2.5|round ;; 2.1|round(0, "ceil") ;; 2.9|round(0, "floor") ;; 2.123|round(2, "ceil") ;; 2.129|round(2, "floor")
42|round(method="ceil") ;; 2.5|round(1, "foo") ;; 1e300|round(2) ;; s|replace("o", "0") ;; s|replace("o", "0", 1)
n|replace("7", "8") ;; s|truncate(5) ;; s|truncate(5, true) ;; s|truncate(8, false, "…")
"foo bar baz qux"|truncate(9) ;; "foo bar baz qux"|truncate(9, true) ;; "foo bar baz qux"|truncate(11)
"foo bar baz qux"|truncate(11, false, "...", 0) ;; "abc"|truncate(2) ;; s|wordcount ;; "a, b_c; d-e été"|wordcount
lines|indent ;; lines|indent(2) ;; lines|indent(2, true) ;; lines|indent(2, first=true, blank=true)
lines|indent(width=">> ") ;; "x"|indent(3, true) ;; ""|indent ;; n|indent ;; html|e ;; html|escape ;; html|forceescape
html|safe ;; html|e|e ;; (html|e) ~ "<" ;; (html|e) + "<" ;; "<" + (html|e) ;; html|e is escaped ;; html|e|upper
[html|e] ;; s|center(21) ;; s|urlencode ;; "a/b c?d=é&e"|urlencode ;; {"a": "x y", "b/": 1}|urlencode
[["a", 1], ["b", "c"]]|urlencode ;; n|urlencode ;; s|list ;; d|list ;; l|list ;; n|list ;; s|tojson ;; u|tojson
html|tojson ;; lines|tojson ;; "\\x01\\x1f\\x7f\\u2028 / \\\\ \\""|tojson ;; n|tojson ;; f|tojson ;; 1.0|tojson
1e20|tojson ;; 1e16|tojson ;; 1e-7|tojson ;; 123456789.125|tojson ;; t|tojson ;; no|tojson ;; mixed|tojson
nested|tojson ;; tools|tojson ;; (1, 2)|tojson ;; {1: "a", none: 2, true: 3, 1.5: 4}|tojson ;; {(1, 2): 3}|tojson
range(3)|tojson ;; d.items()|tojson ;; nested|tojson(indent=2) ;; nested|tojson(indent=0) ;; empty|tojson(indent=2)
ed|tojson(indent=4) ;; nested|tojson(indent="--") ;; nested|tojson(separators=(",", ":"))
nested|tojson(separators=(",", ":"), indent=1) ;; d|tojson(sort_keys=true) ;; u|tojson(ensure_ascii=true)
nested|tojson(false, 2) ;; [1.5, "inf"|float, "nan"|float]|tojson ;; s|default("x") ;; e|default("x")
e|default("x", true) ;; no|default("x") ;; no|d("x", true) ;; z|default("x", boolean=true) ;; missing|default
s|attr("upper")() if false else 1 ;; d|attr("a") ;; d|attr("items") is callable ;; 12345|filesizeformat
1|filesizeformat ;; 500|filesizeformat ;; 1500000|filesizeformat(true) ;; "%s-%s"|format("a", "b")
"%(x)s"|format(x=1) ;; s|nofilter ;; s|upper|nofilter ;; s is notest ;; n is defined ;; n is odd ;; n is even
4 is even ;; 4.0 is even ;; n is divisibleby 7 ;; n is divisibleby(3) ;; n is number ;; f is number ;; t is number
s is number ;; n is integer ;; t is integer ;; f is integer ;; f is float ;; n is float ;; t is boolean
n is boolean ;; t is true ;; n is true ;; z is false ;; false is false ;; no is none ;; no is not none
missing is undefined ;; s is string ;; l is string ;; l is iterable ;; s is iterable ;; n is iterable ;; d is iterable
d is mapping ;; l is mapping ;; l is sequence ;; s is sequence ;; d is sequence ;; n is sequence
d.items() is sequence ;; range is callable ;; s is callable ;; s.upper is callable ;; "abc" is lower ;; "ABC" is upper
"Abc" is lower ;; n is eq 7 ;; n is eq(7) ;; n is equalto 7 ;; n is ne 7 ;; n is lt 10 ;; n is gt 10 ;; n is le 7
n is ge 8 ;; n is lessthan 8 ;; n is greaterthan 8 ;; n is in [7, 8] ;; n is in(l) ;; 1 is in l ;; s is sameas s
no is sameas none ;; 1 is sameas 1.0 ;; true is sameas true ;; "upper" is filter ;; "nope" is filter ;; "odd" is test
n is not defined or true ;; n is defined and n is odd ;; s is odd ;; not n is defined ;; n is not odd
html is escaped ;; "a" "b" 'c' ;; "\\u00e9\\x41\\101\\n|\\t|\\\\|\\'|\\d" ;; 'it\\'s' ;; "line\\
joined" ;; "\\ud800"
"\\xZZ" ;; dict(a=1, b=2) ;; dict({"a": 1}, b=2) ;; dict([["a", 1]]) ;; dict([1]) ;; namespace(a=1)
namespace(a=1).a ;; namespace(a=1).b ;; namespace({"x": 2}).x ;; namespace(_a=1) ;; namespace()
raise_exception("boom") ;; raise_exception() ;; strftime_now("%Y")|length ;; strftime_now("%d %b %Y") is string
joiner()() ;; cycler("a", "b").next() ;; cycler("a", "b").current ;; cycler() ;; caller ;; loop ;; s.__class__
s.__class__.mro ;; d.__class__ ;; l.__len__ ;; "" is none ;; [1, 2, 3][1] ;; {"a": {"b": 1}}.a.b
"abc".upper().lower() ;; "abc"[1].upper() ;; [[1, 2], [3]][0][1] ;; (1 + 2)|string + "x" ;; -1|abs ;; -n|abs
2 * 3|string ;; "a" ~ "b"|upper ;; 1 if t ;; [x for x in l] ;; lambda: 1 ;; s.upper ;; 1 is 1 ;; n is defined is true
"a" in "abc" in ["x"] ;; l|length > 2 ;; l|length == 3 and l[0] == 3 ;; not l|length ;; users[0].name
users[0]["name"] ;; users[-1].name|upper ;; users|length ;; messages[0].role ;; messages[-1].content[0].text
messages[2].tool_calls[0].function.arguments|tojson ;; messages[2].tool_calls[0].function.arguments.items()|list
messages[1:]|length ;; messages[::-1][0].role ;; messages|map(attribute="role")|join(",")
messages[0]["role"] == "system" ;; messages[2].content is none ;; messages[4].content is string
messages[4].content is iterable ;; messages ;; users ;; big ;; 1e400 ;; 3.0 * 2 ;; 7 // 2.0 ;; 2 ** 0.5 ;; 10 / 4
1 / 3 ;; 1e22 ;; 123456.789e3 ;; 0.1 ;; 1.1e-10 ;; 5e-324 ;; 1.7976931348623157e308 ;; true + true ;; true * "ab"
[true, false]|sum ;; n.real ;; f.is_integer() ;; n.bit_length() ;; range(5).start ;; range(3) == range(3)
[1, 2] == [1, 2.0] ;; (1, 2) == [1, 2] ;; {"a": 1} == {"a": 1.0} ;; d == {"a": 2, "C": 3, "b": 1} ;; s ~ s|length
s.split()|map("lower")|list ;; "a b"|title|replace(" ", "") ;; "%s" | format(missing) ;; s|upper()
s|replace(old="l", new="L") ;; s|trim(chars="Hd") ;; l|join(d="-") ;; s | upper | lower ;; ""|title
"x"|string|upper|lower|trim|length ;; "abc"|batch(2)|list ;; "abc"|map("upper")|join("-") ;; d|map("upper")|join("-")
d|map(attribute="x")|list ;; d.items()|map("first")|list ;; d.items()|map("last")|sum
d|dictsort|map("join", "=")|join("&") ;; [1,2,3,] ;; {"a":1,} ;; (1,2,) ;; f(1) ;; n() ;; s()
"a".join(["x", "y"], "z") ;; l[0:2][1] ;; l[::2] ;; l[-2:] ;; l[5:1] ;; l[::-1][0] ;; l[1:][0] ;; u[1:3]|upper
"🙂🙃"[0] ;; "🙂🙃"|length ;; "🙂🙃"|list ;; "e\u0301"|length ;; "\\U0001F600" ;; 'single "double" inside'
["it's", 'say "hi"', "both ' and \\"", "tab\\t", "é", "\\x00\\x7f\\u200b\\xa0", "🙂"] ;; {"k\\n": "v"}
"""
EXPRESSIONS = [x.replace("\0", "\\\n") for x in EXPRESSIONS.strip().replace("\\\n", "\0").replace("\n", " ;; ").split(" ;; ")]

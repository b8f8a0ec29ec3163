"""Small templates for jinja_differential.py: statements, white-space control, scopes, macros, and their errors."""

STATEMENTS = r"""
{% if t %}yes{% endif %}
####
{% if z %}yes{% else %}no{% endif %}
####
{% if z %}a{% elif n == 7 %}b{% elif t %}c{% else %}d{% endif %}
####
{% for x in l %}{{ x }},{% endfor %}
####
{% for x in empty %}{{ x }}{% else %}none{% endfor %}
####
{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ x }} {{ loop.first }} {{ loop.last }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }}
{% endfor %}
####
{% for x in l %}{{ loop.previtem }}-{{ x }}-{{ loop.nextitem }};{% endfor %}
####
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
####
{% for x in l %}{{ loop.cycle("odd", "even") }} {% endfor %}
####
{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
####
{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }}{{ loop.length }} {% endfor %}
####
{% for x in l if x > 10 %}{{ x }}{% else %}nothing{% endfor %}
####
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
####
{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}
####
{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}
####
{% for k in d %}{{ k }}{% endfor %}{% for c in "aé🙂" %}[{{ c }}]{% endfor %}
####
{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }} {% endfor %}
####
{% for (a, b) in [[1, 2]] %}{{ a + b }}{% endfor %}
####
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
####
{% for a, b in [1] %}{{ a }}{% endfor %}
####
{% for a, in [[1]] %}{{ a }}{% endfor %}
####
{% for x in 1, 2, 3 %}{{ x }}{% endfor %}
####
{% for x in n %}{{ x }}{% endfor %}
####
{% for x in none %}{{ x }}{% endfor %}
####
{% for x in missing %}{{ x }}{% else %}empty{% endfor %}
####
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
####
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}done
####
{% for x in l %}{% for y in l %}{% if y == x %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}
####
{% for x in l %}{{ loop.index }}{% for y in [1, 2] %}{{ loop.index }}{{ y }}{% endfor %}{{ loop.index }} {% endfor %}
####
{% for x in l %}{% set o = loop %}{% for y in [1, 2] %}{{ o.index }}{{ loop.index }} {% endfor %}{% endfor %}
####
{% for x in l %}{% break %}{% endfor %}{% for x in l %}{% else %}{% endfor %}ok
####
{% break %}
####
{% if t %}{% continue %}{% endif %}
####
{% for x in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
####
{% for x in [1] %}{% else %}{% break %}{% endfor %}
####
{% for y in [1, 2] %}{% for x in [] %}{% else %}{% break %}{% endfor %}{{ y }}{% endfor %}
####
{% for x in [1, 2, 3] %}{% set q %}a{% if x == 2 %}{% break %}{% endif %}b{% endset %}{{ q }}{{ x }}{% endfor %}
####
{% for x in nested.x.y recursive %}{{ x }}{% endfor %}
####
{% for x in [[1, [2, [3]]], [4]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}
####
{% for x in l %}{{ loop(l) }}{% endfor %}
####
{% set x = 5 %}{{ x }}
####
{% set x, y = 1, 2 %}{{ x }}{{ y }}
####
{% set x, y = [1] %}{{ x }}
####
{% set x = (1, 2) %}{{ x[1] }}
####
{% set x = 1, %}{{ x }}
####
{% set x %}block {{ n }}{% endset %}[{{ x }}]
####
{% set x | upper | trim %} block {{ s }} {% endset %}[{{ x }}]
####
{% set x | replace("a", "b") %}banana{% endset %}{{ x }}
####
{% set ns = namespace(a=1) %}{% for x in l %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}
####
{% set ns = namespace() %}{% set ns.x = 1 %}{% set ns.y = ns %}{{ ns.y.x }}{{ ns.y.y.x }}
####
{% set ns = namespace(found=false) %}{% for x in l if not ns.found %}{{ x }}{% if x == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}
####
{% set ns = namespace() %}{% set ns._x = 1 %}
####
{% set d.x = 1 %}{{ d }}
####
{% set missing.x = 1 %}
####
{% set ns = namespace(a=1, b=2) %}{% set ns.a, ns.b = ns.b, ns.a %}{{ ns.a }}{{ ns.b }}
####
{% set ns = namespace() %}{% set ns.t %}cap{{ n }}{% endset %}{{ ns.t }}
####
{% set x = 1 %}{% for y in [1, 2] %}{{ x }}{% set x = y + 10 %}{{ x }}{% endfor %}{{ x }}
####
{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}
####
{% if z %}{% set n = 2 %}{% endif %}{{ n }}
####
{% if t %}{% set q = 2 %}{% endif %}{{ q }}
####
{% if z %}{% set q = 2 %}{% endif %}{{ q is defined }}
####
{% for y in [1] %}{% set q = y %}{% endfor %}{{ q is defined }}
####
{% for n in [1, 2] %}{{ n }}{% endfor %}{{ n }}
####
{% for y in [1, 2, 3] %}{% if y == 2 %}{% set q = "set" %}{% endif %}{{ q is defined }}{% endfor %}
####
{% for y in [0, 1] %}{% if y %}{{ q }}{% endif %}{% set q = y %}{% endfor %}|
####
{% set true = 1 %}
####
{% set loop = 1 %}{{ loop }}
####
{% for x in l %}{% set loop = 1 %}{% endfor %}
####
{% for loop in l %}{{ loop }}{% endfor %}
####
{% set 1 = 2 %}
####
{% set a.b.c = 2 %}
####
{% set "x" = 2 %}
####
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
####
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
####
{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}
####
{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}
####
{% macro m(a, b=a) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }}
####
{% macro m(a, b) %}{{ b is defined }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}
####
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, b=2) }}
####
{% macro m(a=1, b) %}{{ a }}{% endmacro %}
####
{% macro m(a, a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
####
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, "x", k=2) }}
####
{% macro m(a) %}{{ a }}{{ varargs|join("+") }}{{ kwargs.items()|list }}{% endmacro %}{{ m(1, 2, 3, z=4) }}
####
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}inner {{ n }}{% endcall %}
####
{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b) m() %}{{ a }}+{{ b }}{% endcall %}
####
{% macro m() %}[{{ caller() }}]{% endmacro %}{{ m() }}
####
{% macro m() %}x{% endmacro %}{% call m() %}inner{% endcall %}
####
{% macro m() %}{% if caller %}c{{ caller() }}{% else %}no{% endif %}{% endmacro %}{{ m() }}{% call m() %}in{% endcall %}
####
{% macro m(caller) %}{{ caller() }}{% endmacro %}
####
{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(5) }}
####
{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}
####
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}
####
{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}
####
{% macro m() %}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}
####
{% macro m() %}{{ loop.index }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}
####
{% for x in l %}{% macro m() %}{{ loop.index }}{{ x }}{% endmacro %}{{ m() }}{% endfor %}
####
{{ m() }}{% macro m() %}x{% endmacro %}
####
{% macro m(a) %}{{ a }}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.caller }}{{ m.catch_kwargs }}
####
{% macro m(a) -%} {{ a }} {%- endmacro %}[{{ m(1) }}]{{ m(2)|length }}{{ m(3) ~ m(4) }}
####
{% macro outer() %}{% macro innerm() %}i{{ n }}{% endmacro %}{{ innerm() }}{% endmacro %}{{ outer() }}
####
{% call missing() %}{% endcall %}
####
{% call 1 %}{% endcall %}
####
{{ ["a", "b"]|map("upper")|join }}{% filter upper %}abc {{ s }}{% endfilter %}
####
{% filter trim|upper|replace("A", "4") %}  abc a {% endfilter %}
####
{% filter nofilter %}x{% endfilter %}
####
{% if z %}{{ 1|nofilter }}{% endif %}ok
####
{% if t %}{{ 1|nofilter }}{% endif %}ok
####
{% if z %}{% for x in l %}{{ 1|nofilter }}{% endfor %}{% endif %}ok
####
{{ (1|nofilter) if z else 2 }}
####
{{ 1 if z is notest else 2 }}
####
{% for x in l|nofilter %}{% endfor %}
####
{% if z %}{% set x = 1|nofilter %}{% endif %}ok
####
{# comment #}a{#- strip -#} b {# multi
line #} c
####
a {#- x #} b {# y -#} c
####
{% raw %}{{ not }} {% if %}{# x #}{% endraw %}
####
a {%- raw -%}  {{ x }} {%- endraw -%} b
####
{% raw %}
line
{% endraw %}
next
####
  {% raw %}x{% endraw %}  y
####
{% raw %}unclosed
####
{# unclosed
####
{{ unclosed
####
{% if t %}
####
{% endif %}
####
{% unknown %}
####
{% if t %}{% endfor %}
####
{{ }}
####
{{ 1 2 }}
####
{{ (1 }}
####
{{ 1) }}
####
{{ [1, 2 }}
####
{{ {"a": 1 }}
####
{{ {"a" 1} }}
####
{{ a. }}
####
{{ a.1b }}
####
{{ a..b }}
####
{{ |upper }}
####
{{ a| }}
####
{{ a is }}
####
{{ f(a b) }}
####
{{ f(a=1, 2) }}
####
{{ dict(a=1, a=2) }}
####
{{ f(*[1], 2) }}
####
{{ "unclosed }}
####
{{ 'a" }}
####
{{ $ }}
####
{{ a ! b }}
####
{{ a & b }}
####
{{ a = 1 }}
####
{{ not }}
####
{{ 1 + }}
####
{{ if x }}
####
{% for %}{% endfor %}
####
{% for x l %}{% endfor %}
####
{% for x in %}{% endfor %}
####
{% set %}
####
{% set x = %}
####
{% macro %}{% endmacro %}
####
{% if %}{% endif %}
####
{% include "x" %}
####
{% import "x" as y %}
####
{% from "x" import y %}
####
{% extends "x" %}
####
{% block a %}x{{ n }}{% endblock %}
####
{% block a %}x{% endblock a %}y
####
{% set x = 3 %}{% block a %}{{ x }}{% set x = 4 %}{{ x }}{% endblock %}{{ x }}
####
{% for i in l %}{% block a %}{{ i is defined }}{% endblock %}{% endfor %}
####
{% autoescape false %}{{ html }}{% endautoescape %}
####
{% print 1, "a", n %}
####
{% do 1 %}
####
{% generation %}gen {{ n }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}
####
{%- generation -%} x {%- endgeneration -%} y
####
{% for x in l %}{% generation %}{{ x }}{% endgeneration %}{% endfor %}
####
{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
####
line1
{% if t %}
  inner
{% endif %}
line2
####
  {% if t %}
  inner
  {% endif %}
end
####
a  {% if t %}  b  {% endif %}  c
####
  {%+ if t %}  x{% endif %}
####
a
  {%- if t %}
  b
  {%- endif %}
c
####
a
{%- if t -%}

  b

{%- endif -%}

c
####
a {{- " b " -}} c
####
a {{+ 1 }} b
####
{% if t +%}
x
{% endif +%}
y
####
x {%- set a = 1 -%} y {%- set b = 2 %} z
####
⇥{% set a = 1 %}⇥
x
####
{{ n }}
{{ s }}
####
{{ n }}

####


####
trailing newline

####
{% for x in l %}
{{ x }}
{% endfor %}
####
{% for x in l -%}
  {{ x }}
{%- endfor %}
####
{%- for x in l %}

- {{ x }}
{%- endfor %}
####
{#- c -#}

x
####
  {# c #}
y
####
x {# c #}
y
####
{{ "{{ x }}" }}{{ '%}' }}{{ "#}" }}
####
{{ {"a": {"b": {}}} }}
####
{%if t%}{{n}}{%endif%}
####
{% if t: %}x{% endif: %}
####
{% if t: %}x{% endif %}
####
{ { { not a tag } } } {x} {
####
{
####
%} }} #}
####
{{ n -}}   x   {{- n }}
####
{{-1}} {{ -1 }} {{+1}}
####
{{ n
   + 1
}}
####
{{ missing.a.b }}
####
line1
line2 {{ missing.attr }}
####
{% for m in messages %}{{ m.role }}{% if m.content is string %}:{{ m.content|trim }}{% endif %};{% endfor %}
####
{{ messages[0].nothing }}|{{ messages[0].nothing is none }}
####
{% set x = l.append(1) %}
####
{% set x = d.update({"a": 1}) %}
####
{{ x }}{% set x = 1 %}{{ x }}
####
{{ range(3)|list }}{% set range = 5 %}{{ range }}
####
{% set messages = messages[1:] %}{{ messages|length }}
####
{% set content = messages[0].content if messages[0].content else "x" %}{{ content }}
####
{% set l2 = [] %}{% for x in l %}{% set l2 = l2 + [x] %}{% endfor %}{{ l2 }}
####
{% set ns = namespace(items=[]) %}{% for x in l %}{% set ns.items = ns.items + [x * 2] %}{% endfor %}{{ ns.items|sum }}{{ ns.items }}
####
{% set y = l|map("string") %}{{ y|list }}{{ y|list }}{{ y is iterable }}
####
{% set y = l|map("string") %}{{ y|length }}
####
{% set y = l|select("gt", 1) %}{{ y|first }}{{ y|first }}{{ y|first is defined }}
####
{% set y = l|reverse %}{{ y|list }}{{ y|list }}
####
{% set y = d.items() %}{{ y|list }}{{ y|list }}{{ y|length }}
####
{% if l|select("gt", 100) %}truthy{% endif %}
####
{% set j = joiner("|") %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}
####
{% set c = cycler("a", "b") %}{% for x in l %}{{ c.next() }}{% endfor %}{{ c.current }}{{ c.reset() }}{{ c.current }}
####
{{ l|map("nofilter") }}
####
{% macro f(x) %}{{ x }}!{% endmacro %}{{ l|map("f")|list }}
####
{% set a = namespace(v=[]) %}{% set a.v = a.v + [1] %}{{ a }}
####
{% macro a() %}{{ varargs }}{% set varargs = 1 %}{% endmacro %}{{ a(5) }}
####
{% macro a() %}{% set varargs = 1 %}{{ varargs }}{% endmacro %}{{ a() }}
####
{% macro a() %}{% set varargs = 1 %}{{ varargs }}{% endmacro %}{{ a(5) }}
####
{{ dict(**{"a": 1}) }}{{ range(*[1, 3])|list }}
####
{{ "{}{}".format(*["a", "b"]) }}{{ "{x}".format(**{"x": 3}) }}
####
{{ raise_exception("Roles must alternate: " ~ messages[0].role) }}
####
{% if messages[0].role == "assistant" %}{{ raise_exception("bad") }}{% endif %}fine
####
{% for x in range(3) %}{% for y in range(2) %}{{ x * y }}{{ "," if not loop.last }}{% endfor %};{% endfor %}
"""


def split(text):
    # An arrow stands for a tab, which an editor might strip at the end of a line.
    return [x.removeprefix("\n").replace("⇥", "\t") for x in text.removesuffix("\n").split("\n####")]

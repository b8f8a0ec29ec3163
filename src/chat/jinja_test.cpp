// Tests of the template engine: errors with their lines, limits, hostile templates. Equality with
// jinja2 itself is in tests/template_differential.
#include "chat/jinja.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace headgate::jinja {
namespace {

std::string render(std::string_view source, std::string_view context = "{}",
                   const Limits& limits = {}) {
  const Template compiled(source, "chat_template");
  return compiled.render(parse_json(context, "context").as_object(), 0, limits);
}

std::string error_of(std::string_view source, std::string_view context = "{}") {
  try {
    return "no error: " + render(source, context);
  } catch (const Error& e) {
    return e.what();
  }
}

ErrorCode code_of(std::string_view source, const Limits& limits = {}) {
  try {
    render(source, "{}", limits);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::kInternal;
}

std::string repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Jinja, RendersValuesAsPythonPrintsThem) {
  EXPECT_EQ(render("{{ [1, 2.0, none, true, 'it\\'s', {'a': (1,)}] }}"),
            "[1, 2.0, None, True, \"it's\", {'a': (1,)}]");
  EXPECT_EQ(render("{{ x }}|{{ y }}", R"({"x": 18446744073709551615})"), "18446744073709551615|");
}

TEST(Jinja, KeepsKeyOrderInJson) {
  EXPECT_EQ(render("{{ t|tojson }}", R"({"t": {"z": 1, "a": "é/<&>", "m": [1.0, 1e20]}})"),
            R"({"z": 1, "a": "é/<&>", "m": [1.0, 1e+20]})");
}

TEST(Jinja, NamesTemplateAndLineInErrors) {
  EXPECT_EQ(error_of("a\nb\n{{ foo.bar }}"), "chat_template:3: 'foo' is undefined");
  EXPECT_EQ(error_of("\n{{ m.x.y }}", R"({"m": {}})"),
            "chat_template:2: 'dict object' has no attribute 'x'");
  EXPECT_EQ(error_of("\n\n{% if %}"), "chat_template:3: Expected an expression, got '%}'");
  EXPECT_EQ(error_of("{% if a %}\n{% endfor %}"),
            "chat_template:2: Encountered unknown tag 'endfor'.");
  EXPECT_EQ(error_of("{{ raise_exception('Roles must alternate') }}"),
            "chat_template:1: Roles must alternate");
  EXPECT_EQ(error_of("{{ 'a' + 1 }}"),
            "chat_template:1: unsupported operand types for +: 'str' and 'int'");
  EXPECT_EQ(error_of("{% for x in [1] %}\n{{ x|nofilter }}{% endfor %}"),
            "chat_template:2: No filter named 'nofilter'.");
}

TEST(Jinja, RefusesOtherTemplates) {
  for (const char* tag : {"include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'"}) {
    EXPECT_EQ(code_of(fmt::format("{{% {} %}}", tag)), ErrorCode::kUnsupported) << tag;
  }
}

TEST(Jinja, HidesMethodsThatChangeValues) {
  EXPECT_EQ(error_of("{{ l.append(1) }}", R"({"l": []})"),
            "chat_template:1: access to attribute 'append' of 'list' object is unsafe.");
  EXPECT_EQ(error_of("{{ ''.__class__.__mro__ }}"),
            "chat_template:1: access to attribute '__class__' of 'str' object is unsafe.");
}

TEST(Jinja, UsesTheGivenTime) {
  const Template compiled("{{ strftime_now('%Y-%m') }}", "t");
  EXPECT_EQ(compiled.render({}, 1'600'000'000), "2020-09");
}

TEST(Jinja, RejectsInvalidUtf8) { EXPECT_EQ(code_of("a\xff"), ErrorCode::kInvalidFile); }

TEST(Jinja, StopsAtItsLimits) {
  const char* hostile[] = {
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(1000) %}{% set ns.x = ns.x "
      "~ ns.x "
      "%}{% endfor %}",
      "{% set ns = namespace(x=[1, 2]) %}{% for i in range(1000) %}{% set ns.x = ns.x + ns.x "
      "%}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}{{ ns.x }}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}{{ ns.x|tojson }}",
      "{% set ns = namespace(x=(1,)) %}{% for i in range(100) %}{% set ns.x = (ns.x, ns.x) %}{% "
      "endfor %}{{ {ns.x: 1} }}",
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] "
      "%}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor "
      "%}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
      "{{ 'x' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ 'x'|center(1000000000000) }}",
      "{{ 'x'.ljust(99999999999999) }}",
      "{{ '\\n'.join(['x'] * 1000000)|indent(100000) }}",
      "{{ ('x' * 10000000)|replace('', 'yyyyyyyyyyyyyyyyyyyyyyyyy') }}",
      "{{ [1]|batch(1000000000, 0)|list }}",
      "{{ [1]|slice(1000000000)|list }}",
      "{% set s = 'é' * 1000000 %}{% for i in range(100000) %}{{ s[999999] }}{% endfor %}",
      "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{{ s.find('c') }}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ s }}{% endfor %}",
  };
  Limits limits;  // smaller than the default ones, to keep the test short
  limits.output_bytes = 4 << 20;
  limits.produced_bytes = 32 << 20;
  limits.steps = 500'000;
  for (const char* source : hostile) {
    EXPECT_EQ(code_of(source, limits), ErrorCode::kResourceExhausted) << source;
  }
  EXPECT_EQ(code_of(hostile[1]), ErrorCode::kResourceExhausted);
}

TEST(Jinja, RefusesDeepNestingInTheSource) {
  const std::string deep[] = {
      "{{ " + repeat("(", 100'000) + "1" + repeat(")", 100'000) + " }}",
      "{{ " + repeat("[", 100'000) + repeat("]", 100'000) + " }}",
      "{{ " + repeat("not ", 100'000) + "1 }}",
      "{{ " + repeat("-", 100'000) + "1 }}",
      "{{ 1" + repeat(" + 1", 100'000) + " }}",
      "{{ x" + repeat(".a", 100'000) + " }}",
      "{{ x" + repeat("|upper", 70'000) + " }}",
      "{{ x" + repeat("()", 100'000) + " }}",
      "{{ " + repeat("1 if ", 100'000) + "1 }}",
      repeat("{% if 1 %}", 50'000),
      repeat("{% for x in y %}", 30'000),
      "{{ 1" + repeat(" if 1 else 1", 40'000) + " }}",
      repeat("{% filter upper %}", 20'000),
  };
  for (const std::string& source : deep) {
    EXPECT_EQ(code_of(source), ErrorCode::kInvalidFile) << source.substr(0, 40);
  }
}

TEST(Jinja, SearchesInLinearTime) {
  // Each would take minutes with a quadratic search.
  EXPECT_EQ(render("{% set a = 'a' * 1000000 %}{{ (a ~ 'b').find('a' * 500000 ~ 'c') }}"), "-1");
  EXPECT_EQ(render("{% set a = 'a' * 1000000 %}{{ a.rfind('b' ~ 'a' * 500000) }}"), "-1");
  EXPECT_EQ(render("{% set a = 'a' * 1000000 %}{{ a.strip('b' * 1000000)|length }}"), "1000000");
}

TEST(Jinja, SurvivesCircles) {
  EXPECT_EQ(render("{% set a = namespace() %}{% set a.me = a %}{% set a.f = a.me %}ok"), "ok");
  EXPECT_EQ(code_of("{% set a = namespace() %}{% set a.me = [a] %}{{ a }}"),
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(render("{% set n = namespace() %}{% for x in [1] %}{% set n.l = loop %}{{ "
                   "loop.changed(loop) }}{% endfor %}{{ n.l.changed(n.l) }}"),
            "TrueTrue");
  EXPECT_EQ(
      render("{% macro a() %}{{ b }}{% endmacro %}{% for x in [1] %}{% macro b() %}{% endmacro "
             "%}{% endfor %}ok"),
      "ok");
}

TEST(Jinja, IsFreeOfIntegerOverflow) {
  EXPECT_EQ(render("{{ 10 ** 30 }}"), "1000000000000000000000000000000");
  EXPECT_EQ(error_of("{{ 10 ** 40 }}"), "chat_template:1: integer overflow: more than 127 bits");
  EXPECT_EQ(error_of("{{ 2 ** 126 * 4 }}"),
            "chat_template:1: integer overflow: more than 127 bits");
  EXPECT_EQ(render("{{ (2 ** 126 + (2 ** 126 - 1)) // -1 }}"),
            "-170141183460469231731687303715884105727");
}

}  // namespace
}  // namespace headgate::jinja

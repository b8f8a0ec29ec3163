// JSON as RFC 8259 has it.
#include "grammar/json_rules.h"

#include <map>

#include "base/utf8.h"
#include "grammar/expression.h"

namespace headgate {
namespace {

// Characters that stand for themselves in a string.
CodePointSet plain_characters() {
  return CodePointSet({{0x20, 0x21}, {0x23, 0x5b}, {0x5d, kLastCodePoint}});
}

std::string escaped(char32_t c) {
  std::string text;
  append_utf8(text, c);
  const std::string quoted = dump_json(json::value(text));
  return quoted.substr(1, quoted.size() - 2);
}

// Digits: `min` to `max` of them, each from a state of its own.
int32_t add_digits(Grammar& grammar, int32_t from, int min, int max) {
  const int32_t to = grammar.state();
  for (int i = 0; i < max; ++i) {
    if (i >= min) grammar.nfa().add_epsilon(from, to);
    const int32_t next = grammar.state();
    grammar.nfa().add_range(from, '0', '9', next);
    from = next;
  }
  grammar.nfa().add_epsilon(from, to);
  return to;
}

// -?(0|[1-9][0-9]{0,most - 1})
int32_t add_whole(Grammar& grammar, int32_t from, int most) {
  Nfa& nfa = grammar.nfa();
  const int32_t digits = grammar.state(), to = grammar.state(), rest = grammar.state();
  nfa.add_epsilon(from, digits);
  nfa.add_range(from, '-', '-', digits);
  nfa.add_range(digits, '0', '0', to);
  nfa.add_range(digits, '1', '9', rest);
  nfa.add_epsilon(add_digits(grammar, rest, 0, most - 1), to);
  return to;
}

}  // namespace

int32_t JsonRules::define(int32_t rule, int32_t start, int32_t end) {
  grammar_.define(rule, start, end);
  return rule;
}

int32_t JsonRules::character() {
  if (character_ >= 0) return character_;
  character_ = grammar_.add_rule("json-character");
  Nfa& nfa = grammar_.nfa();
  const int32_t start = grammar_.state(), end = grammar_.state();
  nfa.add_utf8(start, plain_characters(), end);
  const int32_t slash = grammar_.literal(start, "\\");
  for (const char c : std::string_view("\"\\/bfnrt"))
    nfa.add_range(slash, static_cast<uint8_t>(c), static_cast<uint8_t>(c), end);
  const int32_t hex = grammar_.literal(slash, "u");
  const auto add_hex = [&](int32_t from, std::string_view digits, int32_t to) {
    for (const char c : digits)
      nfa.add_range(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), to);
  };
  constexpr std::string_view kAll = "0123456789abcdefABCDEF";
  const int32_t three = grammar_.state(), two = grammar_.state(), one = grammar_.state();
  add_hex(hex, "0123456789abcefABCEF", three);
  add_hex(three, kAll, two);
  const int32_t d = grammar_.state(), high = grammar_.state(), high2 = grammar_.state();
  add_hex(hex, "dD", d);
  add_hex(d, "01234567", two);
  add_hex(d, "89abAB", high);  // half a pair: the other half must follow
  add_hex(high, kAll, high2);
  const int32_t high3 = grammar_.state(), low2 = grammar_.state(), low3 = grammar_.state();
  add_hex(high2, kAll, high3);
  const int32_t low = grammar_.literal(high3, "\\u");
  add_hex(low, "dD", low2);
  add_hex(low2, "cdefCDEF", low3);
  add_hex(low3, kAll, one);
  add_hex(two, kAll, one);
  add_hex(one, kAll, end);
  return define(character_, start, end);
}

int32_t JsonRules::string() {
  if (string_ >= 0) return string_;
  string_ = grammar_.add_rule("json-string");
  const int32_t one = character();
  const int32_t start = grammar_.state();
  const int32_t inside = grammar_.literal(start, "\"");
  grammar_.nfa().add_call(inside, one, inside);
  return define(string_, start, grammar_.literal(inside, "\""));
}

int32_t JsonRules::integer() {
  if (integer_ >= 0) return integer_;
  integer_ = grammar_.add_rule("json-integer");
  // No "-0": it is one, but nobody writes it.
  const int32_t start = grammar_.state(), end = grammar_.state(), rest = grammar_.state();
  Nfa& nfa = grammar_.nfa();
  nfa.add_range(start, '0', '0', end);
  nfa.add_range(start, '1', '9', rest);
  nfa.add_range(grammar_.literal(start, "-"), '1', '9', rest);
  nfa.add_epsilon(add_digits(grammar_, rest, 0, 15), end);
  return define(integer_, start, end);
}

int32_t JsonRules::number() {
  if (number_ >= 0) return number_;
  number_ = grammar_.add_rule("json-number");
  Nfa& nfa = grammar_.nfa();
  const int32_t start = grammar_.state(), fraction = grammar_.state(), end = grammar_.state();
  const int32_t whole = add_whole(grammar_, start, 16);
  nfa.add_epsilon(whole, fraction);
  nfa.add_epsilon(add_digits(grammar_, grammar_.literal(whole, "."), 1, 16), fraction);
  const int32_t exponent = grammar_.state(), sign = grammar_.state();
  nfa.add_epsilon(fraction, end);
  nfa.add_range(fraction, 'e', 'e', exponent);
  nfa.add_range(fraction, 'E', 'E', exponent);
  nfa.add_epsilon(exponent, sign);
  nfa.add_range(exponent, '+', '+', sign);
  nfa.add_range(exponent, '-', '-', sign);
  nfa.add_epsilon(add_digits(grammar_, sign, 1, 2), end);
  return define(number_, start, end);
}

int32_t JsonRules::value() {
  if (value_ >= 0) return value_;
  value_ = grammar_.add_rule("json-value");
  const int32_t start = grammar_.state(), end = grammar_.state();
  for (const int32_t rule : {string(), number(), object(), array()})
    grammar_.nfa().add_call(start, rule, end);
  for (const char* word : {"true", "false", "null"})
    grammar_.nfa().add_epsilon(grammar_.literal(start, word), end);
  return define(value_, start, end);
}

int32_t JsonRules::object() {
  if (object_ >= 0) return object_;
  object_ = grammar_.add_rule("json-object");
  const int32_t any = value(), key = string();
  Nfa& nfa = grammar_.nfa();
  const int32_t start = grammar_.state(), end = grammar_.state();
  const int32_t first = open(start, '{');
  nfa.add_epsilon(grammar_.literal(first, "}"), end);
  const int32_t member = grammar_.state();
  nfa.add_epsilon(first, member);
  const int32_t behind = grammar_.call(colon(grammar_.call(member, key)), any);
  nfa.add_epsilon(comma(behind), member);
  nfa.add_epsilon(close(behind, '}'), end);
  return define(object_, start, end);
}

int32_t JsonRules::array() {
  if (array_ >= 0) return array_;
  array_ = grammar_.add_rule("json-array");
  const int32_t any = value();
  Nfa& nfa = grammar_.nfa();
  const int32_t start = grammar_.state(), end = grammar_.state();
  const int32_t first = open(start, '[');
  nfa.add_epsilon(grammar_.literal(first, "]"), end);
  const int32_t item = grammar_.state();
  nfa.add_epsilon(first, item);
  const int32_t behind = grammar_.call(item, any);
  nfa.add_epsilon(comma(behind), item);
  nfa.add_epsilon(close(behind, ']'), end);
  return define(array_, start, end);
}

int32_t JsonRules::space(int32_t from) {
  if (spacing_ != JsonSpacing::kAny) return from;
  if (space_ < 0) {
    const int32_t one = grammar_.add_rule("json-space");
    const int32_t start = grammar_.state(), end = grammar_.state();
    for (const char c : std::string_view(" \t\n\r"))
      grammar_.nfa().add_range(start, static_cast<uint8_t>(c), static_cast<uint8_t>(c), end);
    grammar_.define(one, start, end);
    space_ = grammar_.add_repeat("json-spaces", one, 0, kMostSpace);
  }
  return grammar_.call(from, space_);
}

int32_t JsonRules::open(int32_t from, char bracket) {
  return space(grammar_.literal(from, {&bracket, 1}));
}

int32_t JsonRules::close(int32_t from, char bracket) {
  return grammar_.literal(space(from), {&bracket, 1});
}

int32_t JsonRules::comma(int32_t from) {
  if (spacing_ == JsonSpacing::kPython) return grammar_.literal(from, ", ");
  return space(grammar_.literal(space(from), ","));
}

int32_t JsonRules::colon(int32_t from) {
  if (spacing_ == JsonSpacing::kPython) return grammar_.literal(from, ": ");
  return space(grammar_.literal(space(from), ":"));
}

int32_t JsonRules::constant(int32_t from, const json::value& value) {
  return grammar_.literal(
      from, spacing_ == JsonSpacing::kPython ? dump_json_python(value) : dump_json(value));
}

void JsonRules::add_characters(int32_t from, const CodePointSet& set, int32_t to) {
  grammar_.nfa().add_utf8(from, set.intersect(plain_characters()), to);
  const CodePointSet others = set.without(plain_characters());
  for (const CodePointRange& range : others.ranges()) {
    for (char32_t c = range.first; c <= range.last; ++c) {
      // The last byte leads to `to` itself.
      const std::string text = escaped(c);
      const int32_t before =
          grammar_.literal(from, std::string_view(text).substr(0, text.size() - 1));
      const auto last = static_cast<uint8_t>(text.back());
      grammar_.nfa().add_range(before, last, last, to);
    }
  }
}

int32_t JsonRules::string_of(int32_t from, const Dfa& set) {
  const int32_t inside = grammar_.literal(from, "\"");
  std::vector<int32_t> states;
  for (size_t i = 0; i < set.states.size(); ++i) states.push_back(grammar_.state());
  grammar_.nfa().add_epsilon(inside, states[0]);
  const int32_t end = grammar_.state();
  for (size_t i = 0; i < set.states.size(); ++i) {
    std::map<int32_t, std::vector<CodePointRange>> by_target;
    for (const Dfa::Range& range : set.states[i].ranges)
      by_target[range.target].push_back({range.low, range.high});
    for (auto& [target, ranges] : by_target)
      add_characters(states[i], CodePointSet(std::move(ranges)),
                     states[static_cast<size_t>(target)]);
    if (set.states[i].accepting) grammar_.nfa().add_epsilon(states[i], end);
  }
  return grammar_.literal(end, "\"");
}

}  // namespace headgate

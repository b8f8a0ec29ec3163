// The rules of JSON itself, as other grammars call them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "grammar/grammar.h"

namespace headgate {

enum class JsonSpacing {
  kCompact,  // {"a":1,"b":[2,3]}
  kPython,   // {"a": 1, "b": [2, 3]}
  kAny       // up to kMostSpace spaces, tabs and line ends wherever JSON allows them
};
constexpr int32_t kMostSpace = 64;

// Makes each rule once, when it is first asked for. Numbers have at most 16 digits before and 16
// behind the point and two in the exponent, so that a model cannot lose itself in one. Strings are
// strict: half surrogate pairs have no escape.
class JsonRules {
 public:
  JsonRules(Grammar& grammar, JsonSpacing spacing) : grammar_(grammar), spacing_(spacing) {}

  int32_t character();  // one of a string, escaped or not
  int32_t string();     // with its quotes
  int32_t number();
  int32_t integer();
  int32_t value();
  int32_t object();
  int32_t array();

  // What stands between the parts of an object or array. Each returns the state behind it.
  int32_t open(int32_t from, char bracket);
  int32_t close(int32_t from, char bracket);
  int32_t comma(int32_t from);
  int32_t colon(int32_t from);
  // The text of one value, spaced as everything is.
  int32_t constant(int32_t from, const json::value& value);
  // The members of `set` inside a string, each in its one usual spelling.
  void add_characters(int32_t from, const CodePointSet& set, int32_t to);
  // A string, with its quotes, whose characters are in `set`.
  int32_t string_of(int32_t from, const Dfa& set);

 private:
  int32_t space(int32_t from);
  int32_t define(int32_t rule, int32_t start, int32_t end);

  Grammar& grammar_;
  JsonSpacing spacing_;
  int32_t space_ = -1, character_ = -1, string_ = -1, number_ = -1, integer_ = -1, value_ = -1,
          object_ = -1, array_ = -1;
};

}  // namespace headgate

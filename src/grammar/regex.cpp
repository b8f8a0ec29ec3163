// A recursive-descent parser of regular expressions.
#include "grammar/regex.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/text_cursor.h"
#include "text/unicode.h"

namespace headgate {
namespace {

constexpr int32_t kMostCount = 100'000;
constexpr size_t kMostRanges = 1 << 20;  // of a class before they are merged

CodePointSet digits() { return CodePointSet({{'0', '9'}}); }
CodePointSet word_characters() {
  return CodePointSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}});
}
// WhiteSpace and LineTerminator of ECMA-262.
CodePointSet spaces() {
  return CodePointSet({{9, 13},
                       {0x20, 0x20},
                       {0xa0, 0xa0},
                       {0x1680, 0x1680},
                       {0x2000, 0x200a},
                       {0x2028, 0x2029},
                       {0x202f, 0x202f},
                       {0x205f, 0x205f},
                       {0x3000, 0x3000},
                       {0xfeff, 0xfeff}});
}
CodePointSet line_ends() { return CodePointSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}); }

CodePointSet class_of_properties(std::initializer_list<CharClass> classes) {
  std::vector<CodePointRange> ranges;
  for (char32_t c = 0; c <= kLastCodePoint; ++c) {
    const auto found = static_cast<CharClass>(unicode_properties(c) & kCharClassMask);
    if (std::find(classes.begin(), classes.end(), found) == classes.end()) continue;
    if (!ranges.empty() && ranges.back().last + 1 == c) {
      ranges.back().last = c;
    } else {
      ranges.push_back({c, c});
    }
  }
  return CodePointSet(std::move(ranges));
}

// nullptr: not known. Each set is made once, from a walk over all code points.
const CodePointSet* property(std::string_view name) {
  static const CodePointSet letters = class_of_properties({kLetter});
  static const CodePointSet numbers = class_of_properties({kNumber});
  static const CodePointSet marks = class_of_properties({kMark});
  static const CodePointSet white = class_of_properties({kSpace, kNewline});
  static const CodePointSet any = CodePointSet::all();
  static const CodePointSet ascii({{0, 0x7f}});
  for (const std::string_view prefix : {"General_Category=", "gc="}) {
    if (name.substr(0, prefix.size()) == prefix) name.remove_prefix(prefix.size());
  }
  if (name == "L" || name == "Letter") return &letters;
  if (name == "N" || name == "Number") return &numbers;
  if (name == "M" || name == "Mark") return &marks;
  if (name == "White_Space") return &white;
  if (name == "Any") return &any;
  return name == "ASCII" ? &ascii : nullptr;
}

class Parser : private TextCursor {
 public:
  Parser(std::string_view pattern, bool anchored, std::string_view source)
      : TextCursor(pattern), anchored_(anchored), source_(source) {}

  Expression whole() {
    if (!is_valid_utf8(text_)) refuse("it is not valid UTF-8");
    Expression out = choice(true);
    if (!at_end()) refuse("an unmatched )");
    return out;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::kInvalidArgument, "{}: regular expression: {} at byte {}", source_, what, at_);
  }
  char32_t next() {
    if (at_end()) refuse("an unexpected end");
    return next_code_point();
  }

  Expression choice(bool outermost) {
    if (++depth_ > kMostNesting) refuse(fmt::format("groups nest deeper than {}", kMostNesting));
    std::vector<Expression> branches;
    do {
      branches.push_back(branch(outermost));
    } while (take("|"));
    --depth_;
    return Expression::choice(std::move(branches));
  }

  Expression branch(bool outermost) {
    std::vector<Expression> parts;
    bool from_start = false, to_end = false;
    while (outermost && take("^")) from_start = true;
    while (!at_end() && peek() != '|' && peek() != ')') {
      if (outermost && take("$")) {
        to_end = true;
        while (take("$")) continue;
        if (!at_end() && peek() != '|') refuse("$ not at the end of a branch");
        break;
      }
      parts.push_back(quantified());
    }
    if (outermost && !anchored_) {
      const auto anything = [] {
        return Expression::repeat(Expression::of_class(CodePointSet::all()), 0, kUnbounded);
      };
      if (!from_start) parts.insert(parts.begin(), anything());
      if (!to_end) parts.push_back(anything());
    }
    return Expression::sequence(std::move(parts));
  }

  Expression quantified() {
    Expression body = atom();
    int32_t times = 0;
    while (!at_end()) {
      int32_t min = 0, max = kUnbounded;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (peek() != '{' || !counts(min, max)) {
        break;
      }
      if (peek() == '+') refuse("a possessive quantifier");
      (void)take("?");
      if (++times > 1) refuse("a quantifier behind a quantifier");
      body = Expression::repeat(std::move(body), min, max);
    }
    return body;
  }

  // {n}, {n,} or {n,m}; anything else is text.
  bool counts(int32_t& min, int32_t& max) {
    const size_t before = at_;
    ++at_;
    const std::optional<int32_t> low = number();
    if (low && take("}")) {
      min = max = *low;
      return true;
    }
    if (low && take(",")) {
      min = *low;
      if (take("}")) return true;
      const std::optional<int32_t> high = number();
      if (high && take("}")) {
        max = *high;
        if (max < min) refuse("a count with its ends the wrong way round");
        return true;
      }
    }
    at_ = before;
    return false;
  }

  std::optional<int32_t> number() {
    const size_t begin = at_;
    int64_t value = 0;
    for (; !at_end() && peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > kMostCount) refuse(fmt::format("a count above {}", kMostCount));
    }
    if (at_ == begin) return std::nullopt;
    return static_cast<int32_t>(value);
  }

  Expression atom() {
    if (take("(")) return group();
    if (take("[")) return Expression::of_class(brackets());
    if (take(".")) return Expression::of_class(line_ends().complement());
    if (peek() == '\\') return Expression::of_class(escape(false));
    if (peek() == '^' || peek() == '$') refuse("an anchor inside of the expression");
    if (peek() == '*' || peek() == '+' || peek() == '?') refuse("a quantifier of nothing");
    const size_t before = at_;
    int32_t min = 0, max = 0;
    if (peek() == '{' && counts(min, max)) {
      at_ = before;
      refuse("a quantifier of nothing");
    }
    return Expression::of_class(CodePointSet::single(next()));
  }

  Expression group() {
    if (take("?")) {
      for (const std::string_view look : {"=", "!", "<=", "<!"}) {
        if (take(look)) refuse("look-around is not supported");
      }
      if (take("<") || take("P<")) {
        while (!at_end() && peek() != '>') ++at_;
        if (!take(">")) refuse("a group's name without an end");
      } else if (!take(":")) {
        refuse("an unknown kind of group");
      }
    }
    Expression body = choice(false);
    if (!take(")")) refuse("a group without an end");
    return body;
  }

  CodePointSet brackets() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (!take("]")) {
      if (at_end()) refuse("a class without an end");
      const CodePointSet low = member();
      const auto single = [](const CodePointSet& set) {
        return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
      };
      const bool range =
          single(low) && peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!range) {
        ranges.insert(ranges.end(), low.ranges().begin(), low.ranges().end());
        if (ranges.size() > kMostRanges) ranges = CodePointSet(std::move(ranges)).ranges();
        continue;
      }
      ++at_;
      const CodePointSet high = member();
      if (!single(high)) refuse("a range that ends in a class");
      if (low.ranges()[0].first > high.ranges()[0].first) refuse("a range the wrong way round");
      ranges.push_back({low.ranges()[0].first, high.ranges()[0].first});
    }
    const CodePointSet out(std::move(ranges));
    return negated ? out.complement() : out;
  }

  CodePointSet member() { return peek() == '\\' ? escape(true) : CodePointSet::single(next()); }

  char32_t hex(int least, int most) {
    char32_t value = 0;
    int count = 0;
    for (; count < most && !at_end(); ++count, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (count < least || value > kLastCodePoint) refuse("a wrong hexadecimal escape");
    return value;
  }

  char32_t unicode_escape() {
    if (take("{")) {
      const char32_t value = hex(1, 6);
      if (!take("}")) refuse("a wrong hexadecimal escape");
      return value;
    }
    const char32_t high = hex(4, 4);
    if (high < 0xd800 || high > 0xdbff || !take("\\u")) return high;
    const char32_t low = hex(4, 4);
    if (low < 0xdc00 || low > 0xdfff) refuse("half a surrogate pair");
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  }

  CodePointSet property_escape(bool negated) {
    if (!take("{")) refuse("\\p without {name}");
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) refuse("\\p without {name}");
    const std::string_view name = text_.substr(at_, end - at_);
    const CodePointSet* found = property(name);
    if (found == nullptr)
      refuse(fmt::format("property {} is not supported (L, N, M, White_Space are)", name));
    at_ = end + 1;
    return negated ? found->complement() : *found;
  }

  CodePointSet escape(bool in_class) {
    ++at_;  // the backslash
    const char32_t c = next();
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word_characters();
      case 'W':
        return word_characters().complement();
      case 's':
        return spaces();
      case 'S':
        return spaces().complement();
      case 'p':
      case 'P':
        return property_escape(c == 'P');
      case 'b':
        if (in_class) return CodePointSet::single(8);
        refuse("\\b is not supported");
      case 'B':
      case 'k':
      case 'A':
      case 'Z':
      case 'z':
        refuse(fmt::format("\\{} is not supported", static_cast<char>(c)));
      default:
        return CodePointSet::single(character_escape(c));
    }
  }

  char32_t character_escape(char32_t c) {
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return 7;
      case 'e':
        return 27;
      case 'x':
        return hex(2, 2);
      case 'u':
        return unicode_escape();
      case 'c': {
        const char32_t letter = next();
        const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
        if (!is_letter) refuse("\\c without a letter");
        return letter & 31;
      }
      case '0':
        if (peek() < '0' || peek() > '9') return 0;
        refuse("an octal escape");
      default:
        if (c >= '1' && c <= '9') refuse("a back reference is not supported");
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
          refuse(fmt::format("unknown escape \\{}", static_cast<char>(c)));
        return c;
    }
  }

  bool anchored_;
  std::string_view source_;
  int depth_ = 0;
};

}  // namespace

Expression parse_regex(std::string_view pattern, bool anchored, std::string_view source) {
  if (static_cast<int64_t>(pattern.size()) > kMostGrammarBytes) {
    fail(ErrorCode::kInvalidArgument, "{}: regular expression of {} bytes, expected at most {}",
         source, pattern.size(), kMostGrammarBytes);
  }
  return Parser(pattern, anchored, source).whole();
}

Grammar regex_grammar(std::string_view pattern) {
  WorkBudget budget("regular expression");
  Grammar grammar;
  const int32_t root = grammar.add_rule("root");
  const int32_t start = grammar.state();
  const Expression whole = parse_regex(pattern, true, "regex");
  grammar.define(root, start, add_expression(grammar, whole, start, "root", budget));
  grammar.set_root(root);
  return grammar;
}

}  // namespace headgate

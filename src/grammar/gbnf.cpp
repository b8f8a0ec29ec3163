// A recursive-descent parser of GBNF.
#include "grammar/gbnf.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/expression.h"
#include "grammar/text_cursor.h"

namespace headgate {
namespace {

constexpr int32_t kMostCount = 100'000;
constexpr size_t kMostRules = 20'000;

class Parser : private TextCursor {
 public:
  Parser(std::string_view text, const TokenTrie* tokens, std::string_view source)
      : TextCursor(text), tokens_(tokens), source_(source), budget_(source) {}

  Grammar run() {
    if (!is_valid_utf8(text_)) refuse("text that is not valid UTF-8");
    for (skip(true); !at_end(); skip(true)) read_rule();
    const auto root = rules_.find("root");
    if (root == rules_.end()) fail(ErrorCode::kInvalidArgument, "{}: no rule root", source_);
    for (const auto& [name, rule] : rules_) {
      if (grammar_.rules()[static_cast<size_t>(rule)].start < 0)
        fail(ErrorCode::kInvalidArgument, "{}: rule {} is used but not defined", source_, name);
    }
    grammar_.set_root(root->second);
    return std::move(grammar_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(at_), '\n');
    fail(ErrorCode::kInvalidArgument, "{}: line {}: {}", source_, line, what);
  }
  char32_t next() {
    if (at_end()) refuse("an unexpected end");
    return next_code_point();
  }

  // White space and comments; line ends only where the rule may go on behind them.
  void skip(bool lines) {
    while (!at_end()) {
      if (peek() == '#') {
        while (!at_end() && peek() != '\n' && peek() != '\r') ++at_;
      } else if (peek() == ' ' || peek() == '\t' || (lines && (peek() == '\n' || peek() == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  static bool in_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }

  std::string name() {
    const size_t begin = at_;
    while (!at_end() && in_name(peek())) ++at_;
    if (at_ == begin) refuse("expected the name of a rule");
    return std::string(text_.substr(begin, at_ - begin));
  }

  int32_t rule_of(const std::string& name) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    if (rules_.size() >= kMostRules) refuse(fmt::format("more than {} rules", kMostRules));
    return rules_[name] = grammar_.add_rule(name);
  }

  void read_rule() {
    const std::string rule_name = name();
    skip(false);
    if (!take("::=")) refuse("expected ::=");
    skip(true);
    const Expression body = choice(false);
    skip(false);
    if (!at_end() && peek() != '\n' && peek() != '\r') refuse("expected the end of the line");
    const int32_t rule = rule_of(rule_name);
    if (grammar_.rules()[static_cast<size_t>(rule)].start >= 0)
      refuse(fmt::format("rule {} is defined twice", rule_name));
    const int32_t start = grammar_.state();
    grammar_.define(rule, start, add_expression(grammar_, body, start, rule_name, budget_));
  }

  Expression choice(bool nested) {
    if (++depth_ > kMostNesting) refuse(fmt::format("groups nest deeper than {}", kMostNesting));
    std::vector<Expression> branches;
    while (true) {
      branches.push_back(sequence(nested));
      // An alternative may begin on the next line.
      const size_t before = at_;
      skip(true);
      if (!take("|")) {
        if (!nested) at_ = before;
        break;
      }
      skip(true);
    }
    --depth_;
    return Expression::choice(std::move(branches));
  }

  Expression sequence(bool nested) {
    std::vector<Expression> parts;
    while (true) {
      skip(nested);
      const char c = peek();
      if (at_end() || c == '|' || c == ')' || c == '\n' || c == '\r') break;
      parts.push_back(quantified());
    }
    return Expression::sequence(std::move(parts));
  }

  Expression quantified() {
    Expression body = atom();
    for (int times = 0;; ++times) {
      int32_t min = 0, max = kUnbounded;
      skip(false);
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (take("{")) {
        counts(min, max);
      } else {
        return body;
      }
      if (times >= kMostNesting) refuse("too many quantifiers in a row");
      body = Expression::repeat(std::move(body), min, max);
    }
  }

  int32_t number() {
    skip(false);
    int64_t value = -1;
    for (; !at_end() && peek() >= '0' && peek() <= '9'; ++at_) {
      value = std::max<int64_t>(value, 0) * 10 + (peek() - '0');
      if (value > kMostCount) refuse(fmt::format("a count above {}", kMostCount));
    }
    skip(false);
    return static_cast<int32_t>(value);
  }

  void counts(int32_t& min, int32_t& max) {
    const int32_t low = number();
    min = std::max(low, 0);
    if (take("}")) {
      max = low;
      if (low < 0) refuse("an empty count");
      return;
    }
    if (!take(",")) refuse("expected , or } in a count");
    max = number();  // -1 is kUnbounded
    if (!take("}")) refuse("expected } behind a count");
    if (max >= 0 && max < min) refuse("a count with its ends the wrong way round");
  }

  Expression atom() {
    if (take("\"")) return literal();
    if (take("[")) return Expression::of_class(brackets());
    if (take(".")) return Expression::of_class(CodePointSet::all());
    if (take("(")) {
      Expression body = choice(true);
      if (!take(")")) refuse("a group without an end");
      return body;
    }
    if (take("<")) return token();
    if (in_name(peek())) return Expression::call(rule_of(name()));
    refuse("expected a literal, a class, a group or the name of a rule");
  }

  Expression literal() {
    std::u32string out;
    while (!take("\"")) {
      if (at_end() || peek() == '\n') refuse("a literal without an end");
      out += character();
    }
    return Expression::literal(std::move(out));
  }

  CodePointSet brackets() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (!take("]")) {
      if (at_end()) refuse("a class without an end");
      const char32_t low = character();
      char32_t high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = character();
      }
      if (high < low) refuse("a range the wrong way round");
      ranges.push_back({low, high});
    }
    const CodePointSet out(std::move(ranges));
    return negated ? out.complement() : out;
  }

  char32_t character() {
    if (!take("\\")) return next();
    const char32_t c = next();
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return c;
      default:
        refuse("an unknown escape");
    }
  }

  char32_t hex(int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) {
      const char32_t c = next();
      const int digit = c >= '0' && c <= '9'   ? static_cast<int>(c - '0')
                        : c >= 'a' && c <= 'f' ? static_cast<int>(c - 'a') + 10
                        : c >= 'A' && c <= 'F' ? static_cast<int>(c - 'A') + 10
                                               : -1;
      if (digit < 0) refuse("a wrong hexadecimal escape");
      value = value * 16 + static_cast<uint64_t>(digit);
    }
    if (value > kLastCodePoint) refuse("an escape above U+10FFFF");
    return static_cast<char32_t>(value);
  }

  // <name> or <[id]>, behind the bracket.
  Expression token() {
    const size_t end = text_.find('>', at_);
    if (end == std::string_view::npos) refuse("a token without >");
    const std::string name(text_.substr(at_ - 1, end - at_ + 2));
    at_ = end + 1;
    int32_t id = -1;
    if (name.size() > 4 && name[1] == '[' && name[name.size() - 2] == ']') {
      for (const char c : name.substr(2, name.size() - 4)) {
        if (c < '0' || c > '9' || id > 100'000'000) refuse("a wrong token id");
        id = std::max(id, 0) * 10 + (c - '0');
      }
      if (tokens_ != nullptr && id >= tokens_->vocabulary()) id = -1;
    } else if (tokens_ != nullptr) {
      id = tokens_->find_added(name);
    }
    if (id < 0) refuse(fmt::format("the vocabulary has no token {}", name));
    return Expression::token(id);
  }

  const TokenTrie* tokens_;
  std::string_view source_;
  WorkBudget budget_;
  int depth_ = 0;
  std::map<std::string, int32_t> rules_;
  Grammar grammar_;
};

}  // namespace

Grammar gbnf_grammar(std::string_view text, const TokenTrie* tokens, std::string_view source) {
  if (static_cast<int64_t>(text.size()) > kMostGrammarBytes) {
    fail(ErrorCode::kInvalidArgument, "{}: grammar of {} bytes, expected at most {}", source,
         text.size(), kMostGrammarBytes);
  }
  return Parser(text, tokens, source).run();
}

}  // namespace headgate

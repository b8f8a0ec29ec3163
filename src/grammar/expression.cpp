// Trees of expressions to automata, Thompson's way (CACM 1968).
#include "grammar/expression.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {
namespace {

// Repetitions that unroll to at most so many parts are unrolled.
constexpr int64_t kUnrolled = 64;

int64_t size_of(const Expression& e) {
  int64_t size = std::max<int64_t>(1, static_cast<int64_t>(e.text.size()));
  for (const Expression& part : e.parts) size += size_of(part);
  if (e.kind == Expression::Kind::kRepeat) size *= std::max({1, e.min, e.max});
  return std::min(size, int64_t{1} << 40);
}

class Lowering {
 public:
  // Without a grammar: over code points.
  Lowering(Nfa& nfa, Grammar* grammar, std::string_view name, WorkBudget& budget)
      : nfa_(nfa), grammar_(grammar), name_(name), budget_(budget) {}

  int32_t add(const Expression& e, int32_t from) {
    budget_.spend(24);  // with what it costs in memory
    switch (e.kind) {
      case Expression::Kind::kEmpty:
        return from;
      case Expression::Kind::kClass:
        return add_class(e.set, from);
      case Expression::Kind::kLiteral:
        for (const char32_t c : e.text) from = add_class(CodePointSet::single(c), from);
        return from;
      case Expression::Kind::kSequence:
        for (const Expression& part : e.parts) from = add(part, from);
        return from;
      case Expression::Kind::kChoice:
        return add_choice(e, from);
      case Expression::Kind::kRepeat:
        return add_repeat(e, from);
      case Expression::Kind::kRule:
      case Expression::Kind::kToken:
        break;
    }
    HEADGATE_CHECK(grammar_ != nullptr);
    const int32_t to = nfa_.new_state();
    if (e.kind == Expression::Kind::kRule) {
      nfa_.add_call(from, e.rule, to);
    } else {
      nfa_.add_token(from, e.rule, to);
    }
    return to;
  }

 private:
  int32_t add_class(const CodePointSet& set, int32_t from) {
    const int32_t to = nfa_.new_state();
    const auto ranges = static_cast<int64_t>(set.ranges().size());
    // Ranges become several states and edges each: memory, too, ends here.
    budget_.spend(ranges == 1 ? 20 : (grammar_ != nullptr ? 200 : 10) * ranges);
    if (grammar_ != nullptr) {
      nfa_.add_utf8(from, set, to);
    } else {
      for (const CodePointRange& range : set.ranges())
        nfa_.add_range(from, range.first, range.last, to);
    }
    return to;
  }

  int32_t add_choice(const Expression& e, int32_t from) {
    const int32_t to = nfa_.new_state();
    for (const Expression& part : e.parts) {
      // Each branch begins in a state of its own: it may loop back to its beginning.
      const int32_t begin = nfa_.new_state();
      nfa_.add_epsilon(from, begin);
      nfa_.add_epsilon(add(part, begin), to);
    }
    return to;
  }

  int32_t add_star(const Expression& body, int32_t from) {
    const int32_t loop = nfa_.new_state();
    nfa_.add_epsilon(from, loop);
    nfa_.add_epsilon(add(body, loop), loop);
    const int32_t to = nfa_.new_state();
    nfa_.add_epsilon(loop, to);
    return to;
  }

  int32_t add_repeat(const Expression& e, int32_t from) {
    const Expression& body = e.parts[0];
    const int64_t copies = std::max(e.min, e.max);
    if (grammar_ != nullptr && copies > 1 && copies * size_of(body) > kUnrolled)
      return call_repeat(e, from);
    for (int32_t i = 0; i < e.min; ++i) from = add(body, from);
    if (e.max == kUnbounded) return add_star(body, from);
    if (e.max == e.min) return from;
    const int32_t to = nfa_.new_state();
    for (int32_t i = e.min; i < e.max; ++i) {
      nfa_.add_epsilon(from, to);
      const int32_t begin = nfa_.new_state();
      nfa_.add_epsilon(from, begin);
      from = add(body, begin);
    }
    nfa_.add_epsilon(from, to);
    return to;
  }

  int32_t call_repeat(const Expression& e, int32_t from) {
    const Expression& body = e.parts[0];
    int32_t rule = body.rule;
    if (body.kind != Expression::Kind::kRule) {
      rule = grammar_->add_rule(fmt::format("{}-part", name_));
      const int32_t start = nfa_.new_state();
      const int32_t end = add(body, start);
      grammar_->define(rule, start, end);
    }
    const int32_t repeat =
        grammar_->add_repeat(fmt::format("{}-repeat", name_), rule, e.min, e.max);
    const int32_t to = nfa_.new_state();
    nfa_.add_call(from, repeat, to);
    return to;
  }

  Nfa& nfa_;
  Grammar* grammar_;
  std::string_view name_;
  WorkBudget& budget_;
};

}  // namespace

Expression Expression::of_class(CodePointSet set) {
  Expression e;
  e.kind = Kind::kClass;
  e.set = std::move(set);
  return e;
}

Expression Expression::literal(std::u32string text) {
  Expression e;
  e.kind = Kind::kLiteral;
  e.text = std::move(text);
  return e;
}

Expression Expression::literal_utf8(std::string_view text) {
  std::u32string points;
  for (size_t at = 0; at < text.size();) {
    const DecodedCodePoint decoded = decode_utf8(text, at);
    points += decoded.code_point;
    at += static_cast<size_t>(decoded.bytes);
  }
  return literal(std::move(points));
}

Expression Expression::sequence(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.kind = parts.empty() ? Kind::kEmpty : Kind::kSequence;
  e.parts = std::move(parts);
  return e;
}

Expression Expression::choice(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.kind = Kind::kChoice;
  e.parts = std::move(parts);
  return e;
}

Expression Expression::repeat(Expression body, int32_t min, int32_t max) {
  // (x+)+ is x+ and (x*){2} is x*: written out, each turn of a stack of them would double it.
  if (body.kind == Kind::kRepeat && body.max == kUnbounded && body.min <= 1 && max != 0) {
    body.min *= min;
    return body;
  }
  Expression e;
  e.kind = Kind::kRepeat;
  e.min = min;
  e.max = max;
  e.parts.push_back(std::move(body));
  return e;
}

Expression Expression::call(int32_t rule) {
  Expression e;
  e.kind = Kind::kRule;
  e.rule = rule;
  return e;
}

Expression Expression::token(int32_t token) {
  Expression e;
  e.kind = Kind::kToken;
  e.rule = token;
  return e;
}

int32_t add_expression(Grammar& grammar, const Expression& expression, int32_t from,
                       std::string_view name, WorkBudget& budget) {
  return Lowering(grammar.nfa(), &grammar, name, budget).add(expression, from);
}

Dfa character_dfa(const Expression& expression, WorkBudget& budget) {
  Nfa nfa;
  const int32_t start = nfa.new_state();
  const int32_t end = Lowering(nfa, nullptr, "", budget).add(expression, start);
  return determinize(nfa, start, end, budget, -kMostCharacterStates);
}

}  // namespace headgate

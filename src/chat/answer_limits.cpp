// A constraint around a constraint: its masks are cut down, its tokens counted.
#include "chat/answer_limits.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "chat/text_without.h"
#include "grammar/grammar_constraint.h"

namespace headgate {
namespace {

bool has_bit(const std::vector<uint64_t>& mask, int32_t token) {
  const auto word = static_cast<size_t>(token / 64);
  return token >= 0 && word < mask.size() && ((mask[word] >> (token % 64)) & 1) != 0;
}

void set_bit(std::span<uint64_t> mask, int32_t token) {
  const auto word = static_cast<size_t>(token / 64);
  if (token >= 0 && word < mask.size()) mask[word] |= uint64_t{1} << (token % 64);
}

void clear_bit(std::span<uint64_t> mask, int32_t token) {
  const auto word = static_cast<size_t>(token / 64);
  if (token >= 0 && word < mask.size()) mask[word] &= ~(uint64_t{1} << (token % 64));
}

// What all sequences share.
struct Rules {
  AnswerLimits limits;
  std::shared_ptr<const TokenTrie> trie;
  std::shared_ptr<const TokenConstraint> form;   // null: any text
  std::shared_ptr<const TokenConstraint> words;  // null: none is bad
  int32_t think = -1, think_end = -1;
  int32_t blank_line = -1;  // what models write behind </think>; -1: no token says it
  std::vector<uint64_t> ends, allowed, not_text;  // masks; `allowed` is empty where all are

  bool is_end(int32_t token) const { return has_bit(ends, token); }
};

class LimitedState : public ConstraintState {
 public:
  explicit LimitedState(std::shared_ptr<const Rules> rules) : rules_(std::move(rules)) {
    if (rules_->form) form_ = rules_->form->start();
    if (rules_->words) words_ = rules_->words->start();
    using Reasoning = OutputParserOptions::Reasoning;
    Place first;
    first.thinking = rules_->limits.reasoning == Reasoning::kOpen;
    first.may_think = rules_->limits.reasoning == Reasoning::kMayOpen;
    places_.push_back(first);
  }
  LimitedState(const LimitedState& other)
      : rules_(other.rules_),
        form_(other.form_ ? other.form_->fork() : nullptr),
        words_(other.words_ ? other.words_->fork() : nullptr),
        places_(other.places_) {}

  bool fill_mask(std::span<uint64_t> mask) override {
    if (form_) {
      if (!form_->fill_mask(mask)) return false;
    } else if (place().ended) {
      std::fill(mask.begin(), mask.end(), 0);
      for (size_t i = 0; i < std::min(mask.size(), rules_->ends.size()); ++i)
        mask[i] = rules_->ends[i];
    } else {
      std::fill(mask.begin(), mask.end(), ~uint64_t{0});
    }
    if (!place().ended) cut(mask);
    return std::any_of(mask.begin(), mask.end(), [](uint64_t word) { return word != 0; });
  }

  bool accept(int32_t token) override {
    Place next = place();
    next.stepped_words = false;
    if (next.ended || rules_->is_end(token)) {
      if (!rules_->is_end(token) || !may_end()) return false;
      next.ended = true;
      return accept_in_form(token, next);
    }
    const int32_t forced = forced_token();
    if (forced >= 0 && token != forced) return false;
    if (may_not_think_again() && (token == rules_->think || token == rules_->think_end))
      return false;
    if (forced < 0 && !rules_->allowed.empty() && !has_bit(rules_->allowed, token)) return false;
    if (next.thinking) {
      next.thinking = token != rules_->think_end;
      next.cut_off = forced >= 0;
      ++next.thought;
    } else if (next.may_think) {
      next.thinking = token == rules_->think;
    }
    next.may_think = false;
    if (!place().thinking) next.cut_off = false;
    if (words_ && !has_bit(rules_->not_text, token)) {
      if (!words_->accept(token)) return false;
      next.stepped_words = true;
    }
    if (accept_in_form(token, next)) return true;
    if (next.stepped_words) words_->rewind(1);
    return false;
  }

  bool may_end() const override {
    if (place().ended) return true;
    if (form_ && !form_->may_end()) return false;
    return accepted() >= rules_->limits.min_tokens || (form_ && form_->is_complete());
  }

  bool is_complete() const override { return place().ended || (form_ && form_->is_complete()); }

  int64_t accepted() const override { return static_cast<int64_t>(places_.size()) - 1; }

  void rewind(int64_t tokens) override {
    HEADGATE_CHECK(tokens >= 0 && tokens <= accepted());
    if (form_) form_->rewind(tokens);
    int64_t stepped = 0;
    for (int64_t i = 0; i < tokens; ++i) {
      stepped += place().stepped_words;
      places_.pop_back();
    }
    if (words_) words_->rewind(stepped);
  }

  std::unique_ptr<ConstraintState> fork() const override {
    return std::make_unique<LimitedState>(*this);
  }

  std::string explain() const override {
    std::string out = form_ ? form_->explain() : "after the words that may not come";
    if (!rules_->allowed.empty()) out += ", of the allowed tokens";
    if (accepted() < rules_->limits.min_tokens) out += ", and no end yet";
    return out;
  }

 private:
  struct Place {
    int64_t thought = 0;         // tokens since thinking began
    bool thinking = false;       // inside of <think>
    bool may_think = false;      // <think> may come now
    bool cut_off = false;        // the last token was a </think> that the budget forced
    bool ended = false;          // an end token came
    bool stepped_words = false;  // words_ heard of the last token
  };
  const Place& place() const { return places_.back(); }

  // The only token that may come where the budget is spent: </think>, then the blank line that
  // tells the model, which was in the middle of a thought, that its answer begins. -1: any.
  int32_t forced_token() const {
    if (rules_->limits.thinking_tokens < 0) return -1;
    if (place().cut_off) return rules_->blank_line;
    const bool spent = place().thinking && place().thought >= rules_->limits.thinking_tokens;
    return spent ? rules_->think_end : -1;
  }

  bool may_not_think_again() const {
    return rules_->limits.thinking_tokens >= 0 && !place().thinking && !place().may_think;
  }

  bool accept_in_form(int32_t token, const Place& next) {
    if (form_ && !form_->accept(token)) return false;
    places_.push_back(next);
    return true;
  }

  void cut(std::span<uint64_t> mask) {
    if (const int32_t forced = forced_token(); forced >= 0) {
      const auto word = static_cast<size_t>(forced / 64);
      const uint64_t kept = word < mask.size() ? mask[word] & (uint64_t{1} << (forced % 64)) : 0;
      std::fill(mask.begin(), mask.end(), 0);
      if (word < mask.size()) mask[word] = kept;
      return;
    }
    if (may_not_think_again()) {
      clear_bit(mask, rules_->think);
      clear_bit(mask, rules_->think_end);
    }
    const size_t words = std::min(mask.size(), rules_->ends.size());
    if (!rules_->allowed.empty())
      for (size_t i = 0; i < words; ++i) mask[i] &= rules_->allowed[i] | rules_->ends[i];
    if (words_) {
      scratch_.resize(rules_->ends.size());
      // False means that no text may follow; tokens that are none still may.
      if (!words_->fill_mask(scratch_)) std::fill(scratch_.begin(), scratch_.end(), 0);
      for (size_t i = 0; i < words; ++i) mask[i] &= scratch_[i] | rules_->not_text[i];
    }
    if (!may_end())
      for (size_t i = 0; i < words; ++i) mask[i] &= ~rules_->ends[i];
  }

  std::shared_ptr<const Rules> rules_;
  std::unique_ptr<ConstraintState> form_, words_;
  std::vector<Place> places_;  // before the first token, then after each
  std::vector<uint64_t> scratch_;
};

class LimitedConstraint : public TokenConstraint {
 public:
  explicit LimitedConstraint(std::shared_ptr<const Rules> rules) : rules_(std::move(rules)) {}

  std::unique_ptr<ConstraintState> start() const override {
    return std::make_unique<LimitedState>(rules_);
  }
  int64_t memory_bytes() const override {
    int64_t bytes = static_cast<int64_t>(rules_->ends.size() * 3 * sizeof(uint64_t));
    if (rules_->form) bytes += rules_->form->memory_bytes();
    if (rules_->words) bytes += rules_->words->memory_bytes();
    return bytes;
  }

 private:
  std::shared_ptr<const Rules> rules_;
};

std::shared_ptr<const TokenConstraint> without_words(const std::vector<std::string>& words,
                                                     const std::shared_ptr<const TokenTrie>& trie) {
  if (words.empty()) return nullptr;
  if (std::any_of(words.begin(), words.end(), [](const std::string& w) { return w.empty(); }))
    fail(ErrorCode::kInvalidArgument, "bad words: found an empty text");
  Grammar grammar;
  const int32_t root = grammar.add_rule("text");
  const int32_t start = grammar.state();
  grammar.define(root, start, add_text_without(grammar, start, words));
  grammar.set_root(root);
  return std::make_shared<const GrammarConstraint>(grammar, trie);
}

}  // namespace

bool AnswerLimits::limits_anything() const {
  return min_tokens > 0 || !bad_words.empty() || !allowed_tokens.empty() ||
         (thinking_tokens >= 0 && reasoning != OutputParserOptions::Reasoning::kNone);
}

std::shared_ptr<const TokenConstraint> limit_answer(std::shared_ptr<const TokenConstraint> form,
                                                    const AnswerLimits& limits,
                                                    std::shared_ptr<const TokenTrie> trie) {
  auto rules = std::make_shared<Rules>();
  rules->limits = limits;
  rules->form = std::move(form);
  rules->words = without_words(limits.bad_words, trie);
  rules->think = trie->find_added("<think>");
  rules->think_end = trie->find_added("</think>");
  if (limits.thinking_tokens >= 0 && rules->think_end < 0)
    fail(ErrorCode::kInvalidArgument, "thinking: this vocabulary has no token </think>");
  const auto words = static_cast<size_t>(mask_words(trie->vocabulary()));
  rules->ends.assign(words, 0);
  for (const int32_t token : limits.end_tokens) set_bit(rules->ends, token);
  if (rules->form)
    for (const int32_t token : trie->end_tokens()) set_bit(rules->ends, token);
  if (!limits.allowed_tokens.empty()) rules->allowed.assign(words, 0);
  for (const int32_t token : limits.allowed_tokens) {
    if (token < 0 || token >= trie->vocabulary())
      fail(ErrorCode::kInvalidArgument, "allowed tokens: found {}, expected 0 to {}", token,
           trie->vocabulary() - 1);
    set_bit(rules->allowed, token);
  }
  rules->not_text.assign(words, ~uint64_t{0});
  for (int32_t token = 0; token < trie->vocabulary(); ++token) {
    if (!trie->bytes(token).empty()) clear_bit(rules->not_text, token);
    if (trie->bytes(token) == "\n\n" && rules->blank_line < 0) rules->blank_line = token;
  }
  const auto breaks = [](const std::string& word) { return word.find('\n') != std::string::npos; };
  if (std::any_of(limits.bad_words.begin(), limits.bad_words.end(), breaks)) rules->blank_line = -1;
  rules->trie = std::move(trie);
  return std::make_shared<const LimitedConstraint>(std::move(rules));
}

}  // namespace headgate

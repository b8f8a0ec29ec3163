// What tests of random mixtures share: recorders of every bit, a constraint, and conversations that
// are changed in every way.
#pragma once

#include "sampling/token_constraint.h"
#include "tests/golden/engine_fixture.h"

namespace headgate {

// Also hears the log-probabilities: equal tokens from other logits would not pass.
class Recorder : public Listener {
 public:
  bool tokens(int32_t choice, std::span<const SampledToken> tokens) override {
    for (const SampledToken& token : tokens) {
      logprobs.push_back(token.logprob);
      for (const TokenLogprob& other : token.top_logprobs) logprobs.push_back(other.logprob);
    }
    return Listener::tokens(choice, tokens);
  }
  std::vector<float> logprobs;
};

// Forbids every `parts`th token, others at each place in turn, and ends after `length`.
class ForbidInTurn : public TokenConstraint {
 public:
  ForbidInTurn(int64_t parts, int64_t length) : parts_(parts), length_(length) {}
  std::unique_ptr<ConstraintState> start() const override {
    return std::make_unique<State>(parts_, length_);
  }
  int64_t memory_bytes() const override { return 0; }

 private:
  struct State : ConstraintState {
    State(int64_t among, int64_t most) : parts(among), length(most) {}
    bool allows(int64_t token) const { return !is_complete() && token % parts != at % parts; }
    bool fill_mask(std::span<uint64_t> mask) override {
      for (size_t word = 0; word < mask.size(); ++word) {
        mask[word] = 0;
        for (size_t bit = 0; bit < 64; ++bit)
          mask[word] |= uint64_t{allows(static_cast<int64_t>(word * 64 + bit))} << bit;
      }
      return !is_complete();
    }
    bool accept(int32_t token) override {
      if (!allows(token)) return false;
      ++at;
      return true;
    }
    bool may_end() const override { return is_complete(); }
    bool is_complete() const override { return at >= length; }
    int64_t accepted() const override { return at; }
    void rewind(int64_t tokens) override { at -= tokens; }
    std::unique_ptr<ConstraintState> fork() const override {
      return std::make_unique<State>(*this);
    }
    std::string explain() const override { return "nothing"; }

    int64_t parts, length, at = 0;
  };
  int64_t parts_, length_;
};

// Conversations that grow, are edited, cut, forked, and answered again.
class Conversations {
 public:
  Conversations(int64_t count, uint64_t seed) : texts(static_cast<size_t>(count)), seed_(seed) {}

  struct Turn {
    size_t which;
    int64_t action;  // of eight: 0 to 3 changed the text in their own ways
    int64_t before;  // tokens of the text when it was changed, before more came
    uint64_t index;  // of draws so far: another seed for every turn
  };
  // Changes one of the texts, which then has `least` more tokens, or up to `most` more than that.
  // `random_tokens(count, seed)` gives them.
  template <typename RandomTokens>
  Turn next(int64_t least, int64_t most, const RandomTokens& random_tokens) {
    const auto count = static_cast<int64_t>(texts.size());
    const auto which = static_cast<size_t>(draw(count));
    std::vector<int32_t>& text = texts[which];
    const int64_t action = draw(8), size = static_cast<int64_t>(text.size());
    if (action == 0 && size > 0) text[static_cast<size_t>(draw(size))] ^= 1;
    if (action == 1 && size > 0) text.resize(static_cast<size_t>(draw(size)));
    if (action == 2) text = texts[static_cast<size_t>(draw(count))];
    if (action != 3 || text.empty()) {  // 3: the same again
      const int64_t more = least + draw(most);
      const std::vector<int32_t> tokens = random_tokens(more, index_);
      text.insert(text.end(), tokens.begin(), tokens.end());
    }
    if (text.size() > 700) text.erase(text.begin() + 20, text.end() - 100);
    return {which, action, size, index_};
  }

  std::vector<std::vector<int32_t>> texts;

 private:
  int64_t draw(int64_t below) {
    return static_cast<int64_t>(random_bits(seed_, 5, index_++) % static_cast<uint64_t>(below));
  }

  uint64_t seed_, index_ = 0;
};

}  // namespace headgate

// What a text may say next: a rule over tokens, such as a compiled grammar, that a sampler obeys.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace headgate {

// 64-bit words of a mask over `tokens` tokens.
constexpr int64_t mask_words(int64_t tokens) { return (tokens + 63) / 64; }

// The place of one sequence in a constraint. It keeps what it needs of the constraint alive.
// Thread rule: one thread at a time; states of one constraint may be used on several threads.
class ConstraintState {
 public:
  virtual ~ConstraintState() = default;

  // Bit t % 64 of mask[t / 64] becomes 1 where token t may come next, else 0; end tokens are set
  // exactly where may_end(). `mask` may cover fewer or more tokens than the vocabulary has. Returns
  // whether any bit is set. Cheap: what it finds out is kept for the next sequence at such a place.
  [[nodiscard]] virtual bool fill_mask(std::span<uint64_t> mask) = 0;

  // Goes on by one token. False, and nothing changes, where the token is not allowed; an end token
  // is allowed where may_end(), and nothing but end tokens after it (a chain of drafts may go on).
  [[nodiscard]] virtual bool accept(int32_t token) = 0;

  // Whether the text so far is a whole one.
  virtual bool may_end() const = 0;
  // Whether it is, and nothing but an end token can follow: no further step is needed.
  virtual bool is_complete() const = 0;

  // Tokens accepted so far.
  virtual int64_t accepted() const = 0;
  // Takes the last `tokens` accepted ones back; any number up to accepted().
  virtual void rewind(int64_t tokens) = 0;
  // An independent copy of this place.
  virtual std::unique_ptr<ConstraintState> fork() const = 0;

  // One line for people on what is expected here: for the error where no token is allowed.
  virtual std::string explain() const = 0;
};

// A rule, compiled once for a vocabulary and shared by all sequences that obey it. Thread rule: any
// thread.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // The place before the first token of the answer.
  virtual std::unique_ptr<ConstraintState> start() const = 0;
  // Roughly what it holds now, for caches with a budget.
  virtual int64_t memory_bytes() const = 0;
};

}  // namespace headgate

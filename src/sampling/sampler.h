// Logits to a token: penalties, bias, temperature, filters, a seeded draw, and log-probabilities.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sampling/token_constraint.h"

namespace headgate {

// Fields and order follow transformers' logits processors; presence and frequency follow OpenAI.
struct SamplingParams {
  float temperature = 1.0f;  // 0: greedy; ties go to the lowest id
  int32_t top_k = 0;         // 0: off; tokens tied with the k-th are kept
  float top_p = 1.0f;        // smallest set reaching p; the crossing token is kept
  float min_p = 0.0f;        // keep p_i >= min_p * max p
  float typical_p = 1.0f;    // locally typical sampling (arXiv 2202.00666); 1: off
  float repetition_penalty =
      1.0f;  // divides positive, multiplies negative logits of tokens seen in prompt or output
  float presence_penalty = 0.0f;   // subtracted once from logits of tokens generated so far
  float frequency_penalty = 0.0f;  // subtracted per occurrence among tokens generated so far
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;
  int32_t top_logprobs = -1;  // -1: none; n: the chosen token's and the n best log-probabilities
};

// Throws kInvalidArgument naming the field, its value and its range.
void check_sampling_params(const SamplingParams& params, int64_t vocabulary);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0f;
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0.0f;  // natural log of the model's own probability, before any filter
  std::vector<TokenLogprob> top_logprobs;  // best first
};

// The sampling state of one request. Output position n is drawn by an exponential race: the token
// with the least Exp(1) / probability wins, where a token's exponential number depends on (seed, n,
// token) alone. So a draw never depends on threads, neighbours or the order of the candidates, and
// two similar distributions drawn at one position mostly give one token: a draft drawn with the
// verifier's own numbers is kept more often than any other, and a seed gives the same text with
// and without drafts. Thread rule: one thread.
class Sampler {
 public:
  // `text_tokens`: ids at or above it have no text (padding rows of the tables) and are never
  // sampled.
  Sampler(SamplingParams params, int64_t text_tokens);

  // Tokens of the prompt count for the repetition penalty.
  void add_prompt(std::span<const int32_t> tokens);

  // From now on only tokens that `state` allows are drawn, by masking the logits before anything
  // else. Tokens that are counted go through the state, and those taken back leave it; while a
  // counted token stands that the state refused (a draft that will not be kept), nothing is masked.
  // nullptr: no constraint.
  void constrain(std::unique_ptr<ConstraintState> state);
  // nullptr where there is none.
  const ConstraintState* constraint() const { return constraint_.get(); }

  // Draws the next token from `logits` [vocabulary] and counts it as generated. Throws kUnsupported
  // with the constraint's reason where it allows no token.
  SampledToken sample(std::span<const float> logits);

  // Drafting: draws as sample() would, without log-probabilities, and counts the token too.
  int32_t draft(std::span<const float> logits);
  // Counts a token that something else chose (a draft found in the text, a forced token).
  void count(int32_t token);
  // Takes the last `tokens` counted ones back.
  void uncount(int64_t tokens);

  // The final distribution that sample() would draw from, [vocabulary] probabilities summing to
  // one: for tests and for verifying drafts. Greedy gives a point mass.
  std::vector<double> distribution(std::span<const float> logits);

  // Whether the token of the largest logit is drawn, whatever came before.
  bool is_plain_greedy() const;
  const SamplingParams& params() const { return params_; }

 private:
  struct Candidate {
    int32_t token;
    float logit;         // after penalties, bias and temperature
    double probability;  // among the candidates kept so far
  };

  bool masking() const { return constraint_ != nullptr && refused_ == 0; }
  bool penalises() const {
    return params_.presence_penalty != 0.0f || params_.frequency_penalty != 0.0f;
  }
  bool adjusts() const;  // whether the logits need more than a temperature
  // Fills mask_ for this position; all bits of the text's tokens where nothing is masked.
  void apply_mask();
  // The candidate where no logit is finite: the best allowed token, the lowest id on ties.
  int32_t best_allowed() const;
  void adjust_logits(std::span<const float> logits);
  void collect_candidates();
  void keep_largest(size_t k);
  void keep_top_p();
  void keep_min_p();
  void keep_typical();
  void normalise();
  // Fills candidates_ with the final distribution.
  void prepare(std::span<const float> logits);
  // The token for the current position.
  int32_t choose(std::span<const float> logits);
  // The winner of the race among candidates_ at the current position.
  int32_t draw() const;
  void add_logprobs(std::span<const float> logits, SampledToken& sampled) const;

  SamplingParams params_;
  int64_t text_tokens_;
  std::vector<int32_t> generated_;
  std::unordered_map<int32_t, int32_t> generated_counts_;  // kept for the penalties only
  std::unordered_map<int32_t, int32_t>
      seen_;  // in prompt and output; kept for the repetition penalty only
  std::unique_ptr<ConstraintState> constraint_;
  int64_t refused_ = 0;  // counted tokens from the first that constraint_ refused
  std::vector<uint64_t> mask_;
  std::vector<float> adjusted_;
  std::span<const float> values_;  // adjusted_, or the logits as they came, while one is drawn
  std::vector<Candidate> candidates_;
  std::vector<float> kept_;  // scratch
};

// Index of the largest logit below `text_tokens`; the lowest id on ties, 0 where none is a number.
int32_t argmax(std::span<const float> logits, int64_t text_tokens);

}  // namespace headgate

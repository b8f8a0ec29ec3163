// How many prompt tokens a step takes: as many as keep its time within a bound.
#pragma once

#include <array>
#include <cstdint>

namespace headgate {

// Learns what steps take: those that only decode, by the number of rows, and what prompt tokens add
// to them. Thread rule: the engine's thread.
class PrefillBudget {
 public:
  // At most `most` tokens a step. Beside decoding rows a step should take `slowdown` times as long
  // as without prompt tokens; on their own, prompt tokens should take `longest` seconds at most.
  PrefillBudget(int64_t most, double slowdown, double longest);

  // Prompt tokens for a step with so many decoding rows, while so many sequences read their
  // prompts; 0 now and then, to measure one without. Where more read than stream, as in a burst,
  // the streams have to wait longer: all of them together would otherwise wait longer still.
  int64_t tokens(int64_t decoding, int64_t reading);
  void record(int64_t decoding, int64_t prompt_tokens, double seconds);

  double decode_seconds(int64_t decoding) const;  // 0: nothing measured yet
  double tokens_per_second() const;               // of prompt, on their own; 0: not measured yet

 private:
  static constexpr int64_t kBuckets = 12;  // of decoding rows: 1, 2, 3-4, 5-8, ...

  int64_t most_;
  double slowdown_, longest_;
  std::array<double, kBuckets> decode_seconds_{};
  double mixed_ = 32;             // tokens beside decoding rows
  double seconds_per_token_ = 0;  // without decoding rows
  int64_t mixed_steps_ = 0;
};

}  // namespace headgate

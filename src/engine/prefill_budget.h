// How many prompt tokens a step takes: as many as keep its time within a bound.
#pragma once

#include <array>
#include <cstdint>

namespace headgate {

// Learns what steps take: those that only decode, by the number of rows, and what prompt tokens add
// to them. Thread rule: the engine's thread.
class PrefillBudget {
 public:
  // A prompt of more tokens is long: every step that touches it reads its keys and values.
  static constexpr int64_t kLongPrompt = 2048;

  // At most `most` tokens a step. Beside decoding rows prompts should make steps `slowdown` times
  // as long: each of them, or on average; on their own, prompt tokens should take `longest` seconds
  // at most.
  PrefillBudget(int64_t most, double slowdown, double longest);

  struct Share {
    int64_t tokens = 0;        // of prompts; 0 now and then, to measure a step without
    bool long_prompts = true;  // whether these take part
  };
  // For a step with so many decoding rows, while so many sequences read their prompts, `long_ones`
  // of them long ones. Where more read than stream, as in a burst, the streams have to wait longer:
  // all of them together would otherwise wait longer still.
  //
  // A long prompt costs each step that it takes part in the reading of all its keys and values.
  // Where that is much beside a step it does not take part in every one: many quick steps are
  // followed by one that takes a large piece, in a pause that nobody sees.
  Share share(int64_t decoding, int64_t reading, int64_t long_ones);
  void record(int64_t decoding, int64_t prompt_tokens, double seconds);

  double decode_seconds(int64_t decoding) const;  // 0: nothing measured yet
  double tokens_per_second() const;               // of prompt, on their own; 0: not measured yet

 private:
  static constexpr int64_t kBuckets = 12;  // of decoding rows: 1, 2, 3-4, 5-8, ...

  double pause_seconds(double quiet) const;
  int64_t whole_tokens(double wanted) const;

  int64_t most_;
  double slowdown_, longest_;
  std::array<double, kBuckets> decode_seconds_{};
  double mixed_ = 32;             // tokens beside decoding rows
  double paused_ = 32;            // tokens of a pause
  double seconds_per_token_ = 0;  // without decoding rows
  int64_t mixed_steps_ = 0;
  double since_pause_;    // steps
  bool pausing_ = false;  // in the step of the last share()
  int64_t cold_steps_ = 0;
};

}  // namespace headgate

// Perplexity of a text, and the distance of a model's predictions from those of a reference.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/session.h"

namespace headgate {

struct PerplexityOptions {
  int64_t window = 2048;    // tokens a prediction may see; at most the session's context
  int64_t stride = 0;       // tokens the window moves on; 0: half of it. Each token is scored once
  int64_t chunk = 256;      // tokens per step
  int64_t max_tokens = 0;   // of the text; 0: all
  std::string save_logits;  // writes the predictions to this file (see logits_file.h)
  std::string compare;      // compares with the predictions of this file
  // Tokens scored and to score; false cancels (Error kCancelled).
  std::function<bool(int64_t done, int64_t total)> progress;
};

// Distances from the reference p of the model's q, in nats: sum p (log p - log q).
struct DivergenceReport {
  double mean_kl = 0, kl_error = 0, median_kl = 0, p99_kl = 0, max_kl = 0;
  double same_top = 0;        // share of tokens for which both predict the same token first
  double same_top_error = 0;  // standard error
  double reference_perplexity = 0;
  double perplexity_ratio = 0;         // of the model to the reference
  double mean_probability_change = 0;  // of the text's own tokens, q - p
  double rms_probability_change = 0;
};

struct PerplexityReport {
  int64_t tokens = 0;  // of the text
  int64_t scored = 0;  // all but the first
  int64_t windows = 0;
  int64_t window = 0, stride = 0;
  double mean_nll = 0;   // nats per token
  double nll_error = 0;  // standard error of the mean, tokens taken as independent
  double perplexity = 0, perplexity_error = 0;
  double seconds = 0;
  std::optional<DivergenceReport> divergence;
};

// Scores tokens[1..] in windows: the first predicts all of its tokens, each later one those that
// the one before did not see. Every prediction but those of the first window sees at least window -
// stride tokens. Throws kInvalidArgument for fewer than 2 tokens or a window that does not fit.
PerplexityReport measure_perplexity(Session& session, std::span<const int32_t> tokens,
                                    const PerplexityOptions& options);

// One window: reads tokens [first, last), predictions of tokens [scored_from, last) count.
struct Window {
  int64_t first = 0, last = 0, scored_from = 0;
  bool operator==(const Window&) const = default;
};
std::vector<Window> make_windows(int64_t tokens, int64_t window, int64_t stride);

// log_softmax of a row, in double: log(sum exp) of `logits`.
double log_sum_exp(std::span<const float> logits);

// Mean, standard error and quantiles of samples.
struct Moments {
  double mean = 0, error = 0;
};
Moments moments(std::span<const double> samples);
// The q-quantile by linear interpolation, q in [0, 1]; 0 for no samples.
double quantile(std::vector<double> samples, double q);

}  // namespace headgate

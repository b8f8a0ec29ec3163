// Windows over a text, negative log-likelihoods, and divergence from a reference.
#include "eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "eval/logits_file.h"

namespace headgate {
namespace {

int64_t position_of_largest(std::span<const float> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// What is gathered per scored token.
class Scores {
 public:
  Scores(int64_t vocabulary, LogitsWriter* writer, LogitsReader* reader)
      : log_q_(static_cast<size_t>(vocabulary)),
        log_p_(reader != nullptr ? static_cast<size_t>(vocabulary) : 0),
        writer_(writer),
        reader_(reader) {}

  void add(std::span<const float> logits, int32_t next) {
    const double shift = log_sum_exp(logits);
    for (size_t i = 0; i < logits.size(); ++i)
      log_q_[i] = static_cast<float>(static_cast<double>(logits[i]) - shift);
    nll_.push_back(shift - static_cast<double>(logits[static_cast<size_t>(next)]));
    if (writer_ != nullptr) writer_->add(log_q_);
    if (reader_ != nullptr) compare(next);
  }

  int64_t size() const { return static_cast<int64_t>(nll_.size()); }
  const std::vector<double>& nll() const { return nll_; }

  DivergenceReport divergence() const {
    DivergenceReport report;
    const Moments kl = moments(kl_), same = moments(same_top_);
    report.mean_kl = kl.mean;
    report.kl_error = kl.error;
    report.median_kl = quantile(kl_, 0.5);
    report.p99_kl = quantile(kl_, 0.99);
    report.max_kl = quantile(kl_, 1.0);
    report.same_top = same.mean;
    report.same_top_error = same.error;
    report.reference_perplexity = std::exp(moments(reference_nll_).mean);
    report.perplexity_ratio = std::exp(moments(nll_).mean - moments(reference_nll_).mean);
    report.mean_probability_change = moments(change_).mean;
    double squares = 0;
    for (double change : change_) squares += change * change;
    report.rms_probability_change = std::sqrt(squares / static_cast<double>(change_.size()));
    return report;
  }

 private:
  void compare(int32_t next) {
    reader_->next(log_p_);
    double kl = 0;
    size_t top = 0;
    for (size_t i = 0; i < log_p_.size(); ++i) {
      kl += std::exp(log_p_[i]) * (log_p_[i] - static_cast<double>(log_q_[i]));
      if (log_p_[i] > log_p_[top]) top = i;
    }
    // Rounding of the file can make a vanishing distance negative.
    kl_.push_back(std::max(kl, 0.0));
    // Codes of the file tie where the values hardly differ: then either is the same token.
    const auto own_top = static_cast<size_t>(position_of_largest(log_q_));
    same_top_.push_back(log_p_[own_top] == log_p_[top] ? 1.0 : 0.0);
    const auto at = static_cast<size_t>(next);
    reference_nll_.push_back(-log_p_[at]);
    change_.push_back(std::exp(static_cast<double>(log_q_[at])) - std::exp(log_p_[at]));
  }

  std::vector<float> log_q_;
  std::vector<double> log_p_;
  LogitsWriter* writer_;
  LogitsReader* reader_;
  std::vector<double> nll_, kl_, same_top_, reference_nll_, change_;
};

std::unique_ptr<LogitsReader> open_reference(const PerplexityOptions& options,
                                             const LogitsHeader& header,
                                             std::span<const int32_t> tokens) {
  if (options.compare.empty()) return nullptr;
  auto reader = std::make_unique<LogitsReader>(options.compare);
  const LogitsHeader& found = reader->header();
  if (found != header) {
    fail(ErrorCode::kInvalidArgument,
         "{}: made with vocabulary {}, {} tokens, window {}, stride {}; expected {}, {}, {}, {}",
         options.compare, found.vocabulary, found.tokens, found.window, found.stride,
         header.vocabulary, header.tokens, header.window, header.stride);
  }
  if (!std::equal(tokens.begin(), tokens.end(), reader->tokens().begin()))
    fail(ErrorCode::kInvalidArgument, "{}: made from another text", options.compare);
  return reader;
}

void score_window(Session& session, std::span<const int32_t> tokens, const Window& window,
                  int64_t chunk, Scores& scores, const std::function<bool()>& keep_going) {
  const auto part = tokens.subspan(static_cast<size_t>(window.first),
                                   static_cast<size_t>(window.last - window.first));
  session.score(part, chunk, [&](int64_t first_token, View logits) {
    for (int64_t row = 0; row < logits.rows; ++row) {
      const int64_t predicted = window.first + first_token + row + 1;
      if (predicted < window.scored_from || predicted >= window.last) continue;
      scores.add({logits.row(row), static_cast<size_t>(logits.cols)},
                 tokens[static_cast<size_t>(predicted)]);
    }
    if (!keep_going()) fail(ErrorCode::kCancelled, "cancelled");
  });
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

Moments moments(std::span<const double> samples) {
  if (samples.empty()) return {};
  const auto n = static_cast<double>(samples.size());
  const double mean = std::accumulate(samples.begin(), samples.end(), 0.0) / n;
  double squares = 0;
  for (double sample : samples) squares += (sample - mean) * (sample - mean);
  return {mean, samples.size() > 1 ? std::sqrt(squares / (n - 1) / n) : 0.0};
}

double quantile(std::vector<double> samples, double q) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const double at = q * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (at - static_cast<double>(below)) * (samples[above] - samples[below]);
}

std::vector<Window> make_windows(int64_t tokens, int64_t window, int64_t stride) {
  HEADGATE_CHECK(window >= 2 && stride >= 1 && stride < window);
  std::vector<Window> out;
  if (tokens < 2) return out;
  int64_t scored = 1;  // the first token has nothing to be predicted from
  for (int64_t first = 0; scored < tokens; first += stride) {
    const int64_t last = std::min(first + window, tokens);
    out.push_back({first, last, scored});
    scored = last;
  }
  return out;
}

PerplexityReport measure_perplexity(Session& session, std::span<const int32_t> tokens,
                                    const PerplexityOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (options.max_tokens > 0 && static_cast<int64_t>(tokens.size()) > options.max_tokens)
    tokens = tokens.first(static_cast<size_t>(options.max_tokens));
  PerplexityReport report;
  report.tokens = static_cast<int64_t>(tokens.size());
  report.window = std::min(options.window, session.context());
  report.stride = options.stride > 0 ? options.stride : report.window / 2;
  if (report.tokens < 2)
    fail(ErrorCode::kInvalidArgument, "text: {} tokens, expected at least 2", report.tokens);
  if (report.window < 2 || report.stride >= report.window) {
    fail(ErrorCode::kInvalidArgument,
         "window {} and stride {}: expected a window of at least 2 and a stride below it",
         report.window, report.stride);
  }
  const std::vector<Window> windows = make_windows(report.tokens, report.window, report.stride);
  report.windows = static_cast<int64_t>(windows.size());
  report.scored = report.tokens - 1;

  const int64_t vocabulary = session.model().config().vocabulary;
  const LogitsHeader header{vocabulary, report.tokens, report.window, report.stride, report.scored};
  const std::unique_ptr<LogitsReader> reader = open_reference(options, header, tokens);
  std::unique_ptr<LogitsWriter> writer;
  if (!options.save_logits.empty())
    writer = std::make_unique<LogitsWriter>(options.save_logits, header, tokens);
  Scores scores(vocabulary, writer.get(), reader.get());
  const auto keep_going = [&] {
    return !options.progress || options.progress(scores.size(), report.scored);
  };
  for (const Window& window : windows)
    score_window(session, tokens, window, options.chunk, scores, keep_going);
  if (writer) writer->finish();

  const Moments nll = moments(scores.nll());
  report.mean_nll = nll.mean;
  report.nll_error = nll.error;
  report.perplexity = std::exp(nll.mean);
  report.perplexity_error = report.perplexity * nll.error;
  if (reader) report.divergence = scores.divergence();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace headgate

// Sampled text with drafts has the distribution of plain sampling: chi-square of three consecutive
// tokens, of which the last two are drafted, against the exact probabilities of the embedded model.
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>

#include "engine/engine.h"
#include "engine/session.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

using Triple = std::array<int32_t, 3>;
constexpr int64_t kMostPrefixes = 1500;  // whose next token's distribution is computed
constexpr int32_t kChoices = 1000;       // of one request
constexpr int64_t kLeastCells = 5;       // fewer would compare next to nothing
constexpr double kLeastExpected = 5;     // draws in a cell; rarer ones share one

class Counter : public RequestSink {
 public:
  explicit Counter(std::map<Triple, int64_t>& counts) : counts_(counts) {}
  bool tokens(int32_t choice, std::span<const SampledToken> tokens) override {
    for (const SampledToken& token : tokens) said_[choice].push_back(token.token);
    return true;
  }
  void finished(int32_t choice, const RequestResult& result) override {
    const std::vector<int32_t>& said = said_[choice];
    if (said.size() >= 3) ++counts_[{said[0], said[1], said[2]}];
    drafted += result.drafts.total_drafted();
    accepted += result.drafts.total_accepted();
    if (++finished_ == kChoices) done_.set_value();
  }
  void wait() { done_.get_future().wait(); }
  int64_t drafted = 0, accepted = 0;

 private:
  std::map<Triple, int64_t>& counts_;
  std::map<int32_t, std::vector<int32_t>> said_;
  int32_t finished_ = 0;
  std::promise<void> done_;
};

struct Setting {
  const char* name;
  SamplingParams params;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  const auto add = [&](const char* name, auto change) {
    SamplingParams params;
    change(params);
    all.push_back({name, params});
  };
  add("temperature 0.5", [](SamplingParams& p) { p.temperature = 0.5f; });
  add("temperature 0.7, top-k 20", [](SamplingParams& p) {
    p.temperature = 0.7f;
    p.top_k = 20;
  });
  add("top-p 0.5", [](SamplingParams& p) { p.top_p = 0.5f; });
  add("temperature 1.3, min-p 0.3", [](SamplingParams& p) {
    p.temperature = 1.3f;
    p.min_p = 0.3f;
  });
  add("penalties, top-k 40", [](SamplingParams& p) {
    p.top_k = 40;
    p.repetition_penalty = 1.2f;
    p.presence_penalty = 0.5f;
    p.frequency_penalty = 0.4f;
  });
  return all;
}

// Exact probabilities of the first three tokens, as far as the most likely prefixes go.
class Exact {
 public:
  Exact(const std::shared_ptr<const Model>& model, std::vector<int32_t> prompt,
        const SamplingParams& params)
      : session_(model, model->config().vocabulary, {.context = 512}),
        prompt_(std::move(prompt)),
        params_(params) {}

  std::map<Triple, double> triples() {
    std::map<Triple, double> out;
    std::multimap<double, std::vector<int32_t>, std::greater<>> open{{1.0, {}}};
    for (int64_t i = 0; i < kMostPrefixes && !open.empty(); ++i) {
      const auto [mass, prefix] = *open.begin();
      open.erase(open.begin());
      const std::vector<double> next = distribution(prefix);
      for (size_t token = 0; token < next.size(); ++token) {
        const double p = mass * next[token];
        if (p < 1e-7) continue;
        std::vector<int32_t> longer = prefix;
        longer.push_back(static_cast<int32_t>(token));
        if (longer.size() == 3) {
          out[{longer[0], longer[1], longer[2]}] = p;
        } else {
          open.emplace(p, std::move(longer));
        }
      }
    }
    return out;
  }

 private:
  std::vector<double> distribution(const std::vector<int32_t>& prefix) {
    std::vector<int32_t> text = prompt_;
    text.insert(text.end(), prefix.begin(), prefix.end());
    std::vector<float> last;
    session_.score(text, 512, [&](int64_t, View logits) {
      const float* row = logits.row(logits.rows - 1);
      last.assign(row, row + logits.cols);
    });
    Sampler sampler(params_, session_.model().config().vocabulary);
    sampler.add_prompt(prompt_);
    for (const int32_t token : prefix) sampler.count(token);
    return sampler.distribution(last);
  }

  Session session_;
  std::vector<int32_t> prompt_;
  SamplingParams params_;
};

// Chance of a chi-square at least so large (Wilson and Hilferty 1931).
double chance(double square, double freedom) {
  const double z =
      (std::cbrt(square / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

bool test(const std::shared_ptr<const Model>& model, const Setting& setting, int64_t tokens) {
  const std::vector<int32_t> prompt{40, 300, 512, 77, 1200, 301, 512, 77, 900, 15};
  const std::map<Triple, double> exact = Exact(model, prompt, setting.params).triples();
  EngineOptions options;
  options.context = 512;
  options.max_running = 8;  // with more nothing is drafted
  options.drafts = 3;
  std::map<Triple, int64_t> counts;
  int64_t drafted = 0, accepted = 0, draws = 0;
  {
    Engine engine(model, model->config().vocabulary, options);
    for (uint64_t round = 0; draws * 4 < tokens; ++round) {
      Request request;
      request.prompt = prompt;
      request.sampling = setting.params;
      request.sampling.seed = 1 + round * kChoices;
      request.max_tokens = 4;
      request.choices = kChoices;
      const auto counter = std::make_shared<Counter>(counts);
      engine.submit(std::move(request), counter);
      counter->wait();
      draws += kChoices;
      drafted += counter->drafted;
      accepted += counter->accepted;
    }
  }
  double square = 0, rest = 1;
  int64_t cells = 0, rest_count = draws;
  const auto n = static_cast<double>(draws);
  for (const auto& [triple, p] : exact) {
    if (p * n < kLeastExpected) continue;
    const auto found = counts.find(triple);
    const int64_t count = found != counts.end() ? found->second : 0;
    square += (static_cast<double>(count) - p * n) * (static_cast<double>(count) - p * n) / (p * n);
    rest -= p;
    rest_count -= count;
    ++cells;
  }
  if (rest * n >= kLeastExpected) {
    const double off = static_cast<double>(rest_count) - rest * n;
    square += off * off / (rest * n);
    ++cells;
  }
  const double p = chance(square, static_cast<double>(cells - 1));
  fmt::print(
      "{:<28} {:>9} tokens, {:>8} drafted, {:>5.1f} % kept, {:>5} cells, chi-square {:>8.1f}, "
      "chance {:.3f}\n",
      setting.name, draws * 4, drafted,
      100.0 * static_cast<double>(accepted) / static_cast<double>(std::max<int64_t>(drafted, 1)),
      cells, square, p);
  std::fflush(stdout);
  return drafted > 0 && cells > kLeastCells && p > 1e-4;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  const int64_t tokens = argc > 1 ? std::atoll(argv[1]) : 8000;
  const auto checkpoint = headgate::open_checkpoint(
      HEADGATE_SOURCE_DIR "/models/headgate-nano/headgate-nano-q8_0.gguf");
  const auto backend = headgate::open_backend({});
  const auto model = headgate::Model::load(checkpoint, *backend);
  bool fine = true;
  for (const headgate::Setting& setting : headgate::settings())
    fine = headgate::test(model, setting, tokens) && fine;
  return fine ? 0 : 1;
}

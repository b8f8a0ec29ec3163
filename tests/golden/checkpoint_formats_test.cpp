// What rounding a checkpoint costs: the model's distributions after it, beside those after the
// exact state. docs/prefix-cache.md has the figures.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "base/file.h"
#include "cache/sequence_state.h"
#include "chat/checkpoint_text.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace headgate {
namespace {

constexpr int64_t kPrompt = 384, kAfter = 128, kTurn = 32;

struct Loaded {
  Checkpoint checkpoint =
      open_checkpoint(HEADGATE_SOURCE_DIR "/models/headgate-nano/headgate-nano-q8_0.gguf");
  std::unique_ptr<Backend> backend = open_backend({.threads = 1});
  std::shared_ptr<const Model> model = Model::load(checkpoint, *backend);
  Tokenizer tokenizer = load_tokenizer(checkpoint);
};

const Loaded& loaded() {
  static const Loaded instance;
  return instance;
}

// Log-probabilities of every token of `ids`, all of which go to the state.
std::vector<std::vector<float>> read(SequenceState& state, std::span<const int32_t> ids) {
  StepResult result;
  std::vector<std::vector<float>> out;
  EXPECT_TRUE(state.reserve(static_cast<int64_t>(ids.size())));
  const BatchItem item{&state, ids, LogitRows::kAll};
  loaded().model->forward({&item, 1}, result);
  const auto columns = static_cast<size_t>(result.vocabulary);
  for (size_t row = 0; row < ids.size(); ++row) {
    std::vector<float> logits(result.logits.begin() + static_cast<ptrdiff_t>(row * columns),
                              result.logits.begin() + static_cast<ptrdiff_t>((row + 1) * columns));
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    for (float& logit : logits) logit -= static_cast<float>(std::log(sum));
    out.push_back(std::move(logits));
  }
  return out;
}

double divergence(const std::vector<float>& exact, const std::vector<float>& other) {
  double kl = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    kl += std::exp(static_cast<double>(exact[i])) *
          (static_cast<double>(exact[i]) - static_cast<double>(other[i]));
  }
  return kl;
}

std::vector<int32_t> text_of(const char* path) {
  std::vector<int32_t> ids =
      loaded().tokenizer.encode(read_text_file(std::string(HEADGATE_SOURCE_DIR "/") + path));
  ids.resize(kPrompt + kAfter);
  return ids;
}

struct Cost {
  double mean = 0, most = 0;
  int64_t tokens = 0, same_choice = 0;
};

// The text goes on from a checkpoint after kPrompt tokens, or from one after every kTurn tokens:
// each made of what the one before it has left.
Cost cost_of(StateFormat format, bool every_turn) {
  Cost cost;
  for (const char* path : {"README.md", "docs/engine.md", "docs/serving.md", "docs/attention.md"}) {
    const std::vector<int32_t> ids = text_of(path);
    const std::span<const int32_t> all(ids);
    const StateShape shape = loaded().model->state_shape(DType::kF32);
    StatePool exact_pool(shape, int64_t{1} << 28), pool(shape, int64_t{1} << 28, format);
    SequenceState exact = std::move(*exact_pool.create()), other = std::move(*pool.create());
    (void)read(exact, all.first(kPrompt));
    (void)read(other, all.first(kPrompt));
    for (int64_t at = kPrompt; at < kPrompt + kAfter; at += kTurn) {
      if (at == kPrompt || every_turn) {
        const Snapshot whole = *other.snapshot();
        const std::optional<Snapshot> packed = whole.packed();
        EXPECT_TRUE(other.restore(packed ? *packed : whole));
      }
      const auto turn = all.subspan(static_cast<size_t>(at), kTurn);
      const auto expected = read(exact, turn), got = read(other, turn);
      for (size_t row = 0; row < expected.size(); ++row) {
        const double kl = divergence(expected[row], got[row]);
        cost.mean += kl;
        cost.most = std::max(cost.most, kl);
        ++cost.tokens;
        const auto best = [](const std::vector<float>& row_of) {
          return std::max_element(row_of.begin(), row_of.end()) - row_of.begin();
        };
        cost.same_choice += best(expected[row]) == best(got[row]) ? 1 : 0;
      }
    }
  }
  cost.mean /= static_cast<double>(cost.tokens);
  std::printf("KL mean %.2e, most %.2e, same choice %ld of %ld\n", cost.mean, cost.most,
              static_cast<long>(cost.same_choice), static_cast<long>(cost.tokens));
  return cost;
}

TEST(CheckpointFormats, Fp32IsExact) {
  const Cost cost = cost_of(StateFormat::kF32, true);
  EXPECT_EQ(cost.most, 0);
  EXPECT_EQ(cost.same_choice, cost.tokens);
}

TEST(CheckpointFormats, Bf16CostsLittle) {
  EXPECT_LT(cost_of(StateFormat::kBf16, false).mean, 1e-4);
  EXPECT_LT(cost_of(StateFormat::kBf16, true).mean, 1e-4);
}

TEST(CheckpointFormats, Int8CostsLittle) {
  EXPECT_LT(cost_of(StateFormat::kInt8, false).mean, 3e-4);
  EXPECT_LT(cost_of(StateFormat::kInt8, true).mean, 3e-4);
}

}  // namespace
}  // namespace headgate

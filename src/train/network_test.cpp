// Every gradient of every layer against differences of the loss, in fp64, on packed documents.
#include "train/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "base/random.h"

namespace headgate {
namespace {

ModelConfig small_config(bool renormalise) {
  ModelConfig c;
  c.family = "qwen3_next";
  c.vocabulary = 13;
  c.hidden_size = 8;
  c.layers = 3;
  c.dense_width = 6;
  c.zero_centered_norm = true;
  c.norm_eps = 1e-3f;  // inputs are small here; the norms must not be too curved for differences
  c.mixers = {Mixer::kGatedDelta, Mixer::kAttention, Mixer::kGatedDelta};
  c.moe_layers = {true, true, false};
  c.attention = {.heads = 4, .kv_heads = 2, .head_dim = 4, .output_gate = true, .rotary_dims = 2};
  c.delta.shape = {.key_heads = 2, .value_heads = 4, .key_dim = 4, .value_dim = 3};
  c.moe = {.experts = 3,
           .experts_per_token = 2,
           .expert_width = 3,
           .shared_width = 4,
           .renormalise = renormalise};
  c.mtp_layers = 1;
  return c;
}

// Two rows with documents that end inside chunks, at their edge and after one token, and padding.
TrainBatch small_batch() {
  TrainBatch batch;
  batch.rows = 2;
  batch.length = 70;
  const std::vector<std::vector<int64_t>> ends = {{5, 6, 64, 70}, {30, 66, 70}};
  for (int64_t row = 0; row < 2; ++row) {
    int32_t document = 0;
    for (int64_t t = 0; t < batch.length; ++t) {
      const auto& row_ends = ends[static_cast<size_t>(row)];
      if (t == row_ends[static_cast<size_t>(document)]) ++document;
      const auto at = static_cast<uint64_t>(row * batch.length + t);
      batch.tokens.push_back(static_cast<int32_t>(random_bits(1, 2, at) % 13));
      batch.documents.push_back(row == 1 && document == 2 ? -1 : document);
      batch.weights.push_back(random_bits(1, 3, at) % 4 == 0 ? 0.0f : 1.0f + 0.5f * (at % 2));
    }
  }
  return batch;
}

class Problem {
 public:
  explicit Problem(const ModelConfig& config)
      : map(make_parameter_map(config)),
        ops_(pool_, false),
        layout_(make_layout(small_batch(), config.vocabulary)) {
    weights_.zeros(1, map.size);
    gradient_.zeros(1, map.size);
    for (const ParameterSlice& slice : map.slices) {
      for (int64_t i = 0; i < slice.count; ++i) {
        const auto at = static_cast<uint64_t>(slice.offset + i);
        weights_.data()[slice.offset + i] = 0.4 * static_cast<double>(random_normal(7, 1, at));
      }
    }
    network_ =
        std::make_unique<Network<double>>(config, map.ranges, weights_.data(), gradient_.data());
  }

  // Loss at the weights as they are; the balance term keeps the counts of `first`.
  double loss() {
    network_->forward(ops_, layout_, kMaxMtpSteps, false);
    LossSums sums;
    network_->losses(ops_, {}, sums);
    double total = 0;
    for (size_t i = 0; i < kMaxLosses; ++i) total += kScales[i] * sums.loss[i];
    const std::vector<RouterSums> routers = network_->router_sums();
    for (size_t r = 0; r < routers.size(); ++r) {
      for (size_t e = 0; e < routers[r].chance.size(); ++e) {
        total += router_losses_[r].balance[e] * routers[r].chance[e];
      }
      total += router_losses_[r].z * routers[r].z;
    }
    return total;
  }

  void differentiate(bool recompute) {
    gradient_.zeros(1, map.size);
    network_->forward(ops_, layout_, kMaxMtpSteps, recompute);
    router_losses_.assign(static_cast<size_t>(network_->routers()), {});
    for (size_t r = 0; r < router_losses_.size(); ++r) {
      router_losses_[r].z = 0.01;
      for (int e = 0; e < 3; ++e) {
        router_losses_[r].balance.push_back(0.1 * static_cast<double>(e) - 0.2);
      }
    }
    LossSums sums;
    network_->losses(ops_, kScales, sums);
    network_->backward(ops_, router_losses_, {});
  }

  // Gradient of weight i by central differences.
  double difference(int64_t i) {
    double& w = weights_.data()[i];
    const double keep = w, step = 1e-5;
    w = keep + step;
    const double above = loss();
    w = keep - step;
    const double below = loss();
    w = keep;
    return (above - below) / (2 * step);
  }

  double gradient(int64_t i) const { return gradient_.data()[i]; }
  ParameterMap map;

 private:
  static constexpr std::array<double, kMaxLosses> kScales = {0.01, 0.004, 0.003, 0.002};
  ThreadPool pool_{2};
  Ops<double> ops_;
  BatchLayout layout_;
  Buffer<double> weights_, gradient_;
  std::unique_ptr<Network<double>> network_;
  std::vector<RouterLossGradient<double>> router_losses_;
};

// Every weight tensor, or those of one part.
void check(const ModelConfig& config, std::optional<Part> only = std::nullopt) {
  Problem problem(config);
  problem.differentiate(false);
  for (const ParameterSlice& slice : problem.map.slices) {
    if (only && slice.part != *only) continue;
    double largest = 1e-3;
    for (int64_t i = 0; i < slice.count; ++i) {
      largest = std::max(largest, std::fabs(problem.gradient(slice.offset + i)));
    }
    for (uint64_t probe = 0; probe < 1; ++probe) {
      const auto at =
          static_cast<int64_t>(random_bits(5, static_cast<uint64_t>(slice.offset), probe) %
                               static_cast<uint64_t>(slice.count));
      EXPECT_NEAR(problem.gradient(slice.offset + at), problem.difference(slice.offset + at),
                  2e-6 * largest)
          << slice.name << " [" << at << "]";
    }
  }
}

TEST(Network, GradientsAreTheSlopesOfTheLoss) { check(small_config(true)); }

TEST(Network, GradientsAreTheSlopesWithPlainProbabilitiesToo) {
  check(small_config(false), Part::kRouter);
}

TEST(Network, ComputingLayersAgainChangesNothing) {
  Problem kept(small_config(true)), again(small_config(true));
  kept.differentiate(false);
  again.differentiate(true);
  for (int64_t i = 0; i < kept.map.size; ++i) ASSERT_EQ(kept.gradient(i), again.gradient(i)) << i;
}

}  // namespace
}  // namespace headgate

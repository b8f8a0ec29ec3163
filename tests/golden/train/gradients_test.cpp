// One batch of q3n_tiny: losses, gradients, a padded batch, AdamW steps and the MTP loss as the
// reference implementation has them.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "formats/safetensors.h"
#include "tensor/codec.h"
#include "train/trainer.h"

namespace headgate {
namespace {

const std::string kCase = HEADGATE_SOURCE_DIR "/tests/golden/cases/q3n_tiny";

class GradientGolden : public testing::Test {
 protected:
  GradientGolden() : expected_(open_safetensors(kCase + "/golden.safetensors")) {
    config_.model_json = read_text_file(kCase + "/config.json");
    config_.precision = TrainPrecision::kF32;
    config_.loss.balance = BalanceLoss::kPooledLayers;
    config_.loss.balance_weight = 1e-3;
    config_.loss.mtp_steps = 0;
    config_.optimizer.decay_everything = true;
  }

  std::vector<float> floats(const std::string& name) const {
    const TensorEntry& entry = expected_.require(name);
    std::vector<float> out(static_cast<size_t>(entry.elements()));
    dequantize_row(entry.dtype, expected_.data(entry).data(), out.data(), entry.elements());
    return out;
  }

  TrainBatch batch() const {
    TrainBatch b;
    b.rows = 2;
    b.length = 70;
    const std::vector<float> ids = floats("train.ids"), labels = floats("train.labels");
    for (size_t i = 0; i < ids.size(); ++i) {
      b.tokens.push_back(static_cast<int32_t>(ids[i]));
      b.documents.push_back(static_cast<int32_t>(i / 70));
      b.weights.push_back(labels[i] < 0 ? 0.0f : 1.0f);
    }
    return b;
  }

  std::unique_ptr<Trainer> trainer() const {
    auto out = std::make_unique<Trainer>(config_, 2);
    out->load_weights(open_safetensors(kCase + "/model.safetensors"));
    return out;
  }

  // |got - want| / |want| of every gradient "<prefix><name>"; experts are stacked there.
  void expect_gradients(const Trainer& trainer, const std::string& prefix) const {
    int compared = 0;
    for (const TensorEntry& entry : expected_.tensors()) {
      if (!entry.name.starts_with(prefix)) continue;
      const std::vector<float> want = floats(entry.name);
      const std::vector<float> got = gradient(trainer, entry.name.substr(prefix.size()));
      ASSERT_EQ(got.size(), want.size()) << entry.name;
      double error = 0, size = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
        size += std::pow(static_cast<double>(want[i]), 2);
      }
      const bool decay = entry.name.ends_with("A_log") || entry.name.ends_with("dt_bias");
      EXPECT_LT(std::sqrt(error / size), decay ? 5e-3 : 1e-4) << entry.name;
      ++compared;
    }
    EXPECT_GT(compared, 5);
  }

  static std::vector<float> gradient(const Trainer& trainer, const std::string& name) {
    std::vector<float> out;
    const size_t experts = name.find(".experts.");
    const std::string stem =
        name.substr(0, experts == std::string::npos ? name.size() : experts + 9);
    const bool down = name.ends_with("down_proj");
    for (const TrainTensor& tensor : trainer.tensors()) {
      const bool part = experts != std::string::npos && tensor.name.starts_with(stem) &&
                        tensor.name.ends_with("down_proj.weight") == down;
      if (tensor.name == name || part) {
        out.insert(out.end(), tensor.gradient.begin(), tensor.gradient.end());
      }
    }
    return out;
  }

  TensorStore expected_;
  TrainConfig config_;
};

TEST_F(GradientGolden, LossesAndGradientsOfOneBatch) {
  const auto trained = trainer();
  const TrainBatch one = batch();
  const StepStats stats = trained->gradients({&one, 1});
  EXPECT_NEAR(stats.main_loss, floats("train.loss_ce")[0], 1e-4);
  EXPECT_NEAR(stats.balance_loss, floats("train.loss_aux")[0], 1e-4);
  EXPECT_NEAR(stats.loss, floats("train.loss")[0], 1e-4);
  EXPECT_NEAR(stats.gradient_norm / static_cast<double>(floats("train.grad_norm")[0]), 1.0, 1e-4);
  expect_gradients(*trained, "grad.");
}

TEST_F(GradientGolden, PaddingCountsNowhere) {
  TrainBatch padded = batch();
  const std::vector<float> mask = floats("train.pad_mask");
  for (size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) padded.documents[i] = -1;
  }
  const StepStats stats = trainer()->evaluate({&padded, 1});
  EXPECT_NEAR(stats.main_loss, floats("train.pad_loss_ce")[0], 1e-4);
  EXPECT_NEAR(stats.balance_loss, floats("train.pad_loss_aux")[0], 1e-4);
}

TEST_F(GradientGolden, FiveAdamwSteps) {
  const auto trained = trainer();
  const TrainBatch one = batch();
  const std::vector<float> losses = floats("train.adamw_losses"),
                           norms = floats("train.adamw_norms");
  // After the first update some tokens' experts are nearly tied, and the last bits decide: the
  // reference's own two fp32 paths differ by this much from its fp64.
  constexpr double kLoss[] = {1e-4, 2e-3, 1e-2, 3e-2, 8e-2, 8e-2};
  constexpr double kNorm[] = {1e-4, 2e-3, 2e-2, 4e-2, 0.2};
  for (size_t i = 0; i < norms.size(); ++i) {
    const StepStats stats = trained->step(one);
    EXPECT_NEAR(stats.loss, losses[i], kLoss[i]) << "step " << i;
    EXPECT_NEAR(stats.gradient_norm / static_cast<double>(norms[i]), 1.0, kNorm[i]) << i;
  }
  EXPECT_NEAR(trained->evaluate({&one, 1}).loss, losses.back(), kLoss[norms.size()]);
  for (const TrainTensor& tensor : trained->tensors()) {
    if (expected_.find("adamw5." + tensor.name) == nullptr) continue;
    const std::vector<float> want = floats("adamw5." + tensor.name);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(tensor.values[i], want[i], 3e-3) << tensor.name << " [" << i << "]";
    }
  }
}

TEST_F(GradientGolden, MtpLossOnFrozenTrunkStates) {
  config_.loss.mtp_steps = 1;
  config_.loss.mtp_weight = 1;
  config_.loss.mtp_reaches_trunk = false;
  config_.loss.balance_weight = 0;
  const auto trained = trainer();
  const TrainBatch one = batch();
  const StepStats stats = trained->gradients({&one, 1});
  EXPECT_NEAR(stats.mtp_loss[0], floats("train.mtp_loss")[0], 1e-4);
  expect_gradients(*trained, "grad_mtp.");
}

TEST_F(GradientGolden, ComputingLayersAgainChangesNoBit) {
  const TrainBatch one = batch();
  const auto kept = trainer();
  kept->gradients({&one, 1});
  config_.recompute = true;
  const auto again = trainer();
  again->gradients({&one, 1});
  const std::vector<TrainTensor> a = kept->tensors(), b = again->tensors();
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(std::equal(a[i].gradient.begin(), a[i].gradient.end(), b[i].gradient.begin()))
        << a[i].name;
  }
}

}  // namespace
}  // namespace headgate

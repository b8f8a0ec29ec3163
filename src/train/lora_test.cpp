// Adapters: what they may move, that their files give the trained model back, and their gradients.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "formats/checkpoint.h"
#include "model/adapter.h"
#include "tensor/codec.h"
#include "train/tiny_run.h"
#include "train/trainer.h"

namespace headgate {
namespace {

TrainConfig lora_run(bool experts) {
  TrainConfig config = tiny_run(4);
  config.schedule.peak_rate = 1e-2;
  config.loss.mtp_steps = 1;
  config.freeze_router = true;
  config.lora.rank = 4;
  config.lora.experts = experts;
  return config;
}

TrainBatch one_batch() {
  TrainBatch batch;
  batch.rows = 2;
  batch.length = 40;
  for (uint64_t i = 0; i < 80; ++i) {
    batch.tokens.push_back(static_cast<int32_t>(random_bits(9, 1, i) % 48));
    batch.documents.push_back(0);
    batch.weights.push_back(1.0f);
  }
  return batch;
}

// The folders of one test.
class Lora : public testing::TestWithParam<bool> {
 protected:
  Lora() : path_(testing::TempDir() + "lora-" + std::to_string(::getpid())) {
    std::filesystem::remove_all(path_);
  }
  ~Lora() override { std::filesystem::remove_all(path_); }
  std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

bool is_adapted(const std::string& name, bool experts) {
  if (name.starts_with("mtp.") || name.find("_proj") == std::string::npos) return false;
  return experts || name.find(".experts.") == std::string::npos;
}

TEST_P(Lora, OnlyAdaptedMatricesMoveAndTheLossFalls) {
  Trainer trainer(lora_run(GetParam()), 2);
  trainer.set_mtp_steps(0);
  std::vector<std::vector<float>> before;
  for (const TrainTensor& t : trainer.tensors())
    before.emplace_back(t.values.begin(), t.values.end());
  const TrainBatch batch = one_batch();
  const double first = trainer.step(batch).main_loss;
  double last = first;
  for (int i = 0; i < 30; ++i) last = trainer.step(batch).main_loss;
  EXPECT_LT(last, first - 0.3);
  size_t i = 0;
  for (const TrainTensor& t : trainer.tensors()) {
    const bool same = std::equal(t.values.begin(), t.values.end(), before[i++].begin());
    EXPECT_EQ(same, !is_adapted(t.name, GetParam())) << t.name;
  }
}

TEST_P(Lora, FilesMergedIntoTheBaseAreTheTrainedModel) {
  Trainer trainer(lora_run(GetParam()), 1);
  trainer.export_weights(at("base"), DType::kF32);
  for (int i = 0; i < 5; ++i) trainer.step(one_batch());
  trainer.export_adapter(at("adapter"), "base");
  trainer.export_weights(at("merged"), DType::kF32);
  Checkpoint base = open_checkpoint(at("base"));
  apply_adapter(base, at("adapter"));
  const Checkpoint merged = open_checkpoint(at("merged"));
  for (const TensorEntry& want : merged.tensors.tensors()) {
    const TensorEntry& got = base.tensors.require(want.name);
    ASSERT_EQ(got.dtype, DType::kF32);
    std::vector<float> a(static_cast<size_t>(want.elements())), b = a;
    dequantize_row(want.dtype, merged.tensors.data(want).data(), a.data(), want.elements());
    dequantize_row(got.dtype, base.tensors.data(got).data(), b.data(), want.elements());
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6f) << want.name;
  }
}

TEST_P(Lora, ResumeIsExact) {
  const TrainConfig config = lora_run(GetParam());
  Trainer whole(config, 2), half(config, 1), rest(config, 2);
  for (int i = 0; i < 4; ++i) whole.step(one_batch());
  for (int i = 0; i < 2; ++i) half.step(one_batch());
  half.save_checkpoint(at("state"), "here");
  EXPECT_EQ(rest.load_checkpoint(at("state")), "here");
  for (int i = 0; i < 2; ++i) rest.step(one_batch());
  const std::vector<TrainTensor> want = whole.tensors(), got = rest.tensors();
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(std::equal(want[i].values.begin(), want[i].values.end(), got[i].values.begin()))
        << want[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Lora, testing::Bool());

class Adapter : public Lora {
 protected:
  // A base and its adapter, with `config` in place of the adapter's own.
  std::string refusal(const std::string& config) {
    Trainer trainer(lora_run(false), 1);
    trainer.export_weights(at("base"), DType::kF32);
    trainer.export_adapter(at("adapter"), "base");
    write_text_file(at("adapter") + "/adapter_config.json", config);
    Checkpoint base = open_checkpoint(at("base"));
    try {
      apply_adapter(base, at("adapter"));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(Adapter, OtherMathematicsAndWrongRanksAreRefused) {
  const auto names = [&](const char* config, const char* word) {
    return refusal(config).find(word) != std::string::npos;
  };
  EXPECT_TRUE(names(R"({"peft_type": "IA3", "r": 4, "lora_alpha": 8})", "peft_type"));
  EXPECT_TRUE(
      names(R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_dora": true})", "use_dora"));
  EXPECT_TRUE(names(R"({"peft_type": "LORA", "r": 5, "lora_alpha": 8})", "lora_A"));
  EXPECT_TRUE(names(R"({"peft_type": "LORA", "r": 0, "lora_alpha": 8})", "r is 0"));
  EXPECT_TRUE(names("[]", "object"));
  EXPECT_EQ(refusal(R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8})"), "");
}

TEST(Training, AModuleThatRestsKeepsItsWeights) {
  TrainConfig config = lora_run(false);
  config.lora = {};
  Trainer trainer(config, 1);
  trainer.set_mtp_steps(0);
  std::vector<float> before;
  const auto module = [&] {
    std::vector<float> out;
    for (const TrainTensor& t : trainer.tensors())
      if (t.name.starts_with("mtp.")) out.insert(out.end(), t.values.begin(), t.values.end());
    return out;
  };
  before = module();
  trainer.step(one_batch());
  EXPECT_EQ(module(), before);
  trainer.set_mtp_steps(1);
  EXPECT_GT(trainer.step(one_batch()).mtp_loss[0], 0);
  EXPECT_NE(module(), before);
}

}  // namespace
}  // namespace headgate

// Tests of synthetic checkpoints: they load as the model they claim to be, and repeat themselves.
#include "convert/synth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace headgate {
namespace {

class SynthTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-synth-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(SynthTest, EveryPresetLoadsInBothFormats) {
  for (const SynthPreset& preset : synth_presets()) {
    for (const char* name : {"/model.gguf", "/model"}) {
      SynthOptions options;
      options.preset = preset.name;
      options.output = folder_ + name;
      options.header_only = true;
      options.mix = name[6] == '.' ? "q4_k_m" : "";
      synthesize_checkpoint(options);
      const ModelConfig config = read_model_config(open_checkpoint(options.output));
      const ModelConfig want = synth_config(options);
      EXPECT_EQ(config.family, want.family) << preset.name << name;
      EXPECT_EQ(config.layers, want.layers) << preset.name << name;
      EXPECT_EQ(config.mtp_layers, want.mtp_layers) << preset.name << name;
      EXPECT_EQ(model_size(config).parameters, model_size(want).parameters) << preset.name << name;
      std::filesystem::remove_all(options.output);
    }
  }
}

TEST_F(SynthTest, NanoRunsAndStaysFinite) {
  SynthOptions options;
  options.preset = "nano";
  options.output = folder_ + "/nano.gguf";
  options.type = DType::kQ4_K;
  options.threads = 2;
  synthesize_checkpoint(options);
  const Checkpoint checkpoint = open_checkpoint(options.output);
  const std::unique_ptr<Backend> backend = open_backend({.threads = 2});
  const std::shared_ptr<const Model> model = Model::load(checkpoint, *backend);
  StatePool pool(model->state_shape(DType::kF32), int64_t{64} << 20);
  std::optional<SequenceState> state = pool.create();
  ASSERT_TRUE(state && state->reserve(40));
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 40; ++i) tokens.push_back(i * 7 % 256);
  const BatchItem item{&*state, tokens, LogitRows::kAll};
  StepResult result;
  model->forward({&item, 1}, result);
  for (const float logit : result.logits) ASSERT_TRUE(std::isfinite(logit));
}

TEST_F(SynthTest, TheSameSeedGivesTheSameBytes) {
  SynthOptions options;
  options.preset = "nano";
  std::string files[3];
  for (int i = 0; i < 3; ++i) {
    options.output = folder_ + "/same.gguf";
    options.threads = 1 + i;
    options.seed = i == 2 ? 1 : 0;
    synthesize_checkpoint(options);
    files[i] = read_text_file(options.output);
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_NE(files[0], files[2]);
}

TEST_F(SynthTest, HeaderOnlyFilesTakeNoRoom) {
  SynthOptions options;
  options.output = folder_ + "/big.gguf";
  options.mix = "q4_k_m";
  options.header_only = true;
  const ConvertReport report = synthesize_checkpoint(options);
  EXPECT_GT(report.bytes_written, int64_t{40} << 30);
  struct stat info {};
  ASSERT_EQ(::stat(options.output.c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, int64_t{64} << 20);
}

TEST_F(SynthTest, RefusesUnknownPresets) {
  SynthOptions options;
  options.preset = "qwen9";
  options.output = folder_ + "/x.gguf";
  EXPECT_THROW(synthesize_checkpoint(options), Error);
}

}  // namespace
}  // namespace headgate

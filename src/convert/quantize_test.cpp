// Tests of mixes, quantised files and importance matrices.
#include "convert/quantize.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "convert/importance.h"
#include "convert/importance_collector.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

const std::string kCases = HEADGATE_SOURCE_DIR "/tests/golden/cases/";

MixContext context_of_the_80b() {
  MixContext c;
  c.blocks = 49;
  c.trunk_layers = 48;
  c.heads_per_kv_head = 8;
  return c;
}

DType type_in(std::string_view mix, Part part, int64_t layer, int64_t cols = 2048) {
  return choose_type(find_quant_mix(mix), context_of_the_80b(), part, layer, cols);
}

TEST(QuantMix, GivesMoreBitsToTheLayersLlamaQuantizeDoes) {
  const std::set<int64_t> more = {0,  1,  2,  3,  4,  5,  8,  11, 14, 17, 20, 23, 26,
                                  29, 32, 35, 38, 41, 42, 43, 44, 45, 46, 47, 48};
  for (int64_t layer = 0; layer < 49; ++layer) {
    const DType want = more.contains(layer) ? DType::kQ6_K : DType::kQ4_K;
    EXPECT_EQ(type_in("q4_k_m", Part::kDeltaQkv, layer), want) << layer;
    EXPECT_EQ(type_in("q4_k_m", Part::kExpertsDown, layer, 512), want) << layer;
    EXPECT_EQ(type_in("q4_k_m", Part::kExpertsUp, layer), DType::kQ4_K);
  }
}

TEST(QuantMix, FollowsTheTableOfEachMix) {
  EXPECT_EQ(type_in("q4_k_m", Part::kLmHead, 0), DType::kQ6_K);
  EXPECT_EQ(type_in("q4_k_m", Part::kEmbedding, 0), DType::kQ4_K);
  EXPECT_EQ(type_in("q4_k_s", Part::kSharedDown, 5, 512), DType::kQ5_K);
  EXPECT_EQ(type_in("q4_k_s", Part::kSharedDown, 6, 512), DType::kQ4_K);
  EXPECT_EQ(type_in("q3_k_m", Part::kValue, 3), DType::kQ4_K);
  EXPECT_EQ(type_in("q3_k_m", Part::kExpertsDown, 2, 512), DType::kQ5_K);
  EXPECT_EQ(type_in("q3_k_m", Part::kAttentionOut, 3, 4096), DType::kQ4_K);
  EXPECT_EQ(type_in("q2_k", Part::kValue, 3), DType::kQ4_K);
  EXPECT_EQ(type_in("q2_k", Part::kExpertsDown, 3, 512), DType::kQ3_K);
  EXPECT_EQ(type_in("iq4_xs", Part::kExpertsDown, 5, 512), DType::kQ5_K);
  EXPECT_EQ(type_in("iq4_xs", Part::kExpertsDown, 6, 512), DType::kIQ4_XS);
  EXPECT_EQ(type_in("mxfp4_moe", Part::kExpertsGate, 6), DType::kMXFP4);
  EXPECT_EQ(type_in("mxfp4_moe", Part::kSharedGate, 6), DType::kQ8_0);
  EXPECT_EQ(type_in("Q8_0", Part::kLmHead, 0), DType::kQ8_0);
}

TEST(QuantMix, OurMixKeepsStateAndDraftPrecise) {
  EXPECT_EQ(type_in("hg_q4", Part::kExpertsGate, 20), DType::kQ4_K);
  for (const Part part : {Part::kDeltaQkv, Part::kDeltaZ, Part::kDeltaOut, Part::kQuery, Part::kKey,
                          Part::kValue, Part::kAttentionOut, Part::kSharedDown, Part::kSharedUp}) {
    EXPECT_EQ(type_in("hg_q4", part, 20), DType::kQ8_0);
  }
  EXPECT_EQ(type_in("hg_q4", Part::kDeltaBa, 20), DType::kBF16);
  EXPECT_EQ(type_in("hg_q4", Part::kExpertsGate, 48), DType::kQ8_0);
  EXPECT_EQ(type_in("hg_q4", Part::kMtpInput, 48), DType::kQ8_0);
}

TEST(QuantMix, NeverTouchesNormsAndRouter) {
  for (const QuantMix& mix : quant_mixes()) {
    for (const Part part : {Part::kRouter, Part::kMixerNorm, Part::kFinalNorm, Part::kDeltaConv,
                            Part::kDeltaDecay, Part::kSharedScale, Part::kMtpHiddenNorm}) {
      EXPECT_EQ(type_in(mix.name, part, 3), DType::kF32) << mix.name;
    }
  }
}

TEST(QuantMix, ShortRowsFallBackToSmallBlocksThenToHalves) {
  EXPECT_EQ(type_in("q4_k_s", Part::kQuery, 9, 96), DType::kQ5_0);
  EXPECT_EQ(type_in("q5_k_s", Part::kQuery, 9, 96), DType::kQ5_1);
  EXPECT_EQ(type_in("q6_k", Part::kQuery, 9, 96), DType::kQ8_0);
  EXPECT_EQ(type_in("q2_k", Part::kQuery, 9, 96), DType::kQ4_0);
  EXPECT_EQ(type_in("iq4_xs", Part::kQuery, 9, 96), DType::kIQ4_NL);
  EXPECT_EQ(type_in("q4_k_s", Part::kQuery, 9, 40), DType::kF16);
}

TEST(QuantMix, NamesTheMixesWhenOneIsUnknown) {
  try {
    find_quant_mix("q9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("q4_k_m"), std::string::npos);
  }
}

class QuantizeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-quantize-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  QuantizeReport quantize(const std::string& input, const std::string& output,
                          const std::string& mix, int threads = 2,
                          const std::string& importance = "") const {
    QuantizeOptions options;
    options.input = input;
    options.output = path(output);
    options.mix = mix;
    options.threads = threads;
    options.importance = importance;
    return quantize_checkpoint(options);
  }

  std::string folder_;
};

TEST_F(QuantizeTest, EveryMixWritesAFileThatOpensWithItsTypes) {
  for (const QuantMix& mix : quant_mixes()) {
    const QuantizeReport report = quantize(kCases + "q3n_wide", "m.gguf", std::string(mix.name));
    const Checkpoint got = open_checkpoint(path("m.gguf"));
    EXPECT_EQ(got.gguf.integer("general.file_type"), mix.file_type);
    EXPECT_EQ(got.tensors.require("blk.0.ffn_gate_inp.weight").dtype, DType::kF32);
    int64_t bytes = 0;
    for (const TensorEntry& entry : got.tensors.tensors()) bytes += entry.bytes;
    EXPECT_EQ(report.bytes_written, bytes) << mix.name;
    EXPECT_EQ(report.total().tensors, static_cast<int64_t>(got.tensors.tensors().size()));
    const double error = report.total().relative_error();
    EXPECT_LT(error, mix.base == DType::kQ2_K   ? 0.3
                     : mix.base == DType::kQ3_K ? 0.16
                                                : 0.11)
        << mix.name;
  }
}

TEST_F(QuantizeTest, TheFileDoesNotDependOnTheThreads) {
  quantize(kCases + "q3n_wide", "one.gguf", "hg_q4", 1);
  quantize(kCases + "q3n_wide", "three.gguf", "hg_q4", 3);
  EXPECT_TRUE(read_text_file(path("one.gguf")) == read_text_file(path("three.gguf")));
}

TEST_F(QuantizeTest, TensorsThatHaveTheirTypeAreCopied) {
  quantize(kCases + "q3n_wide", "a.gguf", "q4_k_m");
  const QuantizeReport report = quantize(path("a.gguf"), "b.gguf", "q4_k_m");
  EXPECT_TRUE(report.input_was_quantized);
  EXPECT_EQ(report.total().squared_error, 0.0);
  EXPECT_TRUE(read_text_file(path("a.gguf")) == read_text_file(path("b.gguf")));
}

TEST_F(QuantizeTest, ConvertingAQuantisedFileCopiesItsBlocks) {
  quantize(kCases + "q3n_wide", "a.gguf", "q2_k");
  ConvertOptions options;
  options.input = path("a.gguf");
  options.output = path("b.gguf");
  convert_checkpoint(options);
  EXPECT_TRUE(read_text_file(path("a.gguf")) == read_text_file(path("b.gguf")));
}

TEST_F(QuantizeTest, FolderAndGgufGiveTheSameTensors) {
  quantize(kCases + "q3n_tiny", "a.gguf", "q8_0");
  quantize(kCases + "q3n_tiny/model-bf16.gguf", "b.gguf", "q8_0");
  const Checkpoint a = open_checkpoint(path("a.gguf")), b = open_checkpoint(path("b.gguf"));
  ASSERT_EQ(a.tensors.tensors().size(), b.tensors.tensors().size());
  for (const TensorEntry& entry : a.tensors.tensors()) {
    const TensorEntry& other = b.tensors.require(entry.name);
    const auto left = a.tensors.data(entry), right = b.tensors.data(other);
    EXPECT_TRUE(std::equal(left.begin(), left.end(), right.begin(), right.end())) << entry.name;
  }
}

TEST_F(QuantizeTest, CancellingLeavesNothingBehind) {
  QuantizeOptions options;
  options.input = kCases + "q3n_wide";
  options.output = path("m.gguf");
  options.progress = [](int64_t done, int64_t total) { return done < total / 2; };
  EXPECT_THROW(quantize_checkpoint(options), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

// Weighted squared error of one tensor between two files.
double weighted_error(const std::string& file, const std::string& reference,
                      const std::string& name, const std::vector<float>& weights) {
  const Checkpoint a = open_checkpoint(file), b = open_checkpoint(reference);
  const TensorEntry &ta = a.tensors.require(name), &tb = b.tensors.require(name);
  std::vector<float> x(static_cast<size_t>(ta.elements())), y(x.size());
  dequantize_row(ta.dtype, a.tensors.data(ta).data(), x.data(), ta.elements());
  dequantize_row(tb.dtype, b.tensors.data(tb).data(), y.data(), tb.elements());
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i)
    error += weights[i % weights.size()] * std::pow(static_cast<double>(x[i]) - y[i], 2);
  return error;
}

TEST_F(QuantizeTest, AnImportanceMatrixLowersTheWeightedError) {
  const std::string name = "blk.0.attn_qkv.weight";
  quantize(kCases + "q3n_wide", "reference.gguf", "f32");
  const int64_t cols = open_checkpoint(path("reference.gguf")).tensors.require(name).cols();
  std::vector<float> x(static_cast<size_t>(4 * cols));
  for (size_t i = 0; i < x.size(); ++i) {
    const auto column = static_cast<uint64_t>(i % static_cast<size_t>(cols));
    x[i] = std::exp(1.5f * random_normal(1, 1, column)) * random_normal(1, 2, i);
  }
  ImportanceMatrix matrix;
  matrix.add(name, 1, 0, cols, x);
  matrix.save(path("imatrix.gguf"), "noise", 4);
  const std::vector<float> weights = matrix.column_means(name, 0, cols);
  quantize(kCases + "q3n_wide", "plain.gguf", "q4_k_s");
  const QuantizeReport report =
      quantize(kCases + "q3n_wide", "weighted.gguf", "q4_k_s", 2, path("imatrix.gguf"));
  EXPECT_GT(report.without_importance, 0);
  EXPECT_LT(weighted_error(path("weighted.gguf"), path("reference.gguf"), name, weights),
            weighted_error(path("plain.gguf"), path("reference.gguf"), name, weights));
}

TEST_F(QuantizeTest, ImportanceMatricesSurviveTheirFile) {
  ImportanceMatrix matrix;
  matrix.add("a", 1, 0, 2, std::vector<float>{1, 2, 3, 4});
  matrix.add("e", 3, 2, 2, std::vector<float>{2, 0});
  matrix.save(path("i.gguf"), "text", 2);
  const ImportanceMatrix got = ImportanceMatrix::load(path("i.gguf"));
  EXPECT_EQ(got.column_means("a", 0, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(got.column_means("a", 7, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(got.column_means("e", 2, 2), (std::vector<float>{4, 0}));
  EXPECT_EQ(got.column_means("e", 0, 2),
            (std::vector<float>{4, 0}));  // unreached: the others' mean
  EXPECT_TRUE(got.column_means("x", 0, 2).empty());
  EXPECT_THROW(got.column_means("a", 0, 3), Error);
  EXPECT_THROW(ImportanceMatrix::load(kCases + "q3n_tiny/model-bf16.gguf"), Error);
}

TEST(ImportanceCollector, SendsEachTracedValueToTheMatricesThatReadIt) {
  ModelConfig config;
  config.hidden_size = 2;
  config.layers = 2;
  config.mixers = {Mixer::kGatedDelta, Mixer::kAttention};
  config.moe_layers = {true, false};
  config.attention.output_gate = true;
  config.delta.shape = {.key_heads = 1, .value_heads = 2, .key_dim = 2, .value_dim = 2};
  config.moe.experts = 4;
  config.moe.shared_width = 8;
  Naming naming;
  naming.trunk_layers = 2;
  ImportanceCollector collector(config, naming);
  const float x[] = {1, 2, 3, 4}, ids[] = {3, 1};
  const View two_tokens(x, 2, 2);
  collector.observe("embed", two_tokens);
  collector.observe("layer0.input_norm", two_tokens);
  collector.observe("layer0.normed", {x, 2, 2});  // one token, two heads of two
  collector.observe("layer0.post_norm", two_tokens);
  collector.observe("layer0.topk_index", {ids, 2, 1});
  collector.observe("layer1.input_norm", two_tokens);
  collector.observe("layer1.gated", two_tokens);
  collector.observe("layer1.post_norm", two_tokens);
  collector.observe("layer7.post_norm", two_tokens);
  collector.observe("layerx", two_tokens);
  collector.observe("final_norm", two_tokens);
  const ImportanceMatrix& m = collector.matrix();
  EXPECT_EQ(collector.tokens(), 2);
  EXPECT_EQ(m.column_means("blk.0.attn_qkv.weight", 0, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(m.column_means("blk.0.ssm_out.weight", 0, 4), (std::vector<float>{1, 4, 9, 16}));
  EXPECT_EQ(m.column_means("blk.0.ffn_gate_exps.weight", 3, 2), (std::vector<float>{1, 4}));
  EXPECT_EQ(m.column_means("blk.0.ffn_up_exps.weight", 1, 2), (std::vector<float>{9, 16}));
  EXPECT_EQ(m.column_means("blk.1.attn_output.weight", 0, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(m.column_means("blk.1.ffn_up.weight", 0, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(m.column_means("output.weight", 0, 2), (std::vector<float>{5, 10}));
  EXPECT_EQ(m.find("blk.7.ffn_up.weight"), nullptr);
}

}  // namespace
}  // namespace headgate

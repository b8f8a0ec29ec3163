// Tests of conversion: layouts invert each other, files equal the reference converter's, metadata
// survives.
#include "convert/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "convert/delta_layout.h"
#include "convert/metadata.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"

namespace headgate {
namespace {

const std::string kCases = HEADGATE_SOURCE_DIR "/tests/golden/cases/";

// A folder of this test's own, removed at the end.
class ConvertTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-convert-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  static ConvertReport convert(const std::string& input, const std::string& output,
                               std::optional<DType> type = std::nullopt) {
    ConvertOptions options;
    options.input = input;
    options.output = output;
    options.type = type;
    options.threads = 2;
    return convert_checkpoint(options);
  }

  std::string folder_;
};

void expect_same_tensors(const Checkpoint& got, const Checkpoint& want) {
  ASSERT_EQ(got.tensors.tensors().size(), want.tensors.tensors().size());
  for (const TensorEntry& w : want.tensors.tensors()) {
    const TensorEntry* g = got.tensors.find(w.name);
    ASSERT_NE(g, nullptr) << w.name;
    EXPECT_EQ(g->shape, w.shape) << w.name;
    ASSERT_EQ(g->dtype, w.dtype) << w.name;
    EXPECT_EQ(std::memcmp(got.tensors.data(*g).data(), want.tensors.data(w).data(),
                          static_cast<size_t>(w.bytes)),
              0)
        << w.name;
  }
}

TEST(DeltaLayout, GroupedAndFlatInvertEachOther) {
  const DeltaShape s{.key_heads = 3, .value_heads = 6, .key_dim = 4, .value_dim = 5};
  const int64_t qkv_rows = 2 * 3 * 4 + 6 * 5, rows = qkv_rows + 6 * 5;
  const RowMap qkv = qkv_from_grouped(s), z = z_from_grouped(s), grouped = grouped_from_flat(s);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t flat = grouped(row);
    EXPECT_EQ(flat < qkv_rows ? qkv(flat) : z(flat - qkv_rows), row);
  }
  // Key head 1's second value head: value head 3, after q, k and one value head of its group.
  EXPECT_EQ(qkv(2 * 12 + 3 * 5), 28 + 8 + 5);
}

TEST(DeltaLayout, TiledAndNaturalInvertEachOther) {
  const DeltaShape s{.key_heads = 4, .value_heads = 12, .key_dim = 2, .value_dim = 2};
  const RowMap tiled = tiled_from_natural(s, 10, 2), natural = natural_from_tiled(s, 10, 2);
  for (int64_t row = 0; row < 10 + 24; ++row) EXPECT_EQ(tiled(natural(row)), row);
  // Tiled head 4 is the second head of key head 0: natural head 1.
  EXPECT_EQ(tiled(10 + 4 * 2), 10 + 1 * 2);
}

TEST_F(ConvertTest, EqualsTheReferenceConverterByteForByte) {
  convert(kCases + "q3n_tiny", path("tiny.gguf"));
  expect_same_tensors(open_checkpoint(path("tiny.gguf")),
                      open_checkpoint(kCases + "q3n_tiny/model-bf16.gguf"));
}

TEST_F(ConvertTest, WritesTheReferenceMetadata) {
  convert(kCases + "q3n_tiny", path("tiny.gguf"));
  const GgufMetadata got = open_checkpoint(path("tiny.gguf")).gguf;
  const GgufMetadata want = open_checkpoint(kCases + "q3n_tiny/model-bf16.gguf").gguf;
  for (const auto& [key, value] : want.entries()) {
    if (key == "general.name") continue;
    const GgufValue* found = got.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(found->type, value.type) << key;
    if (const auto* array = std::get_if<GgufArray>(&value.value)) {
      const auto* items = std::get_if<GgufArray>(&found->value);
      ASSERT_NE(items, nullptr) << key;
      EXPECT_EQ(items->element, array->element) << key;
      if (const auto* strings = std::get_if<std::vector<std::string>>(&array->items)) {
        EXPECT_EQ(std::get<std::vector<std::string>>(items->items), *strings) << key;
      } else if (const auto* integers = std::get_if<std::vector<int64_t>>(&array->items)) {
        EXPECT_EQ(std::get<std::vector<int64_t>>(items->items), *integers) << key;
      }
    } else if (const auto* integer = std::get_if<int64_t>(&value.value)) {
      EXPECT_EQ(std::get<int64_t>(found->value), *integer) << key;
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      EXPECT_EQ(std::get<double>(found->value), *number) << key;
    } else {
      EXPECT_EQ(std::get<std::string>(found->value), std::get<std::string>(value.value)) << key;
    }
  }
}

class RoundTrip : public ConvertTest, public testing::WithParamInterface<const char*> {};

TEST_P(RoundTrip, FolderToGgufToFolderKeepsEveryTensorAndConfig) {
  const std::string source = kCases + GetParam();
  convert(source, path("a.gguf"));
  convert(path("a.gguf"), path("b"));
  const Checkpoint want = open_checkpoint(source);
  const Checkpoint got = open_checkpoint(path("b"));
  for (const TensorEntry& w : want.tensors.tensors()) {
    const TensorEntry* g = got.tensors.find(w.name);
    ASSERT_NE(g, nullptr) << w.name;
    EXPECT_EQ(g->shape, w.shape) << w.name;
  }
  EXPECT_EQ(read_text_file(path("b/config.json")), read_text_file(source + "/config.json"));
}

TEST_P(RoundTrip, GgufToFolderToGgufIsTheSameFile) {
  convert(kCases + GetParam(), path("a.gguf"));
  convert(path("a.gguf"), path("b"));
  convert(path("b"), path("c.gguf"));
  EXPECT_EQ(read_text_file(path("a.gguf")), read_text_file(path("c.gguf")));
}

INSTANTIATE_TEST_SUITE_P(Families, RoundTrip,
                         testing::Values("q3n_tiny", "q3n_wide", "q3n_yarn", "q3_dense", "q3_moe",
                                         "q35_moe"));

TEST_F(ConvertTest, ForeignGgufKeepsItsMetadataThroughAFolder) {
  const std::string source = kCases + "q3n_tiny/model-bf16.gguf";
  convert(source, path("folder"));
  convert(path("folder"), path("back.gguf"));
  // The order of tensors may change, the metadata may not.
  const Checkpoint back = open_checkpoint(path("back.gguf")), original = open_checkpoint(source);
  EXPECT_EQ(encode_gguf_header(back.gguf, {}, 32), encode_gguf_header(original.gguf, {}, 32));
  expect_same_tensors(back, original);
}

TEST_F(ConvertTest, CopyingAGgufChangesNoByte) {
  const std::string source = kCases + "q3n_tiny/model-bf16.gguf";
  convert(source, path("copy.gguf"));
  EXPECT_EQ(read_text_file(path("copy.gguf")), read_text_file(source));
}

TEST_F(ConvertTest, ConfigWrittenFromForeignMetadataIsReadAlike) {
  convert(kCases + "q3n_tiny/model-bf16.gguf", path("folder"));
  const ModelConfig got = read_model_config(open_checkpoint(path("folder")));
  const ModelConfig want = read_model_config(open_checkpoint(kCases + "q3n_tiny"));
  EXPECT_EQ(got.hidden_size, want.hidden_size);
  EXPECT_EQ(got.mixers, want.mixers);
  EXPECT_EQ(got.attention.rotary_dims, want.attention.rotary_dims);
  EXPECT_EQ(got.rope.theta, want.rope.theta);
  EXPECT_EQ(got.norm_eps, want.norm_eps);
  EXPECT_EQ(got.moe.experts_per_token, want.moe.experts_per_token);
  EXPECT_EQ(got.mtp_layers, want.mtp_layers);
}

TEST_F(ConvertTest, RefusesWhatGgufCannotHold) {
  try {
    convert(kCases + "q3n_mixed", path("mixed.gguf"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("linear_value_head_dim"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(file_exists(path("mixed.gguf")));
}

TEST_F(ConvertTest, CancellingLeavesNothingBehind) {
  ConvertOptions options;
  options.input = kCases + "q3n_tiny";
  options.output = path("cancelled.gguf");
  options.progress = [](int64_t done, int64_t total) { return done * 2 < total; };
  EXPECT_THROW(convert_checkpoint(options), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ConvertTest, SplitsAndReadsBackTheParts) {
  ConvertOptions options;
  options.input = kCases + "q3n_tiny";
  options.output = path("split.gguf");
  options.max_part_bytes = 500000;
  const ConvertReport report = convert_checkpoint(options);
  ASSERT_GT(report.files.size(), 2u);
  expect_same_tensors(open_checkpoint(report.files[1]),
                      open_checkpoint(kCases + "q3n_tiny/model-bf16.gguf"));
}

}  // namespace
}  // namespace headgate

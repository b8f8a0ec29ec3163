// GGUF reader and writer, with files that lie.
#include "formats/gguf.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "formats/checkpoint.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "formats/test_files.h"

namespace headgate {
namespace {

using test::Bytes;
using test::error_of;
using test::TemporaryFolder;

const std::string kTiny =
    std::string(HEADGATE_SOURCE_DIR) + "/tests/golden/cases/q3n_tiny/model-bf16.gguf";

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string read_error(const std::string& file) {
  return error_of([&] { open_checkpoint_memory(as_bytes(file), "m.gguf"); });
}

void expect_error(const std::string& file, const char* part) {
  const std::string message = read_error(file);
  EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

Bytes header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  Bytes b;
  b.text = "GGUF";
  b.put(version).put(tensors).put(entries);
  return b;
}

struct Info {
  std::string name = "t";
  std::vector<int64_t> ne = {32};
  uint32_t type = 0;
  uint64_t offset = 0;
};

std::string with_tensors(const std::vector<Info>& infos, size_t data_bytes) {
  Bytes b = header(infos.size(), 0);
  for (const Info& info : infos) {
    b.str(info.name).put(static_cast<uint32_t>(info.ne.size()));
    for (const int64_t n : info.ne) b.put(n);
    b.put(info.type).put(info.offset);
  }
  b.text.resize((b.text.size() + 31) / 32 * 32);
  return b.text + std::string(data_bytes, 'x');
}

TEST(Gguf, ReadsTheReferenceFile) {
  const Checkpoint checkpoint = open_checkpoint(kTiny);
  EXPECT_EQ(checkpoint.format, CheckpointFormat::kGguf);
  EXPECT_EQ(checkpoint.tensors.tensors().size(), 163u);
  EXPECT_EQ(checkpoint.gguf.text("general.architecture"), "qwen3next");
  EXPECT_EQ(checkpoint.gguf.integer("qwen3next.nextn_predict_layers"), 1);
  EXPECT_EQ(checkpoint.tensors.require("blk.0.attn_norm.weight").dtype, DType::kF32);
}

TEST(Gguf, WritesTheReferenceFileBackByteForByte) {
  const Checkpoint checkpoint = open_checkpoint(kTiny);
  TemporaryFolder folder;
  GgufWriter writer(folder.file("copy.gguf"), checkpoint.gguf);
  for (const TensorEntry& t : checkpoint.tensors.tensors())
    writer.declare(t.name, t.dtype, t.shape);
  for (const TensorEntry& t : checkpoint.tensors.tensors())
    writer.write(checkpoint.tensors.data(t));
  writer.finish();
  EXPECT_TRUE(read_text_file(folder.file("copy.gguf")) == read_text_file(kTiny));
}

TEST(Gguf, KeepsEveryValueTypeAndOrder) {
  Bytes b = header(0, 9);
  b.str("u8").put(0u).put(uint8_t{200});
  b.str("z.i16").put(3u).put(int16_t{-5});
  b.str("a.u64").put(10u).put(UINT64_MAX);
  b.str("f32").put(6u).put(0.1f);
  b.str("f64").put(12u).put(0.1);
  b.str("bool").put(7u).put(uint8_t{1});
  b.str("empty").put(9u).put(8u).put(uint64_t{0});
  b.str("bools").put(9u).put(7u).put(uint64_t{2}).put(uint8_t{1}).put(uint8_t{0});
  b.str("nested").put(9u).put(9u).put(uint64_t{1}).put(1u).put(uint64_t{1}).put(int8_t{-1});
  b.text.resize((b.text.size() + 31) / 32 * 32);
  const Checkpoint checkpoint = open_checkpoint_memory(as_bytes(b.text), "m.gguf");
  EXPECT_EQ(checkpoint.gguf.integer("z.i16"), -5);
  EXPECT_EQ(checkpoint.gguf.integers("bools"), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(encode_gguf_header(checkpoint.gguf, {}, 32) == b.text);
}

TEST(Gguf, NamesTheFaultOfABrokenHeader) {
  expect_error("", "magic");
  expect_error("GGML\3\0\0\0", "expected the magic of GGUF");
  expect_error(header(0, 0, 1).text, "version 1, expected 2 or 3");
  expect_error(header(0, 0, 0x03000000).text, "big-endian");
  expect_error(header(uint64_t{1} << 62, 0).text, "tensors: count");
  expect_error(header(0, uint64_t{1} << 62).text, "metadata: count");
  expect_error(header(0, 1).put(uint64_t{1} << 40).put(0u).put(0u).text,
               "metadata key: 8 bytes left");
  expect_error(header(0, 1).str("k").put(13u).put(0u).text, "k: value type 13");
  expect_error(header(0, 1).str("k").put(7u).put(uint8_t{2}).text, "bool 2");
  expect_error(header(0, 1).str("k").put(8u).str("\xff").text, "k: found invalid UTF-8");
  expect_error(header(0, 1).str("\xc0\xaf").put(8u).str("x").text, "invalid UTF-8");
  expect_error(header(0, 2).str("k").put(0u).put(uint8_t{1}).str("k").put(0u).put(uint8_t{1}).text,
               "key k: found twice");
  expect_error(header(0, 1).str("k").put(9u).put(10u).put(uint64_t{1} << 61).text, "k: count");
  expect_error(header(0, 1).str("general.alignment").put(4u).put(24u).text, "power of two");
  expect_error(header(0, 1).str("general.alignment").put(4u).put(0u).text, "power of two");
  Bytes deep = header(0, 1).str("k").put(9u);
  for (int i = 0; i < 100; ++i) deep.put(9u).put(uint64_t{1});
  expect_error(deep.text, "nested deeper");
}

TEST(Gguf, NamesTheTensorThatDoesNotFit) {
  EXPECT_EQ(read_error(with_tensors({{}}, 128)), "");
  expect_error(with_tensors({{}}, 127), "tensor t: 128 bytes");
  expect_error(with_tensors({{"t", {32}, 16}}, 128), "IQ2_XXS (16)");
  expect_error(with_tensors({{"t", {32}, 4}}, 128), "unknown (4)");
  expect_error(with_tensors({{"t", {32}, 0xffffffffu}}, 128), "unknown (4294967295)");
  expect_error(with_tensors({{"t", {33}, 8}}, 128), "rows of 33 elements");
  expect_error(with_tensors({{"t", {-1}, 0}}, 128), "shape [-1]");
  expect_error(with_tensors({{"t", {int64_t{1} << 40, int64_t{1} << 40}, 0}}, 128), "62 bits");
  expect_error(with_tensors({{"t", {int64_t{1} << 61}, 0}}, 128), "expected a size that fits");
  expect_error(with_tensors({{"t", {1, 1, 1, 1, 1}, 0}}, 128), "5 dimensions");
  expect_error(with_tensors({{"t", {32}, 0, 8}}, 256), "data offset 8");
  expect_error(with_tensors({{"t", {32}, 0, uint64_t{1} << 63}}, 256), "data offset");
  expect_error(with_tensors({{"t", {32}, 0, 0}, {"t", {32}, 0, 128}}, 256), "found twice");
  expect_error(with_tensors({{"a", {32}, 0, 0}, {"b", {32}, 0, 96}}, 256),
               "tensor b: starts at byte");
}

TEST(Gguf, MutatedFilesNeverCrash) {
  Bytes b = header(1, 2);
  b.str("general.architecture").put(8u).str("qwen3");
  b.str("k").put(9u).put(8u).put(uint64_t{2}).str("a").str("b");
  b.str("t").put(2u).put(int64_t{32}).put(int64_t{2}).put(8u).put(uint64_t{0});
  b.text.resize((b.text.size() + 31) / 32 * 32);
  const std::string good = b.text + std::string(68, 'x');
  ASSERT_EQ(read_error(good), "");
  for (uint64_t k = 0; k < 20000; ++k) {
    std::string file = good;
    for (uint64_t e = 0; e < 1 + random_bits(1, k, 0) % 3; ++e) {
      file[random_bits(2, k, e) % file.size()] = static_cast<char>(random_bits(3, k, e));
    }
    if (random_bits(4, k, 0) % 4 == 0) file.resize(random_bits(5, k, 0) % file.size());
    read_error(file);
  }
}

GgufMetadata small_metadata() {
  GgufMetadata metadata;
  metadata.set_text("general.architecture", "qwen3");
  metadata.set_u32("qwen3.block_count", 2);
  return metadata;
}

TEST(GgufWriter, SplitFilesOpenFromAnyPart) {
  TemporaryFolder folder;
  GgufWriter writer(folder.file("m.gguf"), small_metadata(), /*max_part_bytes=*/64);
  for (const char* name : {"a", "b", "c"}) writer.declare(name, DType::kF32, {10});
  const std::string data(120, 'd');
  writer.write(as_bytes(data));
  writer.finish();
  for (const char* name :
       {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const Checkpoint checkpoint = open_checkpoint(folder.file(name));
    EXPECT_EQ(checkpoint.tensors.tensors().size(), 3u);
    EXPECT_EQ(checkpoint.gguf.integer("qwen3.block_count"), 2);
  }
  std::filesystem::copy_file(folder.file("m-00002-of-00003.gguf"), folder.file("alone.gguf"));
  EXPECT_NE(error_of([&] { open_checkpoint(folder.file("alone.gguf")); }).find("part 2 of 3"),
            std::string::npos);
  std::filesystem::copy_file(folder.file("m-00002-of-00003.gguf"),
                             folder.file("m-00003-of-00003.gguf"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(error_of([&] { open_checkpoint(folder.file("m-00001-of-00003.gguf")); }), "");
  std::filesystem::remove(folder.file("m-00003-of-00003.gguf"));
  EXPECT_NE(error_of([&] {
              open_checkpoint(folder.file("m-00001-of-00003.gguf"));
            }).find("m-00003-of-00003.gguf"),
            std::string::npos);
}

TEST(GgufMetadata, SetReplacesInPlaceAndRemoveKeepsTheOrder) {
  GgufMetadata metadata = small_metadata();
  metadata.set_f32("x", 0.5);
  metadata.set_u32("qwen3.block_count", 3);
  metadata.remove("general.architecture");
  ASSERT_EQ(metadata.entries().size(), 2u);
  EXPECT_EQ(metadata.entries()[0].first, "qwen3.block_count");
  EXPECT_EQ(metadata.integer("qwen3.block_count"), 3);
  EXPECT_EQ(metadata.number("x"), 0.5);
  EXPECT_NE(error_of([&] { (void)metadata.text("x"); }).find("key x: found f32"),
            std::string::npos);
}

}  // namespace
}  // namespace headgate

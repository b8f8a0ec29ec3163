// Safetensors reader and writer, with files that lie.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/json.h"
#include "base/random.h"
#include "formats/safetensors_writer.h"
#include "formats/test_files.h"

namespace headgate {
namespace {

using test::error_of;
using test::safetensors;
using test::TemporaryFolder;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string read_error(const std::string& file) {
  return error_of([&] {
    TensorStore store;
    read_safetensors(store, store.add_memory("m.safetensors", as_bytes(file)));
  });
}

std::string header_error(const std::string& header, size_t data_bytes = 8) {
  return read_error(safetensors(header, std::string(data_bytes, 'x')));
}

TEST(Safetensors, ReadsNamesShapesAndBytes) {
  const std::string file = safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"I32","shape":[],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0,3],)"
      R"("data_offsets":[8,8]}})",
      "01234567abcd");
  TensorStore store;
  const SafetensorsMetadata metadata =
      read_safetensors(store, store.add_memory("m.safetensors", as_bytes(file)));
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(store.tensors().size(), 3u);
  const TensorEntry& a = store.require("a");
  EXPECT_EQ(a.dtype, DType::kBF16);
  EXPECT_EQ(a.rows(), 2);
  EXPECT_EQ(a.cols(), 2);
  EXPECT_EQ(std::memcmp(store.data(a).data(), "01234567", 8), 0);
  EXPECT_EQ(store.require("b").elements(), 1);
  EXPECT_EQ(store.require("e").elements(), 0);
  EXPECT_EQ(store.find("missing"), nullptr);
}

TEST(Safetensors, NamesTheFaultOfABrokenHeader) {
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  expect(read_error(""), "0 bytes, expected at least the 8");
  expect(read_error(test::Bytes().put(uint64_t{1} << 60).text + "{}"),
         "header of 1152921504606846976");
  expect(read_error(safetensors("[]", "")), "expected a JSON object");
  expect(header_error(R"({"a":)"), "m.safetensors");
  expect(header_error(R"({"a":1})"), "tensor a: expected an object");
  expect(header_error(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}})"), "dtype F4");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
         "8 bytes, expected 3 elements");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"), "holds -2");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"), "holds");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"), "in order");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"), "data_offsets");
  expect(header_error(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})"), "shape not found");
  expect(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
         "\"a\"");
  expect(
      header_error(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})"),
      "62 bits");
  expect(
      header_error(R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,8]}})"),
      "elements of 8 bytes");
  expect(header_error("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"),
         "m.saf");
  expect(header_error(R"({"__metadata__":{"a":1}})"), "__metadata__");
}

TEST(Safetensors, RefusesOverlapsHolesAndTrailingBytes) {
  const auto two = [](const char* first, const char* second, size_t data) {
    return header_error(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
                            R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                        data);
  };
  EXPECT_EQ(two("[0,4]", "[4,8]", 8), "");
  EXPECT_NE(two("[0,4]", "[2,6]", 8).find("tensor b: starts at data byte 2, expected 4"),
            std::string::npos);
  EXPECT_NE(two("[0,4]", "[5,9]", 9).find("starts at data byte 5"), std::string::npos);
  EXPECT_NE(two("[0,4]", "[4,8]", 9).find("9 data bytes, expected 8"), std::string::npos);
  EXPECT_NE(two("[0,4]", "[4,8]", 7).find("ends at data byte 8, but the file has 7"),
            std::string::npos);
}

TEST(Safetensors, DeeplyNestedHeadersStopEarly) {
  EXPECT_NE(header_error("{\"a\":" + std::string(100000, '[')), "");
}

TEST(Safetensors, MutatedFilesNeverCrash) {
  const std::string good = safetensors(
      R"({"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"I32","shape":[1],)"
      R"("data_offsets":[8,12]}})",
      "01234567abcd");
  ASSERT_EQ(read_error(good), "");
  for (uint64_t k = 0; k < 20000; ++k) {
    std::string file = good;
    const uint64_t edits = 1 + random_bits(1, k, 0) % 3;
    for (uint64_t e = 0; e < edits; ++e) {
      file[random_bits(2, k, e) % file.size()] = static_cast<char>(random_bits(3, k, e));
    }
    if (random_bits(4, k, 0) % 4 == 0) file.resize(random_bits(5, k, 0) % file.size());
    read_error(file);
  }
}

class ShardedFolder : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    write_text_file(folder_.file(name), text);
  }
  std::string index_error(const std::string& weight_map) {
    write("model.safetensors.index.json", R"({"weight_map":)" + weight_map + "}");
    return error_of([&] {
      TensorStore store;
      read_safetensors_index(store, folder_.file("model.safetensors.index.json"));
    });
  }
  void SetUp() override {
    write("1.safetensors",
          safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "aaaa"));
    write("2.safetensors",
          safetensors(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "bbbb"));
  }
  TemporaryFolder folder_;
};

TEST_F(ShardedFolder, JoinsItsShards) {
  EXPECT_EQ(index_error(R"({"a":"1.safetensors","b":"2.safetensors"})"), "");
}

TEST_F(ShardedFolder, NamesTheShardThatIsMissingOrLies) {
  EXPECT_NE(index_error(R"({"a":"1.safetensors","b":"3.safetensors"})")
                .find("shard 3.safetensors: not found, expected for tensor b"),
            std::string::npos);
  EXPECT_NE(index_error(R"({"a":"1.safetensors","b":"1.safetensors"})").find("tensor b: not found"),
            std::string::npos);
  EXPECT_NE(index_error(R"({"a":"2.safetensors","b":"1.safetensors"})").find("found in"),
            std::string::npos);
  write("4.safetensors",
        safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "aaaa"));
  EXPECT_NE(index_error(R"({"a":"1.safetensors","c":"4.safetensors"})").find("found twice"),
            std::string::npos);
}

TEST_F(ShardedFolder, RefusesShardsOutsideTheFolderAndIndexesThatNameIndexes) {
  for (const char* name : {"../1.safetensors", "/etc/x.safetensors", "a/../../x.safetensors",
                           "model.safetensors.index.json", "", "./1.safetensors",
                           "a//b.safetensors", "..\\1.safetensors"}) {
    json::object map;
    map["a"] = name;
    EXPECT_NE(index_error(dump_json(json::value(map))).find("inside the folder"), std::string::npos)
        << name;
  }
  EXPECT_NE(index_error("[]"), "");
  EXPECT_NE(index_error("{}"), "");
  EXPECT_NE(index_error(R"({"a":1})").find("expected a file name"), std::string::npos);
}

TEST(SafetensorsWriter, ShardsStreamAndReadBack) {
  TemporaryFolder folder;
  SafetensorsWriter writer(folder.path(), /*max_part_bytes=*/10);
  writer.declare("x", DType::kF32, {2});
  writer.declare("y", DType::kU8, {3});
  writer.declare("empty", DType::kF32, {0, 4});
  writer.declare("z", DType::kBF16, {2, 2});
  const std::string data = "0123456789abcdefghi";
  for (size_t i = 0; i < data.size(); i += 5) {
    writer.write(as_bytes(data).subspan(i, std::min<size_t>(5, data.size() - i)));
  }
  EXPECT_FALSE(file_exists(folder.file("model.safetensors.index.json")));
  writer.finish();
  TensorStore store;
  read_safetensors_index(store, folder.file("model.safetensors.index.json"));
  EXPECT_EQ(store.paths().size(), 3u);
  EXPECT_EQ(std::memcmp(store.data(store.require("x")).data(), "01234567", 8), 0);
  EXPECT_EQ(std::memcmp(store.data(store.require("y")).data(), "89a", 3), 0);
  EXPECT_EQ(std::memcmp(store.data(store.require("z")).data(), "bcdefghi", 8), 0);
  std::byte part[2];
  store.read(store.require("z"), 3, part);
  EXPECT_EQ(static_cast<char>(part[0]), 'e');
}

TEST(SafetensorsWriter, LeavesNothingBehindWithoutFinish) {
  TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder.path());
    writer.declare("x", DType::kU8, {4});
    writer.skip(2);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, RefusesTypesThatSafetensorsLacksAndNamesUsedTwice) {
  TemporaryFolder folder;
  SafetensorsWriter writer(folder.path());
  EXPECT_NE(error_of([&] { writer.declare("x", DType::kQ4_K, {256}); }).find("q4_k"),
            std::string::npos);
  writer.declare("x", DType::kU8, {4});
  writer.declare("x", DType::kU8, {4});
  EXPECT_NE(error_of([&] { writer.skip(8); }).find("declared twice"), std::string::npos);
}

TEST(Safetensors, ReadsAHeaderOfEightyThousandTensors) {
  TemporaryFolder folder;
  SafetensorsWriter writer(folder.path());
  for (int i = 0; i < 80000; ++i) {
    writer.declare("model.layers." + std::to_string(i % 48) + ".mlp.experts." + std::to_string(i) +
                       ".gate_proj.weight",
                   DType::kBF16, {512, 2048});
  }
  for (int i = 0; i < 80000; ++i) writer.skip(2 * 512 * 2048);
  writer.finish();
  EXPECT_EQ(open_safetensors(folder.file("model.safetensors")).tensors().size(), 80000u);
}

}  // namespace
}  // namespace headgate

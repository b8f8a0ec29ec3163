// Packed side files: written, read back, and refused when anything about them is wrong.
#include "model/packed_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/random.h"

namespace headgate {
namespace {

class PackedFile : public testing::Test {
 protected:
  PackedFile()
      : folder_(testing::TempDir() + "headgate_packed_" + std::to_string(::getpid())),
        path_(folder_ + "/model.hgpacked") {
    for (uint64_t i = 0; i < 3; ++i) {
      weights_[i].resize(5000 + 4096 * i);
      for (size_t at = 0; at < weights_[i].size(); ++at)
        weights_[i][at] = static_cast<std::byte>(random_bits(1, i, at));
    }
  }
  ~PackedFile() override { std::filesystem::remove_all(folder_); }

  void write(uint64_t identity = 7) const {
    PackedWriter writer(path_, identity);
    for (uint64_t i = 0; i < 3; ++i) writer.put(100 + i, weights_[i]);
    ASSERT_TRUE(writer.finish());
  }

  // The message of opening the file, empty when it opens.
  std::string refusal(uint64_t identity = 7) const {
    try {
      const PackedReader reader(path_, identity, 2);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  std::string bytes() const { return read_text_file(path_); }

  std::string folder_, path_;
  std::vector<std::byte> weights_[3];
};

TEST_F(PackedFile, GivesBackWhatWasWritten) {
  write();
  PackedReader reader(path_, 7, 2);
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(reader.complete());
    const std::span<const std::byte> got =
        reader.take(100 + i, static_cast<int64_t>(weights_[i].size()));
    ASSERT_EQ(got.size(), weights_[i].size());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(got.data()) % 4096, 0u);
    EXPECT_EQ(std::memcmp(got.data(), weights_[i].data(), got.size()), 0);
  }
  EXPECT_TRUE(reader.complete());
  EXPECT_TRUE(reader.take(103, 1).empty());
  EXPECT_FALSE(reader.complete());
}

TEST_F(PackedFile, OtherWeightsAreNotTaken) {
  write();
  PackedReader reader(path_, 7, 1);
  EXPECT_TRUE(reader.take(101, static_cast<int64_t>(weights_[0].size())).empty());
  // One mismatch spoils the rest: the order tells weights apart.
  EXPECT_TRUE(reader.take(100, static_cast<int64_t>(weights_[0].size())).empty());
  EXPECT_FALSE(reader.complete());
  PackedReader again(path_, 7, 1);
  EXPECT_TRUE(again.take(100, 4999).empty());
}

TEST_F(PackedFile, AnotherStateOfTheModelIsRefused) {
  write();
  EXPECT_EQ(refusal(7), "");
  EXPECT_NE(refusal(8).find("another state of the model"), std::string::npos);
}

TEST_F(PackedFile, EveryDamagedByteIsNoticed) {
  write();
  const std::string good = bytes();
  for (size_t at = 0; at < good.size(); at += at < 64 || at + 128 > good.size() ? 1 : 997) {
    // Padding between weights is the one place where nothing is lost.
    if (at >= 64 && at < 4096) continue;
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    write_text_file(path_, bad);
    const bool padding = (at >= 4096 + 5000 && at < 12288) || (at >= 12288 + 9096 && at < 24576) ||
                         (at >= 24576 + 13192 && at < 40960);
    EXPECT_EQ(refusal().empty(), padding) << at;
  }
}

TEST_F(PackedFile, TruncatedFilesAreRefused) {
  write();
  const std::string good = bytes();
  for (const size_t size :
       {size_t{0}, size_t{63}, size_t{4095}, size_t{4096}, good.size() / 2, good.size() - 1}) {
    write_text_file(path_, std::string_view(good).substr(0, size));
    EXPECT_NE(refusal(), "") << size;
  }
  write_text_file(path_, good + "x");
  EXPECT_NE(refusal(), "");
}

// With checksums that are right, every field is still checked against the file.
TEST_F(PackedFile, HostileFieldsAreRefused) {
  write();
  const std::string good = bytes();
  const auto refused = [&](size_t at, uint64_t value) {
    std::string bad = good;
    std::memcpy(bad.data() + at, &value, sizeof value);
    seal_packed_index(std::as_writable_bytes(std::span(bad.data(), bad.size())));
    try {
      parse_packed_index(std::as_bytes(std::span(bad.data(), bad.size())), "bad");
    } catch (const Error& e) {
      return e.code() == ErrorCode::kInvalidFile;
    }
    return false;
  };
  const size_t index = good.size() - 3 * 32;
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{4097}, uint64_t{1} << 40,
                               ~uint64_t{0}, ~uint64_t{0} - 4095}) {
    EXPECT_TRUE(refused(24, value)) << "records " << value;
    EXPECT_TRUE(refused(32, value)) << "index offset " << value;
    EXPECT_TRUE(refused(40, value)) << "file bytes " << value;
    EXPECT_TRUE(refused(index + 32 + 8, value)) << "offset " << value;
    if (value > 10000) {
      EXPECT_TRUE(refused(index + 16, value)) << "bytes " << value;
    }
  }
}

TEST_F(PackedFile, AnUnwritableFolderOnlyCostsTheFile) {
  write_text_file(testing::TempDir() + "headgate_not_a_folder", "x");
  PackedWriter writer(testing::TempDir() + "headgate_not_a_folder/sub/model.hgpacked", 1);
  writer.put(1, weights_[0]);
  EXPECT_FALSE(writer.finish());
}

TEST_F(PackedFile, AnUnfinishedWriterLeavesNothing) {
  { PackedWriter(path_, 7).put(1, weights_[0]); }
  EXPECT_FALSE(file_exists(path_));
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace headgate

// Weights placed out of files are those placed out of memory, on any number of threads and nodes.
#include "backend/cpu/placement.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "backend/cpu/stream_reader.h"
#include "base/error.h"
#include "base/file.h"
#include "base/random.h"

namespace headgate {
namespace {

class Placing : public testing::Test {
 protected:
  Placing() : path_(testing::TempDir() + "headgate_placing_" + std::to_string(::getpid())) {
    bytes_.resize(size_t{11} << 20);
    for (size_t i = 0; i + 8 <= bytes_.size(); i += 8) {
      const uint64_t bits = random_bits(1, 0, i);
      std::memcpy(bytes_.data() + i, &bits, 8);
    }
    OutputFile file(path_);
    file.write(bytes_);
    file.commit();
  }
  ~Placing() override { std::filesystem::remove(path_); }

  // A matrix of q8_0 or bf16 rows from byte `offset` of the file.
  MatrixSource source(DType dtype, int64_t rows, int64_t cols, int64_t offset) const {
    MatrixSource s;
    s.dtype = dtype;
    s.rows = rows;
    s.cols = cols;
    s.bytes = std::span(bytes_).subspan(static_cast<size_t>(offset),
                                        static_cast<size_t>(rows * row_bytes(dtype, cols)));
    s.file_offset = offset;
    return s;
  }

  // What placing all of them gives, one after the other.
  static std::vector<HugeBuffer> place(std::vector<MatrixSource> sources, const StreamFile* file,
                                       ThreadPool& pool) {
    std::vector<WeightView> views;
    std::vector<HugeBuffer> memory;
    for (MatrixSource& s : sources) {
      s.file = file;
      views.push_back(plan_weights(s, {}));
      memory.emplace_back(placed_bytes(views.back(), s));
    }
    std::vector<Placement> list;
    for (size_t i = 0; i < sources.size(); ++i)
      list.push_back({&views[i], &sources[i], memory[i].data()});
    place_weights(list, pool);
    return memory;
  }

  static void expect_same(const std::vector<HugeBuffer>& a, const std::vector<HugeBuffer>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(a[i].bytes(), b[i].bytes());
      EXPECT_EQ(std::memcmp(a[i].data(), b[i].data(), static_cast<size_t>(a[i].bytes())), 0) << i;
    }
  }

  // Neighbours, gaps, parts of a tile, rows beyond one request, out of order.
  std::vector<MatrixSource> many() const {
    const int64_t row = row_bytes(DType::kQ8_0, 256);
    std::vector<MatrixSource> list = {source(DType::kQ8_0, 40, 256, 40 * row + 3),
                                      source(DType::kQ8_0, 40, 256, 3),
                                      source(DType::kQ8_0, 20000, 256, 100000),
                                      source(DType::kBF16, 33, 96, 9000001),
                                      source(DType::kQ8_0, 1, 32, 10),
                                      source(DType::kQ8_0, 50, 256, 6000000)};
    return list;
  }

  std::string path_;
  std::vector<std::byte> bytes_;
};

TEST_F(Placing, FilesGiveWhatMemoryGives) {
  ThreadPool one(1);
  const std::vector<HugeBuffer> want = place(many(), nullptr, one);
  for (const bool direct : {false, true}) {
    const StreamFile file(path_, direct);
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      expect_same(place(many(), &file, pool), want);
    }
  }
}

TEST_F(Placing, SeveralNodesGiveTheSame) {
  Topology topology;
  topology.nodes = 2;
  topology.cores = {{9000, 0}, {9001, 0}, {9002, 1}, {9003, 1}};  // refused by the kernel
  topology.cpus = {9000, 9001, 9002, 9003};
  ThreadPool pool(ThreadPoolOptions{4, false, &topology});
  ThreadPool one(1);
  const StreamFile file(path_, false);
  expect_same(place(many(), &file, pool), place(many(), nullptr, one));
}

TEST_F(Placing, RowsInAnOrderOfTheirOwn) {
  std::vector<int64_t> order;
  for (int64_t r = 0; r < 37; ++r) order.push_back(r * 11 % 64);
  std::vector<MatrixSource> list = {source(DType::kQ8_0, 64, 256, 4099),
                                    source(DType::kBF16, 64, 64, 77)};
  for (MatrixSource& s : list) {
    s.rows = 37;
    s.row_order = order;
  }
  ThreadPool pool(2);
  const StreamFile file(path_, true);
  expect_same(place(list, &file, pool), place(list, nullptr, pool));
}

TEST_F(Placing, AFileThatEndsEarlyIsAnError) {
  std::filesystem::resize_file(path_, 5 << 20);
  ThreadPool pool(2);
  for (const bool direct : {false, true}) {
    const StreamFile file(path_, direct);
    EXPECT_THROW(place(many(), &file, pool), Error);
    EXPECT_THROW(place({source(DType::kQ8_0, 16, 256, 7 << 20)}, &file, pool), Error);
  }
}

TEST_F(Placing, ReadersStopWhenTheirUserDoes) {
  const StreamFile file(path_, false);
  std::vector<Extent> extents;
  for (int64_t i = 0; i < 100; ++i) extents.push_back({&file, i * 1000, 5000});
  for (int taken = 0; taken < 8; ++taken) {
    StreamReader reader(extents);
    for (int i = 0; i < taken; ++i) {
      const std::span<const std::byte> got = reader.next();
      ASSERT_EQ(got.size(), 5000u);
      EXPECT_EQ(std::memcmp(got.data(), bytes_.data() + i * 1000, got.size()), 0);
    }
  }
}

}  // namespace
}  // namespace headgate

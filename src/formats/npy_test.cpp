// .npy files: what NumPy expects, and files that lie.
#include "formats/npy.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "formats/test_files.h"

namespace headgate {
namespace {

TEST(Npy, WritesTheHeaderNumpyWrites) {
  test::TemporaryFolder folder;
  NpyWriter writer(folder.file("a.npy"), {2, 3});
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  writer.write(std::span(values).first(4));
  writer.write(std::span(values).subspan(4));
  writer.finish();
  const std::string text = read_text_file(folder.file("a.npy"));
  EXPECT_EQ(text.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(text.substr(10, 59), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  EXPECT_EQ(text.size(), 128u + 24u);
  const NpyArray array = read_npy(folder.file("a.npy"));
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(array.values, values);
}

TEST(Npy, MutatedFilesNeverCrash) {
  test::TemporaryFolder folder;
  NpyWriter writer(folder.file("a.npy"), {3});
  writer.write(std::vector<float>{1, 2, 3});
  writer.finish();
  const std::string good = read_text_file(folder.file("a.npy"));
  for (uint64_t k = 0; k < 100; ++k) {
    std::string file = good;
    file[random_bits(2, k, 0) % file.size()] = static_cast<char>(random_bits(3, k, 0));
    if (k % 4 == 0) file.resize(random_bits(5, k, 0) % file.size());
    write_text_file(folder.file("b.npy"), file);
    test::error_of([&] { read_npy(folder.file("b.npy")); });
  }
}

}  // namespace
}  // namespace headgate

// NumPy .npy files of fp32 arrays.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace headgate {

// Streams an array of a shape known beforehand, row-major. The file appears in finish().
class NpyWriter {
 public:
  NpyWriter(const std::string& path, std::vector<int64_t> shape);
  void write(std::span<const float> values);
  void finish();  // every value must have been written (HEADGATE_CHECK)

 private:
  OutputFile out_;
  int64_t left_ = 1;
};

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;  // row-major
};

// Reads little-endian float32 in C order, versions 1 to 3. Throws kInvalidFile or kUnsupported.
NpyArray read_npy(const std::string& path);

}  // namespace headgate

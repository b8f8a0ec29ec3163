// Rows of stored tensors as fp32, regrouped and transformed on the way: what one output tensor is
// made of.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "formats/tensor_store.h"
#include "formats/tensor_writer.h"

namespace headgate {

enum class ValueTransform : uint8_t {
  kCopy,
  kPlusOne,   // zero-centred norm weight to plain
  kMinusOne,  // and back
  kMinusExp,  // A_log to -exp(A_log)
  kLogMinus   // and back
};

// Output row r is source row row_map(r) of the tensors in `parts`, stacked along their rows; output
// column c is source column column_map[c]. Empty maps are the identity.
struct RowSource {
  std::vector<const TensorEntry*> parts;  // same number of columns each
  std::function<int64_t(int64_t)> row_map;
  std::vector<int64_t> column_map;
  ValueTransform transform = ValueTransform::kCopy;
};

// A tensor of the output file.
struct PlannedTensor {
  std::string name;
  std::vector<int64_t> shape;  // row-major, outermost first
  bool matrix = false;         // true: its type may be chosen; false: kept exact (F32 in GGUF)
  RowSource source;

  int64_t rows() const;
  int64_t cols() const;
  int64_t source_bytes() const;
};

// Reads rows [first, first + count) of a planned tensor as fp32 [count, cols]. F8 tensors are
// scaled by their
// `<name>_scale_inv`. Decoding is spread over the pool. Throws kInvalidFile naming the tensor.
void read_rows(const TensorStore& store, const PlannedTensor& tensor, int64_t first, int64_t count,
               ThreadPool& pool, float* out);

// True when the stored bytes of the source are those of the output: one tensor, nothing moved or
// changed.
bool is_plain_copy(const PlannedTensor& tensor, DType type);

// Streams a whole tensor into `writer` as `type`, in pieces of a few MiB.
void write_tensor(const TensorStore& store, const PlannedTensor& tensor, DType type,
                  ThreadPool& pool, TensorWriter& writer);

// The sources of one tensor are not needed again: their pages go back to the kernel.
void release_sources(const TensorStore& store, const PlannedTensor& tensor);

}  // namespace headgate

// Dense products of fp32 matrices, alone or many at a time: what training multiplies with.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cpu_info.h"
#include "base/thread_pool.h"

namespace headgate {

// 32-bit words on cache lines; contents are lost when more are taken than ever before.
class ProductWords {
 public:
  uint32_t* take(int64_t count) {
    const auto lines = static_cast<size_t>((count + 15) / 16);
    if (lines > lines_.size()) {
      lines_.clear();
      lines_.resize(lines + lines / 4);
    }
    return data();
  }
  uint32_t* data() { return reinterpret_cast<uint32_t*>(lines_.data()); }
  const uint32_t* data() const { return reinterpret_cast<const uint32_t*>(lines_.data()); }

 private:
  struct alignas(64) Line {
    uint32_t words[16];
  };
  std::vector<Line> lines_;
};

// A right-hand matrix as the tiles read it, for several products with it: MatrixProducts::pack.
struct PackedRight {
  int64_t n = 0, k = 0;
  bool bf16 = false;
  ProductWords words;
};

// c[i][j] = sum_k a(i, k) b(k, j), or c += with `add`; a(i, k) = a[i * a_row + k * a_step] and
// b(k, j) = b[k * b_step + j * b_column]. One stride of each of a and b is 1.
struct MatrixProduct {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_step = 1;
  const float* b = nullptr;
  int64_t b_step = 1, b_column = 0;
  float* c = nullptr;
  int64_t c_row = 0;
  bool add = false;
  const PackedRight* packed = nullptr;  // b, packed before
};

// Sums are fp32, in an order that depends on k alone: neither m, n, the other products of a call
// nor the threads change an element's bits. Thread rule: run() and pack() as ThreadPool::run;
// run_here() from inside a task, with that task's worker.
class MatrixProducts {
 public:
  MatrixProducts(ThreadPool& pool, Isa isa);
  ~MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;

  // True when products of bf16 inputs have kernels here.
  bool has_bf16() const;
  // All products; outputs must not overlap. `bf16` rounds a and b to bf16 (nearest even) first, if
  // has_bf16().
  void run(std::span<const MatrixProduct> products, bool bf16);
  // The b of `product` for later calls of run() with the same `bf16`.
  void pack(const MatrixProduct& product, bool bf16, PackedRight& to);
  // One product on the calling thread, fp32.
  void run_here(const MatrixProduct& product, int worker);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

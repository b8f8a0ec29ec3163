// Dense products of fp32 matrices, alone or many at a time: what training multiplies with.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/cpu_info.h"
#include "base/thread_pool.h"

namespace headgate {

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
};

// Sums are fp32, in an order that depends on k alone: neither m, n, the other products of a call
// nor the threads change an element's bits. Thread rule: run() as ThreadPool::run; run_here() from
// inside a task, with that task's worker.
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
  // One product on the calling thread, fp32.
  void run_here(const MatrixProduct& product, int worker);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

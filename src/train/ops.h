// The arithmetic that layers are written in: buffers, blocks of rows, matrix products. In float it
// runs on the machine's kernels; in double it is plain loops, so that differences quotients can
// check every layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/view.h"

namespace headgate {

class MatrixProducts;
struct PackedRight;

template <typename T>
using In = MatrixView<const T>;
template <typename T>
using Out = MatrixView<T>;

// Memory on cache lines that only grows; contents are lost when it does.
template <typename T>
class Buffer {
 public:
  Out<T> shape(int64_t rows, int64_t cols) {
    const auto lines = static_cast<size_t>((rows * cols * int64_t{sizeof(T)} + 63) / 64);
    if (lines > lines_.size()) {
      lines_.clear();
      lines_.resize(lines);
    }
    view_ = {reinterpret_cast<T*>(lines_.data()), rows, cols};
    return view_;
  }
  Out<T> zeros(int64_t rows, int64_t cols) {
    shape(rows, cols);
    for (int64_t i = 0; i < rows * cols; ++i) view_.data[i] = T(0);
    return view_;
  }
  const Out<T>& view() const { return view_; }
  T* data() const { return view_.data; }
  int64_t capacity() const { return static_cast<int64_t>(lines_.size() * 64 / sizeof(T)); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
  Out<T> view_;
};

// Vectors of `width` at head h of row r: columns of one head inside a wider matrix.
template <typename T>
struct Heads {
  T* data = nullptr;
  int64_t rows = 0, heads = 1, width = 0, row_stride = 0, head_stride = 0;

  Heads() = default;
  Heads(T* d, int64_t r, int64_t h, int64_t w, int64_t rs, int64_t hs)
      : data(d), rows(r), heads(h), width(w), row_stride(rs), head_stride(hs) {}
  Heads(MatrixView<T> m)  // NOLINT(google-explicit-constructor): one head
      : data(m.data), rows(m.rows), width(m.cols), row_stride(m.stride) {}
  Heads(MatrixView<T> m, int64_t h)  // `h` heads side by side
      : data(m.data),
        rows(m.rows),
        heads(h),
        width(m.cols / h),
        row_stride(m.stride),
        head_stride(m.cols / h) {}
  operator Heads<const T>() const {  // NOLINT(google-explicit-constructor)
    return {data, rows, heads, width, row_stride, head_stride};
  }
  T* at(int64_t row, int64_t head) const { return data + row * row_stride + head * head_stride; }
};

// c = op(a) op(b), or c += with `add`.
enum class Form : uint8_t {
  kNT,  // a [m, k], b [n, k]: activations times stored weights
  kNN,  // a [m, k], b [k, n]
  kTN   // a [k, m], b [k, n]: gradients of weights
};

template <typename T>
struct Product {
  Form form = Form::kNT;
  In<T> a, b;
  Out<T> c;
  bool add = false;
  const PackedRight* packed = nullptr;  // b by Ops::pack
};

// Thread rule: as ThreadPool. Every sum has one order, fixed by the shapes.
template <typename T>
class Ops {
 public:
  // `bf16`: products marked rounded multiply bf16 copies of their inputs, where the machine can.
  Ops(ThreadPool& pool, bool bf16);
  ~Ops();
  Ops(const Ops&) = delete;
  Ops& operator=(const Ops&) = delete;

  ThreadPool& pool() const { return pool_; }

  // f(first, count) on blocks of rows; the blocks do not depend on the threads.
  template <typename F>
  void rows(int64_t n, const F& f) const {
    const int64_t blocks = (n + kRowBlock - 1) / kRowBlock;
    pool_.run(blocks, [&](int64_t block, int) {
      const int64_t first = block * kRowBlock;
      f(first, first + kRowBlock <= n ? kRowBlock : n - first);
    });
  }

  // sums[width] += what f(first, count, partial[width]) adds up over all blocks of rows, block by
  // block in order. `partial` starts at zero.
  template <typename F>
  void reduce_rows(int64_t n, int64_t width, T* sums, const F& f) {
    const int64_t blocks = (n + kRowBlock - 1) / kRowBlock;
    const Out<T> partial = partial_.zeros(blocks, width);
    rows(n, [&](int64_t first, int64_t count) { f(first, count, partial.row(first / kRowBlock)); });
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t i = 0; i < width; ++i) sums[i] += partial.row(block)[i];
    }
  }

  // The stock behind Borrowed: the smallest buffer of at least `count` values, or the largest.
  Buffer<T> take(int64_t count);
  void give(Buffer<T>&& buffer) { stock_.push_back(std::move(buffer)); }

  // Large products, spread over the pool. `rounded` allows bf16 inputs.
  void product(const Product<T>& product, bool rounded) { products({&product, 1}, rounded); }
  void products(std::span<const Product<T>> products, bool rounded);
  // The b of several products to come, to be packed once; null in double. Lives until the next
  // call with the same `slot`, 0 or 1.
  const PackedRight* pack(Form form, In<T> b, bool rounded, int slot);
  // A small exact product on the calling worker, from inside a task.
  void product_here(const Product<T>& product, int worker);

  static constexpr int64_t kRowBlock = 64;

 private:
  ThreadPool& pool_;
  bool bf16_;
  std::unique_ptr<MatrixProducts> fast_;  // float only
  std::unique_ptr<PackedRight> packed_[2];
  Buffer<T> partial_;
  std::vector<Buffer<T>> stock_;
};

// A buffer for the time of a function, from the stock of its Ops: fresh memory would be zeroed by
// the system page by page in every layer of every step. Not for use inside tasks.
template <typename T>
class Borrowed {
 public:
  explicit Borrowed(Ops<T>& ops) : ops_(ops) {}
  ~Borrowed() {
    if (buffer_.capacity() > 0) ops_.give(std::move(buffer_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  Out<T> shape(int64_t rows, int64_t cols) {
    if (buffer_.capacity() < rows * cols) {
      Buffer<T> better = ops_.take(rows * cols);
      std::swap(buffer_, better);
      if (better.capacity() > 0) ops_.give(std::move(better));
    }
    return buffer_.shape(rows, cols);
  }
  Out<T> zeros(int64_t rows, int64_t cols) {
    shape(rows, cols);
    return buffer_.zeros(rows, cols);
  }
  const Out<T>& view() const { return buffer_.view(); }
  T* data() const { return buffer_.data(); }

 private:
  Ops<T>& ops_;
  Buffer<T> buffer_;
};

}  // namespace headgate

// A stack of fp32 memory for the intermediate values of one step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "tensor/view.h"

namespace headgate {

// Grows while the first steps run; from then on taking and giving back is moving a number. Memory
// is not cleared: whoever takes it writes it first.
class ScratchStack {
 public:
  // A dense matrix [rows, cols], 64-byte aligned, valid until the enclosing ScratchScope ends.
  MutView take(int64_t rows, int64_t cols) {
    HEADGATE_CHECK(rows >= 0 && cols >= 0);
    const int64_t count = (rows * cols + kAlign - 1) / kAlign * kAlign;
    while (block_ < blocks_.size() && blocks_[block_].size - used_ < count) next_block();
    if (block_ == blocks_.size()) add_block(count);
    float* data = blocks_[block_].first + used_;
    used_ += count;
    return {data, rows, cols};
  }

  // Between steps: one block for everything, so that later steps need no other.
  void merge() {
    HEADGATE_CHECK(block_ == 0 && used_ == 0);
    if (blocks_.size() < 2) return;
    int64_t total = 0;
    for (const Block& b : blocks_) total += b.size;
    blocks_.clear();
    add_block(total);
    block_ = 0;
  }

 private:
  friend class ScratchScope;
  static constexpr int64_t kAlign = 16;                // floats
  static constexpr int64_t kLeast = int64_t{1} << 16;  // floats of a block

  struct Block {
    std::unique_ptr<float[]> memory;
    float* first;
    int64_t size;
  };

  void next_block() {
    ++block_;
    used_ = 0;
  }

  void add_block(int64_t count) {
    const int64_t size = std::max(count, kLeast);
    Block b{std::make_unique_for_overwrite<float[]>(static_cast<size_t>(size + kAlign)), nullptr,
            size};
    const auto address = reinterpret_cast<uintptr_t>(b.memory.get());
    const uintptr_t bytes = kAlign * sizeof(float);
    b.first = b.memory.get() + ((bytes - address % bytes) % bytes) / sizeof(float);
    blocks_.push_back(std::move(b));
    block_ = blocks_.size() - 1;
    used_ = 0;
  }

  std::vector<Block> blocks_;
  size_t block_ = 0;  // the one in use
  int64_t used_ = 0;  // floats of it
};

// Everything taken while it lives is given back when it ends.
class ScratchScope {
 public:
  explicit ScratchScope(ScratchStack& stack)
      : stack_(stack), block_(stack.block_), used_(stack.used_) {}
  ~ScratchScope() {
    stack_.block_ = block_;
    stack_.used_ = used_;
  }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  ScratchStack& stack_;
  size_t block_;
  int64_t used_;
};

}  // namespace headgate

// Reference-counted buffers of one size, named by strong ids: the pages and slots of a state pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "backend/cpu/huge_buffer.h"
#include "base/error.h"

namespace headgate {

enum class PageId : int32_t {};    // a KV page of all attention layers
enum class SlotId : int32_t {};    // the recurrent states of all recurrent layers
enum class PackedId : int32_t {};  // the same in less memory

// Buffers come back to the pool when their last reference is dropped, and keep their memory for the
// next taker until trim(). Memory is 64-byte aligned, in huge pages where it is large; new memory
// is zero, reused memory holds what was last written.
template <typename Id>
class FramePool {
 public:
  explicit FramePool(int64_t frame_bytes) : frame_bytes_(frame_bytes) {}

  int64_t frame_bytes() const { return frame_bytes_; }
  int64_t live() const { return live_; }  // frames in use
  int64_t live_bytes() const { return live_ * frame_bytes_; }
  int64_t resident_bytes() const { return resident_ * frame_bytes_; }  // in use or kept
  bool has_kept() const { return !kept_.empty(); }

  // A frame with one reference.
  Id take() {
    if (kept_.empty()) {
      if (empty_.empty()) {
        empty_.push_back(static_cast<Id>(frames_.size()));
        frames_.emplace_back();
      }
      Frame& fresh = frame(empty_.back());
      fresh.memory = HugeBuffer(frame_bytes_);
      ++resident_;
      kept_.push_back(empty_.back());
      empty_.pop_back();
    }
    const Id id = kept_.back();
    kept_.pop_back();
    frame(id).references = 1;
    ++live_;
    return id;
  }

  void share(Id id) {
    HEADGATE_CHECK(frame(id).references > 0);
    ++frame(id).references;
  }

  void drop(Id id) {
    HEADGATE_CHECK(frame(id).references > 0);
    if (--frame(id).references > 0) return;
    kept_.push_back(id);
    --live_;
  }

  bool is_shared(Id id) const { return frame(id).references > 1; }
  std::byte* data(Id id) const { return frame(id).memory.data(); }

  // Gives the memory of unused frames back to the system.
  void trim() {
    for (const Id id : kept_) {
      frame(id).memory = HugeBuffer();
      --resident_;
      empty_.push_back(id);
    }
    kept_.clear();
  }

 private:
  struct Frame {
    HugeBuffer memory;
    int32_t references = 0;
  };
  Frame& frame(Id id) { return frames_[static_cast<size_t>(id)]; }
  const Frame& frame(Id id) const { return frames_[static_cast<size_t>(id)]; }

  int64_t frame_bytes_;
  int64_t live_ = 0, resident_ = 0;
  std::vector<Frame> frames_;
  std::vector<Id> kept_;   // unused, with memory
  std::vector<Id> empty_;  // unused, without memory
};

using PagePool = FramePool<PageId>;
using SlotPool = FramePool<SlotId>;
using PackedPool = FramePool<PackedId>;

}  // namespace headgate

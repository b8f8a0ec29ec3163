// A ring of buffers between reader threads and one consumer.
#include "backend/cpu/stream_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/topology.h"

namespace headgate {
namespace {

// Two requests in flight saturate the disks we have; two more buffers hide the packing.
constexpr size_t kReaders = 2;
constexpr size_t kSlots = 4;

}  // namespace

StreamReader::StreamReader(std::vector<Extent> extents) : extents_(std::move(extents)) {
  int64_t largest = 0;
  for (const Extent& extent : extents_) largest = std::max(largest, extent.bytes);
  slots_.resize(std::min(kSlots, std::max<size_t>(extents_.size(), 1)));
  for (Slot& slot : slots_) {
    slot.buffer = HugeBuffer(StreamFile::buffer_bytes(largest));
    HEADGATE_CHECK(reinterpret_cast<uintptr_t>(slot.buffer.data()) % StreamFile::kAlignment == 0);
  }
  if (extents_.size() < 2) return;  // next() reads itself
  for (size_t i = 0; i < kReaders; ++i) threads_.emplace_back([this] { reader_main(); });
}

StreamReader::~StreamReader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void StreamReader::read_into(Slot& slot, const Extent& extent) const {
  try {
    slot.bytes = extent.file->read(extent.offset, extent.bytes,
                                   {slot.buffer.data(), static_cast<size_t>(slot.buffer.bytes())});
  } catch (...) {
    slot.error = std::current_exception();
  }
}

void StreamReader::reader_main() {
  bind_thread(machine_topology().cpus);  // whoever made the reader may be pinned
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] {
      return stopping_ || started_ == extents_.size() || started_ < consumed_ + slots_.size();
    });
    if (stopping_ || started_ == extents_.size()) return;
    const size_t index = started_++;
    Slot& slot = slots_[index % slots_.size()];
    lock.unlock();
    read_into(slot, extents_[index]);
    lock.lock();
    slot.ready = true;
    changed_.notify_all();
  }
}

std::span<const std::byte> StreamReader::next() {
  std::unique_lock lock(mutex_);
  if (handed_out_) {
    slots_[consumed_ % slots_.size()].ready = false;
    ++consumed_;
    changed_.notify_all();
  }
  HEADGATE_CHECK(consumed_ < extents_.size());
  Slot& slot = slots_[consumed_ % slots_.size()];
  handed_out_ = true;
  if (threads_.empty()) {
    read_into(slot, extents_[consumed_]);
  } else {
    changed_.wait(lock, [&] { return slot.ready; });
  }
  if (slot.error) std::rethrow_exception(slot.error);
  return slot.bytes;
}

}  // namespace headgate

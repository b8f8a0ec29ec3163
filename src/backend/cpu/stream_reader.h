// Reads extents of files ahead of the one that uses them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "backend/cpu/huge_buffer.h"
#include "base/stream_file.h"

namespace headgate {

struct Extent {
  const StreamFile* file = nullptr;
  int64_t offset = 0, bytes = 0;
};

// Threads of its own keep a few requests in flight, so that the disk works while the weights of
// the extent before are packed. Thread rule: next() from one thread.
class StreamReader {
 public:
  explicit StreamReader(std::vector<Extent> extents);
  ~StreamReader();
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // The bytes of the next extent, in order; valid until the next call. Throws what reading threw.
  std::span<const std::byte> next();

 private:
  struct Slot {
    HugeBuffer buffer;
    std::span<const std::byte> bytes;
    std::exception_ptr error;
    bool ready = false;
  };

  void reader_main();
  void read_into(Slot& slot, const Extent& extent) const;

  std::vector<Extent> extents_;
  std::vector<Slot> slots_;  // extent i uses slot i % slots
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t started_ = 0;   // extents some reader has begun
  size_t consumed_ = 0;  // extents the user is done with
  bool handed_out_ = false;
  bool stopping_ = false;
};

}  // namespace headgate

// Large files past the page cache: whole blocks, in large requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "backend/cpu/huge_buffer.h"

namespace headgate {

constexpr int64_t kFileBlock = 4096;

inline int64_t round_to_block(int64_t bytes) {
  return (bytes + kFileBlock - 1) / kFileBlock * kFileBlock;
}

// What a file of so many bytes is moved through: a part of it, so that buffers stay small beside
// the states of a small model, and at most 4 MiB.
int64_t file_buffer_bytes(int64_t file_bytes);

// Writes `path + ".tmp-<pid>"` from front to back; commit() syncs it and gives it its name. Without
// commit() nothing stays. States are too large to push other files out of the page cache, and
// direct writes are several times quicker: plain ones where the file system has no direct ones.
class BlockWriter {
 public:
  // The first `reserved` bytes, whole blocks, are left for commit(). `expected`: the size of the
  // whole, which says how large a buffer pays. Throws kIo.
  BlockWriter(const std::string& path, int64_t reserved, int64_t expected);
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void pad();  // zeros up to a whole block
  // Aligned memory of whole blocks to anywhere behind the reserved bytes; from several threads,
  // too.
  void write_at(int64_t offset, std::span<const std::span<const std::byte>> parts) const;
  void skip(int64_t bytes);  // whole blocks that write_at() has written, or will
  void commit(std::span<const std::byte> front);
  int64_t position() const { return position_ + filled_; }

 private:
  void flush();
  void write_blocks(int64_t offset, std::span<const std::byte> blocks);

  std::string path_, temporary_;
  int fd_ = -1;
  int64_t reserved_, position_;  // of what has been handed to the system
  HugeBuffer buffer_;
  int64_t filled_ = 0;
  bool committed_ = false;
};

// Reads from front to back or anywhere, also past the page cache.
class BlockReader {
 public:
  explicit BlockReader(const std::string& path);  // throws kNotFound, kIo
  ~BlockReader();
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  int64_t size() const { return size_; }
  // Goes to a block; the next reads follow it.
  void seek(int64_t offset);
  // Throws kInvalidFile where the file ends.
  void read(std::span<std::byte> out);
  void skip_padding();  // to the next block
  // Whole blocks into aligned memory; from several threads, too.
  void read_at(int64_t offset, std::span<const std::span<std::byte>> parts) const;

 private:
  void fill();
  void read_blocks(int64_t offset, std::span<std::byte> blocks, int64_t least);

  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0, offset_ = 0;  // of the buffer's first byte
  HugeBuffer buffer_;
  int64_t used_ = 0, filled_ = 0;
};

// Whether it can go without a buffer: whole blocks at the beginning of one.
bool is_block_memory(std::span<const std::byte> bytes);

// Makes names that were given in a folder last.
void sync_folder(const std::string& folder);

}  // namespace headgate

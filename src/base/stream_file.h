// Reading a large file once, in large requests, without filling the page cache when memory is
// scarce.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace headgate {

// Thread rule: const members may be called from any thread.
class StreamFile {
 public:
  // `direct` reads past the page cache (O_DIRECT) what the cache does not hold already, where the
  // file system can; else through the cache, told that reading is sequential. Throws kNotFound,
  // kIo.
  StreamFile(const std::string& path, bool direct);
  ~StreamFile();
  StreamFile(const StreamFile&) = delete;
  StreamFile& operator=(const StreamFile&) = delete;

  const std::string& path() const { return path_; }
  bool direct() const { return direct_fd_ >= 0; }

  static constexpr int64_t kAlignment = 4096;  // of buffers given to read()
  // Size of a buffer for `bytes` anywhere in the file.
  static int64_t buffer_bytes(int64_t bytes) {
    return (bytes + 3 * kAlignment - 1) / kAlignment * kAlignment;
  }
  // Reads [offset, offset + bytes) into the buffer and returns where they lie in it. Throws
  // kInvalidFile when the file ends first, kIo on a failed read.
  std::span<const std::byte> read(int64_t offset, int64_t bytes, std::span<std::byte> buffer) const;

  // Tells the kernel to begin reading a range into its cache; nothing with `direct`.
  void will_need(int64_t offset, int64_t bytes) const;

 private:
  // Bytes read into out; stops early at the end of the file, and with `cached_only` at the first
  // page that is not in the cache.
  int64_t read_some(int fd, int64_t offset, std::span<std::byte> out, bool cached_only) const;

  std::string path_;
  int fd_ = -1;
  int direct_fd_ = -1;
};

// Memory that can be had without swapping, in bytes; a large number where the kernel does not say.
int64_t available_memory();

}  // namespace headgate

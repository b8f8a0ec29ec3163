// Files: read-only memory maps, positioned reads, and writers that replace a file only when
// complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace headgate {

// A read-only view of a whole file. Movable, not copyable; the mapping lives as long as the object.
// Thread rule: const members may be called from any thread.
class MappedFile {
 public:
  MappedFile() = default;
  // Maps `path`. Throws kNotFound or kIo. An empty file gives an empty span.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Tells the kernel that [offset, offset + bytes) will not be read again soon (keeps RSS low when
  // streaming).
  void release(int64_t offset, int64_t bytes) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Positioned reads from a file, for streaming without a map. Thread rule: read_at is thread-safe.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  // Fills `out` from `offset`. Throws kInvalidFile when the file ends first, kIo on a failed read.
  void read_at(int64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

// Writes to `path + ".tmp-<pid>"` and renames it to `path` in commit(), after fsync. Without
// commit() the temporary file is removed: a failed write never leaves half a file under the final
// name.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void write_at(int64_t offset, std::span<const std::byte> bytes);  // does not move position()
  void pad_to(int64_t alignment);  // zero bytes up to the next multiple
  void skip(int64_t bytes);        // zero bytes that take no room on disk where holes are possible
  int64_t position() const { return position_; }
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  int64_t position_ = 0;
  bool committed_ = false;
};

// Reads a whole file of at most `limit_bytes`. Throws kNotFound, kIo, or kResourceExhausted beyond
// the limit.
std::string read_text_file(const std::string& path, int64_t limit_bytes = int64_t{1} << 30);

// Writes a whole file through OutputFile.
void write_text_file(const std::string& path, std::string_view text);

bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

}  // namespace headgate

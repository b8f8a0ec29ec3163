// Direct I/O through one large aligned buffer; aligned memory goes without it.
#include "cache/block_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kLeastBuffer = int64_t{64} << 10, kMostBuffer = int64_t{4} << 20;
constexpr int64_t kPartOfFile = 4;                    // that a buffer holds
constexpr size_t kMostParts = 1024;                   // of one call
constexpr int64_t kWorthDirect = int64_t{256} << 10;  // less goes through the buffer

int open_direct(const std::string& path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_DIRECT, 0600);
  if (fd < 0 && errno == EINVAL) fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  return fd;
}

// Some file systems take O_DIRECT and refuse the reads and writes.
bool drop_direct(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (errno != EINVAL || flags < 0 || (flags & O_DIRECT) == 0) return false;
  return ::fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

bool is_aligned(const std::byte* at) {
  return reinterpret_cast<uintptr_t>(at) % static_cast<uintptr_t>(kFileBlock) == 0;
}

// Moves all parts by calls of `move` (pwritev or preadv), which may each do less than asked.
template <typename Byte>
void move_parts(int fd, int64_t offset, std::span<const std::span<Byte>> parts,
                ssize_t (*move)(int, const iovec*, int, off_t), const std::string& path,
                const char* what) {
  std::vector<iovec> left;
  for (const auto& part : parts)
    left.push_back({const_cast<void*>(static_cast<const void*>(part.data())), part.size()});
  for (size_t first = 0; first < left.size();) {
    const auto count = static_cast<int>(std::min<size_t>(left.size() - first, kMostParts));
    const ssize_t moved = move(fd, left.data() + first, count, static_cast<off_t>(offset));
    if (moved <= 0) {
      if (moved < 0 && (errno == EINTR || drop_direct(fd))) continue;
      fail(moved == 0 ? ErrorCode::kInvalidFile : ErrorCode::kIo, "{}: cannot {}: {}", path, what,
           moved == 0 ? "the file ends" : std::strerror(errno));
    }
    offset += moved;
    for (auto rest = static_cast<size_t>(moved); rest > 0;) {
      iovec& at = left[first];
      const size_t step = std::min(rest, at.iov_len);
      at.iov_base = static_cast<std::byte*>(at.iov_base) + step;
      at.iov_len -= step;
      rest -= step;
      if (at.iov_len == 0) ++first;
    }
  }
}

}  // namespace

bool is_block_memory(std::span<const std::byte> bytes) {
  return is_aligned(bytes.data()) && static_cast<int64_t>(bytes.size()) % kFileBlock == 0;
}

void BlockWriter::write_at(int64_t offset,
                           std::span<const std::span<const std::byte>> parts) const {
  move_parts(fd_, offset, parts, ::pwritev, path_, "write");
}

void BlockWriter::skip(int64_t bytes) {
  HEADGATE_CHECK(bytes % kFileBlock == 0 && filled_ % kFileBlock == 0);
  flush();
  position_ += bytes;
}

void BlockReader::read_at(int64_t offset, std::span<const std::span<std::byte>> parts) const {
  move_parts(fd_, offset, parts, ::preadv, path_, "read");
}

int64_t file_buffer_bytes(int64_t file_bytes) {
  return round_to_block(std::clamp(file_bytes / kPartOfFile, kLeastBuffer, kMostBuffer));
}

BlockWriter::BlockWriter(const std::string& path, int64_t reserved, int64_t expected)
    : path_(path),
      temporary_(fmt::format("{}.tmp-{}", path, ::getpid())),
      reserved_(reserved),
      position_(reserved),
      buffer_(file_buffer_bytes(expected)) {
  HEADGATE_CHECK(reserved % kFileBlock == 0);
  fd_ = open_direct(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  if (fd_ < 0) fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
}

BlockWriter::~BlockWriter() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void BlockWriter::write_blocks(int64_t offset, std::span<const std::byte> blocks) {
  size_t done = 0;
  while (done < blocks.size()) {
    const ssize_t put = ::pwrite(fd_, blocks.data() + done, blocks.size() - done,
                                 static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (put > 0) {
      done += static_cast<size_t>(put);
      continue;
    }
    if (put < 0 && (errno == EINTR || drop_direct(fd_))) continue;
    fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
  }
}

void BlockWriter::flush() {
  write_blocks(position_, {buffer_.data(), static_cast<size_t>(filled_)});
  position_ += filled_;
  filled_ = 0;
}

void BlockWriter::write(std::span<const std::byte> bytes) {
  const auto large = static_cast<int64_t>(bytes.size()) >= kWorthDirect;
  if (large && is_aligned(bytes.data()) && filled_ % kFileBlock == 0) {
    flush();
    const auto whole = static_cast<int64_t>(bytes.size()) / kFileBlock * kFileBlock;
    write_blocks(position_, bytes.first(static_cast<size_t>(whole)));
    position_ += whole;
    bytes = bytes.subspan(static_cast<size_t>(whole));
  }
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), static_cast<size_t>(buffer_.bytes() - filled_));
    std::memcpy(buffer_.data() + filled_, bytes.data(), part);
    filled_ += static_cast<int64_t>(part);
    bytes = bytes.subspan(part);
    if (filled_ == buffer_.bytes()) flush();
  }
}

void BlockWriter::pad() {
  const int64_t wanted = round_to_block(filled_);
  if (wanted > filled_)
    std::memset(buffer_.data() + filled_, 0, static_cast<size_t>(wanted - filled_));
  filled_ = wanted;
  if (filled_ == buffer_.bytes()) flush();
}

void BlockWriter::commit(std::span<const std::byte> front) {
  HEADGATE_CHECK(static_cast<int64_t>(front.size()) == reserved_);
  pad();
  flush();
  while (!front.empty()) {
    const size_t part = std::min(front.size(), static_cast<size_t>(buffer_.bytes()));
    std::memcpy(buffer_.data(), front.data(), part);
    write_blocks(reserved_ - static_cast<int64_t>(front.size()), {buffer_.data(), part});
    front = front.subspan(part);
  }
  if (::fsync(fd_) != 0 || ::close(std::exchange(fd_, -1)) != 0 ||
      ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail(ErrorCode::kIo, "{}: cannot finish writing: {}", path_, std::strerror(errno));
  }
  committed_ = true;
  const size_t slash = path_.rfind('/');
  sync_folder(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
}

BlockReader::BlockReader(const std::string& path) : path_(path) {
  fd_ = open_direct(path, O_RDONLY);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot read: {}", path,
         std::strerror(error));
  }
  size_ = info.st_size;
  try {
    buffer_ = HugeBuffer(file_buffer_bytes(size_));
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

BlockReader::~BlockReader() { ::close(fd_); }

void BlockReader::seek(int64_t offset) {
  HEADGATE_CHECK(offset % kFileBlock == 0);
  offset_ = offset;
  used_ = filled_ = 0;
}

void BlockReader::read_blocks(int64_t offset, std::span<std::byte> blocks, int64_t least) {
  int64_t done = 0;
  while (done < least) {
    const ssize_t got =
        ::pread(fd_, blocks.data() + done, blocks.size() - static_cast<size_t>(done),
                static_cast<off_t>(offset + done));
    if (got > 0) {
      done += got;
      continue;
    }
    if (got < 0 && (errno == EINTR || drop_direct(fd_))) continue;
    if (got < 0) fail(ErrorCode::kIo, "{}: cannot read: {}", path_, std::strerror(errno));
    fail(ErrorCode::kInvalidFile, "{}: ends at byte {}, expected more", path_, offset + done);
  }
}

void BlockReader::fill() {
  offset_ += filled_;
  const int64_t left = std::min(buffer_.bytes(), size_ - offset_);
  if (left <= 0) fail(ErrorCode::kInvalidFile, "{}: ends at byte {}, expected more", path_, size_);
  read_blocks(offset_, {buffer_.data(), static_cast<size_t>(buffer_.bytes())}, left);
  filled_ = left;
  used_ = 0;
}

void BlockReader::read(std::span<std::byte> out) {
  while (!out.empty()) {
    if (used_ == filled_) {
      const auto whole = static_cast<int64_t>(out.size()) / kFileBlock * kFileBlock;
      if (whole >= kWorthDirect && filled_ % kFileBlock == 0 && is_aligned(out.data())) {
        offset_ += filled_;
        read_blocks(offset_, out.first(static_cast<size_t>(whole)), whole);
        offset_ += whole;
        used_ = filled_ = 0;
        out = out.subspan(static_cast<size_t>(whole));
        continue;
      }
      fill();
    }
    const size_t part = std::min(out.size(), static_cast<size_t>(filled_ - used_));
    std::memcpy(out.data(), buffer_.data() + used_, part);
    used_ += static_cast<int64_t>(part);
    out = out.subspan(part);
  }
}

void BlockReader::skip_padding() { used_ = std::min(round_to_block(used_), filled_); }

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(ErrorCode::kIo, "{}: cannot open: {}", folder, std::strerror(errno));
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  // Some file systems cannot, and need not.
  if (result != 0 && error != EINVAL)
    fail(ErrorCode::kIo, "{}: cannot sync: {}", folder, std::strerror(error));
}

}  // namespace headgate

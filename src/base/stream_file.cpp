// O_DIRECT, preadv2(RWF_NOWAIT) and fadvise behind one read.
#include "base/stream_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace headgate {

StreamFile::StreamFile(const std::string& path, bool direct) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) {
    fail(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot open: {}", path,
         std::strerror(errno));
  }
  // File systems without O_DIRECT refuse it here or at the first read.
  if (direct) direct_fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
}

StreamFile::~StreamFile() {
  if (fd_ >= 0) ::close(fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

int64_t StreamFile::read_some(int fd, int64_t offset, std::span<std::byte> out,
                              bool cached_only) const {
  size_t done = 0;
  while (done < out.size()) {
    const iovec part{out.data() + done, out.size() - done};
    const ssize_t got =
        ::preadv2(fd, &part, 1, static_cast<off_t>(offset) + static_cast<off_t>(done),
                  cached_only ? RWF_NOWAIT : 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (cached_only || (fd == direct_fd_ && errno == EINVAL))) break;
    if (got < 0) fail(ErrorCode::kIo, "{}: cannot read: {}", path_, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
    // A direct read that ends inside a page has met the end of the file.
    if (fd == direct_fd_ && got % kAlignment != 0) break;
  }
  return static_cast<int64_t>(done);
}

std::span<const std::byte> StreamFile::read(int64_t offset, int64_t bytes,
                                            std::span<std::byte> buffer) const {
  const int64_t first = offset / kAlignment * kAlignment;
  const int64_t lead = offset - first;
  const int64_t aligned = (lead + bytes + kAlignment - 1) / kAlignment * kAlignment;
  HEADGATE_CHECK(offset >= 0 && static_cast<int64_t>(buffer.size()) >= aligned &&
                 reinterpret_cast<uintptr_t>(buffer.data()) % kAlignment == 0);
  const std::span<std::byte> wanted =
      buffer.subspan(static_cast<size_t>(lead), static_cast<size_t>(bytes));
  int64_t got = 0;
  if (direct_fd_ >= 0) {
    // What the cache holds is copied from there: a file that was just written, or read before.
    got = read_some(fd_, offset, wanted, true);
    if (got < bytes) {
      got = read_some(direct_fd_, first, buffer.first(static_cast<size_t>(aligned)), false) - lead;
    }
  }
  if (got < bytes) got = read_some(fd_, offset, wanted, false);
  if (got < bytes) {
    fail(ErrorCode::kInvalidFile, "{}: ends at byte {}, expected at least {}", path_, offset + got,
         offset + bytes);
  }
  return wanted;
}

void StreamFile::will_need(int64_t offset, int64_t bytes) const {
  if (direct_fd_ < 0) ::posix_fadvise(fd_, offset, bytes, POSIX_FADV_WILLNEED);
}

int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("MemAvailable:", 0) == 0)
      return std::strtoll(line.c_str() + 13, nullptr, 10) << 10;
  }
  return int64_t{1} << 50;
}

}  // namespace headgate

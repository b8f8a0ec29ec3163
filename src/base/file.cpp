// POSIX implementation of the file helpers.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace headgate {
namespace {

int open_for_reading(const std::string& path, int64_t* size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    fail(error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
         "{}: cannot open: {}", path, std::strerror(error));
  }
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    fail(ErrorCode::kIo, "{}: found something that is not a regular file, expected a file", path);
  }
  *size = info.st_size;
  return fd;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  int64_t size = 0;
  const int fd = open_for_reading(path, &size);
  if (size > 0) {
    void* data = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, fd, 0);
    const int error = errno;
    ::close(fd);
    if (data == MAP_FAILED) {
      fail(ErrorCode::kIo, "{}: cannot map {} bytes: {}", path, size, std::strerror(error));
    }
    data_ = static_cast<const std::byte*>(data);
    size_ = static_cast<size_t>(size);
  } else {
    ::close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void MappedFile::release(int64_t offset, int64_t bytes) const {
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = (offset + page - 1) / page * page;
  const int64_t end = (offset + bytes) / page * page;
  if (end > begin && end <= static_cast<int64_t>(size_)) {
    ::madvise(const_cast<std::byte*>(data_) + begin, static_cast<size_t>(end - begin),
              MADV_DONTNEED);
  }
}

InputFile::InputFile(const std::string& path) : path_(path) {
  fd_ = open_for_reading(path, &size_);
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void InputFile::read_at(int64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_, out.data() + done, out.size() - done,
                                static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::kIo, "{}: cannot read: {}", path_, std::strerror(errno));
    if (got == 0) {
      fail(ErrorCode::kInvalidFile, "{}: ends at byte {}, expected at least {}", path_,
           offset + static_cast<int64_t>(done), offset + static_cast<int64_t>(out.size()));
    }
    done += static_cast<size_t>(got);
  }
}

OutputFile::OutputFile(const std::string& path)
    : path_(path), temporary_(fmt::format("{}.tmp-{}", path, ::getpid())) {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write_at(position_, bytes);
  position_ += static_cast<int64_t>(bytes.size());
}

void OutputFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void OutputFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
    done += static_cast<size_t>(put);
  }
}

void OutputFile::pad_to(int64_t alignment) {
  const std::vector<std::byte> zeros(
      static_cast<size_t>((alignment - position_ % alignment) % alignment));
  write(zeros);
}

void OutputFile::skip(int64_t bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(position_ + bytes)) != 0) {
    fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
  }
  position_ += bytes;
}

void OutputFile::commit() {
  if (::fsync(fd_) != 0 || ::close(std::exchange(fd_, -1)) != 0 ||
      ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail(ErrorCode::kIo, "{}: cannot finish writing: {}", path_, std::strerror(errno));
  }
  committed_ = true;
}

std::string read_text_file(const std::string& path, int64_t limit_bytes) {
  const InputFile file(path);
  if (file.size() > limit_bytes) {
    fail(ErrorCode::kResourceExhausted, "{}: {} bytes, expected at most {}", path, file.size(),
         limit_bytes);
  }
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  return text;
}

void write_text_file(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

bool file_exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace headgate

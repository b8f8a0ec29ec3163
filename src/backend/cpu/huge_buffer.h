// Zeroed memory in large pages for weights and scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace headgate {

// Owns a zeroed mapping, aligned to at least 64 bytes (2 MiB when it is that large), in huge pages
// where the kernel grants them. Throws kResourceExhausted when there is no memory.
class HugeBuffer {
 public:
  HugeBuffer() = default;
  explicit HugeBuffer(int64_t bytes);
  ~HugeBuffer();
  HugeBuffer(HugeBuffer&& other) noexcept { swap(other); }
  HugeBuffer& operator=(HugeBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void swap(HugeBuffer& other) noexcept {
    std::swap(map_, other.map_);
    std::swap(map_bytes_, other.map_bytes_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  void* map_ = nullptr;
  int64_t map_bytes_ = 0;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Scratch that only grows; its contents are lost when it does.
template <typename T>
class Scratch {
  static_assert(std::is_trivial_v<T>);

 public:
  T* take(int64_t count) {
    const int64_t need = count * static_cast<int64_t>(sizeof(T));
    if (need > buffer_.bytes()) buffer_ = HugeBuffer(need + need / 4);
    return reinterpret_cast<T*>(buffer_.data());
  }
  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }

 private:
  HugeBuffer buffer_;
};

}  // namespace headgate

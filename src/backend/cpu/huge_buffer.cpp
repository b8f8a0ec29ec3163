// Anonymous mappings aligned to huge pages.
#include "backend/cpu/huge_buffer.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <cstdlib>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

// Pages that the administrator set aside are others' too, so they are taken on request only.
bool wants_hugetlb() {
  static const bool wants = [] {
    const char* value = std::getenv("HEADGATE_HUGETLB");
    return value != nullptr && *value == '1';
  }();
  return wants;
}

// A mapping of whole reserved pages, null when there are not enough of them.
void* map_hugetlb(int64_t bytes) {
  constexpr int kTwoMegabytes = 21 << MAP_HUGE_SHIFT;
  void* map = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | kTwoMegabytes, -1, 0);
  return map == MAP_FAILED ? nullptr : map;
}

}  // namespace

HugeBuffer::HugeBuffer(int64_t bytes) {
  if (bytes <= 0) return;
  if (bytes >= kHugePage && wants_hugetlb()) {
    const int64_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    map_ = map_hugetlb(whole);
    if (map_ != nullptr) {
      map_bytes_ = whole;
      data_ = static_cast<std::byte*>(map_);
      bytes_ = bytes;
      return;
    }
  }
  const int64_t slack = bytes >= kHugePage ? kHugePage : 0;
  map_bytes_ = bytes + slack;
  map_ = ::mmap(nullptr, static_cast<size_t>(map_bytes_), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map_ == MAP_FAILED) {
    map_ = nullptr;
    fail(ErrorCode::kResourceExhausted, "memory: {} bytes refused by the system", bytes);
  }
  auto address = reinterpret_cast<uintptr_t>(map_);
  if (slack > 0) {
    address = (address + kHugePage - 1) / kHugePage * kHugePage;
    // Weights are read front to back by few threads: large pages save most TLB misses.
    ::madvise(reinterpret_cast<void*>(address), static_cast<size_t>(bytes), MADV_HUGEPAGE);
  }
  data_ = reinterpret_cast<std::byte*>(address);
  bytes_ = bytes;
}

HugeBuffer::~HugeBuffer() {
  if (map_ != nullptr) ::munmap(map_, static_cast<size_t>(map_bytes_));
}

}  // namespace headgate

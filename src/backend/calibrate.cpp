// Memory bandwidth with the same pool, pages and vector width that the model runs with.
#include "backend/calibrate.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "backend/cpu/huge_buffer.h"
#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "kernels/dispatch.h"

namespace headgate {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int64_t kSlicePieces = 32;  // about a millisecond: short enough to fall between noise
constexpr int kPasses = 6;

// The 5th percentile of the times of reading a slice of the buffer: other programs can only slow a
// slice down.
double read_gbps(ThreadPool& pool, const KernelTable& kernels, const HugeBuffer& buffer) {
  using Clock = std::chrono::steady_clock;
  std::atomic<uint64_t> sink{0};
  std::vector<double> seconds;
  const int64_t pieces = buffer.bytes() / kPieceBytes;
  const int64_t slice = std::min(kSlicePieces, pieces);
  for (int pass = 0; pass < kPasses; ++pass) {
    for (int64_t first = 0; first + slice <= pieces; first += slice) {
      const auto start = Clock::now();
      pool.run(slice, [&](int64_t piece, int) {
        const std::byte* at = buffer.data() + (first + piece) * kPieceBytes;
        sink += kernels.read_words(reinterpret_cast<const uint64_t*>(at), kPieceBytes / 8);
      });
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(slice * kPieceBytes) / seconds[seconds.size() / 20] * 1e-9;
}

}  // namespace

Calibration calibrate_memory(int threads, int64_t bytes) {
  const KernelTable kernels = kernels_for(selected_isa());
  ThreadPool pool(threads);
  ThreadPool one(1);
  const HugeBuffer buffer(std::max(bytes / kPieceBytes, int64_t{1}) * kPieceBytes);
  // Untouched pages all map to one page of zeros, which a cache would serve.
  pool.run(buffer.bytes() / kPieceBytes, [&](int64_t piece, int) {
    std::memset(buffer.data() + piece * kPieceBytes, static_cast<int>(piece & 127) + 1,
                kPieceBytes);
  });
  Calibration result;
  result.read_gbps = read_gbps(pool, kernels, buffer);
  result.read_gbps_one = pool.threads() == 1 ? result.read_gbps : read_gbps(one, kernels, buffer);
  return result;
}

}  // namespace headgate

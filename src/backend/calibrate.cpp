// Memory bandwidth with the same pool, pages and vector width that the model runs with.
#include "backend/calibrate.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backend/cpu/huge_buffer.h"
#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "kernels/dispatch.h"

namespace headgate {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int kPasses = 7;

// Fastest of several passes over the buffer.
double best_gbps(ThreadPool& pool, const KernelTable& kernels, const HugeBuffer& buffer) {
  using Clock = std::chrono::steady_clock;
  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.run(buffer.bytes() / kPieceBytes, [&](int64_t piece, int) {
      const std::byte* at = buffer.data() + piece * kPieceBytes;
      sink += kernels.read_words(reinterpret_cast<const uint64_t*>(at), kPieceBytes / 8);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(buffer.bytes()) / seconds * 1e-9);
  }
  return best;
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
  result.read_gbps = best_gbps(pool, kernels, buffer);
  result.read_gbps_one = pool.threads() == 1 ? result.read_gbps : best_gbps(one, kernels, buffer);
  return result;
}

}  // namespace headgate

// Memory bandwidth and arithmetic peaks with the same pool, pages and vectors that the model runs
// with.
#include "backend/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend/cpu/huge_buffer.h"
#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "kernels/dispatch.h"
#include "kernels/peaks.h"
#include "kernels/self_test.h"

namespace headgate {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int64_t kSlicePieces = 32;  // about a millisecond: short enough to fall between noise
constexpr int kPasses = 6;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The 5th percentile of the times of reading a slice of the buffer: other programs can only slow a
// slice down.
double read_gbps(ThreadPool& pool, const KernelTable& kernels, const HugeBuffer& buffer) {
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
      seconds.push_back(seconds_since(start));
    }
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(slice * kPieceBytes) / seconds[seconds.size() / 20] * 1e-9;
}

// Operations per second of a loop run by every thread of the pool at once, in units of 1e9.
double peak_of(ThreadPool& pool, const PeakLoop& loop) {
  if (loop.run == nullptr) return 0;
  constexpr double kTaskSeconds = 50e-6;
  constexpr int kSlices = 80;
  constexpr int64_t kTasksPerThread = 4;
  // Waking the clock and the wide units up takes about a millisecond; then a task is fitted.
  int64_t rounds = 1024;
  float sink = 0;
  for (const Clock::time_point begin = Clock::now(); seconds_since(begin) < 2e-3;) {
    const Clock::time_point start = Clock::now();
    sink += loop.run(rounds);
    const double ratio = kTaskSeconds / std::max(seconds_since(start), 1e-9);
    rounds = std::clamp<int64_t>(static_cast<int64_t>(static_cast<double>(rounds) * ratio), 64,
                                 int64_t{1} << 24);
  }
  std::atomic<bool> used{std::isnan(sink)};
  std::vector<double> seconds;
  const int64_t tasks = pool.threads() * kTasksPerThread;
  for (int slice = 0; slice < kSlices; ++slice) {
    const Clock::time_point start = Clock::now();
    pool.run(tasks, [&](int64_t, int) { used = std::isnan(loop.run(rounds)); });
    seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(tasks * rounds * loop.operations) / seconds[kSlices / 20] * 1e-9;
}

}  // namespace

std::vector<std::string> replaced_kernels() {
  std::vector<std::string> lines;
  for (const KernelFallback& f : checked_kernels(selected_isa()).fallbacks) {
    lines.push_back(fmt::format("{} of {}: {}; {} instead", f.kernel, isa_name(f.from),
                                f.illegal ? "illegal instruction" : "wrong results",
                                isa_name(f.to)));
  }
  return lines;
}

Peaks calibrate_peaks(int threads) {
  const PeakTable table = peaks_for(selected_isa());
  ThreadPool pool(threads);
  Peaks peaks;
  peaks.fma = peak_of(pool, table.loops[kPeakFma]);
  peaks.int8_dot = peak_of(pool, table.loops[kPeakInt8Dot]);
  peaks.bf16_dot = peak_of(pool, table.loops[kPeakBf16Dot]);
  peaks.amx_bf16 = peak_of(pool, table.loops[kPeakAmxBf16]);
  peaks.amx_int8 = peak_of(pool, table.loops[kPeakAmxInt8]);
  return peaks;
}

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

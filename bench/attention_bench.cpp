// Speed of attention for every type of cached keys and values, beside the machine's own limits
// measured in the same run.
//
// attention_bench [--threads N] [--type TEXT] [--depth TOKENS] [--chunk TOKENS]; HEADGATE_ISA
// chooses the kernels. Shapes of Qwen3-Next: 16 query heads, 2 KV heads of 256. Times are the lower
// decile of several runs, the types in turns.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/calibrate.h"
#include "backend/cpu/huge_buffer.h"
#include "base/random.h"

namespace headgate {
namespace {

constexpr int64_t kHeads = 16, kKvHeads = 2, kDim = 256;

struct Options {
  int threads = 0;
  std::string type;
  int64_t depth = 32768;
  int64_t chunk = 512;
};

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] = random_normal(seed, 0, static_cast<uint64_t>(i));
  return out;
}

double seconds_of(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double decile(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 10];
}

// A cache of one type, filled; every decode step reads another copy, as the layers of a model do.
class Cache {
 public:
  Cache(Backend& backend, DType type, const Options& options)
      : backend_(backend), depth_(options.depth), chunk_(options.chunk) {
    layout_.dtype = type;
    layout_.kv_heads = kKvHeads;
    layout_.head_dim = kDim;
    const int64_t pages = (depth_ + layout_.page_tokens - 1) / layout_.page_tokens;
    page_bytes_ = (layout_.page_bytes() + 63) / 64 * 64;
    memory_ = HugeBuffer(kCopies * pages * page_bytes_);
    const std::vector<float> k = random_floats(layout_.page_tokens * kKvHeads * kDim, 1);
    const std::vector<float> v = random_floats(layout_.page_tokens * kKvHeads * kDim, 2);
    const View keys(k.data(), layout_.page_tokens, kKvHeads * kDim);
    const View values(v.data(), layout_.page_tokens, kKvHeads * kDim);
    for (int64_t copy = 0; copy < kCopies; ++copy) {
      for (int64_t p = 0; p < pages; ++p)
        pages_[copy].push_back(memory_.data() + (copy * pages + p) * page_bytes_);
    }
    KvSpan span{{0, layout_.page_tokens, 0}, {pages_[0].data(), 1}};
    backend_.kv_store(keys, values, layout_, {&span, 1});
    for (int64_t i = 1; i < kCopies * pages; ++i)
      std::memcpy(memory_.data() + i * page_bytes_, memory_.data(),
                  static_cast<size_t>(page_bytes_));
    q_ = random_floats(chunk_ * kHeads * kDim, 3);
    o_.resize(q_.size());
  }

  double step(int64_t tokens) {
    KvSpan span{{0, tokens, depth_ - tokens}, pages_[next_++ % kCopies]};
    return seconds_of([&] {
      backend_.attention({o_.data(), tokens, kHeads * kDim}, {q_.data(), tokens, kHeads * kDim},
                         kHeads, kDim, 0.0625f, layout_, {&span, 1});
    });
  }

  double bytes_per_token() const {
    return static_cast<double>(layout_.page_bytes()) / static_cast<double>(layout_.page_tokens);
  }
  DType type() const { return layout_.dtype; }

  std::vector<double> decode, prefill;

 private:
  static constexpr int64_t kCopies = 4;
  Backend& backend_;
  KvLayout layout_;
  int64_t depth_, chunk_, page_bytes_;
  HugeBuffer memory_;
  std::vector<std::byte*> pages_[kCopies];
  std::vector<float> q_, o_;
  int64_t next_ = 0;
};

int run(const Options& options) {
  BackendOptions backend_options;
  backend_options.threads = options.threads;
  const std::unique_ptr<Backend> backend = open_backend(backend_options);
  std::vector<std::unique_ptr<Cache>> caches;
  for (const char* name : {"f32", "f16", "bf16", "int8", "q4"}) {
    if (options.type.empty() || options.type == name)
      caches.push_back(std::make_unique<Cache>(*backend, kv_type_from_name(name).value(), options));
  }
  const Calibration before = calibrate_memory(options.threads);
  const Peaks peaks = calibrate_peaks(options.threads);
  for (int i = 0; i < 24; ++i) {
    for (auto& cache : caches) cache->decode.push_back(cache->step(1));
  }
  for (int i = 0; i < 4; ++i) {
    for (auto& cache : caches) cache->prefill.push_back(cache->step(options.chunk));
  }
  const Calibration after = calibrate_memory(options.threads);
  const double read = std::max(before.read_gbps, after.read_gbps);
  std::printf(
      "%s\nmemory read %.1f GB/s before, %.1f after; fp32 %.0f, bf16 %.0f GFLOP/s, int8 %.0f "
      "GOP/s\n",
      backend->description().c_str(), before.read_gbps, after.read_gbps, peaks.fma, peaks.bf16_dot,
      peaks.int8_dot);
  std::printf(
      "one layer, 16 query heads, 2 KV heads of 256; decode at %lld, prefill of %lld up to it\n",
      static_cast<long long>(options.depth), static_cast<long long>(options.chunk));
  std::printf("%-6s %8s | %9s %8s %8s | %10s %9s %9s\n", "KV", "B/token", "decode us", "GB/s",
              "of read", "prefill us", "GFLOP/s", "of fp32");
  for (const auto& cache : caches) {
    const double decode = decile(cache->decode), prefill = decile(cache->prefill);
    const auto depth = static_cast<double>(options.depth);
    const auto chunk = static_cast<double>(options.chunk);
    const double gbps = depth * cache->bytes_per_token() / decode * 1e-9;
    // Each query sees half of its own chunk on average.
    const double flops = 4.0 * kDim * kHeads * chunk * (depth - chunk / 2) / prefill * 1e-9;
    std::printf("%-6s %8.0f | %9.0f %8.1f %7.0f%% | %10.0f %9.0f %8.0f%%\n",
                std::string(kv_type_name(cache->type())).c_str(), cache->bytes_per_token(),
                decode * 1e6, gbps, 100 * gbps / read, prefill * 1e6, flops,
                peaks.fma > 0 ? 100 * flops / peaks.fma : 0.0);
  }
  return 0;
}

int main_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--threads") == 0) options.threads = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--type") == 0) options.type = argv[i + 1];
    if (std::strcmp(argv[i], "--depth") == 0) options.depth = std::atoll(argv[i + 1]);
    if (std::strcmp(argv[i], "--chunk") == 0) options.chunk = std::atoll(argv[i + 1]);
  }
  if (options.depth < options.chunk || options.chunk < 1) {
    std::fprintf(stderr, "attention_bench: expected 1 <= chunk <= depth\n");
    return 2;
  }
  return run(options);
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) { return headgate::main_of(argc, argv); }

// Speed of the CPU backend's ops beside the read bandwidth of the machine, measured in turns.
//
// kernels_bench [--threads N] [--filter TEXT]; HEADGATE_ISA chooses the kernels. Prints one line
// per case: the lower decile of its times (CPU time with --threads 1), GB/s of weights or state,
// GFLOP/s, and GB/s as a share of the read bandwidth measured just before and after.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "backend/backend.h"
#include "backend/calibrate.h"
#include "base/cpu_info.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "tensor/half.h"

namespace headgate {
namespace {

struct Options {
  int threads = 0;
  std::string filter;
};

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] =
        static_cast<float>(random_uniform(seed, 0, static_cast<uint64_t>(i))) - 0.5f;
  return out;
}

// Random stored rows whose fp16 scales are small: every scale byte pair becomes 2^-10.
std::vector<std::byte> random_rows(DType type, int64_t rows, int64_t cols) {
  std::vector<std::byte> out(static_cast<size_t>(rows * row_bytes(type, cols)));
  for (size_t i = 0; i + 8 <= out.size(); i += 8) {
    const uint64_t bits = random_bits(1, 0, i);
    std::memcpy(&out[i], &bits, 8);
  }
  const auto block = static_cast<size_t>(dtype_info(type).block_bytes);
  const uint16_t small = float_to_fp16(0.001f);
  if (!is_quantized(type)) {
    for (size_t at = 0; at < out.size(); at += block) std::memset(&out[at], 0x11, block);
    return out;
  }
  for (size_t at = 0; at < out.size(); at += block) {
    std::memcpy(&out[at + (type == DType::kQ6_K ? block - 2 : 0)], &small, 2);
    if (type == DType::kQ4_K || type == DType::kQ5_K) std::memcpy(&out[at + 2], &small, 2);
  }
  return out;
}

double now_seconds(clockid_t clock) {
  timespec t;
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Lower decile of the seconds of `run`, called `times` times.
double decile_seconds(int times, clockid_t clock, const std::function<void()>& run) {
  run();
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    const double start = now_seconds(clock);
    run();
    seconds.push_back(now_seconds(clock) - start);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 10];
}

#if defined(__x86_64__)
// Keeps the compiler from dropping a loop whose result nobody reads.
__attribute__((target("avx512f"))) void keep(const __m512i& x) { asm volatile("" ::"v"(x)); }

// Multiply-adds of 16 fp32 lanes on 12 independent sums: enough to fill two units of latency 4.
__attribute__((target("avx512f"))) void multiply_floats(int64_t rounds) {
  __m512 sum[12];
  for (__m512& s : sum) s = _mm512_set1_ps(0.5f);
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512& s : sum) s = _mm512_fmadd_ps(s, a, b);
  }
  for (const __m512& s : sum) keep(_mm512_castps_si512(s));
}

__attribute__((target("avx512f,avx512vnni"))) void multiply_bytes(int64_t rounds) {
  __m512i sum[12];
  for (__m512i& s : sum) s = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512i& s : sum) s = _mm512_dpbusd_epi32(s, a, b);
  }
  for (const __m512i& s : sum) keep(s);
}

// What one core multiplies at best, by its own clock.
void print_ceilings() {
  if (cpu_info().best < Isa::kAvx512) return;
  constexpr int64_t kRounds = 2000000;
  const double floats =
      decile_seconds(5, CLOCK_PROCESS_CPUTIME_ID, [] { multiply_floats(kRounds); });
  const double bytes = decile_seconds(5, CLOCK_PROCESS_CPUTIME_ID, [] { multiply_bytes(kRounds); });
  std::printf("one core at best: fp32 %.0f GFLOP/s, int8 (VNNI) %.0f GOP/s\n",
              12 * 32 * kRounds / floats * 1e-9, 12 * 128 * kRounds / bytes * 1e-9);
}
#else
void print_ceilings() {}
#endif

std::unique_ptr<Matrix> random_matrix(Backend& backend, DType type, int64_t rows, int64_t cols) {
  const std::vector<std::byte> stored = random_rows(type, rows, cols);
  MatrixSource source;
  source.dtype = type;
  source.rows = rows;
  source.cols = cols;
  source.bytes = stored;
  return backend.make_matrix(source);
}

// The ops of one token through four layers (three delta nets, one attention) and the head, with the
// shapes of Qwen3-Next-80B and Q4_K weights; fewer experts, the same ten per token.
class DecodeStep {
 public:
  explicit DecodeStep(Backend& backend) : b_(backend) {
    for (Layer& l : layers_) make_layer(l, &l == &layers_.back());
    head_ = make(DType::kQ4_K, kVocabulary, kHidden);
    layout_.kv_heads = 2;
    layout_.head_dim = 256;
    cache_.resize(static_cast<size_t>(17 * layout_.page_bytes()), std::byte{0x3d});
    for (int64_t p = 0; p < 17; ++p) pages_.push_back(cache_.data() + p * layout_.page_bytes());
    rope_.inverse_frequencies.assign(32, 0.01f);
  }

  double bytes() const { return bytes_; }  // read and written by one step

  void run() {
    x_ = random_floats(kHidden, 1);
    for (Layer& l : layers_) {
      b_.rms_norm(row(h_, kHidden), row(x_, kHidden), ones(kHidden), 1e-6f);
      if (l.in != nullptr) {
        delta_net(l);
      } else {
        attention(l);
      }
      b_.linear(row(d_, kHidden), row(c_, 4096), *l.out);
      b_.add(row(x_, kHidden), row(d_, kHidden));
      feed_forward(l);
    }
    b_.rms_norm(row(h_, kHidden), row(x_, kHidden), ones(kHidden), 1e-6f);
    b_.linear(row(logits_, kVocabulary), row(h_, kHidden), *head_);
  }

 private:
  static constexpr int64_t kHidden = 2048, kExperts = 128, kTop = 10, kContext = 4096;
  static constexpr int64_t kVocabulary = 151936;
  struct Layer {
    std::unique_ptr<Matrix> in, gates, out, q, k, v, router, shared_gate, shared_up, shared_down,
        shared_scalar;
    std::unique_ptr<ExpertStack> experts;
    std::vector<float> conv = std::vector<float>(3 * 8192), delta = std::vector<float>(524288);
  };

  std::unique_ptr<Matrix> make(DType type, int64_t rows, int64_t cols) {
    auto m = random_matrix(b_, type, rows, cols);
    bytes_ += static_cast<double>(m->bytes());
    return m;
  }

  void make_layer(Layer& l, bool attends) {
    if (attends) {
      l.q = make(DType::kQ4_K, 8192, kHidden);
      l.k = make(DType::kQ4_K, 512, kHidden);
      l.v = make(DType::kQ4_K, 512, kHidden);
      bytes_ += kContext * 2048.0;
    } else {
      l.in = make(DType::kQ4_K, 12288, kHidden);
      l.gates = make(DType::kQ4_K, 64, kHidden);
      bytes_ += 2 * 524288 * 4.0;
    }
    l.out = make(DType::kQ4_K, kHidden, 4096);
    l.router = make(DType::kF32, kExperts, kHidden);
    l.shared_gate = make(DType::kQ4_K, 512, kHidden);
    l.shared_up = make(DType::kQ4_K, 512, kHidden);
    l.shared_down = make(DType::kQ4_K, kHidden, 512);
    l.shared_scalar = make(DType::kF32, 1, kHidden);
    const std::vector<std::byte> in = random_rows(DType::kQ4_K, 512, kHidden);
    const std::vector<std::byte> out = random_rows(DType::kQ4_K, kHidden, 512);
    ExpertSource expert;
    expert.gate.dtype = expert.down.dtype = DType::kQ4_K;
    expert.gate.rows = expert.down.cols = 512;
    expert.gate.cols = expert.down.rows = kHidden;
    expert.gate.bytes = in;
    expert.down.bytes = out;
    expert.up = expert.gate;
    l.experts = b_.make_experts(std::vector<ExpertSource>(kExperts, expert));
    bytes_ += static_cast<double>(kTop * l.experts->bytes_per_expert());
  }

  static MutView row(std::vector<float>& v, int64_t n, int64_t from = 0) {
    return {v.data() + from, 1, n};
  }
  std::span<const float> ones(size_t n) const { return {ones_.data(), n}; }

  void delta_net(Layer& l) {
    RecurrentSpan span;
    span.rows = {0, 1, kContext};
    span.conv = l.conv.data();
    span.delta = l.delta.data();
    const LinearPart parts[] = {{row(a_, 12288), l.in.get()}, {row(gates_, 64), l.gates.get()}};
    b_.linear_group(parts, row(h_, kHidden));
    const DeltaNetParams params{
        {16, 32, 128, 128, false}, ones(8192 * 4), 4, ones(32), ones(32), ones(128), 1e-6f};
    const DeltaNetInputs in{row(a_, 8192), row(a_, 4096, 8192), row(gates_, 32),
                            row(gates_, 32, 32)};
    b_.gated_delta_net(row(c_, 4096), in, params, {&span, 1});
  }

  void attention(Layer& l) {
    KvSpan span;
    span.rows = {0, 1, kContext};
    span.pages = pages_;
    b_.linear(row(a_, 8192), row(h_, kHidden), *l.q);
    b_.linear(row(e_, 512), row(h_, kHidden), *l.k);
    b_.linear(row(f_, 512), row(h_, kHidden), *l.v);
    const RopePart parts[] = {{row(a_, 8192), 16, 512}, {row(e_, 512), 2, 256}};
    const RopeSpan turned{span.rows, &rope_};
    b_.rope(parts, {&turned, 1});
    b_.kv_store(row(e_, 512), row(f_, 512), layout_, {&span, 1});
    b_.attention(row(c_, 4096), row(a_, 8192), 16, 512, 0.0625f, layout_, {&span, 1});
    b_.sigmoid_gate(row(c_, 4096), row(a_, 4096, 4096));
  }

  void feed_forward(Layer& l) {
    b_.rms_norm(row(h_, kHidden), row(x_, kHidden), ones(kHidden), 1e-6f);
    b_.linear(row(scores_, kExperts), row(h_, kHidden), *l.router);
    b_.route(ids_, weights_, row(scores_, kExperts), kTop, true);
    b_.experts(row(d_, kHidden), row(h_, kHidden), ids_, weights_, kTop, *l.experts);
    b_.add(row(x_, kHidden), row(d_, kHidden));
    b_.linear(row(e_, 512), row(h_, kHidden), *l.shared_gate);
    b_.linear(row(f_, 512), row(h_, kHidden), *l.shared_up);
    b_.swiglu(row(e_, 512), row(e_, 512), row(f_, 512));
    b_.linear(row(d_, kHidden), row(e_, 512), *l.shared_down);
    b_.linear(row(g_, 1), row(h_, kHidden), *l.shared_scalar);
    b_.add_gated(row(x_, kHidden), row(d_, kHidden), row(g_, 1));
  }

  Backend& b_;
  double bytes_ = 0;
  std::vector<Layer> layers_ = std::vector<Layer>(4);
  std::unique_ptr<Matrix> head_;
  KvLayout layout_;
  std::vector<std::byte> cache_;
  std::vector<std::byte*> pages_;
  RopeTable rope_;
  std::vector<float> ones_ = std::vector<float>(8192 * 4, 1.0f);
  std::vector<float> x_, h_ = std::vector<float>(kHidden), a_ = std::vector<float>(12288);
  std::vector<float> b_in_ = std::vector<float>(8192), c_ = std::vector<float>(4096);
  std::vector<float> d_ = std::vector<float>(kHidden), e_ = std::vector<float>(512), f_ = e_;
  std::vector<float> gates_ = std::vector<float>(64), beta_ = std::vector<float>(32), g_ = beta_;
  std::vector<float> scores_ = std::vector<float>(kExperts);
  std::vector<float> logits_ = std::vector<float>(kVocabulary);
  std::vector<int32_t> ids_ = std::vector<int32_t>(kTop);
  std::vector<float> weights_ = std::vector<float>(kTop);
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    BackendOptions backend;
    backend.threads = options.threads;
    backend_ = open_backend(backend);
    std::printf("%s\n", backend_->description().c_str());
    print_ceilings();
    const Calibration memory = calibrate_memory(options.threads);
    std::printf("memory read: %.1f GB/s by one thread, %.1f by all\n", memory.read_gbps_one,
                memory.read_gbps);
    std::printf("%-34s %10s %9s %9s %8s\n", "case", "us", "GB/s", "GFLOP/s", "of read");
  }

  bool wants(const std::string& name) const {
    return options_.filter.empty() || name.find(options_.filter) != std::string::npos;
  }

  // `bytes` and `flops` of one call of `run`; returns its seconds.
  double report(const std::string& name, double bytes, double flops, int times,
                const std::function<void()>& run) {
    const double before = calibrate_memory(options_.threads).read_gbps;
    // One thread can be timed by its own clock, which stops while others use the core.
    const clockid_t clock = options_.threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    const double seconds = decile_seconds(times, clock, run);
    const double after = calibrate_memory(options_.threads).read_gbps;
    const double roof = std::max(before, after);
    std::printf("%-34s %10.1f %9.1f %9.1f %7.0f%%  (read %.1f, %.1f GB/s)\n", name.c_str(),
                seconds * 1e6, bytes / seconds * 1e-9, flops / seconds * 1e-9,
                100 * bytes / seconds * 1e-9 / roof, before, after);
    std::fflush(stdout);
    return seconds;
  }

  void linear(DType type) {
    const std::string name(dtype_name(type));
    if (!wants("linear " + name)) return;
    const int64_t rows = 24576, cols = 2048;
    const std::vector<std::byte> stored = random_rows(type, rows, cols);
    MatrixSource source;
    source.dtype = type;
    source.rows = rows;
    source.cols = cols;
    source.bytes = stored;
    // Several copies, so that no cache holds them all.
    std::vector<std::unique_ptr<Matrix>> copies;
    for (int i = 0; i < 8; ++i) copies.push_back(backend_->make_matrix(source));
    for (const int64_t tokens : {1, 2, 4, 8, 32, 128, 512}) {
      const std::vector<float> x = random_floats(tokens * cols, 2);
      std::vector<float> y(static_cast<size_t>(tokens * rows));
      size_t next = 0;
      report("linear " + name + " x " + std::to_string(tokens),
             static_cast<double>(copies[0]->bytes()),
             2.0 * static_cast<double>(rows * cols * tokens), tokens > 32 ? 3 : 16, [&] {
               backend_->linear({y.data(), tokens, rows}, {x.data(), tokens, cols},
                                *copies[next++ % copies.size()]);
             });
    }
  }

  void experts(DType type) {
    const std::string name = "experts " + std::string(dtype_name(type));
    if (!wants(name)) return;
    const int64_t count = 512, hidden = 2048, width = 512, k = 10;
    const std::vector<std::byte> in = random_rows(type, width, hidden);
    const std::vector<std::byte> out = random_rows(type, hidden, width);
    std::vector<ExpertSource> sources(count);
    for (ExpertSource& e : sources) {
      e.gate.dtype = e.down.dtype = type;
      e.gate.rows = e.down.cols = width;
      e.gate.cols = e.down.rows = hidden;
      e.gate.bytes = in;
      e.down.bytes = out;
      e.up = e.gate;
    }
    const auto stack = backend_->make_experts(sources);
    uint64_t call = 0;
    for (const int64_t tokens : {1, 4, 16, 64, 512, 2048}) {
      const std::vector<float> x = random_floats(tokens * hidden, 2);
      const std::vector<float> weights(static_cast<size_t>(tokens * k), 0.1f);
      std::vector<float> y(x.size());
      std::vector<int32_t> ids(weights.size());
      double active = 0;
      const auto choose = [&] {
        std::vector<bool> seen(count);
        active = 0;
        ++call;
        for (size_t i = 0; i < ids.size(); ++i) {
          ids[i] = static_cast<int32_t>(random_bits(call, i / k, i % k) % 51 + 51 * (i % k));
          if (!seen[static_cast<size_t>(ids[i])]) ++active;
          seen[static_cast<size_t>(ids[i])] = true;
        }
      };
      choose();
      report(name + " x " + std::to_string(tokens),
             active * static_cast<double>(stack->bytes_per_expert()),
             6.0 * static_cast<double>(hidden * width * tokens * k), tokens > 64 ? 3 : 24, [&] {
               choose();
               backend_->experts({y.data(), tokens, hidden}, {x.data(), tokens, hidden}, ids,
                                 weights, k, *stack);
             });
    }
  }

  // Everything of a delta net between its projections; GB/s of state read and written.
  void delta_net() {
    if (!wants("delta net")) return;
    const DeltaShape shape{16, 32, 128, 128, false};
    const int64_t layers = 36, state_floats = 32 * 128 * 128, window_floats = 3 * 8192;
    std::vector<float> state(static_cast<size_t>(layers * state_floats));
    std::vector<float> windows(static_cast<size_t>(layers * window_floats));
    const std::vector<float> conv = random_floats(8192 * 4, 4), ones(128, 1.0f);
    const std::vector<float> decay(32, -0.05f);
    const int threads = options_.threads > 0 ? options_.threads : ThreadPool::default_threads();
    for (const int64_t tokens : {1, 4, 64, 512}) {
      const std::vector<float> qkv = random_floats(tokens * 8192, 1);
      const std::vector<float> z = random_floats(tokens * 4096, 2),
                               gates = random_floats(tokens * 32, 3);
      std::vector<float> o(z.size());
      const DeltaNetInputs in{{qkv.data(), tokens, 8192},
                              {z.data(), tokens, 4096},
                              {gates.data(), tokens, 32},
                              {gates.data(), tokens, 32}};
      const DeltaNetParams params{shape, conv, 4, decay, {ones.data(), 32}, ones, 1e-6f};
      int64_t layer = 0;
      const double seconds =
          report("delta net x " + std::to_string(tokens), 8.0 * static_cast<double>(state_floats),
                 8.0 * static_cast<double>(state_floats * tokens), tokens > 8 ? 8 : 100, [&] {
                   RecurrentSpan span;
                   span.rows = {0, tokens, 0};
                   span.delta = state.data() + layer % layers * state_floats;
                   span.conv = windows.data() + layer++ % layers * window_floats;
                   backend_->gated_delta_net({o.data(), tokens, 4096}, in, params, {&span, 1});
                 });
      std::printf("%-34s %10.2f us per token and layer of one core\n", "",
                  seconds * 1e6 * threads / static_cast<double>(tokens));
    }
  }

  void attention() {
    if (!wants("attention")) return;
    KvLayout layout;
    layout.kv_heads = 2;
    layout.head_dim = 256;
    const int64_t heads = 16, context = 32768;
    std::vector<std::byte> memory(
        static_cast<size_t>(context / layout.page_tokens * layout.page_bytes()), std::byte{0x3d});
    std::vector<std::byte*> pages;
    for (int64_t p = 0; p < context / layout.page_tokens; ++p)
      pages.push_back(memory.data() + p * layout.page_bytes());
    for (const int64_t tokens : {1, 4, 64, 256}) {
      const int64_t depth = tokens > 8 ? 4096 : context;
      const std::vector<float> q = random_floats(tokens * heads * 256, 1);
      std::vector<float> o(q.size());
      const double seen = static_cast<double>(depth);
      report("attention x " + std::to_string(tokens) + " at " + std::to_string(depth),
             seen * 2 * 2 * 256 * 2, 4.0 * 256 * 16 * seen * static_cast<double>(tokens),
             tokens > 8 ? 3 : 16, [&] {
               KvSpan span;
               span.rows = {0, tokens, depth - tokens};
               span.pages = pages;
               backend_->attention({o.data(), tokens, heads * 256}, {q.data(), tokens, heads * 256},
                                   heads, 256, 0.0625f, layout, {&span, 1});
             });
    }
  }

  void decode_step();

 private:
  Options options_;
  std::unique_ptr<Backend> backend_;
};

void Bench::decode_step() {
  if (!wants("decode step")) return;
  DecodeStep step(*backend_);
  report("decode step, 4 layers q4_k", step.bytes(), 0, 60, [&] { step.run(); });
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--threads") == 0) options.threads = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--filter") == 0) options.filter = argv[i + 1];
  }
  Bench bench(options);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kQ8_0, DType::kQ4_0,
                           DType::kBF16, DType::kF32})
    bench.linear(type);
  bench.decode_step();
  bench.experts(DType::kQ4_K);
  bench.delta_net();
  bench.attention();
  return 0;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) { return headgate::run(argc, argv); }

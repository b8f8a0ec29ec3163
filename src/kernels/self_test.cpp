// Small inputs for every entry of the kernel table, and the guard that survives SIGILL.
#include "kernels/self_test.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "kernels/dispatch.h"
#include "kernels/pack.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

constexpr int64_t kLength = 83;  // whole vectors of every level, and a tail
constexpr int64_t kRows = 16;
constexpr int64_t kTokens = 5;
constexpr int64_t kKeyDim = 128, kColumns = 64;  // of the delta rule
constexpr int64_t kHeadDim = 96, kCached = 37;   // of attention
constexpr int64_t kPanelBytes = 2 * 8192;        // two panels of one block
constexpr int64_t kFloats = 10240;
constexpr float kTolerance = 2e-5f;  // of the largest value: other orders of adding up

// Inputs and results of all tests. Plain arrays: a test may be left by a jump.
struct Data {
  alignas(64) std::byte panels[kPanelBytes];
  alignas(64) float a[kFloats], b[kFloats], c[kFloats];
  alignas(64) float got[2][kFloats];
  alignas(64) uint16_t stored[kFloats];
  alignas(64) std::byte head[2 * 64 * kHeadDim * 4];  // of a KV cache, 64 tokens
  alignas(64) std::byte queries[kTokens * packed_query_bytes(kHeadDim)];
  alignas(64) std::byte scratch[kAttentionScratchBytes];
  ActivationBlock codes[kTokens];
  alignas(64) uint16_t tiles[2 * 16 * kBlockInputs];
  alignas(64) std::byte tile_scratch[kTileScratchBytes];
  alignas(64) std::byte chunk[64 << 10];
};

void fill_inputs(Data& d) {
  float* const inputs[] = {d.a, d.b, d.c};
  for (uint64_t stream = 0; stream < 3; ++stream) {
    for (uint64_t i = 0; i < kFloats; ++i)
      inputs[stream][i] = static_cast<float>(random_uniform(1, stream, i)) * 2 - 1;
  }
}

bool close(const float* got, const float* want, int64_t n, float tolerance = kTolerance) {
  float error = 0, largest = 1e-30f;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(got[i])) return false;
    error = std::max(error, std::fabs(got[i] - want[i]));
    largest = std::max(largest, std::fabs(want[i]));
  }
  return error <= tolerance * largest;
}

// Runs an operation with both tables on results that start alike; n floats must agree.
template <typename F>
bool same(const KernelTable& fast, const KernelTable& slow, Data& d, int64_t n, const F& run) {
  for (float* got : d.got) std::copy_n(d.c, kFloats, got);
  run(fast, d.got[0]);
  run(slow, d.got[1]);
  return close(d.got[0], d.got[1], n + 1);  // one beyond: nothing else is written
}

using Test = bool (*)(const KernelTable& fast, const KernelTable& slow, Data& d, int index);

bool test_rms_norm(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.rms_norm(y, d.a, d.b, kLength, 1e-6f); });
}

bool test_gated_rms_norm(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength, [&](const KernelTable& k, float* y) {
    k.gated_rms_norm(y, d.a, d.b, d.a + 200, kLength, 1e-6f);
  });
}

bool test_l2_norm(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.l2_norm(y, d.a, kLength, 0.3f); });
}

bool test_add_scaled(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.add_scaled(y, d.a, -1.7f, kLength); });
}

bool test_scale_add(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.scale_add(y, 0.4f, d.a, 2.5f, kLength); });
}

bool test_swiglu(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.swiglu(y, d.a, d.b, kLength); });
}

bool test_sigmoid_gate(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.sigmoid_gate(y, d.a, kLength); });
}

bool test_exp_shifted(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { y[kLength] = k.exp_shifted(y, d.a, kLength); });
}

bool test_conv_silu(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  constexpr int64_t kWidth = 4, kStates = (kWidth - 1) * kLength;
  return same(fast, slow, d, kStates + kTokens * kLength, [&](const KernelTable& k, float* y) {
    k.conv_silu(y + kStates, kLength, d.a, kLength, d.b, kWidth, y, kLength, kTokens, kLength);
  });
}

bool test_rotate_half(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, 2 * kLength,
              [&](const KernelTable& k, float* y) { k.rotate_half(y, d.a, d.b, kLength); });
}

bool test_dot_rows(const KernelTable& fast, const KernelTable& slow, Data& d, int format) {
  // Stored by the reference, so that only the product is tested.
  const int64_t size = format == kFloatF32 ? 4 : 2;
  slow.store[format](d.stored, d.b, kRows * kLength / 2);
  return same(fast, slow, d, kTokens * kRows, [&](const KernelTable& k, float* y) {
    float* out[kTokens];
    const float* in[kTokens];
    const void* weights[kRows];
    for (int64_t t = 0; t < kTokens; ++t) {
      out[t] = y + t * kRows;
      in[t] = d.a + t * kLength;
    }
    for (int64_t r = 0; r < kRows; ++r)
      weights[r] = reinterpret_cast<const std::byte*>(d.stored) + r % 8 * kLength * size;
    k.dot_rows[format](out, in, kTokens, weights, kRows, kLength);
  });
}

bool test_fp8_floats(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  uint8_t codes[kLength];
  for (int64_t i = 0; i < kLength; ++i) codes[i] = static_cast<uint8_t>(i * 5 % 127 + i % 2 * 128);
  return same(fast, slow, d, kLength,
              [&](const KernelTable& k, float* y) { k.fp8_floats(y, codes, 0.37f, kLength); });
}

bool test_store(const KernelTable& fast, const KernelTable& slow, Data& d, int format) {
  std::memset(d.got, 0, sizeof d.got);
  fast.store[format](d.got[0], d.a, kLength);
  slow.store[format](d.got[1], d.a, kLength);
  return std::memcmp(d.got[0], d.got[1], sizeof d.got[0]) == 0;
}

bool test_quantize(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  std::memset(d.got, 0, sizeof d.got);
  fast.quantize(reinterpret_cast<ActivationBlock*>(d.got[0]), d.a, kLength, 2);
  slow.quantize(reinterpret_cast<ActivationBlock*>(d.got[1]), d.a, kLength, 2);
  return std::memcmp(d.got[0], d.got[1], sizeof d.got[0]) == 0;
}

// d.panels holds two panels of the format.
bool test_panel_dot(const KernelTable& fast, const KernelTable& slow, Data& d, int format) {
  for (int64_t t = 0; t < kTokens; ++t) slow.quantize(&d.codes[t], d.a + t * 256, 256, 0);
  return same(fast, slow, d, kTokens * 2 * kRows, [&](const KernelTable& k, float* y) {
    float* out[kTokens];
    const ActivationBlock* in[kTokens];
    for (int64_t t = 0; t < kTokens; ++t) {
      out[t] = y + t * 2 * kRows;
      in[t] = &d.codes[t];
    }
    k.panel_dot[format](out, in, kTokens, d.panels, 2, 1);
  });
}

constexpr int64_t kTiledRows = 21;  // a whole tile of rows and a part of one
static_assert(kTiledRows * kBlockInputs <= kFloats);

void point_at_rows(const float* (&rows)[kTiledRows], const Data& d, int64_t cols) {
  for (int64_t t = 0; t < kTiledRows; ++t) rows[t] = d.a + t * cols;
}

bool test_pack_tiles(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  static_assert(sizeof d.tiles <= sizeof d.got[0]);
  const float* rows[kTiledRows];
  point_at_rows(rows, d, kLength);
  std::memset(d.got, 0, sizeof d.got);
  fast.tiles.pack(reinterpret_cast<uint16_t*>(d.got[0]), rows, kTiledRows, kLength);
  slow.tiles.pack(reinterpret_cast<uint16_t*>(d.got[1]), rows, kTiledRows, kLength);
  return std::memcmp(d.got[0], d.got[1], sizeof d.got[0]) == 0;
}

// d.panels holds two panels of the format.
bool test_tile_product(const KernelTable& fast, const KernelTable& slow, Data& d, int format) {
  const float* rows[kTiledRows];
  point_at_rows(rows, d, kBlockInputs);
  slow.tiles.pack(d.tiles, rows, kTiledRows, kBlockInputs);
  return same(fast, slow, d, kTiledRows * 2 * kRows, [&](const KernelTable& k, float* y) {
    float* out[kTiledRows];
    for (int64_t t = 0; t < kTiledRows; ++t) out[t] = y + t * 2 * kRows;
    k.tiles.multiply[format]({out, d.tiles, kTiledRows, d.panels, 2, 1, d.tile_scratch});
  });
}

bool test_read_words(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  const auto* words = reinterpret_cast<const uint64_t*>(d.a);
  return fast.read_words(words, kLength) == slow.read_words(words, kLength);
}

bool test_delta_gates(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  return same(fast, slow, d, 2 * kLength, [&](const KernelTable& k, float* y) {
    k.delta_gates(y, y + kLength, d.a, d.b, -1.3f, 0.4f, kLength);
  });
}

bool test_gated_delta(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  constexpr int64_t kState = kKeyDim * kColumns;
  return same(fast, slow, d, kState + kTokens * kColumns, [&](const KernelTable& k, float* y) {
    float g[kTokens], beta[kTokens];
    for (int64_t t = 0; t < kTokens; ++t) {
      g[t] = -0.1f * static_cast<float>(t + 1);
      beta[t] = 0.05f * static_cast<float>(t + 1);
    }
    DeltaArgs args = {};
    args.state = y;
    args.state_stride = kColumns;
    args.q = d.a;
    args.k = d.a + kTokens * kKeyDim;
    args.q_stride = args.k_stride = kKeyDim;
    args.v = d.b;
    args.v_stride = args.o_stride = kColumns;
    args.o = y + kState;
    args.g = g;
    args.beta = beta;
    args.g_stride = args.beta_stride = 1;
    args.tokens = kTokens;
    args.key_dim = kKeyDim;
    args.columns = kColumns;
    k.gated_delta(args);
  });
}

// Tolerates what bf16 dot products round off queries and weights.
constexpr float kRoundedTolerance = 2e-2f;

constexpr int64_t kChunkKeyDim = 32, kChunkColumns = 32;

bool test_delta_chunk(const KernelTable& fast, const KernelTable& slow, Data& d, int) {
  constexpr int64_t kState = kChunkKeyDim * kChunkColumns;
  static_assert(delta_chunk_shared_bytes(kChunkKeyDim) <= static_cast<int64_t>(sizeof d.chunk));
  static_assert(delta_chunk_scratch_bytes(kChunkKeyDim, kChunkColumns) <= kTileScratchBytes);
  for (float* got : d.got) std::copy_n(d.c, kFloats, got);
  for (int i = 0; i < 2; ++i) {
    const DeltaChunkKernel& kernel = (i == 0 ? fast : slow).delta_chunk;
    float g[kDeltaChunk], beta[kDeltaChunk];
    for (int64_t t = 0; t < kDeltaChunk; ++t) {
      g[t] = -0.01f * static_cast<float>(t % 7 + 1);
      beta[t] = 0.02f * static_cast<float>(t % 5 + 1);
    }
    kernel.prepare(d.chunk, d.a, kChunkKeyDim, d.a + kDeltaChunk * kChunkKeyDim, kChunkKeyDim,
                   kChunkKeyDim);
    DeltaArgs args = {};
    args.state = d.got[i];
    args.state_stride = kChunkColumns;
    args.v = d.b;
    args.v_stride = args.o_stride = kChunkColumns;
    args.o = d.got[i] + kState;
    args.g = g;
    args.beta = beta;
    args.g_stride = args.beta_stride = 1;
    args.tokens = kDeltaChunk;
    args.key_dim = kChunkKeyDim;
    args.columns = kChunkColumns;
    kernel.run(args, d.chunk, d.tile_scratch);
  }
  return close(d.got[0], d.got[1], kState + kDeltaChunk * kChunkColumns + 1, kRoundedTolerance);
}

bool test_attention(const KernelTable& fast, const KernelTable& slow, Data& d, int format) {
  const auto kv = static_cast<KvFormat>(format);
  const KvPlane plane = kv_plane(kv, kHeadDim, kCached);
  HEADGATE_CHECK(plane.bytes <= static_cast<int64_t>(sizeof d.head));
  for (int64_t t = 0; t < kCached; ++t)
    kv_store_token(kv, plane, d.head, t, d.b + t * kHeadDim, d.c + t * kHeadDim, kHeadDim);
  const int32_t visible[kTokens] = {kCached, kCached - 2, kCached - 4, 1, 0};
  float* const results[2] = {d.got[0], d.got[1]};
  for (int i = 0; i < 2; ++i) {
    const AttentionKernel& kernel = (i == 0 ? fast : slow).attention[kv];
    for (int64_t r = 0; r < kTokens; ++r)
      kernel.pack_query(d.queries + r * packed_query_bytes(plane.dims), d.a + r * kHeadDim,
                        kHeadDim, plane.dims, 0.05f);
    float* out = results[i];
    AttentionArgs args = {};
    args.queries = d.queries;
    args.rows = kTokens;
    args.visible = visible;
    args.tokens = kCached;
    args.dims = plane.dims;
    args.keys = d.head;
    args.key_stride = plane.key_tile;
    args.key_scales = reinterpret_cast<const float*>(d.head + plane.key_scales);
    args.values = d.head + plane.values;
    args.value_stride = plane.value_tile;
    args.value_scales = d.head + plane.value_scales;
    args.scale_stride = plane.tokens * 2;
    args.scratch = d.scratch;
    args.out = out;
    args.sum = out + kTokens * plane.dims;
    args.max = args.sum + kTokens;
    kernel.run(args);
    if (args.sum[kTokens - 1] != 0 || args.max[kTokens - 1] != -INFINITY) return false;
    args.max[kTokens - 1] = 0;
  }
  return close(d.got[0], d.got[1], kTokens * (plane.dims + 2),
               kv == kKvBF16   ? kRoundedTolerance
               : kKvInt8 <= kv ? 1e-3f
                               : kTolerance);
}

struct Check {
  std::string name;
  size_t offset;  // of the entry in the table
  Test test;
  int index = 0;
  // Panels to put into the data first.
  const std::byte* panels = nullptr;
  size_t bytes = sizeof(void*);  // of the entry
};

#define HEADGATE_ENTRY(entry) offsetof(KernelTable, entry)

std::vector<Check> plain_checks() {
  std::vector<Check> checks = {
      {"rms_norm", HEADGATE_ENTRY(rms_norm), test_rms_norm},
      {"gated_rms_norm", HEADGATE_ENTRY(gated_rms_norm), test_gated_rms_norm},
      {"l2_norm", HEADGATE_ENTRY(l2_norm), test_l2_norm},
      {"add_scaled", HEADGATE_ENTRY(add_scaled), test_add_scaled},
      {"scale_add", HEADGATE_ENTRY(scale_add), test_scale_add},
      {"swiglu", HEADGATE_ENTRY(swiglu), test_swiglu},
      {"sigmoid_gate", HEADGATE_ENTRY(sigmoid_gate), test_sigmoid_gate},
      {"exp_shifted", HEADGATE_ENTRY(exp_shifted), test_exp_shifted},
      {"conv_silu", HEADGATE_ENTRY(conv_silu), test_conv_silu},
      {"rotate_half", HEADGATE_ENTRY(rotate_half), test_rotate_half},
      {"quantize", HEADGATE_ENTRY(quantize), test_quantize},
      {"fp8_floats", HEADGATE_ENTRY(fp8_floats), test_fp8_floats},
      {"pack_tiles", HEADGATE_ENTRY(tiles.pack), test_pack_tiles},
      {"read_words", HEADGATE_ENTRY(read_words), test_read_words},
      {"delta_gates", HEADGATE_ENTRY(delta_gates), test_delta_gates},
      {"gated_delta", HEADGATE_ENTRY(gated_delta), test_gated_delta},
      {"delta_chunk", HEADGATE_ENTRY(delta_chunk), test_delta_chunk, 0, nullptr,
       sizeof(DeltaChunkKernel)},
  };
  constexpr std::array<const char*, kFloatFormats> kFormats = {"f32", "f16", "bf16"};
  for (int f = 0; f < kFloatFormats; ++f) {
    const size_t step = static_cast<size_t>(f) * sizeof(void*);
    const std::string suffix = std::string("[") + kFormats[static_cast<size_t>(f)] + "]";
    checks.push_back({"dot_rows" + suffix, HEADGATE_ENTRY(dot_rows) + step, test_dot_rows, f});
    checks.push_back({"store" + suffix, HEADGATE_ENTRY(store) + step, test_store, f});
  }
  constexpr std::array<const char*, kKvFormats> kTypes = {"f32", "f16", "bf16", "int8", "q4"};
  for (int f = 0; f < kKvFormats; ++f) {
    const size_t step = static_cast<size_t>(f) * sizeof(AttentionKernel);
    checks.push_back({std::string("attention[") + kTypes[static_cast<size_t>(f)] + "]",
                      HEADGATE_ENTRY(attention) + step, test_attention, f, nullptr,
                      sizeof(AttentionKernel)});
  }
  return checks;
}

// Two panels of random weights for every format, by type of stored rows.
struct PanelSet {
  std::vector<Check> checks;
  std::vector<std::vector<std::byte>> panels;
};

PanelSet panel_checks() {
  PanelSet set;
  constexpr int64_t kDistinct = 3;  // encoding is the slow part
  std::array<float, kDistinct * 256> values;
  for (size_t i = 0; i < values.size(); ++i) values[i] = random_normal(11, 0, i);
  for (int type = 0; type <= static_cast<int>(DType::kMXFP4); ++type) {
    const auto dtype = static_cast<DType>(type);
    const std::optional<PanelFormat> format = panel_format(dtype);
    if (!format || !is_writable(dtype)) continue;
    const int64_t bytes = row_bytes(dtype, 256);
    std::vector<std::byte> rows(static_cast<size_t>(kDistinct * bytes));
    for (int64_t r = 0; r < kDistinct; ++r)
      quantize_row(dtype, values.data() + r * 256, rows.data() + r * bytes, 256);
    std::vector<std::byte> panels(kPanelBytes);
    for (int n = 0; n < 2 * kRows; ++n) {
      pack_row(*format, panels.data() + n / kRows * panel_block_bytes(*format),
               static_cast<int>(n % kRows), rows.data() + n % kDistinct * bytes, 256);
    }
    set.panels.push_back(std::move(panels));
    set.checks.push_back({"panel_dot[" + std::string(dtype_name(dtype)) + "]",
                          HEADGATE_ENTRY(panel_dot) + static_cast<size_t>(*format) * sizeof(void*),
                          test_panel_dot, *format});
    set.checks.push_back(
        {"tile_product[" + std::string(dtype_name(dtype)) + "]",
         HEADGATE_ENTRY(tiles.multiply) + static_cast<size_t>(*format) * sizeof(void*),
         test_tile_product, *format});
  }
  for (size_t i = 0; i < set.checks.size(); ++i) set.checks[i].panels = set.panels[i / 2].data();
  return set;
}

#undef HEADGATE_ENTRY

// Where the thread under test jumps to on an illegal instruction; null for other threads.
thread_local sigjmp_buf* guarded_jump = nullptr;
struct sigaction previous_action;

void on_illegal_instruction(int, siginfo_t*, void*) {
  if (guarded_jump != nullptr) siglongjmp(*guarded_jump, 1);
  // Not ours: the instruction raises it again, for whom it was meant.
  sigaction(SIGILL, &previous_action, nullptr);
}

// Catches SIGILL of this thread while it lives.
class IllegalInstructionGuard {
 public:
  IllegalInstructionGuard() {
    struct sigaction action {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, &previous_action);
  }
  ~IllegalInstructionGuard() { sigaction(SIGILL, &previous_action, nullptr); }
  IllegalInstructionGuard(const IllegalInstructionGuard&) = delete;
  IllegalInstructionGuard& operator=(const IllegalInstructionGuard&) = delete;
};

enum class Outcome { kPassed, kWrong, kIllegal };

// Nothing between the jump and its return owns anything.
Outcome run_guarded(const Check& check, const KernelTable& fast, const KernelTable& slow,
                    Data& data) {
  sigjmp_buf jump;
  if (sigsetjmp(jump, 1) != 0) {
    guarded_jump = nullptr;
    return Outcome::kIllegal;
  }
  guarded_jump = &jump;
  const bool agrees = check.test(fast, slow, data, check.index);
  guarded_jump = nullptr;
  return agrees ? Outcome::kPassed : Outcome::kWrong;
}

void copy_entry(KernelTable& to, const KernelTable& from, const Check& check) {
  std::memcpy(reinterpret_cast<char*>(&to) + check.offset,
              reinterpret_cast<const char*>(&from) + check.offset, check.bytes);
}

bool same_entry(const KernelTable& a, const KernelTable& b, const Check& check) {
  return std::memcmp(reinterpret_cast<const char*>(&a) + check.offset,
                     reinterpret_cast<const char*>(&b) + check.offset, check.bytes) == 0;
}

void check_entry(const Check& check, std::span<const KernelLevel> levels, Data& data,
                 CheckedKernels& out) {
  const KernelTable& reference = levels.front().table;
  KernelFallback fallback{check.name, levels.back().isa, levels.back().isa, false};
  bool failed = false;
  for (size_t level = levels.size() - 1;; --level) {
    copy_entry(out.table, levels[level].table, check);
    fallback.to = levels[level].isa;
    if (same_entry(out.table, reference, check)) break;
    // Levels that add nothing share the entry of the one below: name the lowest that has it.
    if (same_entry(out.table, levels[level - 1].table, check)) continue;
    if (check.panels != nullptr) std::copy_n(check.panels, kPanelBytes, data.panels);
    const Outcome outcome = run_guarded(check, out.table, reference, data);
    if (outcome == Outcome::kPassed) break;
    if (!failed) fallback.from = levels[level].isa;
    failed = true;
    fallback.illegal = fallback.illegal || outcome == Outcome::kIllegal;
  }
  if (failed) out.fallbacks.push_back(fallback);
}

CheckedKernels check_level(Isa isa) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::vector<KernelLevel> levels;
  for (int level = 0; level <= static_cast<int>(isa); ++level)
    levels.push_back({static_cast<Isa>(level), kernels_for(static_cast<Isa>(level))});
  CheckedKernels checked = check_kernels(levels);
  if (isa == cpu_info().best && cpu_info().amx_refused) {
    log_warning("the processor has AMX, but the system does not grant its tiles; using {}",
                isa_name(isa));
  }
  for (const KernelFallback& f : checked.fallbacks) {
    log_warning("self-test: kernel {} of {} {}; using the one of {}", f.kernel, isa_name(f.from),
                f.illegal ? "is an illegal instruction here" : "gives wrong results",
                isa_name(f.to));
  }
  return checked;
}

}  // namespace

CheckedKernels check_kernels(std::span<const KernelLevel> levels) {
  CheckedKernels out;
  out.table = levels.back().table;
  const auto data = std::make_unique<Data>();
  const std::vector<Check> plain = plain_checks();
  const PanelSet panels = panel_checks();
  fill_inputs(*data);
  const IllegalInstructionGuard guard;
  for (const std::vector<Check>* checks : {&plain, &panels.checks}) {
    for (const Check& check : *checks) {
      const size_t failures = out.fallbacks.size();
      check_entry(check, levels, *data, out);
      // A kernel that failed may have written over the inputs of the others.
      if (out.fallbacks.size() > failures) fill_inputs(*data);
    }
  }
  return out;
}

const CheckedKernels& checked_kernels(Isa isa) {
  static std::array<std::once_flag, 5> once;
  static std::array<CheckedKernels, 5> checked;
  const auto index = static_cast<size_t>(isa);
  std::call_once(once[index], [&] { checked[index] = check_level(isa); });
  return checked[index];
}

}  // namespace headgate

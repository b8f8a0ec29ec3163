// Broken kernels put into a table on purpose: the start-up test replaces them and says so.
#include "kernels/self_test.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"

namespace headgate {
namespace {

std::vector<KernelLevel> levels_of_this_machine() {
  std::vector<KernelLevel> levels;
  for (const Isa isa : isas_on_this_machine()) levels.push_back({isa, kernels_for(isa)});
  return levels;
}

void wrong_rms_norm(float* y, const float* x, const float* w, int64_t n, float) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * w[i];
}

// Right, but one element too many.
void long_add_scaled(float* y, const float* x, float s, int64_t n) {
  for (int64_t i = 0; i <= n; ++i) y[i] += s * x[i];
}

void illegal_panel_dot(float* const*, const ActivationBlock* const*, int64_t, const void*, int64_t,
                       int64_t) {
  __builtin_trap();
}

#if defined(__x86_64__)
void illegal_quantize(ActivationBlock*, const float*, int64_t, int64_t) { asm volatile("ud2"); }
#else
void illegal_quantize(ActivationBlock*, const float*, int64_t, int64_t) { ::raise(SIGILL); }
#endif

TEST(SelfTest, EveryKernelOfThisMachinePasses) {
  for (const Isa isa : isas_on_this_machine()) {
    const CheckedKernels& checked = checked_kernels(isa);
    EXPECT_TRUE(checked.fallbacks.empty()) << isa_name(isa) << " " << checked.fallbacks[0].kernel;
    EXPECT_EQ(checked.table.rms_norm, kernels_for(isa).rms_norm);
    EXPECT_EQ(checked.table.panel_dot[kPanelQ4K], kernels_for(isa).panel_dot[kPanelQ4K]);
    EXPECT_EQ(&checked, &checked_kernels(isa));  // once per process
  }
}

TEST(SelfTest, AWrongKernelFallsToTheLevelBelow) {
  std::vector<KernelLevel> levels = levels_of_this_machine();
  const KernelLevel below = levels.back();
  levels.push_back({Isa::kAmx, below.table});
  levels.back().table.rms_norm = wrong_rms_norm;
  levels.back().table.add_scaled = long_add_scaled;
  const CheckedKernels checked = check_kernels(levels);
  ASSERT_EQ(checked.fallbacks.size(), 2u);
  EXPECT_EQ(checked.fallbacks[0].kernel, "rms_norm");
  EXPECT_EQ(checked.fallbacks[0].from, Isa::kAmx);
  EXPECT_FALSE(checked.fallbacks[0].illegal);
  EXPECT_EQ(checked.fallbacks[1].kernel, "add_scaled");
  EXPECT_EQ(checked.table.rms_norm, below.table.rms_norm);
  EXPECT_EQ(checked.table.add_scaled, below.table.add_scaled);
  EXPECT_EQ(checked.table.swiglu, below.table.swiglu);
}

TEST(SelfTest, AnIllegalInstructionFallsThroughEveryLevelThatHasIt) {
  const KernelTable scalar = kernels_for(Isa::kScalar);
  std::vector<KernelLevel> levels = {
      {Isa::kScalar, scalar}, {Isa::kAvx2, scalar}, {Isa::kAvx512, scalar}};
  levels[1].table.quantize = illegal_quantize;
  levels[2].table.quantize = illegal_quantize;
  levels[2].table.panel_dot[kPanelQ6K] = illegal_panel_dot;
  const CheckedKernels checked = check_kernels(levels);
  ASSERT_EQ(checked.fallbacks.size(), 2u);
  EXPECT_EQ(checked.fallbacks[0].kernel, "quantize");
  EXPECT_EQ(checked.fallbacks[0].to, Isa::kScalar);
  EXPECT_TRUE(checked.fallbacks[0].illegal);
  EXPECT_EQ(checked.fallbacks[1].kernel, "panel_dot[q6_k]");
  EXPECT_EQ(checked.table.quantize, scalar.quantize);
  EXPECT_EQ(checked.table.panel_dot[kPanelQ6K], scalar.panel_dot[kPanelQ6K]);
}

#if defined(__x86_64__)
// Where the processor or the system refuses tiles, every kernel of that level is replaced.
TEST(SelfTest, TilesThatTheMachineRefusesAreReplaced) {
  if (cpu_info().best != Isa::kAvx512Bf16) GTEST_SKIP();
  std::vector<KernelLevel> levels = levels_of_this_machine();
  const KernelTable below = levels.back().table;
  levels.push_back({Isa::kAmx, kernels_for(Isa::kAmx)});
  const CheckedKernels checked = check_kernels(levels);
  ASSERT_FALSE(checked.fallbacks.empty());
  for (const KernelFallback& f : checked.fallbacks) {
    EXPECT_TRUE(f.illegal) << f.kernel;
    EXPECT_EQ(f.from, Isa::kAmx);
  }
  for (int f = 0; f < kPanelFormats; ++f)
    EXPECT_EQ(checked.table.tiles.multiply[f], below.tiles.multiply[f]) << f;
  EXPECT_EQ(checked.table.attention[kKvBF16].run, below.attention[kKvBF16].run);
}
#endif

#if defined(__clang__)
#define HEADGATE_ANY_CALLER __attribute__((no_sanitize("function")))
#else
#define HEADGATE_ANY_CALLER
#endif
HEADGATE_ANY_CALLER void illegal() { __builtin_trap(); }
#undef HEADGATE_ANY_CALLER

// A kernel that is added to the table and not to the test would be trusted unseen.
TEST(SelfTest, EveryEntryOfTheTableIsTested) {
  const KernelTable scalar = kernels_for(Isa::kScalar);
  for (size_t offset = 0; offset < sizeof(KernelTable); offset += sizeof(void*)) {
    std::vector<KernelLevel> levels = {{Isa::kScalar, scalar}, {Isa::kAvx2, scalar}};
    void (*const broken)() = illegal;
    std::memcpy(reinterpret_cast<char*>(&levels[1].table) + offset, &broken, sizeof broken);
    const CheckedKernels checked = check_kernels(levels);
    ASSERT_EQ(checked.fallbacks.size(), 1u) << "entry at byte " << offset;
    EXPECT_TRUE(checked.fallbacks[0].illegal);
    EXPECT_EQ(std::memcmp(&checked.table, &scalar, sizeof scalar), 0);
  }
}

TEST(SelfTest, TheHandlerIsGoneAfterwards) {
  const auto handler = [](int) {};
  struct sigaction mine {};
  mine.sa_handler = handler;
  ::sigaction(SIGILL, &mine, nullptr);
  const std::vector<KernelLevel> levels = {{Isa::kScalar, kernels_for(Isa::kScalar)}};
  check_kernels(levels);
  struct sigaction now {};
  ::sigaction(SIGILL, nullptr, &now);
  EXPECT_EQ(now.sa_handler, mine.sa_handler);
  ::signal(SIGILL, SIG_DFL);
}

}  // namespace
}  // namespace headgate

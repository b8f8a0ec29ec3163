// CPU detection through CPUID and the kernel's sysfs.
#include "base/cpu_info.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"scalar", "avx2",       "avxvnni",
                                                    "avx512", "avx512bf16", "amx"};

std::string read_cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos)
      return line.substr(colon + 2);
  }
  return "unknown CPU";
}

// Size of a cache of CPU 0 in bytes, `fallback` when the kernel does not say.
int64_t read_cache_bytes(int index, int64_t fallback) {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
  int64_t size = 0;
  char unit = 0;
  if (!(file >> size >> unit)) return fallback;
  return unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : fallback;
}

#if defined(__x86_64__)
// Asks Linux for the AMX tile state; without the grant the first tile instruction is a SIGILL.
bool amx_granted() {
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureXtiledata = 18;
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
}

// clang 14's __builtin_cpu_supports does not know "f16c".
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 29)) != 0;
}

bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}

bool has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool has_leaf = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  constexpr unsigned kAmxAll = kAmxBf16 | kAmxTile | kAmxInt8;
  return has_leaf && (edx & kAmxAll) == kAmxAll;
}

Isa detect_isa() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2") || !has_f16c()) {
    return Isa::kScalar;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512vnni")) {
    return has_avx_vnni() ? Isa::kAvxVnni : Isa::kAvx2;
  }
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::kAvx512;
  return has_amx() && amx_granted() ? Isa::kAmx : Isa::kAvx512Bf16;
}
#else
bool has_amx() { return false; }
bool has_avx_vnni() { return false; }
Isa detect_isa() { return Isa::kScalar; }
#endif

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = [] {
    CpuInfo i;
    i.model = read_cpu_model();
    i.best = detect_isa();
    i.amx_refused = i.best == Isa::kAvx512Bf16 && has_amx();
    i.l1d_bytes = read_cache_bytes(0, i.l1d_bytes);
    i.l2_bytes = read_cache_bytes(2, i.l2_bytes);
    i.l3_bytes = read_cache_bytes(3, i.l3_bytes);
    return i;
  }();
  return info;
}

Isa selected_isa() {
  const Isa best = cpu_info().best;
  const char* wanted = std::getenv("HEADGATE_ISA");
  if (wanted == nullptr || *wanted == '\0') return best;
  const std::optional<Isa> isa = isa_from_name(wanted);
  if (!isa) {
    fail(ErrorCode::kInvalidArgument,
         "HEADGATE_ISA={}: unknown level, expected scalar, avx2, avxvnni, avx512, avx512bf16 "
         "or amx",
         wanted);
  }
  const std::vector<Isa> here = isas_on_this_machine();
  if (std::find(here.begin(), here.end(), *isa) == here.end()) {
    fail(ErrorCode::kUnsupported, "HEADGATE_ISA={}: this machine has {}{}", wanted,
         *isa > best ? "at most " : "no such instructions, but ", isa_name(best));
  }
  return *isa;
}

std::vector<Isa> isas_on_this_machine() {
  std::vector<Isa> isas;
  for (int level = 0; level <= static_cast<int>(cpu_info().best); ++level) {
    const auto isa = static_cast<Isa>(level);
    if (isa != Isa::kAvxVnni || has_avx_vnni()) isas.push_back(isa);
  }
  return isas;
}

std::string_view isa_name(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

std::optional<Isa> isa_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  return std::nullopt;
}

}  // namespace headgate

// What the processor can do, and which instruction-set level to use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

// Clusters of instruction sets, each starting from the one before.
enum class Isa {
  kScalar,
  kAvx2,        // x86-64-v3: AVX2, FMA, F16C, BMI2
  kAvxVnni,     // and AVX-VNNI: byte dot products without AVX-512
  kAvx512,      // F, BW, DQ, VL, VNNI; AVX-VNNI need not be there
  kAvx512Bf16,  // and AVX512_BF16
  kAmx          // and AMX tiles, int8 and bf16, granted by the kernel
};

struct CpuInfo {
  std::string model;
  Isa best = Isa::kScalar;
  bool amx_refused = false;      // the processor has AMX, the system does not grant its tiles
  int64_t l1d_bytes = 32 << 10;  // per core
  int64_t l2_bytes = 1 << 20;    // per core
  int64_t l3_bytes = 8 << 20;    // shared
};

// Read once, then constant. Thread-safe.
const CpuInfo& cpu_info();

// The level to run: cpu_info().best, or HEADGATE_ISA=scalar|avx2|avxvnni|avx512|avx512bf16|amx when
// set.
// Throws kInvalidArgument for an unknown name and kUnsupported for a level that this machine lacks.
Isa selected_isa();

// Every level this machine can run, lowest first; what parity tests iterate over.
std::vector<Isa> isas_on_this_machine();

std::string_view isa_name(Isa isa);
std::optional<Isa> isa_from_name(std::string_view name);

}  // namespace headgate

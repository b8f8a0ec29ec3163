// How much memory states may take where nobody said.
#pragma once

#include <cstdint>

namespace headgate {

// A quarter of the memory that is available to this process now (the system's, or less where its
// control group has less left), and at least `least` bytes.
int64_t default_state_budget(int64_t least);

}  // namespace headgate

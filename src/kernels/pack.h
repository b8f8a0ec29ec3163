// Packs stored rows of quantised blocks into panels, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/panel.h"
#include "tensor/dtype.h"

namespace headgate {

// The panel format of a stored type, nothing when it has none.
std::optional<PanelFormat> panel_format(DType type);

// Bytes of one block of 16 x 256 weights.
int64_t panel_block_bytes(PanelFormat format);

// Blocks of 256 inputs that hold `cols` inputs.
inline int64_t panel_blocks(int64_t cols) { return (cols + kBlockInputs - 1) / kBlockInputs; }

// Writes a stored row of `cols` inputs as row n (0..15) of a panel that was zero there. Rows and
// inputs that are never written multiply as zero.
void pack_row(PanelFormat format, std::byte* panel, int n, const std::byte* stored, int64_t cols);

// The inverse of pack_row, bit for bit.
void unpack_row(PanelFormat format, const std::byte* panel, int n, std::byte* stored, int64_t cols);

}  // namespace headgate

// Puts the avx512bf16 kernels into the table.
#include "kernels/avx512bf16/kernels.h"

namespace headgate::avx512bf16 {

void fill(KernelTable& table) {
  table.tiles.pack = pack_tiles;
  table.tiles.multiply[kPanelQ4K] = tiles_q4k;
  table.tiles.multiply[kPanelQ5K] = tiles_q5k;
  table.tiles.multiply[kPanelQ6K] = tiles_q6k;
  table.tiles.multiply[kPanelQ80] = tiles_q80;
  table.tiles.multiply[kPanelQ40] = tiles_q40;
  table.tiles.multiply[kPanelIQ4NL] = tiles_iq4nl;
  table.tiles.multiply[kPanelIQ4XS] = tiles_iq4xs;
  table.tiles.multiply[kPanelMXFP4] = tiles_mxfp4;
  table.attention[kKvBF16] = {pack_query_bf16, attention_bf16};
}

}  // namespace headgate::avx512bf16

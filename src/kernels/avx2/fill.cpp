// Puts the avx2 kernels into the table.
#include "kernels/avx2/kernels.h"

namespace headgate::avx2 {

void fill(KernelTable& table) {
  table.rms_norm = rms_norm;
  table.gated_rms_norm = gated_rms_norm;
  table.l2_norm = l2_norm;
  table.add_scaled = add_scaled;
  table.scale_add = scale_add;
  table.swiglu = swiglu;
  table.sigmoid_gate = sigmoid_gate;
  table.exp_shifted = exp_shifted;
  table.conv_silu = conv_silu;
  table.rotate_half = rotate_half;
  table.dot_rows[kFloatF32] = dot_rows_f32;
  table.dot_rows[kFloatF16] = dot_rows_f16;
  table.dot_rows[kFloatBF16] = dot_rows_bf16;
  table.fp8_floats = fp8_floats;
  table.store[kFloatF32] = store_f32;
  table.store[kFloatF16] = store_f16;
  table.store[kFloatBF16] = store_bf16;
  table.quantize = quantize;
  table.panel_dot[kPanelQ4K] = panel_dot_q4k;
  table.panel_dot[kPanelQ5K] = panel_dot_q5k;
  table.panel_dot[kPanelQ6K] = panel_dot_q6k;
  table.panel_dot[kPanelQ80] = panel_dot_q80;
  table.panel_dot[kPanelQ40] = panel_dot_q40;
  table.panel_dot[kPanelIQ4NL] = panel_dot_iq4nl;
  table.panel_dot[kPanelIQ4XS] = panel_dot_iq4xs;
  table.panel_dot[kPanelMXFP4] = panel_dot_mxfp4;
  table.read_words = read_words;
  table.delta_gates = delta_gates;
  table.gated_delta = gated_delta;
  table.attention[kKvF32] = {pack_query_floats, attention_f32};
  table.attention[kKvF16] = {pack_query_floats, attention_f16};
  table.attention[kKvBF16] = {pack_query_floats, attention_bf16};
  table.attention[kKvInt8] = {pack_query_int8, attention_int8};
  table.attention[kKvQ4] = {pack_query_q4, attention_q4};
}

}  // namespace headgate::avx2

// Codes of packed panels, one at a time: the layout of panel.h as the scalar kernels read it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/panel.h"
#include "tensor/blocks.h"

namespace headgate::scalar {

inline int low_or_high(uint8_t byte, int half) { return half == 0 ? byte & 15 : byte >> 4; }

// Code of input 16 * half + 4 * i + j of group g of row n.
inline int code_at(const PanelQ4K& p, int g, int half, int i, int at) {
  return low_or_high(p.code[g][i][at], half);
}
inline int code_at(const PanelQ5K& p, int g, int half, int i, int at) {
  const int high = (p.high[g][half][i][at / 8] >> at % 8) & 1;
  return low_or_high(p.code[g][i][at], half) + 16 * high;
}
inline int code_at(const PanelQ6K& p, int g, int half, int i, int at) {
  const int high = (p.high[g][half][at] >> 2 * i) & 3;
  return low_or_high(p.code[g][i][at], half) + 16 * high - 32;
}
inline int code_at(const PanelQ80& p, int g, int half, int i, int at) {
  return p.code[g][4 * half + i][at] - 128;
}
inline int code_at(const PanelQ40& p, int g, int half, int i, int at) {
  return low_or_high(p.code[g][i][at], half) - 8;
}
inline int code_at(const PanelIQ4NL& p, int g, int half, int i, int at) {
  return kCodebook[static_cast<size_t>(low_or_high(p.code[g][i][at], half))];
}
inline int code_at(const PanelIQ4XS& p, int g, int half, int i, int at) {
  return kCodebook[static_cast<size_t>(low_or_high(p.code[g][i][at], half))];
}
inline int code_at(const PanelMXFP4& p, int g, int half, int i, int at) {
  return kTwiceE2M1[static_cast<size_t>(low_or_high(p.code[g][i][at], half))];
}

}  // namespace headgate::scalar

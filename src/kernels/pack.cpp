// Packing: stored blocks -> 256 codes of one byte -> nibble and bit planes of a panel.
#include "kernels/pack.h"

#include <cstring>

namespace headgate {
namespace {

// The stored blocks, as GGUF files hold them.
struct StoredQ4K {
  uint16_t d, dmin;
  uint8_t scales[12], codes[128];
};
struct StoredQ5K {
  uint16_t d, dmin;
  uint8_t scales[12], high[32], codes[128];
};
struct StoredQ6K {
  uint8_t codes[128], high[64];
  int8_t scales[16];
  uint16_t d;
};
struct StoredQ80 {
  uint16_t d;
  int8_t codes[32];
};
struct StoredIQ4XS {
  uint16_t d;
  uint16_t scales_high;  // two bits a group
  uint8_t scales_low[4], codes[128];
};
struct StoredMXFP4 {
  uint8_t exponent, codes[16];
};
struct StoredQ40 {
  uint16_t d;
  uint8_t codes[16];
};
static_assert(sizeof(StoredQ4K) == 144 && sizeof(StoredQ5K) == 176 && sizeof(StoredQ6K) == 210 &&
              sizeof(StoredQ80) == 34 && sizeof(StoredQ40) == 18 && sizeof(StoredIQ4XS) == 136 &&
              sizeof(StoredMXFP4) == 17);

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t word_of(const uint8_t* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

void put_word(uint8_t* at, uint32_t word) { std::memcpy(at, &word, sizeof word); }

// Low four bits of 256 codes into row n of a four-bit plane, and back.
void put_nibbles(uint8_t (*plane)[4][64], int n, const uint8_t* codes) {
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t low = word_of(codes + 32 * g + 4 * i) & 0x0f0f0f0fu;
      const uint32_t high = word_of(codes + 32 * g + 16 + 4 * i) & 0x0f0f0f0fu;
      put_word(&plane[g][i][4 * n], low | (high << 4));
    }
  }
}

void get_nibbles(uint8_t* codes, const uint8_t (*plane)[4][64], int n) {
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = word_of(&plane[g][i][4 * n]);
      put_word(codes + 32 * g + 4 * i, word & 0x0f0f0f0fu);
      put_word(codes + 32 * g + 16 + 4 * i, (word >> 4) & 0x0f0f0f0fu);
    }
  }
}

// The 6-bit scales and mins of 8 groups lie in 12 bytes: low bits of the last four groups in the
// nibbles of bytes 8..11, their high bits in the top bits of bytes 0..7.
void split_scales(const uint8_t* packed, uint8_t* scale, uint8_t* min) {
  for (int j = 0; j < 4; ++j) {
    scale[j] = packed[j] & 63;
    min[j] = packed[j + 4] & 63;
    scale[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15) | ((packed[j] >> 6) << 4));
    min[j + 4] = static_cast<uint8_t>((packed[j + 8] >> 4) | ((packed[j + 4] >> 6) << 4));
  }
}

void join_scales(uint8_t* packed, const uint8_t* scale, const uint8_t* min) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(scale[j] | ((scale[j + 4] >> 4) << 6));
    packed[j + 4] = static_cast<uint8_t>(min[j] | ((min[j + 4] >> 4) << 6));
    packed[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | ((min[j + 4] & 15) << 4));
  }
}

// 64 inputs share 32 bytes: low nibbles are the first 32, high nibbles the next.
void k_codes(uint8_t* codes, const uint8_t* stored) {
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 32; ++i) {
      codes[64 * c + i] = stored[32 * c + i] & 15;
      codes[64 * c + 32 + i] = stored[32 * c + i] >> 4;
    }
  }
}

void k_codes_back(uint8_t* stored, const uint8_t* codes) {
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 32; ++i) {
      stored[32 * c + i] =
          static_cast<uint8_t>((codes[64 * c + i] & 15) | ((codes[64 * c + 32 + i] & 15) << 4));
    }
  }
}

template <typename Panel, typename Stored>
void pack_scales(Panel& p, int n, const Stored& s) {
  uint8_t scale[8], min[8];
  split_scales(s.scales, scale, min);
  for (int g = 0; g < 8; ++g) {
    p.scale[g][n] = scale[g];
    p.min[g][n] = min[g];
  }
  p.d[n] = s.d;
  p.dmin[n] = s.dmin;
}

template <typename Panel, typename Stored>
void unpack_scales(Stored& s, const Panel& p, int n) {
  uint8_t scale[8], min[8];
  for (int g = 0; g < 8; ++g) {
    scale[g] = p.scale[g][n];
    min[g] = p.min[g][n];
  }
  join_scales(s.scales, scale, min);
  s.d = p.d[n];
  s.dmin = p.dmin[n];
}

void pack_q4k(PanelQ4K& p, int n, const std::byte* stored) {
  const auto s = load<StoredQ4K>(stored);
  uint8_t codes[256];
  k_codes(codes, s.codes);
  put_nibbles(p.code, n, codes);
  pack_scales(p, n, s);
}

void unpack_q4k(const PanelQ4K& p, int n, std::byte* stored) {
  StoredQ4K s;
  uint8_t codes[256];
  get_nibbles(codes, p.code, n);
  k_codes_back(s.codes, codes);
  unpack_scales(s, p, n);
  std::memcpy(stored, &s, sizeof s);
}

void pack_q5k(PanelQ5K& p, int n, const std::byte* stored) {
  const auto s = load<StoredQ5K>(stored);
  uint8_t codes[256];
  k_codes(codes, s.codes);
  put_nibbles(p.code, n, codes);
  // Bit g of stored byte l is the fifth bit of input 32g + l.
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t four = word_of(s.high + 16 * half + 4 * i);
      for (int g = 0; g < 8; ++g) {
        // The product gathers the lowest bits of four bytes.
        const uint32_t bits = ((four >> g & 0x01010101u) * 0x01020408u) >> 24 & 15;
        uint8_t& at = p.high[g][half][i][n / 2];
        at = static_cast<uint8_t>(at | bits << (n % 2 * 4));
      }
    }
  }
  pack_scales(p, n, s);
}

void unpack_q5k(const PanelQ5K& p, int n, std::byte* stored) {
  StoredQ5K s = {};
  uint8_t codes[256];
  get_nibbles(codes, p.code, n);
  k_codes_back(s.codes, codes);
  for (int k = 0; k < 256; ++k) {
    const int g = k / 32, half = k / 16 % 2, i = k / 4 % 4, j = k % 4;
    const int at = 4 * n + j;
    const int bit = (p.high[g][half][i][at / 8] >> at % 8) & 1;
    s.high[k % 32] = static_cast<uint8_t>(s.high[k % 32] | bit << (k / 32));
  }
  unpack_scales(s, p, n);
  std::memcpy(stored, &s, sizeof s);
}

// Inputs l, l + 32, l + 64, l + 96 of each 128 share the bytes of codes and high bits.
void pack_q6k(PanelQ6K& p, int n, const std::byte* stored) {
  const auto s = load<StoredQ6K>(stored);
  uint8_t codes[256];
  for (int c = 0; c < 2; ++c) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t a = s.codes[64 * c + l], b = s.codes[64 * c + 32 + l], h = s.high[32 * c + l];
      uint8_t* out = codes + 128 * c + l;
      out[0] = static_cast<uint8_t>((a & 15) | ((h & 3) << 4));
      out[32] = static_cast<uint8_t>((b & 15) | ((h >> 2 & 3) << 4));
      out[64] = static_cast<uint8_t>((a >> 4) | ((h >> 4 & 3) << 4));
      out[96] = static_cast<uint8_t>((b >> 4) | ((h >> 6) << 4));
    }
  }
  put_nibbles(p.code, n, codes);
  for (int g = 0; g < 8; ++g) {
    for (int half = 0; half < 2; ++half) {
      uint32_t high = 0;
      for (int i = 0; i < 4; ++i) {
        const uint32_t bits = word_of(codes + 32 * g + 16 * half + 4 * i) >> 4 & 0x03030303u;
        high |= bits << (2 * i);
      }
      put_word(&p.high[g][half][4 * n], high);
      p.scale[2 * g + half][n] = s.scales[2 * g + half];
    }
  }
  p.d[n] = s.d;
}

void unpack_q6k(const PanelQ6K& p, int n, std::byte* stored) {
  StoredQ6K s;
  uint8_t codes[256];
  get_nibbles(codes, p.code, n);
  for (int g = 0; g < 8; ++g) {
    for (int half = 0; half < 2; ++half) {
      const uint32_t high = word_of(&p.high[g][half][4 * n]);
      for (int i = 0; i < 4; ++i) {
        uint8_t* at = codes + 32 * g + 16 * half + 4 * i;
        put_word(at, word_of(at) | (high >> (2 * i) & 0x03030303u) << 4);
      }
      s.scales[2 * g + half] = p.scale[2 * g + half][n];
    }
  }
  for (int c = 0; c < 2; ++c) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t* in = codes + 128 * c + l;
      s.codes[64 * c + l] = static_cast<uint8_t>((in[0] & 15) | (in[64] & 15) << 4);
      s.codes[64 * c + 32 + l] = static_cast<uint8_t>((in[32] & 15) | (in[96] & 15) << 4);
      s.high[32 * c + l] = static_cast<uint8_t>((in[0] >> 4) | (in[32] >> 4) << 2 |
                                                (in[64] >> 4) << 4 | (in[96] >> 4) << 6);
    }
  }
  s.d = p.d[n];
  std::memcpy(stored, &s, sizeof s);
}

void pack_q80(PanelQ80& p, int n, const std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    const auto s = load<StoredQ80>(stored + g * static_cast<int64_t>(sizeof(StoredQ80)));
    for (int i = 0; i < 8; ++i) {
      uint32_t word;
      std::memcpy(&word, s.codes + 4 * i, sizeof word);
      put_word(&p.code[g][i][4 * n], word ^ 0x80808080u);
    }
    p.d[g][n] = s.d;
  }
}

void unpack_q80(const PanelQ80& p, int n, std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    StoredQ80 s;
    for (int k = 0; k < 32; ++k)
      s.codes[k] = static_cast<int8_t>(p.code[g][k / 4][4 * n + k % 4] ^ 0x80);
    s.d = p.d[g][n];
    std::memcpy(stored + g * static_cast<int64_t>(sizeof s), &s, sizeof s);
  }
}

// The stored nibbles are in panel order already. Panel: PanelQ40 or PanelIQ4NL.
template <typename Panel>
void pack_q40(Panel& p, int n, const std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    const auto s = load<StoredQ40>(stored + g * static_cast<int64_t>(sizeof(StoredQ40)));
    for (int i = 0; i < 4; ++i) put_word(&p.code[g][i][4 * n], word_of(s.codes + 4 * i));
    p.d[g][n] = s.d;
  }
}

template <typename Panel>
void unpack_q40(const Panel& p, int n, std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    StoredQ40 s;
    for (int i = 0; i < 4; ++i) put_word(s.codes + 4 * i, word_of(&p.code[g][i][4 * n]));
    s.d = p.d[g][n];
    std::memcpy(stored + g * static_cast<int64_t>(sizeof s), &s, sizeof s);
  }
}

template <typename Panel>
Panel& at(std::byte* panel) {
  return *reinterpret_cast<Panel*>(panel);
}
template <typename Panel>
const Panel& at(const std::byte* panel) {
  return *reinterpret_cast<const Panel*>(panel);
}

// The six-bit scales lie apart: low nibbles in four bytes, high pairs in two.
void pack_iq4xs(PanelIQ4XS& p, int n, const std::byte* stored) {
  const auto s = load<StoredIQ4XS>(stored);
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 4; ++i) put_word(&p.code[g][i][4 * n], word_of(s.codes + 16 * g + 4 * i));
    const int low = s.scales_low[g / 2] >> (4 * (g % 2)) & 15;
    p.scale[g][n] = static_cast<int8_t>((low | (s.scales_high >> (2 * g) & 3) << 4) - 32);
  }
  p.d[n] = s.d;
}

void unpack_iq4xs(const PanelIQ4XS& p, int n, std::byte* stored) {
  StoredIQ4XS s = {};
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 4; ++i) put_word(s.codes + 16 * g + 4 * i, word_of(&p.code[g][i][4 * n]));
    const int scale = p.scale[g][n] + 32;
    s.scales_low[g / 2] = static_cast<uint8_t>(s.scales_low[g / 2] | (scale & 15) << (4 * (g % 2)));
    s.scales_high = static_cast<uint16_t>(s.scales_high | (scale >> 4) << (2 * g));
  }
  s.d = p.d[n];
  std::memcpy(stored, &s, sizeof s);
}

void pack_mxfp4(PanelMXFP4& p, int n, const std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    const auto s = load<StoredMXFP4>(stored + g * static_cast<int64_t>(sizeof(StoredMXFP4)));
    for (int i = 0; i < 4; ++i) put_word(&p.code[g][i][4 * n], word_of(s.codes + 4 * i));
    p.exponent[g][n] = s.exponent;
  }
}

void unpack_mxfp4(const PanelMXFP4& p, int n, std::byte* stored, int groups) {
  for (int g = 0; g < groups; ++g) {
    StoredMXFP4 s;
    for (int i = 0; i < 4; ++i) put_word(s.codes + 4 * i, word_of(&p.code[g][i][4 * n]));
    s.exponent = p.exponent[g][n];
    std::memcpy(stored + g * static_cast<int64_t>(sizeof s), &s, sizeof s);
  }
}

// Stored bytes of a group of 32 inputs.
int64_t group_bytes(PanelFormat format) {
  switch (format) {
    case kPanelQ4K:
      return sizeof(StoredQ4K) / 8;
    case kPanelQ5K:
      return sizeof(StoredQ5K) / 8;
    case kPanelQ80:
      return sizeof(StoredQ80);
    case kPanelQ40:
    case kPanelIQ4NL:
      return sizeof(StoredQ40);
    case kPanelIQ4XS:
      return sizeof(StoredIQ4XS) / 8;
    case kPanelMXFP4:
      return sizeof(StoredMXFP4);
    default:
      return 0;
  }
}

int64_t stored_block_bytes(PanelFormat format) {
  return format == kPanelQ6K ? static_cast<int64_t>(sizeof(StoredQ6K)) : 8 * group_bytes(format);
}

}  // namespace

std::optional<PanelFormat> panel_format(DType type) {
  switch (type) {
    case DType::kQ4_K:
      return kPanelQ4K;
    case DType::kQ5_K:
      return kPanelQ5K;
    case DType::kQ6_K:
      return kPanelQ6K;
    case DType::kQ8_0:
      return kPanelQ80;
    case DType::kQ4_0:
      return kPanelQ40;
    case DType::kIQ4_NL:
      return kPanelIQ4NL;
    case DType::kIQ4_XS:
      return kPanelIQ4XS;
    case DType::kMXFP4:
      return kPanelMXFP4;
    default:
      return std::nullopt;
  }
}

int64_t panel_block_bytes(PanelFormat format) {
  constexpr int64_t kBytes[kPanelFormats] = {
      sizeof(PanelQ4K), sizeof(PanelQ5K),   sizeof(PanelQ6K),   sizeof(PanelQ80),
      sizeof(PanelQ40), sizeof(PanelIQ4NL), sizeof(PanelIQ4XS), sizeof(PanelMXFP4)};
  return kBytes[format];
}

void pack_row(PanelFormat format, std::byte* panel, int n, const std::byte* stored, int64_t cols) {
  for (int64_t col = 0; col < cols; col += kBlockInputs) {
    const auto groups = static_cast<int>(cols - col < kBlockInputs ? (cols - col) / 32 : 8);
    switch (format) {
      case kPanelQ4K:
        pack_q4k(at<PanelQ4K>(panel), n, stored);
        break;
      case kPanelQ5K:
        pack_q5k(at<PanelQ5K>(panel), n, stored);
        break;
      case kPanelQ6K:
        pack_q6k(at<PanelQ6K>(panel), n, stored);
        break;
      case kPanelQ80:
        pack_q80(at<PanelQ80>(panel), n, stored, groups);
        break;
      case kPanelIQ4NL:
        pack_q40(at<PanelIQ4NL>(panel), n, stored, groups);
        break;
      case kPanelIQ4XS:
        pack_iq4xs(at<PanelIQ4XS>(panel), n, stored);
        break;
      case kPanelMXFP4:
        pack_mxfp4(at<PanelMXFP4>(panel), n, stored, groups);
        break;
      default:
        pack_q40(at<PanelQ40>(panel), n, stored, groups);
        break;
    }
    panel += panel_block_bytes(format);
    stored += stored_block_bytes(format);
  }
}

void unpack_row(PanelFormat format, const std::byte* panel, int n, std::byte* stored,
                int64_t cols) {
  for (int64_t col = 0; col < cols; col += kBlockInputs) {
    const auto groups = static_cast<int>(cols - col < kBlockInputs ? (cols - col) / 32 : 8);
    switch (format) {
      case kPanelQ4K:
        unpack_q4k(at<PanelQ4K>(panel), n, stored);
        break;
      case kPanelQ5K:
        unpack_q5k(at<PanelQ5K>(panel), n, stored);
        break;
      case kPanelQ6K:
        unpack_q6k(at<PanelQ6K>(panel), n, stored);
        break;
      case kPanelQ80:
        unpack_q80(at<PanelQ80>(panel), n, stored, groups);
        break;
      case kPanelIQ4NL:
        unpack_q40(at<PanelIQ4NL>(panel), n, stored, groups);
        break;
      case kPanelIQ4XS:
        unpack_iq4xs(at<PanelIQ4XS>(panel), n, stored);
        break;
      case kPanelMXFP4:
        unpack_mxfp4(at<PanelMXFP4>(panel), n, stored, groups);
        break;
      default:
        unpack_q40(at<PanelQ40>(panel), n, stored, groups);
        break;
    }
    panel += panel_block_bytes(format);
    stored += stored_block_bytes(format);
  }
}

}  // namespace headgate

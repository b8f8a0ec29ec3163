// Byte-level spelling through two tables made at compile time.
#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace headgate {
namespace {

struct Alphabet {
  std::array<char16_t, 256> character{};  // byte -> code point
  std::array<int16_t, 0x144> byte{};      // code point -> byte, -1 when not of the alphabet
};

constexpr bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr Alphabet make_alphabet() {
  Alphabet a;
  for (auto& byte : a.byte) byte = -1;
  int shifted = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const int character = stands_for_itself(byte) ? byte : 0x100 + shifted++;
    a.character[static_cast<size_t>(byte)] = static_cast<char16_t>(character);
    a.byte[static_cast<size_t>(character)] = static_cast<int16_t>(byte);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    append_utf8(out, kAlphabet.character[static_cast<uint8_t>(byte)]);
  }
  return out;
}

std::optional<std::string> unspell_bytes(std::string_view token) {
  std::string out;
  out.reserve(token.size());
  for (size_t i = 0; i < token.size();) {
    const DecodedCodePoint d = decode_utf8(token, i);
    if (!d.valid || d.code_point >= kAlphabet.byte.size()) return std::nullopt;
    const int16_t byte = kAlphabet.byte[d.code_point];
    if (byte < 0) return std::nullopt;
    out += static_cast<char>(byte);
    i += static_cast<size_t>(d.bytes);
  }
  return out;
}

}  // namespace headgate

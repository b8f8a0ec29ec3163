// Secrets by OpenSSL.
#include "control/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <vector>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kKeyStart = "hg_";
constexpr size_t kKeyRandom = 43;  // characters of 256 bits
constexpr size_t kKeyCheck = 6;
constexpr size_t kShownRandom = 6;

// Base64 for URLs, without padding.
std::string encode_bits(const std::vector<unsigned char>& bytes) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const unsigned char byte : bytes) {
    bits = bits << 8 | byte;
    held += 8;
    while (held >= 6) {
      held -= 6;
      out += kAlphabet[bits >> held & 63];
    }
  }
  if (held > 0) out += kAlphabet[bits << (6 - held) & 63];
  return out;
}

std::string check_digits(std::string_view text) {
  return sha256_hex("headgate key check " + std::string(text)).substr(0, kKeyCheck);
}

}  // namespace

std::string random_token(int64_t bytes) {
  std::vector<unsigned char> buffer(static_cast<size_t>(bytes));
  if (RAND_bytes(buffer.data(), static_cast<int>(buffer.size())) != 1)
    fail(ErrorCode::kIo, "the system's random generator gives nothing");
  return encode_bits(buffer);
}

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string out;
  for (const unsigned char byte : digest) out += fmt::format("{:02x}", byte);
  return out;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string make_api_key() {
  const std::string body = std::string(kKeyStart) + random_token(32);
  return body + check_digits(body);
}

bool is_well_formed_api_key(std::string_view key) {
  if (key.size() != kKeyStart.size() + kKeyRandom + kKeyCheck) return false;
  if (key.substr(0, kKeyStart.size()) != kKeyStart) return false;
  const std::string_view body = key.substr(0, key.size() - kKeyCheck);
  return equal_secrets(check_digits(body), key.substr(body.size()));
}

std::string api_key_prefix(std::string_view key) {
  return std::string(key.substr(0, kKeyStart.size() + kShownRandom));
}

}  // namespace headgate

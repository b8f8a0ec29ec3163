// XXH3 by libxxhash, SHA-256 by OpenSSL.
#include "base/checksum.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "base/error.h"

namespace headgate {

uint64_t checksum64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> md{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  HEADGATE_CHECK(context_->md != nullptr &&
                 EVP_DigestInit_ex(context_->md.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

Sha256& Sha256::add(std::span<const std::byte> bytes) {
  HEADGATE_CHECK(EVP_DigestUpdate(context_->md.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256& Sha256::add(std::string_view text) {
  return add(std::as_bytes(std::span(text.data(), text.size())));
}

Digest Sha256::digest() {
  Digest out{};
  unsigned int size = 0;
  HEADGATE_CHECK(EVP_DigestFinal_ex(context_->md.get(),
                                    reinterpret_cast<unsigned char*>(out.data()), &size) == 1);
  HEADGATE_CHECK(size == out.size());
  return out;
}

std::string hex_of(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte byte : bytes) {
    out += kDigits[std::to_integer<size_t>(byte) >> 4];
    out += kDigits[std::to_integer<size_t>(byte) & 15];
  }
  return out;
}

}  // namespace headgate

// A checksum that finds damage, and a digest that names things.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace headgate {

// 64 bits that change with any damage to `bytes` (XXH3). Quick, and no defence against intent.
uint64_t checksum64(std::span<const std::byte> bytes);

using Digest = std::array<std::byte, 32>;

// SHA-256 of what add() was given, one after the other.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& add(std::span<const std::byte> bytes);
  Sha256& add(std::string_view text);
  Digest digest();  // once, the last call

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string hex_of(std::span<const std::byte> bytes);  // two lower-case digits a byte

}  // namespace headgate

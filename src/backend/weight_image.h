// Packed weights kept beside a model: what a backend made of its tensors the last time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace headgate {

// Weights pass through in the order they are made. Each has a signature, which tells its layout,
// type and shape apart. Thread rule: one call at a time.
class WeightImage {
 public:
  virtual ~WeightImage() = default;
  // The packed bytes of the next weights, aligned to 4096; empty when the image does not hold them
  // under this signature and size.
  virtual std::span<const std::byte> take(uint64_t signature, int64_t bytes) = 0;
  // Keeps the packed bytes of the next weights, when the image is being written.
  virtual void put(uint64_t signature, std::span<const std::byte> bytes) = 0;
  // What taken bytes live in.
  virtual std::shared_ptr<const void> memory() const = 0;
};

}  // namespace headgate

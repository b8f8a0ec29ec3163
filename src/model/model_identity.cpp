// Hashes of the tensor directory and of samples.
#include "model/model_identity.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/checksum.h"
#include "base/json.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

constexpr size_t kSample = 4096;

}  // namespace

std::string checkpoint_identity(const Checkpoint& checkpoint) {
  std::vector<std::string> lines;
  for (const TensorEntry& tensor : checkpoint.tensors.tensors()) {
    const std::span<const std::byte> bytes = checkpoint.tensors.data(tensor);
    uint64_t sample = checksum64(bytes.first(std::min(bytes.size(), kSample)));
    if (bytes.size() > kSample) {
      sample ^= 3 * checksum64(bytes.subspan((bytes.size() - kSample) / 2, kSample));
      sample ^= 5 * checksum64(bytes.last(kSample));
    }
    lines.push_back(fmt::format("{} {} {} {} {:x}", tensor.name, dtype_name(tensor.dtype),
                                format_shape(tensor.shape), tensor.bytes, sample));
  }
  std::sort(lines.begin(), lines.end());
  std::string all = dump_json(checkpoint.config);
  for (const std::string& line : lines) all += "\n" + line;
  return fmt::format("{:016x}", checksum64(std::as_bytes(std::span(all.data(), all.size()))));
}

}  // namespace headgate

// Fuzz target: header and index of a packed side file, as found and with its checksums put right.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "model/packed_file.h"

namespace {

void parse(std::span<const std::byte> file) {
  try {
    const headgate::PackedIndex index = headgate::parse_packed_index(file, "fuzz");
    for (const headgate::PackedRecord& r : index.records) {
      if (r.offset > file.size() || r.bytes > file.size() - r.offset) std::abort();
    }
  } catch (const headgate::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The first bytes are the header, the rest the index: the page between them need not be found.
  constexpr size_t kHeader = 64, kPage = 4096;
  std::vector<std::byte> file(kPage);
  for (size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<std::byte>(data[i]);
    if (i < kHeader) {
      file[i] = byte;
    } else {
      file.push_back(byte);
    }
  }
  parse({reinterpret_cast<const std::byte*>(data), size});
  parse(file);
  headgate::seal_packed_index(file);
  parse(file);
  return 0;
}

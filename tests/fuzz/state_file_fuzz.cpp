// Headers of state files: any bytes are refused with one error, or describe a file of their size.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "cache/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(data[i]);
  // As it is, and with the checksum that the header would need.
  for (int sealed = 0; sealed < 2; ++sealed) {
    try {
      const StateFileInfo info = parse_state_header(bytes, static_cast<int64_t>(size), "fuzz");
      HEADGATE_CHECK(info.file_bytes == static_cast<int64_t>(size));
      HEADGATE_CHECK(info.position() > 0 && info.deferred <= info.position());
      HEADGATE_CHECK(info.page_checksums.size() == static_cast<size_t>(info.pages));
    } catch (const Error&) {
    }
    seal_state_header(bytes);
  }
  return 0;
}

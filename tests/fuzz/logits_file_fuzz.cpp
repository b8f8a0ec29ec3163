// Fuzzes the reader of reference predictions: any bytes give rows that sum to one, or one Error.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "eval/logits_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = ::memfd_create("logits", MFD_CLOEXEC);
  HEADGATE_CHECK(fd >= 0);
  HEADGATE_CHECK(::write(fd, data, size) == static_cast<ssize_t>(size));
  try {
    headgate::LogitsReader reader("/proc/self/fd/" + std::to_string(fd));
    std::vector<double> row(static_cast<size_t>(reader.header().vocabulary));
    for (int64_t i = 0; i < reader.header().rows; ++i) {
      reader.next(row);
      double sum = 0;
      for (double value : row) sum += std::exp(value);
      HEADGATE_CHECK(std::abs(sum - 1) < 1e-6);
    }
  } catch (const headgate::Error&) {
  }
  ::close(fd);
  return 0;
}

// Fuzzes the reader of token shards: any bytes give documents of known ids, or one Error.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/token_shard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = ::memfd_create("shard", MFD_CLOEXEC);
  HEADGATE_CHECK(fd >= 0);
  HEADGATE_CHECK(::write(fd, data, size) == static_cast<ssize_t>(size));
  try {
    const headgate::TokenShard shard("/proc/self/fd/" + std::to_string(fd));
    std::vector<int32_t> ids;
    std::vector<uint8_t> targets;
    for (int64_t d = 0; d < shard.documents(); ++d) {
      HEADGATE_CHECK(shard.length(d) > 0);
      ids.clear();
      shard.read(shard.begin(d), shard.length(d), ids, targets);
      for (int32_t id : ids) HEADGATE_CHECK(id >= 0 && id < shard.vocabulary());
    }
    HEADGATE_CHECK(static_cast<int64_t>(targets.size()) == shard.tokens());
  } catch (const headgate::Error&) {
  }
  ::close(fd);
  return 0;
}

// Fuzzes the GGUF reader: any bytes are a container whose header can be written again, or one
// Error.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const headgate::Checkpoint checkpoint =
        headgate::open_checkpoint_memory(std::as_bytes(std::span(data, size)), "fuzz");
    size_t sum = 0;
    for (const headgate::TensorEntry& entry : checkpoint.tensors.tensors()) {
      for (const std::byte b : checkpoint.tensors.data(entry)) sum += static_cast<size_t>(b);
    }
    const std::string header = headgate::encode_gguf_header(checkpoint.gguf, {}, 32);
    HEADGATE_CHECK(header.size() >= 24 && sum < SIZE_MAX);
    const headgate::Checkpoint again = headgate::open_checkpoint_memory(
        std::as_bytes(std::span(header.data(), header.size())), "again");
    HEADGATE_CHECK(again.gguf.entries().size() == checkpoint.gguf.entries().size());
  } catch (const headgate::Error&) {
  }
  return 0;
}

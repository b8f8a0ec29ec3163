// Fuzzes the safetensors reader: any bytes are tensors that cover the file, or one Error.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    headgate::TensorStore store;
    headgate::read_safetensors(store,
                               store.add_memory("fuzz", std::as_bytes(std::span(data, size))));
    size_t bytes = 0;
    for (const headgate::TensorEntry& entry : store.tensors()) bytes += store.data(entry).size();
    HEADGATE_CHECK(bytes < size);
  } catch (const headgate::Error&) {
  }
  return 0;
}

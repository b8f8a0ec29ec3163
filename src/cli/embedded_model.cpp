// The span between the two symbols of embedded_model.S.
#include "cli/embedded_model.h"

extern "C" {
extern const std::byte headgate_embedded_model_begin[];
extern const std::byte headgate_embedded_model_end[];
}

namespace headgate {

std::span<const std::byte> embedded_model() {
  return {headgate_embedded_model_begin, headgate_embedded_model_end};
}

std::string_view embedded_model_id() { return HEADGATE_EMBEDDED_ID; }

}  // namespace headgate

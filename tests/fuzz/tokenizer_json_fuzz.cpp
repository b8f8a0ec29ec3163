// tokenizer.json from bytes: loads or throws Error, and what loads can encode and decode.
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(text, "fuzz");
    const std::vector<int32_t> ids = tokenizer.encode("the cafe\u0301 <|end|>\r\n  12 '\u017f");
    tokenizer.decode(ids);
    find_chat_tokens(tokenizer);
  } catch (const Error&) {
  }
  return 0;
}

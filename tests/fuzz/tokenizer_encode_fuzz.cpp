// Encoding of arbitrary bytes: decoding gives the text back.
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "text/toy_tokenizer_test.h"

namespace headgate {
namespace {

Tokenizer make(bool nfc, PreTokenizer pre) {
  TokenizerParts parts = toy_parts();
  parts.nfc = nfc;
  parts.pre = pre;
  return Tokenizer::from_parts(parts);
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  static const Tokenizer raw = make(false, PreTokenizer::kQwen35);
  static const Tokenizer normal = make(true, PreTokenizer::kQwen2);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  HEADGATE_CHECK(raw.decode(raw.encode(text)) == replace_invalid_utf8(text));
  EncodeOptions literal;
  literal.parse_special = false;
  // Normalised once, the text is stable.
  const std::vector<int32_t> ids = normal.encode(text, literal);
  HEADGATE_CHECK(normal.encode(normal.decode(ids), literal) == ids);
  normal.encode(text);
  return 0;
}

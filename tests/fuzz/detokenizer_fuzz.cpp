// Streaming of arbitrary ids: whole characters only, and together the decoded text.
#include "base/error.h"
#include "base/utf8.h"
#include "text/detokenizer.h"
#include "text/toy_tokenizer_test.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  static const Tokenizer tokenizer = Tokenizer::from_parts(toy_parts());
  if (size == 0) return 0;
  const bool skip_special = data[0] & 1;
  IncrementalDetokenizer stream(tokenizer, skip_special);
  std::vector<int32_t> ids;
  std::string text;
  for (size_t i = 1; i < size; ++i) {
    // Mostly single bytes; 0xfe and 0xff lead to the other tokens and to ids without any.
    int32_t id = data[i];
    if (id >= 0xfe && i + 1 < size) id = data[i] == 0xfe ? 250 + data[++i] % 20 : -1 - data[++i];
    ids.push_back(id);
    const std::string piece = stream.push(id);
    HEADGATE_CHECK(is_valid_utf8(piece));
    HEADGATE_CHECK(stream.held_bytes() <= 3);
    text += piece;
  }
  text += stream.flush();
  HEADGATE_CHECK(text == tokenizer.decode(ids, skip_special));
  return 0;
}

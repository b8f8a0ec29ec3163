// Text to token ids and back: byte-level BPE as in Qwen's tokenizers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_parts.h"

namespace headgate {

struct EncodeOptions {
  // False: added tokens are not recognised, "<|im_end|>" in the text stays text. For text of users,
  // which must not be able to write control tokens.
  bool parse_special = true;
  // With parse_special false: still recognise the added tokens that are not marked special, such as
  // <think>. This is the split_special_tokens mode of transformers.
  bool keep_plain_added = false;
};

// A tokenizer, complete and immutable after construction. Movable, not copyable. Thread rule: const
// members may be called from any thread.
// Text that is not valid UTF-8 is encoded as if every maximal invalid part were U+FFFD, and
// decoding replaces invalid bytes in the same way (Unicode 16, section 3.9; same as Rust's lossy
// conversion). Source: PyPI `tokenizers`, models BPE, NFC, Split and ByteLevel; ids are equal to
// its ids. One difference: an added token always decodes to its text, also when that text could be
// read as byte-level spelling.
class Tokenizer {
 public:
  // From the text of a tokenizer.json. `source` names it in errors.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view source);
  // From the texts of vocab.json, merges.txt and tokenizer_config.json (empty: there is none).
  static Tokenizer from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                         std::string_view tokenizer_config_json,
                                         std::string_view source);
  // Throws kInvalidFile when the parts contradict each other or a byte has no token.
  static Tokenizer from_parts(const TokenizerParts& parts);

  ~Tokenizer();
  Tokenizer(Tokenizer&& other) noexcept;
  Tokenizer& operator=(Tokenizer&& other) noexcept;

  // Ids of `text`; nothing is put before or behind. Time is n log n at worst. Throws
  // kResourceExhausted for a text above kMaxTextBytes.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Text of `ids`. Any ids are allowed: those without a token decode to nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // Largest id that has a token, plus one. A model's logits may have more rows (padding).
  int32_t vocab_size() const;
  // Bytes of a token, possibly a part of a character; empty for an id without token. The view lives
  // as long as the tokenizer.
  std::string_view token_bytes(int32_t id) const;
  // The same as text, invalid parts replaced by U+FFFD.
  std::string token_text(int32_t id) const;
  bool has_token(int32_t id) const;
  bool is_added(int32_t id) const;
  bool is_special(int32_t id) const;
  // The id of an added token with this content, else of the token with exactly these bytes.
  std::optional<int32_t> find(std::string_view text) const;
  // The same, or Error kNotFound that names the token.
  int32_t require(std::string_view text) const;

  const std::vector<int32_t>& eos_ids() const;
  bool is_eos(int32_t id) const;
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> pad_id() const;
  PreTokenizer pre_tokenizer() const;
  const std::string& source() const;

 private:
  struct Data;
  class Builder;
  class Encoder;

  explicit Tokenizer(std::unique_ptr<const Data> data);

  std::unique_ptr<const Data> data_;
};

constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

// Loads the tokenizer of a Hugging Face folder (see read_tokenizer_folder).
Tokenizer load_tokenizer_folder(const std::string& folder);

// The tokens that chat formats are made of; nothing where a vocabulary lacks one.
struct ChatTokens {
  std::optional<int32_t> im_start, im_end, end_of_text;
  std::optional<int32_t> think_open, think_close;
  std::optional<int32_t> tool_call_open, tool_call_close;
  std::optional<int32_t> tool_response_open, tool_response_close;
};
ChatTokens find_chat_tokens(const Tokenizer& tokenizer);

}  // namespace headgate

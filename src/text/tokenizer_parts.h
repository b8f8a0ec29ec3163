// What a tokenizer is made of, in plain values: read from files here, written to files by
// converters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

// The pre-tokenizer expressions known here; names as in GGUF's tokenizer.ggml.pre.
enum class PreTokenizer {
  kQwen2,  // Qwen2, Qwen3, Qwen3-Next: letters are \p{L}
  kQwen35  // Qwen3.5: combining marks count as letters
};

// The expression as tokenizer.json spells it, and the way back.
std::string_view pre_tokenizer_regex(PreTokenizer pre);
std::optional<PreTokenizer> pre_tokenizer_of_regex(std::string_view regex);

// "qwen2" or "qwen35", and the way back.
std::string_view pre_tokenizer_name(PreTokenizer pre);
std::optional<PreTokenizer> pre_tokenizer_of_name(std::string_view name);

// An added token: a string that is found in raw text and becomes a single id.
struct AddedToken {
  int32_t id = -1;
  std::string content;      // UTF-8, 1..kMaxAddedTokenBytes
  bool special = false;     // left out when decoding with skip_special
  bool lstrip = false;      // takes white space before it along
  bool rstrip = false;      // takes white space behind it along
  bool normalized = false;  // searched in the NFC text, else in the raw text
};

constexpr size_t kMaxAddedTokenBytes = 512;  // bounds the time of a search
constexpr int32_t kMaxIdGap = 65536;         // ids without a token that a vocabulary may contain

struct TokenizerParts {
  std::string source = "tokenizer";  // named in errors
  std::vector<std::string> tokens;   // by id, byte-level spelling; empty: the id has no model token
  std::vector<std::string> merges;   // "left right" in byte-level spelling, by rank
  std::vector<AddedToken> added;     // their ids may, but need not, also be in `tokens`
  PreTokenizer pre = PreTokenizer::kQwen2;
  bool nfc = true;
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
  std::vector<int32_t> eos_ids;
  std::optional<int32_t> bos_id, pad_id;
};

// Reads tokenizer.json. Throws kInvalidFile for a file that contradicts itself, kUnsupported,
// naming it, for any component that would change ids and is not known here. Truncation and padding
// settings are not the tokenizer's business and are ignored.
TokenizerParts parse_tokenizer_json(std::string_view text, std::string_view source);

// Reads vocab.json and merges.txt.
TokenizerParts parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                      std::string_view source);

// Adds what tokenizer_config.json knows: added_tokens_decoder, eos, bos and pad token, the Qwen3.5
// pre-tokenizer by tokenizer_class when there is no tokenizer.json (`choose_pre`).
void apply_tokenizer_config(TokenizerParts& parts, std::string_view config_json, bool choose_pre,
                            std::string_view source);

// Reads the tokenizer of a Hugging Face folder: tokenizer.json, else vocab.json + merges.txt (+
// added_tokens.json), with tokenizer_config.json and the eos ids of generation_config.json. Throws
// kNotFound when the folder has neither.
TokenizerParts read_tokenizer_folder(const std::string& folder);

}  // namespace headgate

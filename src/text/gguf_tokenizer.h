// A tokenizer of the values that GGUF files keep under tokenizer.ggml.*.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace headgate {

// Token types of tokenizer.ggml.token_type. Source: llama.cpp, enum llama_token_type.
enum class GgufTokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct GgufTokenizer {
  std::string model;                // tokenizer.ggml.model: must be "gpt2"
  std::string pre;                  // tokenizer.ggml.pre: "qwen2" or "qwen35"
  std::vector<std::string> tokens;  // tokenizer.ggml.tokens
  std::vector<int32_t> types;       // tokenizer.ggml.token_type; empty: all normal
  std::vector<std::string> merges;  // tokenizer.ggml.merges
  std::optional<int64_t> eos_id, bos_id, pad_id, eot_id;  // tokenizer.ggml.*_token_id
};

// Control tokens become special added tokens, user-defined ones plain added tokens, unused ones
// have no text. End of sequence are eos_id and eot_id and, where they exist as control tokens,
// <|im_end|> and <|endoftext|>. NFC is on, as in the tokenizer.json of these models. Throws
// kUnsupported for another model or pre-tokenizer, kInvalidFile for contradictions.
TokenizerParts parts_from_gguf(const GgufTokenizer& gguf, std::string_view source);
Tokenizer tokenizer_from_gguf(const GgufTokenizer& gguf, std::string_view source);

// The way back, for writers of GGUF: `vocab_size` >= parts' size gives the number of tokens; ids
// without text are written as unused "[PAD<id>]".
GgufTokenizer gguf_from_parts(const TokenizerParts& parts, int64_t vocab_size);

}  // namespace headgate

// GGUF's tokenizer values to tokenizer parts and back.
#include "text/gguf_tokenizer.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

void add_eos(TokenizerParts& parts, std::optional<int32_t> id) {
  auto& eos = parts.eos_ids;
  if (id && std::find(eos.begin(), eos.end(), *id) == eos.end()) eos.push_back(*id);
}

std::optional<int32_t> checked_id(std::optional<int64_t> id, size_t tokens, const char* name,
                                  std::string_view source) {
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= static_cast<int64_t>(tokens)) {
    fail(ErrorCode::kInvalidFile, "{}: tokenizer.ggml.{} is {}, expected 0 to {}", source, name,
         *id, static_cast<int64_t>(tokens) - 1);
  }
  return static_cast<int32_t>(*id);
}

}  // namespace

TokenizerParts parts_from_gguf(const GgufTokenizer& gguf, std::string_view source) {
  if (gguf.model != "gpt2") {
    fail(ErrorCode::kUnsupported, "{}: tokenizer.ggml.model \"{}\" is not supported, expected gpt2",
         source, gguf.model);
  }
  const auto pre = pre_tokenizer_of_name(gguf.pre);
  if (!pre) {
    fail(ErrorCode::kUnsupported,
         "{}: tokenizer.ggml.pre \"{}\" is not supported, expected qwen2 or qwen35", source,
         gguf.pre);
  }
  if (!gguf.types.empty() && gguf.types.size() != gguf.tokens.size()) {
    fail(ErrorCode::kInvalidFile, "{}: {} token types for {} tokens", source, gguf.types.size(),
         gguf.tokens.size());
  }
  TokenizerParts parts;
  parts.source = source;
  parts.pre = *pre;
  parts.tokens = gguf.tokens;
  parts.merges = gguf.merges;
  for (size_t id = 0; id < gguf.types.size(); ++id) {
    const auto type = static_cast<GgufTokenType>(gguf.types[id]);
    if (type == GgufTokenType::kUnused) parts.tokens[id].clear();
    if (type == GgufTokenType::kControl || type == GgufTokenType::kUserDefined) {
      AddedToken token;
      token.id = static_cast<int32_t>(id);
      token.content = gguf.tokens[id];
      token.special = type == GgufTokenType::kControl;
      parts.added.push_back(std::move(token));
    }
  }
  const size_t count = gguf.tokens.size();
  add_eos(parts, checked_id(gguf.eos_id, count, "eos_token_id", source));
  add_eos(parts, checked_id(gguf.eot_id, count, "eot_token_id", source));
  for (const AddedToken& token : parts.added) {
    if (!token.special) continue;
    if (token.content == "<|im_end|>" || token.content == "<|endoftext|>") add_eos(parts, token.id);
  }
  parts.bos_id = checked_id(gguf.bos_id, count, "bos_token_id", source);
  parts.pad_id = checked_id(gguf.pad_id, count, "padding_token_id", source);
  return parts;
}

Tokenizer tokenizer_from_gguf(const GgufTokenizer& gguf, std::string_view source) {
  return Tokenizer::from_parts(parts_from_gguf(gguf, source));
}

GgufTokenizer gguf_from_parts(const TokenizerParts& parts, int64_t vocab_size) {
  GgufTokenizer gguf;
  gguf.model = "gpt2";
  gguf.pre = pre_tokenizer_name(parts.pre);
  gguf.merges = parts.merges;
  gguf.tokens = parts.tokens;
  int64_t size = std::max(vocab_size, static_cast<int64_t>(parts.tokens.size()));
  for (const AddedToken& token : parts.added) size = std::max<int64_t>(size, int64_t{token.id} + 1);
  gguf.tokens.resize(static_cast<size_t>(size));
  gguf.types.assign(gguf.tokens.size(), static_cast<int32_t>(GgufTokenType::kNormal));
  for (const AddedToken& token : parts.added) {
    const auto id = static_cast<size_t>(token.id);
    gguf.tokens[id] = token.content;
    gguf.types[id] =
        static_cast<int32_t>(token.special ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
  }
  for (size_t id = 0; id < gguf.tokens.size(); ++id) {
    if (!gguf.tokens[id].empty()) continue;
    gguf.tokens[id] = fmt::format("[PAD{}]", id);
    gguf.types[id] = static_cast<int32_t>(GgufTokenType::kUnused);
  }
  if (!parts.eos_ids.empty()) gguf.eos_id = parts.eos_ids.front();
  if (parts.bos_id) gguf.bos_id = *parts.bos_id;
  if (parts.pad_id) gguf.pad_id = *parts.pad_id;
  return gguf;
}

}  // namespace headgate

// Learns a byte-level BPE vocabulary in Qwen's layout from text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_parts.h"

namespace headgate {

struct TokenizerTrainerOptions {
  int32_t vocab_size = 8192;  // entries in all, added tokens included
  int64_t min_count = 2;      // pairs seen less often are not merged
  PreTokenizer pre = PreTokenizer::kQwen2;
  std::vector<AddedToken> added;  // ids are given out behind the merges, in this order
};

// Counts pieces of text, then merges. Thread rule: one thread.
// The result depends on the multiset of the texts only, not on their order.
// Method: Sennrich et al. 2016 (arXiv 1508.07909) over pieces of the pre-tokenizer. The pair with
// the highest count is merged; of equals the one with the smallest left id, then right id, which is
// the rule of PyPI `tokenizers` (BpeTrainer with the byte alphabet and no special tokens before
// it). One difference: a merge whose result is a token already is not learnt, since it would be a
// second rule for one id.
class TokenizerTrainer {
 public:
  explicit TokenizerTrainer(const TokenizerTrainerOptions& options);
  ~TokenizerTrainer();

  // Adds one text (NFC is applied, invalid UTF-8 becomes U+FFFD). Added tokens in it are cut out
  // first, as an encoder would.
  void add(std::string_view text);
  int64_t text_bytes() const;
  int64_t distinct_pieces() const;

  // Bytes in alphabet order, then one id per merge, then the added tokens. Throws kInvalidArgument
  // for a vocabulary smaller than the bytes and added tokens, or when the text gives too few pairs
  // for its size. `progress` (may be empty) gets (merges done, merges in all) and stops the work by
  // false (kCancelled).
  TokenizerParts train(const std::function<bool(int64_t, int64_t)>& progress = {});

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// tokenizer.json in the format of PyPI `tokenizers` / transformers.
std::string tokenizer_json_text(const TokenizerParts& parts);
// tokenizer_config.json with the chat template.
std::string tokenizer_config_text(const TokenizerParts& parts, std::string_view chat_template,
                                  int64_t context);
// Writes tokenizer.json, tokenizer_config.json and chat_template.jinja into `folder`, which is made
// when missing.
void write_tokenizer_folder(const TokenizerParts& parts, const std::string& folder,
                            int64_t context);

}  // namespace headgate

// The tables behind Tokenizer, shared by its builder, its encoder and its queries.
#pragma once

#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace headgate {

enum TokenFlag : uint8_t {
  kTokenExists = 1,
  kTokenAdded = 2,
  kTokenSpecial = 4,
  kTokenLeftStrip = 8,
  kTokenRightStrip = 16,
  kTokenWholePiece = 32  // a piece with these bytes becomes this token, without looking at merges
};

struct Tokenizer::Data {
  explicit Data(int64_t expected_merges) : rules(expected_merges) {}

  std::string source;
  Vocabulary vocabulary;
  MergeRules rules;
  std::vector<uint8_t> flags;  // TokenFlag bits by id
  AddedTokenFinder raw_added, normalized_added;
  PreTokenizer pre = PreTokenizer::kQwen2;
  bool nfc = true;
  std::vector<int32_t> eos_ids;
  std::optional<int32_t> bos_id, pad_id;
};

}  // namespace headgate

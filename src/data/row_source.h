// Rows of packed documents by number: row i of a source is the same whoever asks, and when.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/packer.h"
#include "data/skills.h"
#include "data/token_shard.h"
#include "text/tokenizer.h"

namespace headgate {

// One row of training data. Token i of a document is predicted from those before it; `weights` are
// those of the tokens as targets. Documents are numbered in the row; -1 is padding behind the last.
struct TokenRow {
  std::vector<int32_t> tokens, documents, positions;
  std::vector<float> weights;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  // Appends a document; its first token is never a target.
  void add(const std::vector<int32_t>& ids, const std::vector<uint8_t>& targets, float weight);
  void pad(int64_t length, int32_t token);
};

// Thread rule: const members may be called from any thread.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // Rows after which all data was seen once; 0: endless.
  virtual int64_t rows_per_epoch() const = 0;
  // Row `index` >= 0, `length` tokens of it.
  virtual TokenRow row(int64_t index) const = 0;
};

struct ShardRowsOptions {
  std::vector<std::string> files;
  int64_t row_length = 1024;
  int64_t vocabulary = 0;  // shards must have this one
  float weight = 1;        // of every target
  int32_t pad_token = 0;
  uint64_t seed = 0;
};
// Documents of token shards: packed once, then every epoch runs through all rows in another order.
// Throws kInvalidArgument without documents or for a shard of another vocabulary.
std::unique_ptr<RowSource> open_shard_rows(const ShardRowsOptions& options);

struct SkillRowsOptions {
  std::vector<std::pair<std::string, double>>
      families;  // share of the tokens; empty: the default mix
  SkillOptions skills;
  std::string passages;  // text for needles; empty: made-up sentences
  int64_t row_length = 1024;
  float weight = 1;
  int32_t pad_token = 0;
};
// Freshly made samples, endlessly. `tokenizer` must outlive the source.
std::unique_ptr<RowSource> open_skill_rows(const SkillRowsOptions& options,
                                           const Tokenizer& tokenizer);

// Encodes a conversation segment by segment, as prompt and answer are encoded when it is used.
void encode_conversation(const Conversation& conversation, const Tokenizer& tokenizer,
                         std::vector<int32_t>& ids, std::vector<uint8_t>& targets);

// The order in which several sources take turns: row i of the mix is row `index` of `source`.
// Shares are of rows; since every row has the same length, they are shares of tokens. After any
// number of rows a source is less than one row away from its share.
class RowMix {
 public:
  // Throws kInvalidArgument unless all shares are >= 0 and their sum above 0.
  explicit RowMix(const std::vector<double>& shares);
  struct Turn {
    size_t source;
    int64_t index;
  };
  Turn turn(int64_t row) const;

 private:
  std::vector<size_t> source_of_;   // of one round of turns
  std::vector<int64_t> index_of_;   // in the round
  std::vector<int64_t> per_round_;  // rows of each source in a round
};

}  // namespace headgate

// Rows from shards and from the skill generator, and the mix of several sources.
#include "data/row_source.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kRound = 4096;    // rows of the mix after which the order repeats
constexpr int64_t kLeastRoom = 24;  // tokens: hardly a sample is shorter
constexpr int kMisses = 6;          // samples that did not fit before a row is closed
constexpr int64_t kSamplesPerRow = 1 << 16;
constexpr uint64_t kLengthSamples = 48;

class ShardRows : public RowSource {
 public:
  explicit ShardRows(const ShardRowsOptions& options) : options_(options) {
    std::vector<int64_t> lengths;
    for (const std::string& file : options.files) {
      shards_.push_back(std::make_unique<TokenShard>(file));
      const TokenShard& shard = *shards_.back();
      if (shard.vocabulary() != options.vocabulary)
        fail(ErrorCode::kInvalidArgument, "{}: vocabulary of {}, expected {} as the tokenizer has",
             file, shard.vocabulary(), options.vocabulary);
      for (int64_t d = 0; d < shard.documents(); ++d) lengths.push_back(shard.length(d));
      last_document_.push_back(static_cast<int64_t>(lengths.size()));
    }
    if (lengths.empty())
      fail(ErrorCode::kInvalidArgument, "no documents in the shards of a source");
    plan_ = pack_documents(lengths, options.row_length);
  }

  int64_t rows_per_epoch() const override { return plan_.rows(); }

  TokenRow row(int64_t index) const override {
    const int64_t epoch = index / plan_.rows();
    const int64_t planned =
        permuted(index % plan_.rows(), plan_.rows(),
                 random_bits(options_.seed, text_hash("epoch"), static_cast<uint64_t>(epoch)));
    TokenRow out;
    std::vector<int32_t> ids;
    std::vector<uint8_t> targets;
    for (const PackedPiece& piece : plan_.row(planned)) {
      const auto at = static_cast<size_t>(
          std::upper_bound(last_document_.begin(), last_document_.end(), piece.document) -
          last_document_.begin());
      const int64_t document = piece.document - (at == 0 ? 0 : last_document_[at - 1]);
      ids.clear();
      targets.clear();
      const TokenShard& shard = *shards_[at];
      shard.read(shard.begin(document) + piece.begin, piece.length, ids, targets);
      out.add(ids, targets, options_.weight);
    }
    out.pad(options_.row_length, options_.pad_token);
    return out;
  }

 private:
  ShardRowsOptions options_;
  std::vector<std::unique_ptr<TokenShard>> shards_;
  std::vector<int64_t> last_document_;  // past the end of each shard, in documents of all
  PackPlan plan_;
};

class SkillRows : public RowSource {
 public:
  SkillRows(const SkillRowsOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer), passages_(options.passages) {
    std::vector<std::pair<std::string, double>> shares = options.families;
    if (shares.empty())
      for (const SkillFamily& family : skill_families())
        shares.emplace_back(std::string(family.name), family.share);
    for (const auto& [name, share] : shares) {
      families_.push_back(&find_skill_family(name));
      chances_.push_back(share / mean_length(*families_.back()));
    }
    if (*std::max_element(chances_.begin(), chances_.end()) <= 0)
      fail(ErrorCode::kInvalidArgument, "skills: every family has share 0");
  }

  int64_t rows_per_epoch() const override { return 0; }

  TokenRow row(int64_t index) const override {
    TokenRow out;
    Dice dice(options_.skills.seed, text_hash("skill row"), static_cast<uint64_t>(index));
    std::vector<int32_t> ids;
    std::vector<uint8_t> targets;
    int misses = 0;
    for (int64_t k = 0; misses < kMisses && options_.row_length - out.size() >= kLeastRoom; ++k) {
      const SkillFamily& family = *families_[dice.weighted(chances_)];
      encode(family, static_cast<uint64_t>(index * kSamplesPerRow + k), ids, targets);
      if (out.size() + static_cast<int64_t>(ids.size()) > options_.row_length) {
        ++misses;
      } else {
        out.add(ids, targets, options_.weight);
      }
    }
    if (out.size() == 0)
      fail(ErrorCode::kInvalidArgument, "skills: no sample fits a row of {} tokens",
           options_.row_length);
    out.pad(options_.row_length, options_.pad_token);
    return out;
  }

 private:
  void encode(const SkillFamily& family, uint64_t index, std::vector<int32_t>& ids,
              std::vector<uint8_t>& targets) const {
    const SkillSample sample = make_skill_sample(family, options_.skills, passages_, index);
    ids.clear();
    targets.clear();
    encode_conversation(sample.conversation, tokenizer_, ids, targets);
  }

  // Of the samples that fit a row: the others are never shown.
  double mean_length(const SkillFamily& family) const {
    std::vector<int32_t> ids;
    std::vector<uint8_t> targets;
    double total = 0, fitting = 0;
    for (uint64_t i = 0; i < kLengthSamples; ++i) {
      encode(family, ~i, ids, targets);
      if (static_cast<int64_t>(ids.size()) > options_.row_length) continue;
      total += static_cast<double>(ids.size());
      fitting += 1;
    }
    return fitting > 0 ? total / fitting : static_cast<double>(options_.row_length);
  }

  SkillRowsOptions options_;
  const Tokenizer& tokenizer_;
  Passages passages_;
  std::vector<const SkillFamily*> families_;
  std::vector<double> chances_;
};

}  // namespace

void TokenRow::add(const std::vector<int32_t>& ids, const std::vector<uint8_t>& targets,
                   float weight) {
  const int32_t document = documents.empty() ? 0 : documents.back() + 1;
  for (size_t i = 0; i < ids.size(); ++i) {
    tokens.push_back(ids[i]);
    documents.push_back(document);
    positions.push_back(static_cast<int32_t>(i));
    weights.push_back(i > 0 && targets[i] != 0 ? weight : 0.0f);
  }
}

void TokenRow::pad(int64_t length, int32_t token) {
  HEADGATE_CHECK(size() <= length);
  const auto count = static_cast<size_t>(length);
  tokens.resize(count, token);
  documents.resize(count, -1);
  positions.resize(count, 0);
  weights.resize(count, 0.0f);
}

std::unique_ptr<RowSource> open_shard_rows(const ShardRowsOptions& options) {
  return std::make_unique<ShardRows>(options);
}

std::unique_ptr<RowSource> open_skill_rows(const SkillRowsOptions& options,
                                           const Tokenizer& tokenizer) {
  return std::make_unique<SkillRows>(options, tokenizer);
}

void encode_conversation(const Conversation& conversation, const Tokenizer& tokenizer,
                         std::vector<int32_t>& ids, std::vector<uint8_t>& targets) {
  for (const Segment& segment : conversation_segments(conversation)) {
    const std::vector<int32_t> part = tokenizer.encode(segment.text);
    ids.insert(ids.end(), part.begin(), part.end());
    targets.insert(targets.end(), part.size(), segment.target ? 1 : 0);
  }
}

RowMix::RowMix(const std::vector<double>& shares) : per_round_(shares.size(), 0) {
  double total = 0;
  for (double share : shares) {
    if (!(share >= 0) || !std::isfinite(share))
      fail(ErrorCode::kInvalidArgument, "mix: share {}, expected a number >= 0", share);
    total += share;
  }
  if (!(total > 0)) fail(ErrorCode::kInvalidArgument, "mix: every source has share 0");
  // Each turn goes to the source that is furthest behind its share; ties to the first.
  for (int64_t turn = 0; turn < kRound; ++turn) {
    size_t next = 0;
    double furthest = -1;
    for (size_t s = 0; s < shares.size(); ++s) {
      const double behind =
          shares[s] / total * static_cast<double>(turn + 1) - static_cast<double>(per_round_[s]);
      if (shares[s] > 0 && behind > furthest) {
        furthest = behind;
        next = s;
      }
    }
    source_of_.push_back(next);
    index_of_.push_back(per_round_[next]++);
  }
}

RowMix::Turn RowMix::turn(int64_t row) const {
  const auto at = static_cast<size_t>(row % kRound);
  const size_t source = source_of_[at];
  return {source, row / kRound * per_round_[source] + index_of_[at]};
}

}  // namespace headgate

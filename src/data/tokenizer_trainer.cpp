// Byte-pair learning: piece counts in a hash table, pair counts in another, a heap of candidates.
#include "data/tokenizer_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/normalize.h"
#include "text/pretokenizer.h"

namespace headgate {
namespace {

constexpr int32_t kBytes = 256;

struct PieceHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
struct PairHash {
  size_t operator()(uint64_t pair) const { return static_cast<size_t>(mix_bits(pair)); }
};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A piece as ids, and how often the text has it.
struct Word {
  std::vector<int32_t> ids;
  int64_t count = 0;
};

struct Pair {
  int64_t count = 0;
  std::vector<uint32_t> words;  // where it was seen; may hold words that lost it since
};

struct Candidate {
  int64_t count;
  uint64_t pair;
  // The heap's top: highest count, then smallest ids.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// The bytes in the order of their spelling's code points, as vocabularies list them.
std::array<uint8_t, kBytes> bytes_in_alphabet_order() {
  std::array<uint8_t, kBytes> order{};
  std::vector<std::pair<std::string, uint8_t>> spelled;
  for (int32_t byte = 0; byte < kBytes; ++byte) {
    const char one = static_cast<char>(byte);
    spelled.emplace_back(spell_bytes(std::string_view(&one, 1)), static_cast<uint8_t>(byte));
  }
  std::sort(spelled.begin(), spelled.end());  // UTF-8 sorts as code points do
  for (size_t i = 0; i < order.size(); ++i) order[i] = spelled[i].second;
  return order;
}

// The state of merging: words, pairs, and the heap.
class Merger {
 public:
  Merger(std::vector<Word> words, std::vector<std::string> tokens)
      : words_(std::move(words)), tokens_(std::move(tokens)) {
    for (const std::string& token : tokens_) known_.insert(token);
    for (uint32_t w = 0; w < words_.size(); ++w) add_pairs_of(w);
    for (const auto& [key, pair] : pairs_) heap_.push({pair.count, key});
  }

  // Learns one merge; false when no pair is seen at least min_count times.
  bool merge_next(int64_t min_count) {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      const auto found = pairs_.find(top.pair);
      if (found == pairs_.end()) continue;
      if (found->second.count != top.count) {
        if (found->second.count > 0) heap_.push({found->second.count, top.pair});
        continue;
      }
      if (top.count < min_count) return false;
      const auto left = static_cast<int32_t>(top.pair >> 32);
      const auto right = static_cast<int32_t>(top.pair & 0xffffffffu);
      std::string merged = tokens_[static_cast<size_t>(left)] + tokens_[static_cast<size_t>(right)];
      if (!known_.insert(merged).second) continue;
      merges_.push_back(tokens_[static_cast<size_t>(left)] + " " +
                        tokens_[static_cast<size_t>(right)]);
      const auto id = static_cast<int32_t>(tokens_.size());
      tokens_.push_back(std::move(merged));
      const std::vector<uint32_t> where = std::move(found->second.words);
      pairs_.erase(found);
      apply(left, right, id, where);
      return true;
    }
    return false;
  }

  std::vector<std::string>& tokens() { return tokens_; }
  std::vector<std::string>& merges() { return merges_; }

 private:
  void add_pairs_of(uint32_t w) {
    const Word& word = words_[w];
    for (size_t i = 1; i < word.ids.size(); ++i) add(word.ids[i - 1], word.ids[i], w);
  }
  void add(int32_t left, int32_t right, uint32_t w) {
    Pair& pair = pairs_[pair_key(left, right)];
    pair.count += words_[w].count;
    if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(w);
  }
  void subtract(int32_t left, int32_t right, uint32_t w) {
    const auto found = pairs_.find(pair_key(left, right));
    if (found != pairs_.end()) found->second.count -= words_[w].count;
  }

  // Replaces the pair in every word that has it, and pushes the pairs that came to be.
  void apply(int32_t left, int32_t right, int32_t id, const std::vector<uint32_t>& where) {
    fresh_.clear();
    for (uint32_t w : where) apply_to(w, left, right, id);
    std::sort(fresh_.begin(), fresh_.end());
    fresh_.erase(std::unique(fresh_.begin(), fresh_.end()), fresh_.end());
    for (uint64_t key : fresh_) {
      const auto found = pairs_.find(key);
      if (found != pairs_.end() && found->second.count > 0) heap_.push({found->second.count, key});
    }
  }

  void apply_to(uint32_t w, int32_t left, int32_t right, int32_t id) {
    std::vector<int32_t>& ids = words_[w].ids;
    size_t out = 0;
    for (size_t i = 0; i < ids.size(); ++out) {
      if (i + 1 < ids.size() && ids[i] == left && ids[i + 1] == right) {
        // The word's front part is rewritten already, so its last id is the left neighbour.
        if (out > 0) {
          subtract(ids[out - 1], left, w);
          add(ids[out - 1], id, w);
          fresh_.push_back(pair_key(ids[out - 1], id));
        }
        if (i + 2 < ids.size()) {
          subtract(right, ids[i + 2], w);
          add(id, ids[i + 2], w);
          fresh_.push_back(pair_key(id, ids[i + 2]));
        }
        ids[out] = id;
        i += 2;
      } else {
        ids[out] = ids[i++];
      }
    }
    ids.resize(out);
  }

  std::vector<Word> words_;
  std::vector<std::string> tokens_, merges_;
  std::unordered_set<std::string> known_;
  std::unordered_map<uint64_t, Pair, PairHash> pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<uint64_t> fresh_;
};

}  // namespace

struct TokenizerTrainer::Data {
  TokenizerTrainerOptions options;
  std::unordered_map<std::string, int64_t, PieceHash, std::equal_to<>> pieces;
  int64_t bytes = 0;
  std::string clean, normal;

  void count_part(std::string_view part) {
    const std::string_view text = normalize_nfc(part, normal);
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = piece_end(options.pre, text, begin);
      const std::string_view piece = text.substr(begin, end - begin);
      const auto found = pieces.find(piece);
      if (found != pieces.end()) {
        ++found->second;
      } else {
        pieces.emplace(std::string(piece), 1);
      }
      begin = end;
    }
  }

  // The first added token at or behind `from`, the longest of those at one place.
  std::pair<size_t, size_t> next_added(std::string_view text, size_t from) const {
    size_t at = std::string_view::npos, bytes_long = 0;
    for (const AddedToken& token : options.added) {
      const size_t found = text.find(token.content, from);
      if (found < at || (found == at && token.content.size() > bytes_long)) {
        at = found;
        bytes_long = token.content.size();
      }
    }
    return {at, bytes_long};
  }
};

TokenizerTrainer::TokenizerTrainer(const TokenizerTrainerOptions& options)
    : data_(std::make_unique<Data>()) {
  data_->options = options;
  const auto least = kBytes + static_cast<int64_t>(options.added.size());
  if (options.vocab_size < least)
    fail(
        ErrorCode::kInvalidArgument,
        "tokenizer: vocabulary of {} entries, expected at least {} (256 bytes and {} added tokens)",
        options.vocab_size, least, options.added.size());
}

TokenizerTrainer::~TokenizerTrainer() = default;

void TokenizerTrainer::add(std::string_view text) {
  Data& d = *data_;
  d.bytes += static_cast<int64_t>(text.size());
  if (!is_valid_utf8(text)) {
    d.clean = replace_invalid_utf8(text);
    text = d.clean;
  }
  // Chat tokens all hold "<": without one the search is spared.
  if (text.find('<') == std::string_view::npos) return d.count_part(text);
  for (size_t from = 0; from < text.size();) {
    const auto [at, bytes_long] = d.next_added(text, from);
    if (at == std::string_view::npos) return d.count_part(text.substr(from));
    d.count_part(text.substr(from, at - from));
    from = at + bytes_long;
  }
}

int64_t TokenizerTrainer::text_bytes() const { return data_->bytes; }
int64_t TokenizerTrainer::distinct_pieces() const {
  return static_cast<int64_t>(data_->pieces.size());
}

TokenizerParts TokenizerTrainer::train(const std::function<bool(int64_t, int64_t)>& progress) {
  const TokenizerTrainerOptions& options = data_->options;
  const std::array<uint8_t, kBytes> order = bytes_in_alphabet_order();
  std::array<int32_t, kBytes> id_of_byte{};
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < kBytes; ++id) {
    const auto byte = static_cast<char>(order[static_cast<size_t>(id)]);
    id_of_byte[order[static_cast<size_t>(id)]] = id;
    tokens.push_back(spell_bytes(std::string_view(&byte, 1)));
  }
  std::vector<Word> words;
  words.reserve(data_->pieces.size());
  for (const auto& [piece, count] : data_->pieces) {
    if (piece.size() < 2) continue;
    Word word{{}, count};
    for (char c : piece) word.ids.push_back(id_of_byte[static_cast<uint8_t>(c)]);
    words.push_back(std::move(word));
  }
  const int64_t wanted = options.vocab_size - kBytes - static_cast<int64_t>(options.added.size());
  Merger merger(std::move(words), std::move(tokens));
  for (int64_t done = 0; done < wanted; ++done) {
    if (!merger.merge_next(options.min_count))
      fail(ErrorCode::kInvalidArgument,
           "tokenizer: the text gives {} merges (pairs seen {} times or more), expected {}: give "
           "more "
           "text or a smaller vocabulary",
           done, options.min_count, wanted);
    if (progress && done % 64 == 0 && !progress(done, wanted))
      fail(ErrorCode::kCancelled, "tokenizer: stopped after {} of {} merges", done, wanted);
  }
  TokenizerParts parts;
  parts.source = "trained tokenizer";
  parts.tokens = std::move(merger.tokens());
  parts.merges = std::move(merger.merges());
  parts.pre = options.pre;
  auto next = static_cast<int32_t>(parts.tokens.size());
  for (AddedToken token : options.added) {
    token.id = next++;
    if (token.content == "<|im_end|>") parts.eos_ids = {token.id};
    if (token.content == "<|endoftext|>") parts.pad_id = token.id;
    parts.added.push_back(std::move(token));
  }
  return parts;
}

}  // namespace headgate

// Makes a tokenizer of its parts, and refuses parts that contradict each other.
#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/normalize.h"
#include "text/tokenizer_data.h"

namespace headgate {

class Tokenizer::Builder {
 public:
  explicit Builder(const TokenizerParts& parts)
      : parts_(parts), data_(std::make_unique<Data>(static_cast<int64_t>(parts.merges.size()))) {}

  std::unique_ptr<const Data> build() {
    data_->source = parts_.source;
    data_->pre = parts_.pre;
    data_->nfc = parts_.nfc;
    data_->eos_ids = parts_.eos_ids;
    data_->bos_id = parts_.bos_id;
    data_->pad_id = parts_.pad_id;
    collect_added();
    fill_vocabulary();
    fill_finders();
    fill_bytes();
    fill_merges();
    mark_whole_pieces();
    return std::move(data_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}: {}", parts_.source,
         fmt::format(format, std::forward<Args>(args)...));
  }

  void collect_added() {
    int64_t size = static_cast<int64_t>(parts_.tokens.size());
    const int64_t limit = size + static_cast<int64_t>(parts_.added.size()) + kMaxIdGap;
    if (limit > 0x7fffffff) refuse("{} tokens, expected fewer than 2^31", size);
    std::unordered_map<std::string_view, int32_t> by_content;
    for (const AddedToken& token : parts_.added) {
      if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
        refuse("added token {}: content of {} bytes, expected 1 to {}", token.id,
               token.content.size(), kMaxAddedTokenBytes);
      }
      if (!is_valid_utf8(token.content)) refuse("added token {}: invalid UTF-8", token.id);
      if (token.id < 0 || token.id >= limit) {
        refuse("added token \"{}\": id {}, expected 0 to {}", token.content, token.id, limit - 1);
      }
      if (!added_.emplace(token.id, &token).second) {
        refuse("id {} belongs to two added tokens, one of them \"{}\"", token.id, token.content);
      }
      const auto [other, fresh] = by_content.emplace(token.content, token.id);
      if (!fresh) {
        refuse("added token \"{}\" has two ids, {} and {}", token.content, other->second, token.id);
      }
      size = std::max(size, int64_t{token.id} + 1);
    }
    data_->flags.assign(static_cast<size_t>(size), 0);
  }

  void fill_vocabulary() {
    for (int32_t id = 0; id < static_cast<int32_t>(data_->flags.size()); ++id) {
      const auto i = static_cast<size_t>(id);
      std::string_view spelled;
      if (i < parts_.tokens.size()) spelled = parts_.tokens[i];
      const auto added = added_.find(id);
      auto bytes = unspell_bytes(spelled);
      if (added != added_.end()) {
        const AddedToken& token = *added->second;
        if (!spelled.empty() && spelled != token.content && bytes != token.content) {
          refuse("id {} is both token \"{}\" and added token \"{}\"", id, spelled, token.content);
        }
        data_->flags[i] = static_cast<uint8_t>(
            kTokenExists | kTokenAdded | (token.special ? kTokenSpecial : 0) |
            (token.lstrip ? kTokenLeftStrip : 0) | (token.rstrip ? kTokenRightStrip : 0));
        data_->vocabulary.append(token.content, !spelled.empty() && bytes == token.content);
      } else if (spelled.empty()) {
        data_->vocabulary.append("", false);
      } else {
        // Characters outside the byte alphabet stand for themselves; merging never gets there.
        data_->flags[i] = kTokenExists;
        data_->vocabulary.append(bytes ? std::string_view(*bytes) : spelled, bytes.has_value());
      }
    }
    const auto [first, second] = data_->vocabulary.build_index();
    if (first >= 0)
      refuse("token \"{}\" has two ids, {} and {}", parts_.tokens[static_cast<size_t>(first)],
             first, second);
  }

  void fill_finders() {
    std::vector<std::pair<std::string, int32_t>> raw, normalized;
    for (const AddedToken& token : parts_.added) {
      const int32_t model_id = data_->vocabulary.find(token.content);
      if (model_id >= 0 && model_id != token.id) {
        refuse("added token \"{}\" has id {}, but the vocabulary gives it {}", token.content,
               token.id, model_id);
      }
      if (token.normalized && parts_.nfc) {
        std::string storage;
        normalized.emplace_back(normalize_nfc(token.content, storage), token.id);
      } else {
        (token.normalized ? normalized : raw).emplace_back(token.content, token.id);
      }
    }
    data_->raw_added = AddedTokenFinder(std::move(raw));
    data_->normalized_added = AddedTokenFinder(std::move(normalized));
  }

  void fill_bytes() {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      const int32_t id = data_->vocabulary.find({&c, 1});
      if (id < 0) refuse("no token for byte {:#04x}, expected one for each of the 256 bytes", byte);
      data_->rules.set_byte(static_cast<uint8_t>(byte), id);
    }
  }

  // `guess` is looked at first: vocabularies list merged tokens in the order of the merges.
  int32_t merge_part(size_t rank, std::string_view spelled, int32_t guess = -1) const {
    const Vocabulary& vocabulary = data_->vocabulary;
    const auto bytes = unspell_bytes(spelled);
    if (bytes && guess >= 0 && guess < vocabulary.size() && vocabulary.is_indexed(guess) &&
        vocabulary.bytes(guess) == *bytes) {
      return guess;
    }
    const int32_t id = bytes && !bytes->empty() ? vocabulary.find(*bytes) : -1;
    if (id < 0)
      refuse("merge {} (\"{}\"): \"{}\" is not in the vocabulary", rank, parts_.merges[rank],
             spelled);
    return id;
  }

  void fill_merges() {
    std::string both;
    int32_t merged_id = -1;
    for (size_t rank = 0; rank < parts_.merges.size(); ++rank) {
      const std::string_view merge = parts_.merges[rank];
      const size_t space = merge.find(' ');
      if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
        refuse("merge {} (\"{}\"): expected two tokens with one space between", rank, merge);
      }
      const std::string_view left = merge.substr(0, space);
      const std::string_view right = merge.substr(space + 1);
      both.assign(left).append(right);
      const int32_t left_id = merge_part(rank, left);
      const int32_t right_id = merge_part(rank, right);
      merged_id = merge_part(rank, both, merged_id + 1);
      if (!data_->rules.add(left_id, right_id, merged_id)) {
        refuse("merge {} (\"{}\") appears twice", rank, merge);
      }
    }
    data_->rules.finish();
  }

  // A piece that is a token need not be merged if merging would end in that token. True for all of
  // Qwen's tokens, but nothing in the format promises it: ask the rules.
  void mark_whole_pieces() {
    BpeScratch scratch;
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < data_->vocabulary.size(); ++id) {
      const std::string_view bytes = data_->vocabulary.bytes(id);
      if (!data_->vocabulary.is_indexed(id)) continue;
      ids.clear();
      if (!parts_.ignore_merges) data_->rules.apply(bytes, scratch, ids);
      if (parts_.ignore_merges || (ids.size() == 1 && ids[0] == id)) {
        data_->flags[static_cast<size_t>(id)] |= kTokenWholePiece;
      }
    }
  }

  const TokenizerParts& parts_;
  std::unique_ptr<Data> data_;
  std::unordered_map<int32_t, const AddedToken*> added_;
};

Tokenizer Tokenizer::from_parts(const TokenizerParts& parts) {
  return Tokenizer(Builder(parts).build());
}

}  // namespace headgate

// Token shards: writing, and reading with every bound checked.
#include "data/token_shard.h"

#include <array>
#include <cstring>

#include "base/error.h"

namespace headgate {
namespace {

constexpr char kMagic[8] = {'H', 'G', 'T', 'O', 'K', 'E', 'N', 'S'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaskFlag = 1;
constexpr int64_t kHeaderBytes = 64;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxTokens = int64_t{1} << 48;  // keeps every product below 2^63

struct Header {
  char magic[8];
  uint32_t version, token_bytes, vocabulary, flags;
  uint64_t tokens, documents;
  uint8_t zeros[24];
};
static_assert(sizeof(Header) == kHeaderBytes);

int64_t padded(int64_t bytes) { return (bytes + 7) / 8 * 8; }

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

}  // namespace

TokenShardWriter::TokenShardWriter(const std::string& path, int64_t vocabulary, bool masked)
    : file_(path), path_(path), vocabulary_(vocabulary), masked_(masked) {
  if (vocabulary < 1 || vocabulary > kMaxVocabulary)
    fail(ErrorCode::kInvalidArgument, "{}: vocabulary of {}, expected 1..{}", path, vocabulary,
         kMaxVocabulary);
  const std::array<std::byte, kHeaderBytes> blank{};
  file_.write(blank);
}

void TokenShardWriter::add(std::span<const int32_t> tokens, std::span<const uint8_t> targets) {
  HEADGATE_CHECK(!masked_ || targets.size() == tokens.size());
  if (tokens.empty()) return;
  for (int32_t id : tokens)
    if (id < 0 || id >= vocabulary_)
      fail(ErrorCode::kInvalidArgument, "{}: token {}, expected 0..{}", path_, id, vocabulary_ - 1);
  if (vocabulary_ <= 65536) {
    const std::vector<uint16_t> narrow(tokens.begin(), tokens.end());
    file_.write(std::as_bytes(std::span(narrow)));
  } else {
    file_.write(std::as_bytes(tokens));
  }
  for (size_t i = 0; masked_ && i < tokens.size(); ++i) {
    const uint64_t bit = offsets_.back() + i;
    if (bit % 8 == 0) mask_.push_back(0);
    if (targets[i] != 0) mask_.back() = static_cast<uint8_t>(mask_.back() | (1u << (bit % 8)));
    targets_ += targets[i] != 0 ? 1 : 0;
  }
  if (!masked_) targets_ += static_cast<int64_t>(tokens.size());
  offsets_.push_back(offsets_.back() + tokens.size());
}

void TokenShardWriter::commit() {
  file_.pad_to(8);
  if (masked_) file_.write(std::as_bytes(std::span(mask_)));
  file_.pad_to(8);
  file_.write(std::as_bytes(std::span(offsets_)));
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.token_bytes = vocabulary_ <= 65536 ? 2 : 4;
  header.vocabulary = static_cast<uint32_t>(vocabulary_);
  header.flags = masked_ ? kMaskFlag : 0;
  header.tokens = offsets_.back();
  header.documents = offsets_.size() - 1;
  file_.write_at(0, std::as_bytes(std::span(&header, 1)));
  file_.commit();
}

TokenShard::TokenShard(const std::string& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  const auto size = static_cast<int64_t>(bytes.size());
  const auto invalid = [&](const std::string& what) {
    fail(ErrorCode::kInvalidFile, "{}: {}", path, what);
  };
  if (size < kHeaderBytes) invalid(fmt::format("{} bytes, too short for a token shard", size));
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0)
    invalid("does not begin with HGTOKENS: not a token shard");
  if (header.version != kVersion)
    invalid(fmt::format("version {}, expected {}", header.version, kVersion));
  if (header.token_bytes != 2 && header.token_bytes != 4)
    invalid(fmt::format("{} bytes per token, expected 2 or 4", header.token_bytes));
  if (header.vocabulary < 1 || header.vocabulary > kMaxVocabulary)
    invalid(fmt::format("vocabulary of {}, expected 1..{}", header.vocabulary, kMaxVocabulary));
  if ((header.flags & ~kMaskFlag) != 0) invalid(fmt::format("unknown flags {}", header.flags));
  if (header.tokens > kMaxTokens || header.documents > header.tokens)
    invalid(fmt::format("{} documents of {} tokens", header.documents, header.tokens));
  tokens_ = static_cast<int64_t>(header.tokens);
  documents_ = static_cast<int64_t>(header.documents);
  vocabulary_ = header.vocabulary;
  token_bytes_ = header.token_bytes;
  const int64_t mask_at = kHeaderBytes + padded(tokens_ * token_bytes_);
  const int64_t mask_bytes = (header.flags & kMaskFlag) != 0 ? (tokens_ + 7) / 8 : 0;
  const int64_t offsets_at = mask_at + padded(mask_bytes);
  const int64_t expected = offsets_at + (documents_ + 1) * 8;
  if (size != expected) invalid(fmt::format("{} bytes, expected {}", size, expected));
  ids_ = bytes.data() + kHeaderBytes;
  if (mask_bytes > 0) mask_ = bytes.data() + mask_at;
  offsets_ = bytes.data() + offsets_at;
  if (begin(0) != 0 || begin(documents_) != tokens_)
    invalid(fmt::format("document bounds {}..{}, expected 0..{}", begin(0), begin(documents_),
                        tokens_));
  for (int64_t i = 0; i < documents_; ++i)
    if (load<uint64_t>(offsets_ + 8 * i) >= load<uint64_t>(offsets_ + 8 * (i + 1)))
      invalid(fmt::format("document {} has no tokens", i));
}

int64_t TokenShard::begin(int64_t document) const {
  HEADGATE_DCHECK(document >= 0 && document <= documents_);
  return static_cast<int64_t>(load<uint64_t>(offsets_ + 8 * document));
}

void TokenShard::read(int64_t first, int64_t count, std::vector<int32_t>& tokens,
                      std::vector<uint8_t>& targets) const {
  HEADGATE_CHECK(first >= 0 && count >= 0 && first + count <= tokens_);
  for (int64_t i = first; i < first + count; ++i) {
    const int64_t id = token_bytes_ == 2 ? int64_t{load<uint16_t>(ids_ + 2 * i)}
                                         : int64_t{load<uint32_t>(ids_ + 4 * i)};
    if (id >= vocabulary_)
      fail(ErrorCode::kInvalidFile, "{}: token {} is {}, expected 0..{}", path(), i, id,
           vocabulary_ - 1);
    tokens.push_back(static_cast<int32_t>(id));
    const bool target =
        mask_ == nullptr || (static_cast<uint8_t>(mask_[i / 8]) >> (i % 8) & 1) != 0;
    targets.push_back(target ? 1 : 0);
  }
}

}  // namespace headgate

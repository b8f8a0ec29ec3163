// Files of tokenized documents: ids, loss mask and document bounds, read through a memory map.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace headgate {

// Layout, little-endian: a header of 64 bytes ("HGTOKENS", u32 version = 1, u32 bytes per token (2
// or 4), u32 vocabulary, u32 flags (1: there is a mask), u64 tokens, u64 documents, zeros); the
// tokens; with a mask, one bit per token, lowest bit first; u64 offsets [documents + 1] in tokens.
// Each part begins at a multiple of 8. Without a mask every token is a target.

// Writes a shard document by document; the file appears complete in commit() or not at all.
class TokenShardWriter {
 public:
  // `vocabulary` up to 65,536 is stored in 2 bytes per token.
  TokenShardWriter(const std::string& path, int64_t vocabulary, bool masked);
  // `targets` (one per token) only when masked. Empty documents are left out. Throws
  // kInvalidArgument for an id outside the vocabulary.
  void add(std::span<const int32_t> tokens, std::span<const uint8_t> targets = {});
  void commit();

  int64_t tokens() const { return static_cast<int64_t>(offsets_.back()); }
  int64_t documents() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t targets() const { return targets_; }

 private:
  OutputFile file_;
  std::string path_;
  int64_t vocabulary_;
  bool masked_;
  int64_t targets_ = 0;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint8_t> mask_;
};

// Thread rule: const members may be called from any thread.
class TokenShard {
 public:
  // Throws kNotFound, or kInvalidFile for a file that breaks the layout.
  explicit TokenShard(const std::string& path);

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  int64_t vocabulary() const { return vocabulary_; }
  bool masked() const { return mask_ != nullptr; }
  const std::string& path() const { return file_.path(); }

  int64_t begin(int64_t document) const;  // in tokens; document in [0, documents()]
  int64_t length(int64_t document) const { return begin(document + 1) - begin(document); }

  // Appends `count` tokens from `first` on, and whether each is a target (0 or 1). Throws
  // kInvalidFile for an id outside the vocabulary.
  void read(int64_t first, int64_t count, std::vector<int32_t>& tokens,
            std::vector<uint8_t>& targets) const;

 private:
  MappedFile file_;
  int64_t tokens_ = 0, documents_ = 0, vocabulary_ = 0, token_bytes_ = 0;
  const std::byte* ids_ = nullptr;
  const std::byte* mask_ = nullptr;
  const std::byte* offsets_ = nullptr;
};

}  // namespace headgate

// Files that hold the state of a sequence or a part of it: entries of the disk tier, and sessions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"

namespace headgate {

// Layout, little-endian: a header of whole 4,096-byte blocks (fixed fields, then tokens, checksums
// of the pages, and a note), then KV pages, each padded to whole blocks, then the recurrent state.
// docs/prefix-cache.md has the table.
struct StateFileInfo {
  Digest
      profile{};  // what the state fits: model, build, kernels, KV type, context; see StateProfile
  Digest salt{};  // whose it is
  Digest parent{};  // the entry that holds the pages before first_page; zero: none are missing
  std::vector<int32_t> tokens;  // that the state has consumed: its position is their number
  int64_t deferred = 0;         // of them, set aside
  int64_t page_tokens = 0;      // per page; 0: no pages, the model keeps none
  int64_t page_bytes = 0;
  int64_t first_page = 0;   // of those in the file
  int64_t pages = 0;        // in the file
  int64_t state_bytes = 0;  // of the recurrent state; 0: not in the file
  std::string note;         // of whoever wrote it; sessions keep their messages there

  int64_t position() const { return static_cast<int64_t>(tokens.size()); }
  // Filled in by write and read.
  std::vector<uint64_t> page_checksums;
  uint64_t state_checksum = 0;
  int64_t header_bytes = 0;
  int64_t file_bytes = 0;
};

// The size of a file with so much in it.
int64_t state_file_bytes(int64_t tokens, int64_t pages, int64_t page_bytes, int64_t state_bytes,
                         int64_t note_bytes);

// SHA-256 of profile, salt and tokens: the name of an entry.
Digest state_id(const Digest& profile, const Digest& salt, std::span<const int32_t> tokens);

// Reads and checks everything but pages and state: magic, version, sizes, bounds and the header's
// checksum. `head` is the beginning of a file of `file_bytes`, the whole header if it has that
// much. Throws kInvalidFile, its message starting with `name`.
StateFileInfo parse_state_header(std::span<const std::byte> head, int64_t file_bytes,
                                 const std::string& name);
// Puts the right checksum into a header whose other fields are kept, however wrong: lets tests
// reach the checks behind it.
void seal_state_header(std::span<std::byte> head);

// The header of a file. Throws kNotFound, kIo, kInvalidFile.
StateFileInfo read_state_header(const std::string& path);

// Writes a whole file: to a temporary name beside it, synced, renamed, and the folder synced, so
// that after a crash it is there complete or not at all. `info` says what `pages` and `state` are.
// False, with nothing left behind, once `stop` is set. `threads` share checksums and requests.
// Throws kIo. Returns the file's size through `info`.
bool write_state_file(const std::string& path, StateFileInfo& info,
                      std::span<const std::span<const std::byte>> pages,
                      std::span<const std::span<const std::byte>> state,
                      const std::atomic<bool>* stop = nullptr, int threads = 1);

// Pages [first, first + pages.size()) of the sequence and, where `state` is not empty, the
// recurrent state, each checked. Throws kInvalidFile for what is not there or damaged, kIo.
void read_state_file(const std::string& path, const StateFileInfo& info, int64_t first,
                     std::span<const std::span<std::byte>> pages,
                     std::span<const std::span<std::byte>> state,
                     const std::atomic<bool>* stop = nullptr, int threads = 1);

}  // namespace headgate

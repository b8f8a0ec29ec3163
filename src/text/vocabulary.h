// The table of tokens: id -> bytes, and bytes -> id for whole pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

// Ids 0..size()-1, each with its bytes (none: the id is a hole, or padding). Filled once, then only
// read. Thread rule: const members may be called from any thread.
class Vocabulary {
 public:
  Vocabulary();

  // Appends the next id. `indexed`: find() shall return it; such bytes must not be empty.
  void append(std::string_view bytes, bool indexed);
  // Builds the index; no append() afterwards. Returns the first of two indexed ids with equal bytes
  // as .first, the other as .second, or {-1, -1}.
  std::pair<int32_t, int32_t> build_index();

  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  std::string_view bytes(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    const uint64_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(blob_).substr(begin, ends_[i] - begin);
  }
  bool is_indexed(int32_t id) const { return indexed_[static_cast<size_t>(id)]; }
  // The indexed id with exactly these bytes, or -1.
  int32_t find(std::string_view bytes) const;

 private:
  struct Slot {
    uint32_t tag;
    int32_t id;  // -1: free
  };

  uint64_t hash(std::string_view bytes) const;

  std::string blob_;
  std::vector<uint64_t> ends_;
  std::vector<bool> indexed_;
  std::vector<Slot> slots_;
  uint64_t mask_ = 0;
  uint64_t seed_;
};

// A number that differs between processes, to mix into hashes: a crafted file cannot aim at the
// collisions of a hash it does not know. Never shows in results.
uint64_t process_seed();

}  // namespace headgate

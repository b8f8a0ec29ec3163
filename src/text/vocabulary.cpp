// Open addressing over the bytes of all tokens.
#include "text/vocabulary.h"

#include <cstring>
#include <random>

namespace headgate {
namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t load(const char* p, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, p, bytes);
  return word;
}

}  // namespace

uint64_t process_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (uint64_t{device()} << 32) | device() | 1;
  }();
  return seed;
}

Vocabulary::Vocabulary() : seed_(process_seed()) {}

void Vocabulary::append(std::string_view bytes, bool indexed) {
  blob_ += bytes;
  ends_.push_back(blob_.size());
  indexed_.push_back(indexed);
}

uint64_t Vocabulary::hash(std::string_view bytes) const {
  uint64_t h = seed_ ^ bytes.size();
  const char* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; p += 8, left -= 8) h = mix(h ^ load(p, 8), 0x9e3779b97f4a7c15u);
  // A constant length per case lets each load be one or two instructions.
  uint64_t tail = 0;
  if (left >= 4) {
    tail = load(p, 4) | load(p + left - 4, 4) << 32;
  } else if (left > 0) {
    tail = static_cast<uint8_t>(p[0]) | uint64_t{static_cast<uint8_t>(p[left / 2])} << 8 |
           uint64_t{static_cast<uint8_t>(p[left - 1])} << 16;
  }
  h = mix(h ^ tail, 0xd6e8feb86659fd93u);
  return mix(h, seed_);
}

std::pair<int32_t, int32_t> Vocabulary::build_index() {
  uint64_t capacity = 16;
  while (capacity < ends_.size() * 2) capacity *= 2;
  slots_.assign(capacity, Slot{0, -1});
  mask_ = capacity - 1;
  std::pair<int32_t, int32_t> twins{-1, -1};
  for (int32_t id = 0; id < size(); ++id) {
    if (!indexed_[static_cast<size_t>(id)]) continue;
    const uint64_t h = hash(bytes(id));
    const auto tag = static_cast<uint32_t>(h >> 32);
    uint64_t i = h & mask_;
    for (; slots_[i].id >= 0; i = (i + 1) & mask_) {
      if (slots_[i].tag == tag && bytes(slots_[i].id) == bytes(id)) break;
    }
    if (slots_[i].id >= 0) {
      if (twins.first < 0) twins = {slots_[i].id, id};
      continue;
    }
    slots_[i] = {tag, id};
  }
  return twins;
}

int32_t Vocabulary::find(std::string_view text) const {
  const uint64_t h = hash(text);
  const auto tag = static_cast<uint32_t>(h >> 32);
  for (uint64_t i = h & mask_; slots_[i].id >= 0; i = (i + 1) & mask_) {
    if (slots_[i].tag == tag && bytes(slots_[i].id) == text) return slots_[i].id;
  }
  return -1;
}

}  // namespace headgate

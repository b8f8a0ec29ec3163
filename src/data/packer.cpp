// First-fit with a tree over the free room of the rows.
#include "data/packer.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/random.h"

namespace headgate {
namespace {

// The most free room in each range of rows; finds the first row with enough of it.
class FreeRoom {
 public:
  FreeRoom(int64_t rows, int64_t room)
      : leaves_(
            static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(1, rows))))),
        most_(static_cast<size_t>(2 * leaves_), room) {}

  int64_t take_first(int64_t length) {
    int64_t node = 1;
    while (node < leaves_) {
      node *= 2;
      if (most_[static_cast<size_t>(node)] < length) ++node;
    }
    most_[static_cast<size_t>(node)] -= length;
    const int64_t row = node - leaves_;
    for (node /= 2; node >= 1; node /= 2)
      most_[static_cast<size_t>(node)] =
          std::max(most_[static_cast<size_t>(2 * node)], most_[static_cast<size_t>(2 * node + 1)]);
    return row;
  }

 private:
  int64_t leaves_;
  std::vector<int64_t> most_;
};

}  // namespace

std::span<const PackedPiece> PackPlan::row(int64_t row) const {
  const int64_t begin = row == 0 ? 0 : ends_[static_cast<size_t>(row - 1)];
  return std::span(pieces_).subspan(static_cast<size_t>(begin),
                                    static_cast<size_t>(ends_[static_cast<size_t>(row)] - begin));
}

PackPlan pack_documents(std::span<const int64_t> lengths, int64_t row_length) {
  HEADGATE_CHECK(row_length > 0);
  std::vector<PackedPiece> pieces;
  for (size_t d = 0; d < lengths.size(); ++d)
    for (int64_t begin = 0; begin < lengths[d]; begin += row_length)
      pieces.push_back({static_cast<int64_t>(d), begin, std::min(row_length, lengths[d] - begin)});
  FreeRoom room(static_cast<int64_t>(pieces.size()), row_length);
  std::vector<int64_t> row_of;
  int64_t rows = 0;
  for (const PackedPiece& piece : pieces) {
    row_of.push_back(room.take_first(piece.length));
    rows = std::max(rows, row_of.back() + 1);
  }
  // Counting sort by row; the order of the documents stays.
  PackPlan plan;
  plan.ends_.assign(static_cast<size_t>(rows), 0);
  for (int64_t row : row_of) ++plan.ends_[static_cast<size_t>(row)];
  int64_t begin = 0;
  std::vector<int64_t> next;
  for (int64_t& end : plan.ends_) {
    next.push_back(begin);
    begin += end;
    end = begin;
  }
  plan.pieces_.resize(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i)
    plan.pieces_[static_cast<size_t>(next[static_cast<size_t>(row_of[i])]++)] = pieces[i];
  return plan;
}

int64_t permuted(int64_t index, int64_t count, uint64_t key) {
  HEADGATE_DCHECK(index >= 0 && index < count);
  const int bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(count - 1)));
  const int half = std::max(1, (bits + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  auto value = static_cast<uint64_t>(index);
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = left ^ (random_bits(key, round, right) & mask);
      left = right;
      right = mixed;
    }
    value = left << half | right;
  } while (value >= static_cast<uint64_t>(count));
  return static_cast<int64_t>(value);
}

}  // namespace headgate

// Which documents share a row: first-fit, every token once, nothing split that fits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headgate {

// A run of tokens of one document in a row.
struct PackedPiece {
  int64_t document = 0;
  int64_t begin = 0;  // in the document
  int64_t length = 0;
};

// Rows as lists of pieces.
class PackPlan {
 public:
  int64_t rows() const { return static_cast<int64_t>(ends_.size()); }
  std::span<const PackedPiece> row(int64_t row) const;

 private:
  friend PackPlan pack_documents(std::span<const int64_t> lengths, int64_t row_length);
  std::vector<PackedPiece> pieces_;
  std::vector<int64_t> ends_;  // of each row in pieces_
};

// Documents longer than a row are cut into pieces of a row's length; then every piece goes, in the
// order of the documents, into the first row that has room for it. n log n.
PackPlan pack_documents(std::span<const int64_t> lengths, int64_t row_length);

// A bijection on [0, count) that looks random; `key` chooses it. Feistel network with cycle
// walking.
int64_t permuted(int64_t index, int64_t count, uint64_t key);

}  // namespace headgate

// Importance matrices: how strongly each input column of each weight matrix is driven.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

// Sums of squared activations by tensor (GGUF name), matrix (expert of a stack; 0 otherwise) and
// column. Files are GGUF with tensors "<name>.in_sum2" [matrices, cols] and "<name>.counts"
// [matrices, 1], which llama.cpp's imatrix tools write and read too. Thread rule: one thread at a
// time for add(), any for const members.
class ImportanceMatrix {
 public:
  struct Entry {
    int64_t matrices = 0;
    int64_t cols = 0;
    std::vector<double> sums;     // [matrices, cols]
    std::vector<int64_t> counts;  // rows added, by matrix
  };

  // Adds the rows of x [rows, cols], inputs of matrix `matrix` of a stack of `matrices`. Throws
  // kInvalidArgument when the tensor was added with another shape before.
  void add(std::string_view tensor, int64_t matrices, int64_t matrix, int64_t cols,
           std::span<const float> x);

  bool empty() const { return entries_.empty(); }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  const Entry* find(std::string_view tensor) const;

  // Mean squares of the columns of one matrix [cols]; empty when nothing is known. A stack of which
  // only the whole was measured answers for each of its matrices; a matrix that no token reached,
  // with the mean of the others. Throws kInvalidFile when the columns do not match.
  std::vector<float> column_means(std::string_view tensor, int64_t matrix, int64_t cols) const;

  // `datasets` names the texts, `tokens` counts them: for the file's own description.
  void save(const std::string& path, const std::string& dataset, int64_t tokens) const;
  // Throws kInvalidFile naming the tensor for a file that contradicts itself.
  static ImportanceMatrix load(const std::string& path);

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace headgate

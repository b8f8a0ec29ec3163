// Finds the tensors of a checkpoint by part, checks their shapes and hands them to a backend.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/stream_file.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tensor_names.h"

namespace headgate {

// Where a part stands: its layer (multi-token-prediction modules after the trunk) and expert.
struct PartPlace {
  Part part;
  int64_t layer = 0;
  int64_t expert = 0;
};

class TensorLoader {
 public:
  // `packed`: the weights come from elsewhere, so reading the files ahead would be in vain.
  TensorLoader(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
               const LoadProgress& progress, bool packed);

  bool is_gguf() const { return gguf_; }
  bool has(PartPlace place) const { return find(place) != nullptr; }

  // A tensor of one matrix. `lookup_only` as in MatrixSource.
  std::unique_ptr<Matrix> matrix(PartPlace place, int64_t rows, int64_t cols,
                                 bool lookup_only = false);
  // Chosen rows of a stored matrix [stored_rows, cols].
  std::unique_ptr<Matrix> chosen_rows(PartPlace place, int64_t stored_rows, int64_t cols,
                                      const std::vector<int64_t>& rows);
  // A vector as fp32, its stored transform applied: norms become plain factors, decays -exp(A_log).
  std::vector<float> vector(PartPlace place, std::initializer_list<int64_t> shape);

  // Parts of expert weights. The spans of the sources live until release_sources().
  MatrixSource source(PartPlace place, int64_t rows, int64_t cols);
  // Rows [first, first + rows) of matrix `index` of a stack [count, stored_rows, cols].
  MatrixSource stacked_source(PartPlace place, int64_t count, int64_t stored_rows, int64_t cols,
                              int64_t index, int64_t first, int64_t rows);
  std::unique_ptr<ExpertStack> experts(std::span<const ExpertSource> sources);

  // Logs tensors that nothing asked for, one line; reports the end of loading.
  void finish();

 private:
  std::string name(PartPlace place) const;
  const TensorEntry* find(PartPlace place) const;
  const TensorEntry& require(PartPlace place, std::initializer_list<int64_t> shape);
  void use(const TensorEntry& entry);
  void done_with(const TensorEntry& entry);
  // The file an entry lies in, opened for streaming; null for one in memory, and for floats that
  // would not fit there.
  const StreamFile* stream_of(const TensorEntry& entry);
  const std::vector<float>& scales_of(const TensorEntry& entry, int64_t matrices, int64_t rows,
                                      int64_t cols);
  bool expected_unused(const TensorEntry& entry) const;

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Backend& backend_;
  const LoadProgress& progress_;
  bool packed_;
  bool gguf_;
  bool direct_ = false;                               // read past the page cache
  bool too_large_ = false;                            // for memory
  std::vector<std::unique_ptr<StreamFile>> streams_;  // by file, opened when first needed
  Naming naming_;
  std::vector<bool> used_;  // by index in the store
  int64_t done_bytes_ = 0, total_bytes_ = 0;
  // FP8 scales of the sources handed out, by tensor.
  std::deque<std::pair<const TensorEntry*, std::vector<float>>> scales_;
};

}  // namespace headgate

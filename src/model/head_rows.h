// Logits of a part of the vocabulary, straight from the rows of the full head.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"

namespace headgate {

// Views of the head's rows, made when first wanted; nothing is copied. Thread rule: the model's.
class HeadRows {
 public:
  // From now on `part` is wanted of `head`, which outlives this.
  void select(Backend& backend, const Matrix& head, const VocabularyPart& part);
  int64_t size() const { return size_; }
  // y [rows, size()] = x head^T, the part's tokens only.
  void multiply(Backend& backend, MutView y, View x);

 private:
  std::unique_ptr<Matrix> leading_;
  std::map<int32_t, std::unique_ptr<Matrix>> groups_;
  std::vector<const Matrix*> selected_;
  std::vector<LinearPart> parts_;
  int64_t size_ = 0;
};

}  // namespace headgate

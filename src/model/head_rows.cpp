// The head by its leading rows and by groups of sixteen.
#include "model/head_rows.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {

void HeadRows::select(Backend& backend, const Matrix& head, const VocabularyPart& part) {
  constexpr int64_t kGroup = VocabularyPart::kGroup;
  HEADGATE_CHECK(part.leading > 0 && part.leading % kGroup == 0 && part.leading <= head.rows());
  if (leading_ == nullptr || leading_->rows() != part.leading)
    leading_ = backend.rows_of(head, 0, part.leading);
  selected_.assign(1, leading_.get());
  size_ = part.leading;
  for (const int32_t group : part.groups) {
    const int64_t first = group * kGroup;
    HEADGATE_CHECK(first >= part.leading && first + kGroup <= head.rows());
    std::unique_ptr<Matrix>& rows = groups_[group];
    if (rows == nullptr) rows = backend.rows_of(head, first, kGroup);
    selected_.push_back(rows.get());
    size_ += kGroup;
  }
}

void HeadRows::multiply(Backend& backend, MutView y, View x) {
  parts_.clear();
  int64_t column = 0;
  for (const Matrix* rows : selected_) {
    parts_.push_back({y.columns(column, rows->rows()), rows});
    column += rows->rows();
  }
  backend.linear_group(parts_, x);
}

}  // namespace headgate

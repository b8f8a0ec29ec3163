// Checks a micro-batch and finds its documents.
#include "train/layout.h"

#include <cmath>

#include "base/error.h"

namespace headgate {
namespace {

void check_sizes(const TrainBatch& batch) {
  if (batch.rows <= 0 || batch.length <= 0) {
    fail(ErrorCode::kInvalidArgument, "train batch: {} rows of {} tokens, expected at least one",
         batch.rows, batch.length);
  }
  const auto want = static_cast<size_t>(batch.rows * batch.length);
  const auto check = [&](const char* what, size_t found, bool optional) {
    if (found == want || (optional && found == 0)) return;
    fail(ErrorCode::kInvalidArgument, "train batch: {} {}, expected {}", found, what, want);
  };
  check("tokens", batch.tokens.size(), false);
  check("documents", batch.documents.size(), false);
  check("positions", batch.positions.size(), true);
  check("weights", batch.weights.size(), false);
}

}  // namespace

BatchLayout make_layout(const TrainBatch& batch, int64_t vocabulary) {
  check_sizes(batch);
  BatchLayout layout;
  layout.rows = batch.rows;
  layout.length = batch.length;
  layout.tokens = batch.tokens;
  layout.weights = batch.weights;
  const auto n = static_cast<size_t>(layout.size());
  layout.first.resize(n);
  layout.positions.resize(n);
  layout.active.resize(n);
  for (size_t t = 0; t < n; ++t) {
    const bool starts =
        t % static_cast<size_t>(batch.length) == 0 || batch.documents[t] != batch.documents[t - 1];
    layout.first[t] = starts ? static_cast<int32_t>(t) : layout.first[t - 1];
    layout.active[t] = batch.documents[t] >= 0 ? 1 : 0;
    layout.positions[t] =
        batch.positions.empty() ? static_cast<int32_t>(t) - layout.first[t] : batch.positions[t];
    if (layout.active[t] == 0) layout.tokens[t] = 0;
    if (layout.tokens[t] < 0 || layout.tokens[t] >= vocabulary) {
      fail(ErrorCode::kInvalidArgument, "train batch: token {} at {}, expected below {}",
           batch.tokens[t], t, vocabulary);
    }
    if (!(layout.weights[t] >= 0) || !std::isfinite(layout.weights[t])) {
      fail(ErrorCode::kInvalidArgument, "train batch: weight {} at {}", batch.weights[t], t);
    }
    if (starts || layout.active[t] == 0) layout.weights[t] = 0;
  }
  return layout;
}

}  // namespace headgate

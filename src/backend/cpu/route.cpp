// Choosing experts: softmax over all, then the k largest.
#include <algorithm>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

// Indices of the k largest of n values, largest first, the lower index on ties.
void select_largest(int32_t* ids, const float* values, int64_t n, int64_t k) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (found == k && !(values[i] > values[ids[k - 1]])) continue;
    int64_t at = found < k ? found++ : k - 1;
    for (; at > 0 && values[i] > values[ids[at - 1]]; --at) ids[at] = ids[at - 1];
    ids[at] = static_cast<int32_t>(i);
  }
}

}  // namespace

void CpuBackend::route(std::span<int32_t> ids, std::span<float> weights, View logits, int64_t k,
                       bool renormalise) {
  const int64_t experts = logits.cols;
  HEADGATE_CHECK(k >= 1 && k <= experts);
  HEADGATE_CHECK(static_cast<int64_t>(ids.size()) == logits.rows * k &&
                 weights.size() == ids.size());
  for (Scratch<float>& scratch : row_scratch_) scratch.take(experts);
  constexpr int64_t kExpertWork = 3, kChoiceWork = 20;
  for_rows(logits.rows, experts * kExpertWork + k * kChoiceWork, [&](int64_t t, int worker) {
    float* p = row_scratch_[static_cast<size_t>(worker)].data();
    int32_t* chosen = ids.data() + t * k;
    float* w = weights.data() + t * k;
    select_largest(chosen, logits.row(t), experts, k);
    float sum = kernels_.exp_shifted(p, logits.row(t), experts);
    if (renormalise) {
      sum = 0;
      for (int64_t j = 0; j < k; ++j) sum += p[chosen[j]];
    }
    for (int64_t j = 0; j < k; ++j) w[j] = p[chosen[j]] / sum;
  });
}

}  // namespace headgate

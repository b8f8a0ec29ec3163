// Ops that treat every row (or head) alone: norms, gates, rotations.
#include <cmath>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

bool same_shape(View a, View b) { return a.rows == b.rows && a.cols == b.cols; }

}  // namespace

void CpuBackend::add(MutView y, View x) {
  HEADGATE_CHECK(same_shape(y, x));
  for_rows(y.rows, y.cols / 8,
           [&](int64_t r) { kernels_.add_scaled(y.row(r), x.row(r), 1.0f, y.cols); });
}

void CpuBackend::rms_norm(MutView y, View x, std::span<const float> w, float eps) {
  HEADGATE_CHECK(same_shape(y, x) && static_cast<int64_t>(w.size()) == x.cols);
  for_rows(y.rows, y.cols / 4 + 20,
           [&](int64_t r) { kernels_.rms_norm(y.row(r), x.row(r), w.data(), y.cols, eps); });
}

void CpuBackend::gated_rms_norm(MutView y, View x, View z, std::span<const float> w, float eps) {
  HEADGATE_CHECK(same_shape(y, x) && same_shape(y, z) && static_cast<int64_t>(w.size()) == x.cols);
  for_rows(y.rows, y.cols + 20, [&](int64_t r) {
    kernels_.gated_rms_norm(y.row(r), x.row(r), z.row(r), w.data(), y.cols, eps);
  });
}

void CpuBackend::swiglu(MutView y, View gate, View up) {
  HEADGATE_CHECK(same_shape(y, gate) && same_shape(y, up));
  for_rows(y.rows, y.cols,
           [&](int64_t r) { kernels_.swiglu(y.row(r), gate.row(r), up.row(r), y.cols); });
}

void CpuBackend::sigmoid_gate(MutView y, View gate) {
  HEADGATE_CHECK(same_shape(y, gate));
  for_rows(y.rows, y.cols,
           [&](int64_t r) { kernels_.sigmoid_gate(y.row(r), gate.row(r), y.cols); });
}

void CpuBackend::add_gated(MutView y, View x, View gate) {
  HEADGATE_CHECK(same_shape(y, x) && gate.rows == y.rows && gate.cols == 1);
  for_rows(y.rows, y.cols / 8, [&](int64_t r) {
    const float s = 1.0f / (1.0f + std::exp(-gate.row(r)[0]));
    kernels_.add_scaled(y.row(r), x.row(r), s, y.cols);
  });
}

void CpuBackend::l2_norm(MutView y, View x, float scale) {
  HEADGATE_CHECK(same_shape(y, x));
  for_rows(y.rows, y.cols / 4 + 20,
           [&](int64_t r) { kernels_.l2_norm(y.row(r), x.row(r), y.cols, scale); });
}

void CpuBackend::delta_gates(MutView beta, MutView g, View b, View a,
                             std::span<const float> neg_exp_a, std::span<const float> dt_bias) {
  HEADGATE_CHECK(same_shape(beta, b) && same_shape(g, a) && same_shape(a, b));
  const auto heads = static_cast<size_t>(b.cols);
  HEADGATE_CHECK(neg_exp_a.size() == heads && dt_bias.size() == heads);
  for_rows(b.rows, b.cols * 20, [&](int64_t r) {
    for (size_t h = 0; h < heads; ++h)
      kernels_.delta_gates(beta.row(r) + h, g.row(r) + h, b.row(r) + h, a.row(r) + h, neg_exp_a[h],
                           dt_bias[h], 1);
  });
}

void CpuBackend::rope(MutView x, int64_t heads, int64_t head_stride, const RopeTable& table,
                      std::span<const RowSpan> spans) {
  const auto half = static_cast<int64_t>(table.inverse_frequencies.size());
  HEADGATE_CHECK((heads - 1) * head_stride + 2 * half <= x.cols);
  for (Scratch<float>& scratch : row_scratch_) scratch.take(2 * half);
  constexpr int64_t kRowsPerTask = 8;
  for (const RowSpan& span : spans) {
    HEADGATE_CHECK(span.row >= 0 && span.row + span.rows <= x.rows);
    pool_.run((span.rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int worker) {
      float* cosines = row_scratch_[static_cast<size_t>(worker)].data();
      float* sines = cosines + half;
      const int64_t last = std::min(span.rows, (task + 1) * kRowsPerTask);
      for (int64_t i = task * kRowsPerTask; i < last; ++i) {
        for (int64_t j = 0; j < half; ++j) {
          // The product is rounded to fp32, as in the reference: far positions depend on it.
          const float angle = static_cast<float>(span.position + i) *
                              table.inverse_frequencies[static_cast<size_t>(j)];
          cosines[j] = std::cos(angle) * table.scale;
          sines[j] = std::sin(angle) * table.scale;
        }
        float* row = x.row(span.row + i);
        for (int64_t h = 0; h < heads; ++h)
          kernels_.rotate_half(row + h * head_stride, cosines, sines, half);
      }
    });
  }
}

}  // namespace headgate

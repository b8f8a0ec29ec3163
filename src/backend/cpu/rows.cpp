// Ops that treat every row (or head) alone: norms, gates, rotations.
#include <algorithm>
#include <cmath>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

bool same_shape(View a, View b) { return a.rows == b.rows && a.cols == b.cols; }

// Cosines, then sines of a position's angles.
void turn(float* to, const RopeTable& table, int64_t position) {
  const size_t half = table.inverse_frequencies.size();
  for (size_t j = 0; j < half; ++j) {
    // The product is rounded to fp32, as in the reference: far positions depend on it.
    const float angle = static_cast<float>(position) * table.inverse_frequencies[j];
    to[j] = std::cos(angle) * table.scale;
    to[half + j] = std::sin(angle) * table.scale;
  }
}

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

// Few rows or many, of few sequences or many: always one region.
void CpuBackend::rope(std::span<const RopePart> parts, std::span<const RopeSpan> spans) {
  if (spans.empty()) return;
  const auto half = static_cast<int64_t>(spans.front().table->inverse_frequencies.size());
  int64_t rows = 0, heads = 0;
  for (const RopeSpan& span : spans) rows = std::max(rows, span.rows.row + span.rows.rows);
  for (const RopePart& part : parts) {
    HEADGATE_CHECK((part.heads - 1) * part.head_stride + 2 * half <= part.x.cols);
    HEADGATE_CHECK(rows <= part.x.rows);
    heads += part.heads;
  }
  for (Scratch<float>& scratch : row_scratch_) scratch.take(2 * half);
  const int64_t row_work = half * (60 + 4 * heads);
  const int64_t per_task = std::max<int64_t>(1, kTaskWork / std::max<int64_t>(1, row_work));
  pool_.run((rows + per_task - 1) / per_task, [&](int64_t task, int worker) {
    float* cosines = row_scratch_[static_cast<size_t>(worker)].data();
    const int64_t first = task * per_task, last = std::min(rows, first + per_task);
    auto span = std::partition_point(spans.begin(), spans.end(), [&](const RopeSpan& s) {
      return s.rows.row + s.rows.rows <= first;
    });
    for (; span != spans.end() && span->rows.row < last; ++span) {
      const int64_t begin = std::max(first, span->rows.row);
      const int64_t end = std::min(last, span->rows.row + span->rows.rows);
      for (int64_t row = begin; row < end; ++row) {
        turn(cosines, *span->table, span->rows.position + row - span->rows.row);
        for (const RopePart& part : parts) {
          for (int64_t h = 0; h < part.heads; ++h)
            kernels_.rotate_half(part.x.row(row) + h * part.head_stride, cosines, cosines + half,
                                 half);
        }
      }
    }
  });
}

}  // namespace headgate

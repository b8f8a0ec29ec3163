// The recurrent mixer: short convolution and gated delta rule, split over sequences and heads.
#include <algorithm>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kConvChannels = 512;  // per task

// The state columns a prefill task keeps in L1.
int64_t slice_columns() { return cpu_info().l1d_bytes >= (40 << 10) ? kDeltaColumns : 32; }

}  // namespace

void CpuBackend::causal_conv1d_silu(MutView y, View x, std::span<const float> w, int64_t kernel,
                                    std::span<const RecurrentSpan> spans) {
  HEADGATE_CHECK(y.rows == x.rows && y.cols == x.cols && y.data != x.data && kernel >= 1 &&
                 kernel <= kMaxConvWidth);
  const int64_t channels = x.cols;
  HEADGATE_CHECK(static_cast<int64_t>(w.size()) == channels * kernel);
  const int64_t slices = (channels + kConvChannels - 1) / kConvChannels;
  const int64_t tasks = slices * static_cast<int64_t>(spans.size());
  pool_.run(tasks, [&](int64_t task, int) {
    const RecurrentSpan& span = spans[static_cast<size_t>(task / slices)];
    const int64_t first = task % slices * kConvChannels;
    const int64_t count = std::min(kConvChannels, channels - first);
    if (span.rows.rows == 0) return;
    kernels_.conv_silu(y.row(span.rows.row) + first, y.stride, x.row(span.rows.row) + first,
                       x.stride, w.data() + first * kernel, kernel, span.conv + first, channels,
                       span.rows.rows, count);
  });
}

void CpuBackend::gated_delta_rule(MutView o, View q, View k, View v, View beta, View g,
                                  const DeltaShape& shape, std::span<const RecurrentSpan> spans) {
  const int64_t dk = shape.key_dim, dv = shape.value_dim, heads = shape.value_heads;
  HEADGATE_CHECK(shape.key_heads > 0 && heads % shape.key_heads == 0);
  HEADGATE_CHECK(q.cols == shape.key_heads * dk && k.cols == q.cols);
  HEADGATE_CHECK(v.cols == heads * dv && o.cols == v.cols);
  HEADGATE_CHECK(beta.cols == heads && g.cols == heads);
  const int64_t repeat = heads / shape.key_heads;
  const int64_t columns = slice_columns();
  const int64_t slices = (dv + columns - 1) / columns;
  const int64_t per_span = heads * slices;
  pool_.run(per_span * static_cast<int64_t>(spans.size()), [&](int64_t task, int) {
    const RecurrentSpan& span = spans[static_cast<size_t>(task / per_span)];
    const int64_t head = task % per_span / slices;
    const int64_t first = task % slices * columns;
    const int64_t key_head = shape.tiled ? head % shape.key_heads : head / repeat;
    const int64_t row = span.rows.row;
    DeltaArgs args;
    args.state = span.delta + head * dk * dv + first;
    args.state_stride = dv;
    args.q = q.row(row) + key_head * dk;
    args.k = k.row(row) + key_head * dk;
    args.q_stride = q.stride;
    args.k_stride = k.stride;
    args.v = v.row(row) + head * dv + first;
    args.v_stride = v.stride;
    args.o = o.row(row) + head * dv + first;
    args.o_stride = o.stride;
    args.g = g.row(row) + head;
    args.beta = beta.row(row) + head;
    args.g_stride = g.stride;
    args.beta_stride = beta.stride;
    args.tokens = span.rows.rows;
    args.key_dim = dk;
    args.columns = std::min(columns, dv - first);
    kernels_.gated_delta(args);
  });
}

}  // namespace headgate

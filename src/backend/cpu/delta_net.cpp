// The recurrent mixer: short convolution and gated delta rule, split over sequences and heads.
#include <algorithm>
#include <cstring>

#include "backend/cpu/delta_updates.h"
#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kConvChannels = 512;  // per task

// Copies what the delta rule read of every deferred token into the update rows.
void set_aside(const RecurrentSpan& span, const UpdateLayout& at, View k, View v, View beta,
               View g) {
  for (int64_t i = 0; i < span.rows.rows; ++i) {
    const int64_t row = span.rows.row + i;
    float* update = span.updates + i * span.update_stride;
    copy_floats(update + at.k, k.row(row), k.cols);
    copy_floats(update + at.v, v.row(row), v.cols);
    copy_floats(update + at.g, g.row(row), g.cols);
    copy_floats(update + at.beta, beta.row(row), beta.cols);
  }
}

}  // namespace

void CpuBackend::conv_slice(MutView y, View x, const float* w, int64_t kernel,
                            const RecurrentSpan& span, int64_t first, int64_t channels,
                            int worker) {
  const int64_t row = span.rows.row;
  float* window = span.conv + first;
  int64_t stride = x.cols;
  if (span.fold > 0)
    push_window(window, stride, kernel, span.updates + first, span.update_stride, span.fold,
                channels);
  if (span.defer) {
    float* copy = delta_scratch_[static_cast<size_t>(worker)].data();
    const auto bytes = static_cast<size_t>(channels) * sizeof(float);
    for (int64_t i = 0; i < kernel - 1; ++i)
      std::memcpy(copy + i * channels, window + i * stride, bytes);
    for (int64_t i = 0; i < span.rows.rows; ++i)
      std::memcpy(span.updates + i * span.update_stride + first, x.row(row + i) + first, bytes);
    window = copy;
    stride = channels;
  }
  kernels_.conv_silu(y.row(row) + first, y.stride, x.row(row) + first, x.stride, w + first * kernel,
                     kernel, window, stride, span.rows.rows, channels);
}

void CpuBackend::causal_conv1d_silu(MutView y, View x, std::span<const float> w, int64_t kernel,
                                    std::span<const RecurrentSpan> spans) {
  HEADGATE_CHECK(y.rows == x.rows && y.cols == x.cols && y.data != x.data && kernel >= 1 &&
                 kernel <= kMaxConvWidth);
  const int64_t channels = x.cols;
  HEADGATE_CHECK(static_cast<int64_t>(w.size()) == channels * kernel);
  for (const RecurrentSpan& span : spans)
    HEADGATE_CHECK((span.fold == 0 && !span.defer) ||
                   (span.updates != nullptr && span.update_stride >= channels));
  for (Scratch<float>& scratch : delta_scratch_) scratch.take(kernel * kConvChannels);
  const int64_t slices = (channels + kConvChannels - 1) / kConvChannels;
  const int64_t tasks = slices * static_cast<int64_t>(spans.size());
  pool_.run(tasks, [&](int64_t task, int worker) {
    const RecurrentSpan& span = spans[static_cast<size_t>(task / slices)];
    const int64_t first = task % slices * kConvChannels;
    if (span.rows.rows == 0) return;
    conv_slice(y, x, w.data(), kernel, span, first, std::min(kConvChannels, channels - first),
               worker);
  });
}

// Tokens set aside before go through the state itself, new ones that are to be set aside through a
// copy of it that is then dropped: both in cache, so that memory sees one read and at most one
// write.
void CpuBackend::delta_slice(const DeltaArgs& args, const DeltaShape& shape,
                             const RecurrentSpan& span, int64_t head, int64_t key_head,
                             int64_t first, int worker) {
  const UpdateLayout at(shape);
  float* scratch = delta_scratch_[static_cast<size_t>(worker)].data();
  if (span.fold > 0) {
    DeltaArgs folded = args;
    folded.tokens = span.fold;
    folded.k = span.updates + at.k + key_head * shape.key_dim;
    folded.v = span.updates + at.v + head * shape.value_dim + first;
    folded.g = span.updates + at.g + head;
    folded.beta = span.updates + at.beta + head;
    folded.k_stride = folded.v_stride = folded.g_stride = folded.beta_stride = span.update_stride;
    folded.q = folded.k;  // its outputs are not wanted
    folded.q_stride = 0;
    folded.o = scratch;
    folded.o_stride = 0;
    kernels_.gated_delta(folded);
  }
  if (!span.defer) return kernels_.gated_delta(args);
  DeltaArgs trial = args;
  for (int64_t i = 0; i < args.key_dim; ++i)
    std::memcpy(scratch + i * args.columns, args.state + i * args.state_stride,
                static_cast<size_t>(args.columns) * sizeof(float));
  trial.state = scratch;
  trial.state_stride = args.columns;
  kernels_.gated_delta(trial);
}

void CpuBackend::gated_delta_rule(MutView o, View q, View k, View v, View beta, View g,
                                  const DeltaShape& shape, std::span<const RecurrentSpan> spans) {
  const int64_t dk = shape.key_dim, dv = shape.value_dim, heads = shape.value_heads;
  HEADGATE_CHECK(shape.key_heads > 0 && heads % shape.key_heads == 0);
  HEADGATE_CHECK(q.cols == shape.key_heads * dk && k.cols == q.cols);
  HEADGATE_CHECK(v.cols == heads * dv && o.cols == v.cols);
  HEADGATE_CHECK(beta.cols == heads && g.cols == heads);
  for (const RecurrentSpan& span : spans)
    HEADGATE_CHECK((span.fold == 0 && !span.defer) ||
                   (span.updates != nullptr && span.update_stride == shape.update_floats()));
  const int64_t repeat = heads / shape.key_heads;
  const int64_t columns = delta_slice_columns();
  const int64_t slices = (dv + columns - 1) / columns;
  const int64_t per_span = heads * slices;
  for (Scratch<float>& scratch : delta_scratch_) scratch.take(dk * columns);
  pool_.run(per_span * static_cast<int64_t>(spans.size()), [&](int64_t task, int worker) {
    const RecurrentSpan& span = spans[static_cast<size_t>(task / per_span)];
    const int64_t head = task % per_span / slices;
    const int64_t first = task % slices * columns;
    const int64_t key_head = shape.tiled ? head % shape.key_heads : head / repeat;
    const int64_t row = span.rows.row;
    if (span.rows.rows == 0) return;
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
    delta_slice(args, shape, span, head, key_head, first, worker);
  });
  const auto defers = [](const RecurrentSpan& span) { return span.defer; };
  if (std::none_of(spans.begin(), spans.end(), defers)) return;
  const UpdateLayout at(shape);
  pool_.run(static_cast<int64_t>(spans.size()), [&](int64_t i, int) {
    const RecurrentSpan& span = spans[static_cast<size_t>(i)];
    if (span.defer) set_aside(span, at, k, v, beta, g);
  });
}

}  // namespace headgate

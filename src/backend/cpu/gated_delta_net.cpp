// A gated delta net between its projections, in one region: a task takes the key head and value
// heads of one sequence from the projections' output to the gated norm, a block of tokens at a
// time, so that nothing in between leaves the core's own caches.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/delta_updates.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kBlockTokens = 64;
static_assert(kBlockTokens == kDeltaChunk);
// Rows of wide matrices lie on pages of their own, where the hardware does not look ahead.
constexpr int64_t kRowsAhead = 6;
// Spans this long use a dense copy of a slice of the state: rows 512 bytes apart share too few sets
// of an L1 cache (33 against 20 us per token and layer). Shorter ones are bound by memory.
constexpr int64_t kDenseTokens = 12;

void prefetch_row(const float* row, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(row + i);
}

// `rows` rows of `count` columns of x, side by side: every line of x is touched once.
void gather(float* to, View x, int64_t row, int64_t column, int64_t rows, int64_t count) {
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows) prefetch_row(x.row(row + i + kRowsAhead) + column, count);
    copy_floats(to + i * count, x.row(row + i) + column, count);
  }
}

}  // namespace

// One call: what all its tasks share.
struct CpuBackend::DeltaNetOp {
  MutView o;
  DeltaNetInputs in;
  const DeltaNetParams& p;
  std::span<const RecurrentSpan> spans;
  const KernelTable& kernels;
  int64_t columns = 0;          // of the state in a slice
  int64_t slices = 0;           // of a value head
  int64_t parts = 1;            // tasks of a key head: 1, its value heads, or their slices
  int32_t* finished = nullptr;  // parts done, by sequence and key head
  bool chunks = false;          // whole blocks go through the chunked kernel

  const DeltaShape& shape() const { return p.shape; }
  int64_t repeat() const { return p.shape.value_heads / p.shape.key_heads; }
  int64_t past() const { return p.kernel - 1; }
  int64_t key_width() const { return p.shape.key_heads * p.shape.key_dim; }
  int64_t slice_floats() const { return p.shape.key_dim * columns; }

  // Floats of a worker's memory, in the order of DeltaNetTask's pointers.
  int64_t window_floats() const { return past() * (2 * p.shape.key_dim + p.shape.value_dim); }
  int64_t task_floats() const {
    const DeltaShape& s = p.shape;
    return 2 * window_floats() + kBlockTokens * (3 * s.key_dim + 3 * s.value_dim) +
           (2 + 2 * repeat()) * kBlockTokens + repeat() * slices * slice_floats() + chunk_floats();
  }
  // Memory of the chunked kernel, which needs lines of its own: it comes first.
  int64_t shared_floats() const {
    return chunks ? delta_chunk_shared_bytes(p.shape.key_dim) / 4 : 0;
  }
  int64_t chunk_floats() const {
    if (!chunks) return 0;
    return shared_floats() + delta_chunk_scratch_bytes(p.shape.key_dim, p.shape.value_dim) / 4;
  }
};

// The slices [first_, last_) of the value heads of one key head of one sequence.
class CpuBackend::DeltaNetTask {
 public:
  DeltaNetTask(const DeltaNetOp& op, int64_t unit, int64_t part, float* memory)
      : op_(op),
        s_(op.shape()),
        span_(op.spans[static_cast<size_t>(unit / op.p.shape.key_heads)]),
        unit_(unit),
        key_head_(unit % op.p.shape.key_heads),
        first_(part * op.repeat() * op.slices / op.parts),
        last_((part + 1) * op.repeat() * op.slices / op.parts),
        chunked_(op.chunks && !span_.defer && span_.rows.rows >= kDeltaChunk),
        dense_(span_.defer || (!chunked_ && span_.rows.rows >= kDenseTokens)) {
    const auto take = [&memory](int64_t floats) {
      float* taken = memory;
      memory += floats;
      return taken;
    };
    chunk_ = take(op.chunk_floats());
    window_ = take(op.window_floats());
    folded_window_ = take(op.window_floats());
    q_ = take(kBlockTokens * s_.key_dim);
    k_ = take(kBlockTokens * s_.key_dim);
    v_ = take(kBlockTokens * s_.value_dim);
    o_ = take(kBlockTokens * s_.value_dim);
    x_ = take(kBlockTokens * (s_.key_dim + s_.value_dim));
    raw_b_ = take(kBlockTokens);
    raw_a_ = take(kBlockTokens);
    beta_ = take(op.repeat() * kBlockTokens);
    g_ = take(op.repeat() * kBlockTokens);
    states_ = take(op.repeat() * op.slices * op.slice_floats());
  }

  void run() {
    const int64_t rows = span_.rows.rows;
    if (rows == 0) return;
    load_key_window();
    for (int64_t r = 0; r < op_.repeat(); ++r) begin_head(r);
    for (int64_t at = 0; at < rows; at += kBlockTokens) {
      const int64_t row = span_.rows.row + at, count = std::min(kBlockTokens, rows - at);
      prepare(row, count);
      if (is_chunk(count)) {
        op_.kernels.delta_chunk.prepare(chunk_, q_, s_.key_dim, k_, s_.key_dim, s_.key_dim);
      }
      for (int64_t r = 0; r < op_.repeat(); ++r) run_head(r, row, count);
    }
    if (dense_ && !span_.defer) copy_states(/*back=*/true);
    // Whoever ends last of a key head's parts writes what all of them read.
    std::atomic_ref<int32_t> finished(op_.finished[unit_]);
    if (finished.fetch_add(1, std::memory_order_acq_rel) == op_.parts - 1) finish();
  }

 private:
  int64_t value_head(int64_t r) const {
    return s_.tiled ? r * s_.key_heads + key_head_ : key_head_ * op_.repeat() + r;
  }
  // Columns [begin, end) of the value head that are this task's.
  struct Range {
    int64_t begin, end;
    bool empty() const { return begin >= end; }
  };
  Range columns_of(int64_t r) const {
    const int64_t from = std::max(first_ - r * op_.slices, int64_t{0});
    const int64_t to = std::min(last_ - r * op_.slices, op_.slices);
    return {from * op_.columns, std::min(to * op_.columns, s_.value_dim)};
  }
  // A block's kernel depends on the span alone, never on other sequences.
  bool is_chunk(int64_t count) const { return chunked_ && count == kDeltaChunk; }
  bool is_whole(Range c) const { return c.begin == 0 && c.end == s_.value_dim; }
  int64_t query_channel() const { return key_head_ * s_.key_dim; }
  int64_t key_channel() const { return op_.key_width() + key_head_ * s_.key_dim; }
  int64_t value_channel(int64_t r) const {
    return 2 * op_.key_width() + value_head(r) * s_.value_dim;
  }
  float* state_of(int64_t r, int64_t column) const {
    return span_.delta + value_head(r) * s_.key_dim * s_.value_dim + column;
  }
  float* dense_state(int64_t r, int64_t column) const {
    return states_ + (r * op_.slices + column / op_.columns) * op_.slice_floats();
  }

  // The window of the query and key channels, side by side: a copy, since other parts read it too.
  void load_key_window() {
    const int64_t dk = s_.key_dim, stride = s_.conv_channels();
    for (int64_t i = 0; i < op_.past(); ++i) {
      copy_floats(window_ + i * 2 * dk, span_.conv + i * stride + query_channel(), dk);
      copy_floats(window_ + i * 2 * dk + dk, span_.conv + i * stride + key_channel(), dk);
    }
    if (span_.fold > 0) {
      push_window(window_, 2 * dk, op_.p.kernel, span_.updates + query_channel(),
                  span_.update_stride, span_.fold, dk);
      push_window(window_ + dk, 2 * dk, op_.p.kernel, span_.updates + key_channel(),
                  span_.update_stride, span_.fold, dk);
    }
    if (span_.defer) copy_floats(folded_window_, window_, op_.past() * 2 * dk);
  }

  // Folds in what was set aside for the head, and copies its slices of the state.
  void begin_head(int64_t r) {
    const Range c = columns_of(r);
    if (c.empty()) return;
    const int64_t dk = s_.key_dim, dv = s_.value_dim, channel = value_channel(r) + c.begin;
    if (span_.fold > 0) {
      const UpdateLayout at(s_);
      push_window(span_.conv + channel, s_.conv_channels(), op_.p.kernel, span_.updates + channel,
                  span_.update_stride, span_.fold, c.end - c.begin);
      DeltaArgs args{};
      args.k = span_.updates + at.k + key_head_ * dk;
      args.q = args.k;  // its outputs are not wanted
      args.o = o_;
      args.g = span_.updates + at.g + value_head(r);
      args.beta = span_.updates + at.beta + value_head(r);
      args.k_stride = args.v_stride = args.g_stride = args.beta_stride = span_.update_stride;
      args.tokens = span_.fold;
      args.key_dim = dk;
      args.state_stride = dv;
      for (int64_t column = c.begin; column < c.end; column += op_.columns) {
        args.state = state_of(r, column);
        args.v = span_.updates + at.v + value_head(r) * dv + column;
        args.columns = std::min(op_.columns, dv - column);
        op_.kernels.gated_delta(args);
      }
    }
    if (dense_) copy_state(r, /*back=*/false);
  }

  void copy_states(bool back) {
    for (int64_t r = 0; r < op_.repeat(); ++r) copy_state(r, back);
  }
  void copy_state(int64_t r, bool back) {
    const Range c = columns_of(r);
    for (int64_t column = c.begin; column < c.end; column += op_.columns) {
      const int64_t count = std::min(op_.columns, s_.value_dim - column);
      float* dense = dense_state(r, column);
      float* state = state_of(r, column);
      for (int64_t i = 0; i < s_.key_dim; ++i) {
        float* from = back ? dense + i * op_.columns : state + i * s_.value_dim;
        copy_floats(back ? state + i * s_.value_dim : dense + i * op_.columns, from, count);
      }
    }
  }

  // Queries and keys of the key head and gates of its value heads, rows [row, row + count).
  void prepare(int64_t row, int64_t count) {
    const KernelTable& kernels = op_.kernels;
    const int64_t dk = s_.key_dim, width = op_.p.kernel;
    const float* w = op_.p.conv.data();
    gather(x_, op_.in.qkv, row, query_channel(), count, dk);
    kernels.conv_silu(q_, dk, x_, dk, w + query_channel() * width, width, window_, 2 * dk, count,
                      dk);
    gather(x_, op_.in.qkv, row, key_channel(), count, dk);
    kernels.conv_silu(k_, dk, x_, dk, w + key_channel() * width, width, window_ + dk, 2 * dk, count,
                      dk);
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dk)));
    for (int64_t i = 0; i < count; ++i) {
      kernels.l2_norm(q_ + i * dk, q_ + i * dk, dk, scale);
      kernels.l2_norm(k_ + i * dk, k_ + i * dk, dk, 1.0f);
    }
    for (int64_t r = 0; r < op_.repeat(); ++r) {
      const int64_t head = value_head(r);
      for (int64_t i = 0; i < count; ++i) {
        raw_b_[i] = op_.in.b.row(row + i)[head];
        raw_a_[i] = op_.in.a.row(row + i)[head];
      }
      kernels.delta_gates(beta_ + r * kBlockTokens, g_ + r * kBlockTokens, raw_b_, raw_a_,
                          op_.p.neg_exp_a[static_cast<size_t>(head)],
                          op_.p.dt_bias[static_cast<size_t>(head)], count);
    }
  }

  // Values of this task's columns; a span that defers leaves its window as it is.
  void convolve_values(int64_t r, Range c, int64_t row, int64_t count) {
    const int64_t channel = value_channel(r) + c.begin, channels = c.end - c.begin;
    float* window = span_.conv + channel;
    int64_t stride = s_.conv_channels();
    if (span_.defer) {
      float* copy = window_ + op_.past() * 2 * s_.key_dim;
      for (int64_t i = 0; i < op_.past(); ++i)
        copy_floats(copy + i * channels, window + i * stride, channels);
      window = copy;
      stride = channels;
    }
    gather(x_, op_.in.qkv, row, channel, count, channels);
    op_.kernels.conv_silu(v_ + c.begin, s_.value_dim, x_, channels,
                          op_.p.conv.data() + channel * op_.p.kernel, op_.p.kernel, window, stride,
                          count, channels);
  }

  void run_head(int64_t r, int64_t row, int64_t count) {
    const Range c = columns_of(r);
    if (c.empty()) return;
    convolve_values(r, c, row, count);
    const int64_t dk = s_.key_dim, dv = s_.value_dim, head = value_head(r);
    const bool whole = is_whole(c);
    DeltaArgs args{};
    args.q = q_;
    args.k = k_;
    args.q_stride = args.k_stride = dk;
    args.v_stride = dv;
    args.g = g_ + r * kBlockTokens;
    args.beta = beta_ + r * kBlockTokens;
    args.g_stride = args.beta_stride = 1;
    args.tokens = count;
    args.key_dim = dk;
    args.state_stride = dense_ ? op_.columns : dv;
    args.o_stride = whole ? dv : op_.o.stride;
    if (is_chunk(count)) {
      args.state = state_of(r, c.begin);
      args.v = v_ + c.begin;
      args.o = (whole ? o_ : op_.o.row(row) + head * dv) + c.begin;
      args.columns = c.end - c.begin;
      op_.kernels.delta_chunk.run(args, chunk_, chunk_ + op_.shared_floats());
    }
    for (int64_t column = is_chunk(count) ? c.end : c.begin; column < c.end;
         column += op_.columns) {
      args.state = dense_ ? dense_state(r, column) : state_of(r, column);
      args.v = v_ + column;
      args.o = (whole ? o_ : op_.o.row(row) + head * dv) + column;
      args.columns = std::min(op_.columns, dv - column);
      op_.kernels.gated_delta(args);
    }
    if (whole) norm_head(head, o_, dv, row, count);
    if (span_.defer) set_values_aside(r, c, row, count);
  }

  // The gated norm of one value head, from x (rows `stride` apart) to the output.
  void norm_head(int64_t head, const float* x, int64_t stride, int64_t row, int64_t count) const {
    const int64_t dv = s_.value_dim;
    for (int64_t i = 0; i < count; ++i) {
      if (i + kRowsAhead < count) prefetch_row(op_.in.z.row(row + i + kRowsAhead) + head * dv, dv);
      op_.kernels.gated_rms_norm(op_.o.row(row + i) + head * dv, x + i * stride,
                                 op_.in.z.row(row + i) + head * dv, op_.p.norm.data(), dv,
                                 op_.p.eps);
    }
  }

  void set_values_aside(int64_t r, Range c, int64_t row, int64_t count) const {
    const UpdateLayout at(s_);
    const int64_t channel = value_channel(r) + c.begin, channels = c.end - c.begin;
    const int64_t value = at.v + value_head(r) * s_.value_dim + c.begin;
    for (int64_t i = 0; i < count; ++i) {
      float* update = span_.updates + i * span_.update_stride;
      copy_floats(update + channel, op_.in.qkv.row(row + i) + channel, channels);
      copy_floats(update + value, v_ + i * s_.value_dim + c.begin, channels);
    }
  }

  void finish() const {
    const int64_t dk = s_.key_dim, stride = s_.conv_channels(), row = span_.rows.row;
    const float* window = span_.defer ? folded_window_ : window_;
    for (int64_t i = 0; i < op_.past(); ++i) {
      copy_floats(span_.conv + i * stride + query_channel(), window + i * 2 * dk, dk);
      copy_floats(span_.conv + i * stride + key_channel(), window + i * 2 * dk + dk, dk);
    }
    if (op_.parts > op_.repeat()) {  // no part saw a whole head
      for (int64_t r = 0; r < op_.repeat(); ++r) {
        const int64_t head = value_head(r);
        norm_head(head, op_.o.row(row) + head * s_.value_dim, op_.o.stride, row, span_.rows.rows);
      }
    }
    if (!span_.defer) return;
    const UpdateLayout at(s_);
    for (int64_t i = 0; i < span_.rows.rows; ++i) {
      float* update = span_.updates + i * span_.update_stride;
      const float* x = op_.in.qkv.row(row + i);
      copy_floats(update + query_channel(), x + query_channel(), dk);
      copy_floats(update + key_channel(), x + key_channel(), dk);
      copy_floats(update + at.k + key_head_ * dk, k_ + i * dk, dk);
      for (int64_t r = 0; r < op_.repeat(); ++r) {
        update[at.g + value_head(r)] = g_[r * kBlockTokens + i];
        update[at.beta + value_head(r)] = beta_[r * kBlockTokens + i];
      }
    }
  }

  const DeltaNetOp& op_;
  const DeltaShape& s_;
  const RecurrentSpan& span_;
  int64_t unit_, key_head_, first_, last_;
  bool chunked_, dense_;
  float* chunk_;
  float *window_, *folded_window_;  // [past, 2 key_dim], then room for a head's value channels
  float *q_, *k_, *v_, *o_, *x_;    // [kBlockTokens, key_dim or value_dim]
  float *raw_b_, *raw_a_;           // [kBlockTokens]
  float *beta_, *g_;                // [repeat, kBlockTokens]
  float* states_;                   // [repeat * slices, key_dim, columns]
};

void CpuBackend::gated_delta_net(MutView o, const DeltaNetInputs& in, const DeltaNetParams& p,
                                 std::span<const RecurrentSpan> spans) {
  const DeltaShape& s = p.shape;
  HEADGATE_CHECK(s.key_heads > 0 && s.value_heads % s.key_heads == 0);
  HEADGATE_CHECK(p.kernel >= 1 && p.kernel <= kMaxConvWidth);
  HEADGATE_CHECK(in.qkv.cols == s.conv_channels() && o.cols == s.value_heads * s.value_dim);
  HEADGATE_CHECK(in.z.cols == o.cols && in.b.cols == s.value_heads && in.a.cols == s.value_heads);
  HEADGATE_CHECK(static_cast<int64_t>(p.conv.size()) == s.conv_channels() * p.kernel &&
                 static_cast<int64_t>(p.norm.size()) == s.value_dim);
  HEADGATE_CHECK(static_cast<int64_t>(p.neg_exp_a.size()) == s.value_heads &&
                 p.dt_bias.size() == p.neg_exp_a.size());
  for (const RecurrentSpan& span : spans) {
    HEADGATE_CHECK((span.fold == 0 && !span.defer) || span.updates != nullptr);
    HEADGATE_CHECK(!span.defer || span.rows.rows <= kBlockTokens);
  }
  DeltaNetOp op{o, in, p, spans, kernels_};
  op.columns = std::min(delta_slice_columns(), s.value_dim);
  op.slices = (s.value_dim + op.columns - 1) / op.columns;
  op.chunks = has_chunks_ && fits_delta_chunk(s.key_dim, s.value_dim) && op.columns % 32 == 0;
  const int64_t units = static_cast<int64_t>(spans.size()) * s.key_heads;
  const int64_t wanted = pool_.threads() > 1 ? 4 * static_cast<int64_t>(pool_.threads()) : 1;
  if (units < wanted) op.parts = op.repeat();
  if (units * op.parts < wanted) op.parts = op.repeat() * op.slices;
  op.finished = delta_finished_.take(units);
  std::fill_n(op.finished, units, 0);
  for (Scratch<float>& scratch : delta_scratch_) scratch.take(op.task_floats());
  pool_.run(units * op.parts, [&](int64_t task, int worker) {
    float* memory = delta_scratch_[static_cast<size_t>(worker)].data();
    DeltaNetTask(op, task / op.parts, task % op.parts, memory).run();
  });
}

}  // namespace headgate

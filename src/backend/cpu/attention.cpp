// Causal attention over paged keys and values. The context is cut into segments at fixed positions,
// each summed up by itself and merged in order, so that the split over threads never shows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kSegmentTokens = 256;
constexpr int64_t kTaskRows = 128;   // query rows that share a pass over the keys
constexpr int64_t kSplitTokens = 4;  // spans up to this long are split by segments
constexpr float kNothing = -std::numeric_limits<float>::infinity();

FloatFormat format_of(DType type) {
  HEADGATE_CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16);
  return type == DType::kF32 ? kFloatF32 : type == DType::kF16 ? kFloatF16 : kFloatBF16;
}

// Running softmax sums of some query rows: [rows] max, [rows] sum, [rows, head_dim] out.
struct Sums {
  float* max;
  float* sum;
  float* out;
};

int64_t sums_floats(int64_t rows, int64_t head_dim) { return rows * (head_dim + 2); }

Sums sums_at(float* memory, int64_t rows) { return {memory, memory + rows, memory + 2 * rows}; }

void clear(const Sums& s, int64_t rows, int64_t head_dim) {
  std::fill_n(s.max, rows, kNothing);
  std::fill_n(s.sum, rows, 0.0f);
  std::fill_n(s.out, rows * head_dim, 0.0f);
}

}  // namespace

// What all tasks of an op share.
struct CpuBackend::AttentionOp {
  MutView o;
  View q;
  int64_t group;  // query heads per KV head
  int64_t q_stride;
  float scale;
  KvLayout layout;
  FloatFormat format;
};

void CpuBackend::kv_store(View k, View v, const KvLayout& layout, std::span<const KvSpan> spans) {
  HEADGATE_CHECK(k.cols == layout.kv_heads * layout.head_dim && v.cols == k.cols);
  const auto store = kernels_.store[format_of(layout.dtype)];
  const int64_t head_bytes = row_bytes(layout.dtype, layout.head_dim);
  const int64_t plane = layout.kv_heads * layout.page_tokens * head_bytes;
  for (const KvSpan& span : spans) {
    for_rows(span.rows.rows, k.cols, [&](int64_t i) {
      const int64_t position = span.rows.position + i;
      std::byte* page = span.pages[static_cast<size_t>(position / layout.page_tokens)];
      for (int64_t h = 0; h < layout.kv_heads; ++h) {
        const int64_t slot = h * layout.page_tokens + position % layout.page_tokens;
        std::byte* at = page + slot * head_bytes;
        store(at, k.row(span.rows.row + i) + h * layout.head_dim, layout.head_dim);
        store(at + plane, v.row(span.rows.row + i) + h * layout.head_dim, layout.head_dim);
      }
    });
  }
}

// Adds the tokens of one segment to the sums of the task's rows.
void CpuBackend::attend_segment(const AttentionOp& op, const AttentionTask& task, int64_t segment,
                                float* memory) {
  const KvLayout& layout = op.layout;
  const int64_t rows = task.tokens * op.group;
  const int64_t d = layout.head_dim;
  const Sums sums = sums_at(memory, rows);
  const int64_t head_bytes = row_bytes(layout.dtype, d);
  const int64_t plane = layout.kv_heads * layout.page_tokens * head_bytes;
  const int64_t position = task.span->rows.position + task.first_token;
  const int64_t end = std::min((segment + 1) * kSegmentTokens, position + task.tokens);
  AttentionArgs args;
  const float* q[kAttentionRows];
  float* out[kAttentionRows];
  int64_t visible[kAttentionRows];
  args.q = q;
  args.out = out;
  args.visible = visible;
  args.head_dim = d;
  args.scale = op.scale;
  for (int64_t at = segment * kSegmentTokens; at < end; at += args.tokens) {
    const int64_t slot = at % layout.page_tokens;
    args.tokens = std::min({int64_t{kAttentionTokens}, end - at, layout.page_tokens - slot});
    const std::byte* page = task.span->pages[static_cast<size_t>(at / layout.page_tokens)];
    args.keys = page + (task.kv_head * layout.page_tokens + slot) * head_bytes;
    args.values = static_cast<const std::byte*>(args.keys) + plane;
    for (int64_t first = 0; first < rows; first += kAttentionRows) {
      args.rows = std::min<int64_t>(kAttentionRows, rows - first);
      args.stream = first == 0;
      int64_t most = 0;
      for (int64_t i = 0; i < args.rows; ++i) {
        const int64_t token = (first + i) / op.group;
        const int64_t head = task.kv_head * op.group + (first + i) % op.group;
        q[i] = op.q.row(task.span->rows.row + task.first_token + token) + head * op.q_stride;
        out[i] = sums.out + (first + i) * d;
        visible[i] = std::clamp<int64_t>(position + token + 1 - at, 0, args.tokens);
        most = std::max(most, visible[i]);
      }
      if (most == 0) continue;
      args.max = sums.max + first;
      args.sum = sums.sum + first;
      kernels_.attention_block[op.format](args);
    }
  }
}

// Adds row `row` of a segment's sums to running sums of one row.
void CpuBackend::merge_segment(float& max, float& sum, float* out, float* memory, int64_t rows,
                               int64_t row, int64_t head_dim) const {
  const Sums part = sums_at(memory, rows);
  if (part.max[row] == kNothing) return;
  const float next = std::max(max, part.max[row]);
  const float keep = std::exp(max - next);
  const float take = std::exp(part.max[row] - next);
  kernels_.scale_add(out, keep, part.out + row * head_dim, take, head_dim);
  sum = sum * keep + part.sum[row] * take;
  max = next;
}

// Writes a row's output: its sums divided by the sum of the weights.
void CpuBackend::finish_row(const AttentionOp& op, const AttentionTask& task, int64_t row,
                            const float* out, float sum) {
  const int64_t d = op.layout.head_dim;
  const int64_t head = task.kv_head * op.group + row % op.group;
  float* to = op.o.row(task.span->rows.row + task.first_token + row / op.group) + head * d;
  for (int64_t i = 0; i < d; ++i) to[i] = out[i] / sum;
}

void CpuBackend::attend_rows(const AttentionOp& op, const AttentionTask& task, int worker) {
  const int64_t rows = task.tokens * op.group;
  const int64_t d = op.layout.head_dim;
  if (task.part != nullptr) {
    clear(sums_at(task.part, rows), rows, d);
    attend_segment(op, task, task.first_segment, task.part);
    return;
  }
  float* memory = attention_scratch_[static_cast<size_t>(worker)].data();
  float* part = memory + sums_floats(rows, d);
  const Sums total = sums_at(memory, rows);
  clear(total, rows, d);
  for (int64_t segment = 0; segment < task.segments; ++segment) {
    clear(sums_at(part, rows), rows, d);
    attend_segment(op, task, segment, part);
    for (int64_t row = 0; row < rows; ++row) {
      merge_segment(total.max[row], total.sum[row], total.out + row * d, part, rows, row, d);
    }
  }
  for (int64_t row = 0; row < rows; ++row)
    finish_row(op, task, row, total.out + row * d, total.sum[row]);
}

// Lists the tasks of all spans; returns the floats that the sums of split segments need.
int64_t CpuBackend::plan_attention(const AttentionOp& op, std::span<const KvSpan> spans) {
  attention_tasks_.clear();
  int64_t floats = 0;
  const int64_t block = std::max<int64_t>(1, kTaskRows / op.group);
  for (const KvSpan& span : spans) {
    const int64_t end = span.rows.position + span.rows.rows;
    HEADGATE_CHECK(static_cast<int64_t>(span.pages.size()) * op.layout.page_tokens >= end);
    const bool split = span.rows.rows <= std::min(kSplitTokens, block);
    for (int64_t head = 0; head < op.layout.kv_heads; ++head) {
      for (int64_t first = 0; first < span.rows.rows; first += block) {
        const int64_t tokens = std::min(block, span.rows.rows - first);
        const int64_t visible = span.rows.position + first + tokens;
        const int64_t segments = (visible + kSegmentTokens - 1) / kSegmentTokens;
        if (!split) {
          attention_tasks_.push_back({&span, head, first, tokens, 0, segments, nullptr});
          continue;
        }
        for (int64_t s = 0; s < segments; ++s) {
          attention_tasks_.push_back({&span, head, first, tokens, s, segments, nullptr});
          floats += sums_floats(tokens * op.group, op.layout.head_dim);
        }
      }
    }
  }
  return floats;
}

// Merges the segments of split tasks: `first` is the task of segment 0.
void CpuBackend::merge_tasks(const AttentionOp& op, const AttentionTask& first, int worker) {
  const int64_t rows = first.tokens * op.group;
  const int64_t d = op.layout.head_dim;
  float* out = attention_scratch_[static_cast<size_t>(worker)].data();
  for (int64_t row = 0; row < rows; ++row) {
    float max = kNothing, sum = 0;
    std::fill_n(out, d, 0.0f);
    for (int64_t s = 0; s < first.segments; ++s) {
      float* part = first.part + s * sums_floats(rows, d);
      merge_segment(max, sum, out, part, rows, row, d);
    }
    finish_row(op, first, row, out, sum);
  }
}

void CpuBackend::attention(MutView o, View q, int64_t heads, int64_t q_stride, float scale,
                           const KvLayout& layout, std::span<const KvSpan> spans) {
  HEADGATE_CHECK(heads % layout.kv_heads == 0 && o.cols == heads * layout.head_dim);
  HEADGATE_CHECK((heads - 1) * q_stride + layout.head_dim <= q.cols);
  const int64_t group = heads / layout.kv_heads;
  const AttentionOp op{o, q, group, q_stride, scale, layout, format_of(layout.dtype)};
  float* part = attention_parts_.take(plan_attention(op, spans));
  attention_merges_.clear();
  // A block of one token may have more rows than kTaskRows.
  const int64_t most_rows = std::max(kTaskRows, group);
  for (Scratch<float>& scratch : attention_scratch_)
    scratch.take(2 * sums_floats(most_rows, layout.head_dim));
  for (size_t i = 0; i < attention_tasks_.size(); ++i) {
    AttentionTask& task = attention_tasks_[i];
    if (task.span->rows.rows > std::min(kSplitTokens, std::max<int64_t>(1, kTaskRows / group)))
      continue;
    if (task.first_segment == 0) attention_merges_.push_back(static_cast<int64_t>(i));
    task.part = part;
    part += sums_floats(task.tokens * group, layout.head_dim);
  }
  pool_.run(static_cast<int64_t>(attention_tasks_.size()), [&](int64_t task, int worker) {
    attend_rows(op, attention_tasks_[static_cast<size_t>(task)], worker);
  });
  pool_.run(static_cast<int64_t>(attention_merges_.size()), [&](int64_t i, int worker) {
    const auto first = static_cast<size_t>(attention_merges_[static_cast<size_t>(i)]);
    merge_tasks(op, attention_tasks_[first], worker);
  });
}

}  // namespace headgate

// Causal attention over paged keys and values. The context is cut into segments at fixed positions,
// each summed up by itself and merged in one order, so that neither the split over threads nor the
// cut of a prompt into steps changes a bit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kv_page.h"
#include "base/error.h"

namespace headgate {
namespace {

// Query rows that share a pass over the keys: their sums and queries stay in the L2 cache.
constexpr int64_t kTaskRows = 128;
// Segments that are merged before they meet the others: what a task of a split context sums up.
constexpr int64_t kRunSegments = 2;
// A task of a split context takes several runs when there are more: its queries are packed once.
constexpr int64_t kTasksPerThread = 16;
constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504088896341f;

int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// Softmax sums of some query rows: [rows] max, [rows] sum, [rows, dims] out, 64-byte aligned.
struct Sums {
  float* max;
  float* sum;
  float* out;
};

int64_t sums_floats(int64_t rows, int64_t dims) {
  return divide_up(divide_up(rows, 16) * 32 + rows * dims, 16) * 16;
}

Sums sums_at(float* memory, int64_t rows) {
  const int64_t padded = divide_up(rows, 16) * 16;
  return {memory, memory + padded, memory + 2 * padded};
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
  KvFormat format;
  KvPlane plane;
  AttentionKernel kernel;
  int64_t page_segments;  // segments of a page, the last one may be short

  int64_t dims() const { return plane.dims; }
  int64_t segments(int64_t tokens) const {
    const int64_t pages = tokens / layout.page_tokens;
    return pages * page_segments + divide_up(tokens - pages * layout.page_tokens, kKvSegment);
  }
  int64_t segment_position(int64_t segment) const {
    return segment / page_segments * layout.page_tokens + segment % page_segments * kKvSegment;
  }
  const std::byte* head_at(const KvSpan& span, int64_t segment, int64_t kv_head) const {
    return span.pages[static_cast<size_t>(segment / page_segments)] + kv_head * plane.bytes;
  }
  int64_t block_tokens() const { return std::max<int64_t>(1, kTaskRows / group); }
  int64_t most_rows() const { return std::max(kTaskRows, group); }
};

// A worker's memory during an op.
struct CpuBackend::AttentionMemory {
  float *total, *run, *part;  // sums: of the task, of a run, of a segment
  std::byte* queries;
  std::byte* scratch;
};

void CpuBackend::kv_store(View k, View v, const KvLayout& layout, std::span<const KvSpan> spans) {
  HEADGATE_CHECK(k.cols == layout.kv_heads * layout.head_dim && v.cols == k.cols);
  const KvFormat format = kv_format(layout.dtype);
  const KvPlane plane = kv_plane_of(layout);
  HEADGATE_CHECK(format < kKvInt8 || plane.dims <= kKvMostDims);
  kv_tasks_.clear();
  for (const KvSpan& span : spans) {
    for (int64_t i = 0; i < span.rows.rows;) {
      const int64_t position = span.rows.position + i;
      const int64_t slot = position % layout.page_tokens;
      const int64_t left = std::min(kKvStep - slot % kKvStep, layout.page_tokens - slot);
      const int64_t tokens = std::min(left, span.rows.rows - i);
      kv_tasks_.push_back({&span, i, tokens});
      i += tokens;
    }
  }
  // The tokens of a step share bytes, so one task stores them.
  const auto steps = static_cast<int64_t>(kv_tasks_.size());
  pool_.run(steps * layout.kv_heads, [&](int64_t task, int) {
    const KvTask& t = kv_tasks_[static_cast<size_t>(task / layout.kv_heads)];
    const int64_t head = task % layout.kv_heads;
    for (int64_t i = t.first; i < t.first + t.tokens; ++i) {
      const int64_t position = t.span->rows.position + i, row = t.span->rows.row + i;
      std::byte* page = t.span->pages[static_cast<size_t>(position / layout.page_tokens)];
      kv_store_token(format, plane, page + head * plane.bytes, position % layout.page_tokens,
                     k.row(row) + head * layout.head_dim, v.row(row) + head * layout.head_dim,
                     layout.head_dim);
    }
  });
}

// Prepares the queries of the task's rows.
void CpuBackend::pack_queries(const AttentionOp& op, const AttentionTask& task, std::byte* to) {
  const int64_t rows = task.tokens * op.group;
  for (int64_t row = 0; row < rows; ++row, to += packed_query_bytes(op.dims())) {
    const int64_t token = task.span->rows.row + task.first_token + row / op.group;
    const int64_t head = task.kv_head * op.group + row % op.group;
    op.kernel.pack_query(to, op.q.row(token) + head * op.q_stride, op.layout.head_dim, op.dims(),
                         op.scale);
  }
}

// Sums of the task's rows over one segment.
void CpuBackend::attend_segment(const AttentionOp& op, const AttentionTask& task, int64_t segment,
                                const AttentionMemory& memory, float* to) {
  const int64_t rows = task.tokens * op.group;
  const Sums sums = sums_at(to, rows);
  const int64_t at = op.segment_position(segment);
  const int64_t slot = at % op.layout.page_tokens;
  const int64_t position = task.span->rows.position + task.first_token;
  const std::byte* head = op.head_at(*task.span, segment, task.kv_head);
  AttentionArgs args = {};
  args.tokens = std::min({kKvSegment, op.layout.page_tokens - slot, position + task.tokens - at});
  args.dims = op.dims();
  args.keys = head + slot / kKvColumns * op.plane.key_tile;
  args.key_stride = op.plane.key_tile;
  args.key_scales = reinterpret_cast<const float*>(head + op.plane.key_scales) + slot;
  // Tiles of values lie side by side, so a segment starts inside each.
  args.values = head + op.plane.values + slot * (op.plane.value_tile / op.plane.tokens);
  args.value_stride = op.plane.value_tile;
  args.value_scales =
      head + op.plane.value_scales + slot * (op.format == kKvInt8 ? sizeof(float) : 2);
  args.scale_stride = op.plane.tokens * 2;
  args.scratch = memory.scratch;
  const bool last = segment + 1 >= op.segments(position + task.tokens);
  int32_t visible[kAttentionRows];
  args.visible = visible;
  for (int64_t first = 0; first < rows; first += kAttentionRows) {
    args.rows = std::min(kAttentionRows, rows - first);
    args.queries = memory.queries + first * packed_query_bytes(op.dims());
    args.stream = first == 0;
    args.next = last ? nullptr : op.head_at(*task.span, segment + 1, task.kv_head);
    for (int64_t i = 0; i < args.rows; ++i) {
      const int64_t seen = position + (first + i) / op.group + 1 - at;
      visible[i] = static_cast<int32_t>(std::clamp<int64_t>(seen, 0, args.tokens));
    }
    args.max = sums.max + first;
    args.sum = sums.sum + first;
    args.out = sums.out + first * op.dims();
    op.kernel.run(args);
  }
}

// Adds row `row` of the sums at `part` to those at `total`.
void CpuBackend::merge_row(float* total, float* part, int64_t rows, int64_t row,
                           int64_t dims) const {
  const Sums to = sums_at(total, rows), from = sums_at(part, rows);
  if (from.max[row] == kNothing) return;
  const float next = std::max(to.max[row], from.max[row]);
  const float keep = std::exp2(to.max[row] - next);
  const float take = std::exp2(from.max[row] - next);
  kernels_.scale_add(to.out + row * dims, keep, from.out + row * dims, take, dims);
  to.sum[row] = to.sum[row] * keep + from.sum[row] * take;
  to.max[row] = next;
}

// Sums of the task's rows over one run of segments.
void CpuBackend::attend_run(const AttentionOp& op, const AttentionTask& task, int64_t run,
                            const AttentionMemory& memory, float* to) {
  const int64_t rows = task.tokens * op.group;
  const int64_t first = run * kRunSegments, end = std::min(first + kRunSegments, task.segments);
  attend_segment(op, task, first, memory, to);
  for (int64_t segment = first + 1; segment < end; ++segment) {
    attend_segment(op, task, segment, memory, memory.part);
    for (int64_t row = 0; row < rows; ++row) merge_row(to, memory.part, rows, row, op.dims());
  }
}

// Writes a row's output: its sums divided by the sum of the weights.
void CpuBackend::finish_row(const AttentionOp& op, const AttentionTask& task, int64_t row,
                            float* sums) {
  const int64_t d = op.layout.head_dim;
  const int64_t head = task.kv_head * op.group + row % op.group;
  const Sums s = sums_at(sums, task.tokens * op.group);
  const float* from = s.out + row * op.dims();
  const float inverse = 1.0f / s.sum[row];
  float* to = op.o.row(task.span->rows.row + task.first_token + row / op.group) + head * d;
  for (int64_t i = 0; i < d; ++i) to[i] = from[i] * inverse;
}

void CpuBackend::attend(const AttentionOp& op, const AttentionTask& task, int worker) {
  const AttentionMemory memory = attention_memory(op, worker);
  const int64_t rows = task.tokens * op.group;
  pack_queries(op, task, memory.queries);
  for (int64_t i = 0; i < task.runs; ++i)
    attend_run(op, task, task.run + i, memory, task.part + i * sums_floats(rows, op.dims()));
  if (task.part != nullptr) return;
  attend_run(op, task, 0, memory, memory.total);
  for (int64_t run = 1; run < divide_up(task.segments, kRunSegments); ++run) {
    attend_run(op, task, run, memory, memory.run);
    for (int64_t row = 0; row < rows; ++row)
      merge_row(memory.total, memory.run, rows, row, op.dims());
  }
  for (int64_t row = 0; row < rows; ++row) finish_row(op, task, row, memory.total);
}

CpuBackend::AttentionMemory CpuBackend::attention_memory(const AttentionOp& op, int worker) {
  const int64_t rows = op.most_rows(), floats = sums_floats(rows, op.dims());
  const int64_t query_floats = rows * packed_query_bytes(op.dims()) / 4;
  float* at = attention_scratch_[static_cast<size_t>(worker)].take(3 * floats + query_floats +
                                                                   kAttentionScratchBytes / 4);
  AttentionMemory memory;
  memory.total = at;
  memory.run = at + floats;
  memory.part = at + 2 * floats;
  memory.queries = reinterpret_cast<std::byte*>(at + 3 * floats);
  memory.scratch = memory.queries + query_floats * 4;
  return memory;
}

// Lists the tasks of all spans; returns the floats that the sums of split contexts need.
int64_t CpuBackend::plan_attention(const AttentionOp& op, std::span<const KvSpan> spans) {
  attention_tasks_.clear();
  attention_merges_.clear();
  int64_t floats = 0;
  const int64_t block = op.block_tokens();
  for (const KvSpan& span : spans) {
    const int64_t end = span.rows.position + span.rows.rows;
    HEADGATE_CHECK(static_cast<int64_t>(span.pages.size()) * op.layout.page_tokens >= end);
    // The split changes no bits: runs are merged in the same order either way.
    const int64_t blocks = divide_up(span.rows.rows, block) * op.layout.kv_heads;
    const bool split = blocks < 2 * pool_.threads() || span.rows.rows <= block;
    for (int64_t head = 0; head < op.layout.kv_heads; ++head) {
      for (int64_t first = 0; first < span.rows.rows; first += block) {
        const int64_t tokens = std::min(block, span.rows.rows - first);
        const int64_t segments = op.segments(span.rows.position + first + tokens);
        const int64_t runs = divide_up(segments, kRunSegments);
        if (!split || runs == 1) {
          attention_tasks_.push_back({&span, head, first, tokens, segments, 0, 0, -1, nullptr});
          continue;
        }
        attention_merges_.push_back(static_cast<int64_t>(attention_tasks_.size()));
        const int64_t wanted = kTasksPerThread * pool_.threads();
        const int64_t per_task = std::max<int64_t>(1, runs * blocks / wanted);
        for (int64_t run = 0; run < runs; run += per_task) {
          const int64_t count = std::min(per_task, runs - run);
          attention_tasks_.push_back(
              {&span, head, first, tokens, segments, run, count, floats, nullptr});
          floats += count * sums_floats(tokens * op.group, op.dims());
        }
      }
    }
  }
  return floats;
}

// Merges the runs of a split task, of which `first` is the one of run 0, into its first sums.
void CpuBackend::merge_runs(const AttentionOp& op, const AttentionTask& first, int64_t row) {
  const int64_t rows = first.tokens * op.group;
  const int64_t stride = sums_floats(rows, op.dims());  // the runs' sums follow each other
  for (int64_t run = 1; run < divide_up(first.segments, kRunSegments); ++run)
    merge_row(first.part, first.part + run * stride, rows, row, op.dims());
  finish_row(op, first, row, first.part);
}

void CpuBackend::attention(MutView o, View q, int64_t heads, int64_t q_stride, float scale,
                           const KvLayout& layout, std::span<const KvSpan> spans) {
  HEADGATE_CHECK(heads % layout.kv_heads == 0 && o.cols == heads * layout.head_dim);
  HEADGATE_CHECK((heads - 1) * q_stride + layout.head_dim <= q.cols);
  const KvFormat format = kv_format(layout.dtype);
  AttentionOp op{o,
                 q,
                 heads / layout.kv_heads,
                 q_stride,
                 scale * kLog2E,
                 layout,
                 format,
                 kv_plane_of(layout),
                 kernels_.attention[format],
                 divide_up(layout.page_tokens, kKvSegment)};
  HEADGATE_CHECK(format < kKvInt8 || op.dims() <= kKvMostDims);
  float* parts = attention_parts_.take(plan_attention(op, spans));
  for (int worker = 0; worker < pool_.threads(); ++worker) attention_memory(op, worker);
  for (AttentionTask& task : attention_tasks_) {
    if (task.offset >= 0) task.part = parts + task.offset;
  }
  pool_.run(static_cast<int64_t>(attention_tasks_.size()), [&](int64_t task, int worker) {
    attend(op, attention_tasks_[static_cast<size_t>(task)], worker);
  });
  if (attention_merges_.empty()) return;
  // Rows of all split tasks; most have as many as a block.
  const int64_t rows = op.most_rows();
  const auto merges = static_cast<int64_t>(attention_merges_.size());
  const int64_t row_tasks = std::min(rows, op.block_tokens() * op.group);
  pool_.run(merges * row_tasks, [&](int64_t i, int) {
    const auto at = static_cast<size_t>(attention_merges_[static_cast<size_t>(i / row_tasks)]);
    const AttentionTask& first = attention_tasks_[at];
    if (i % row_tasks < first.tokens * op.group) merge_runs(op, first, i % row_tasks);
  });
}

}  // namespace headgate

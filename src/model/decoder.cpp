// The trunk: embedding, layers, final norm, and logits of the rows that are wanted.
#include "model/decoder.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "model/layers/layers.h"

namespace headgate {
namespace {

// Which rows of the batch get logits, and where each item's begin.
int64_t plan_logits(const Step& step, std::span<const BatchItem> items, StepResult& result) {
  result.first_row.clear();
  int64_t rows = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    result.first_row.push_back(rows);
    const int64_t count = step.rows()[i].rows;
    if (items[i].logits == LogitRows::kAll) rows += count;
    if (items[i].logits == LogitRows::kLast) rows += std::min<int64_t>(count, 1);
  }
  return rows;
}

// Copies the rows that get logits out of x [tokens, hidden].
MutView gather_rows(Step& step, std::span<const BatchItem> items, View x, int64_t rows) {
  const MutView out = step.buffers.scratch.take(rows, x.cols);
  int64_t next = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const RowSpan& span = step.rows()[i];
    if (items[i].logits == LogitRows::kNone) continue;
    const int64_t count =
        items[i].logits == LogitRows::kAll ? span.rows : std::min<int64_t>(span.rows, 1);
    for (int64_t r = span.row + span.rows - count; r < span.row + span.rows; ++r)
      std::copy_n(x.row(r), x.cols, out.row(next++));
  }
  return out;
}

}  // namespace

void write_logits(Step& step, const ModelWeights& weights, View x, StepResult& result) {
  result.logits.resize(static_cast<size_t>(x.rows * result.vocabulary));
  if (x.rows == 0) return;
  step.backend.linear({result.logits.data(), x.rows, result.vocabulary}, x, weights.output());
}

void run_decoder(Step& step, const ModelWeights& weights, std::span<const BatchItem> items,
                 StepResult& result) {
  Backend& b = step.backend;
  const ModelConfig& c = step.config;
  const ScratchScope scope(step.buffers.scratch);
  result.vocabulary = c.vocabulary;
  result.hidden_size = c.hidden_size;
  const int64_t logit_rows = plan_logits(step, items, result);
  result.hidden.clear();
  if (step.tokens == 0) return write_logits(step, weights, {nullptr, 0, c.hidden_size}, result);

  const MutView x = step.take(c.hidden_size);
  b.embed(x, step.buffers.tokens, *weights.embedding);
  step.emit("embed", x);
  for (size_t layer = 0; layer < weights.layers.size(); ++layer) {
    if (result.abandon && result.abandon()) fail(ErrorCode::kCancelled, "step: broken off");
    if (step.trace != nullptr) step.prefix = fmt::format("layer{}.", layer);
    decoder_layer(step, weights.layers[layer], x);
  }
  step.prefix.clear();

  const bool all_rows = result.keep_hidden || step.trace != nullptr;
  if (all_rows) b.rms_norm(x, x, weights.final_norm, c.norm_eps);
  if (all_rows) step.emit("final_norm", x);
  if (result.keep_hidden) result.hidden.assign(x.data, x.data + x.rows * x.cols);
  const MutView wanted = gather_rows(step, items, x, logit_rows);
  if (!all_rows && logit_rows > 0) b.rms_norm(wanted, wanted, weights.final_norm, c.norm_eps);
  write_logits(step, weights, wanted, result);
  step.emit("logits", {result.logits.data(), logit_rows, c.vocabulary});
}

}  // namespace headgate

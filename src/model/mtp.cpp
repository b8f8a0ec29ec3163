// The multi-token-prediction module: one more decoder layer over (next token, hidden state) pairs.
#include <algorithm>

#include "model/decoder.h"
#include "model/head_rows.h"
#include "model/layers/layers.h"

namespace headgate {
namespace {

// Rows of x that get logits: the last of every item, or all; where each item's begin.
View wanted_rows(Step& step, MutView x, LogitRows logits, StepResult& result) {
  const std::span<const RowSpan> spans = step.rows();
  int64_t rows = 0;
  result.first_row.clear();
  for (const RowSpan& span : spans) {
    result.first_row.push_back(rows);
    if (logits == LogitRows::kAll) rows += span.rows;
    if (logits == LogitRows::kLast) rows += std::min<int64_t>(span.rows, 1);
  }
  if (rows == x.rows) return x;
  if (spans.size() == 1) return x.row_range(x.rows - rows, rows);
  const MutView last = step.buffers.scratch.take(rows, x.cols);
  int64_t next = 0;
  for (const RowSpan& span : spans) {
    if (rows > 0 && span.rows > 0)
      std::copy_n(x.row(span.row + span.rows - 1), x.cols, last.row(next++));
  }
  return last;
}

}  // namespace

void run_mtp(Step& step, const ModelWeights& weights, std::span<const MtpItem> items,
             LogitRows logits, HeadRows* head, StepResult& result) {
  Backend& b = step.backend;
  const MtpWeights& w = *weights.mtp;
  const ScratchScope scope(step.buffers.scratch);
  const int64_t size = step.config.hidden_size;
  const float eps = step.config.norm_eps;
  result.vocabulary = head != nullptr ? head->size() : step.config.vocabulary;
  result.hidden_size = size;
  if (step.tokens == 0) {
    result.first_row.assign(items.size(), 0);
    result.hidden.clear();
    result.logits.clear();
    return;
  }

  const MutView joined = step.take(2 * size);  // embedding first, hidden state second
  const MutView embedding = joined.columns(0, size);
  const MutView x = step.take(size);
  int64_t row = 0;
  for (const MtpItem& item : items) {
    if (item.hidden.rows == 0) continue;
    b.rms_norm(joined.columns(size, size).row_range(row, item.hidden.rows), item.hidden,
               w.hidden_norm, eps);
    row += item.hidden.rows;
  }
  b.embed(x, step.buffers.tokens, *weights.embedding);
  b.rms_norm(embedding, x, w.embedding_norm, eps);
  b.linear(x, joined, *w.input);
  decoder_layer(step, w.layer, x);
  b.rms_norm(x, x, w.final_norm, eps);

  // The items' hidden states may be result.hidden itself: they are not read any more.
  result.hidden.assign(x.data, x.data + x.rows * x.cols);
  const View wanted = wanted_rows(step, x, logits, result);
  if (head == nullptr) return write_logits(step, weights, wanted, result);
  result.logits.resize(static_cast<size_t>(wanted.rows * result.vocabulary));
  if (wanted.rows > 0)
    head->multiply(b, {result.logits.data(), wanted.rows, result.vocabulary}, wanted);
}

}  // namespace headgate

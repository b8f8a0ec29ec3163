// The multi-token-prediction module: one more decoder layer over (next token, hidden state) pairs.
#include <algorithm>

#include "model/decoder.h"
#include "model/head_rows.h"
#include "model/layers/layers.h"

namespace headgate {
namespace {

// Where each item's rows of logits begin.
void plan_rows(const Step& step, LogitRows logits, StepResult& result) {
  int64_t rows = 0;
  result.first_row.clear();
  for (const RowSpan& span : step.rows()) {
    result.first_row.push_back(rows);
    if (logits == LogitRows::kAll) rows += span.rows;
    if (logits == LogitRows::kLast) rows += std::min<int64_t>(span.rows, 1);
  }
}

// The module's layer over x [tokens, hidden]; what comes back are the rows that are wanted. Of the
// others later tokens need keys and values, and nothing needs the rest: a text that is read costs
// the module two small products a token.
MutView run_layer(Step& step, const LayerWeights& w, LogitRows logits, MutView x) {
  const std::span<const RowSpan> spans = step.rows();
  const bool single =
      std::all_of(spans.begin(), spans.end(), [](const RowSpan& span) { return span.rows == 1; });
  if (logits == LogitRows::kAll || (logits == LogitRows::kLast && single)) {
    decoder_layer(step, w, x);
    return x;
  }
  {
    const ScratchScope scope(step.buffers.scratch);
    const MutView normed = step.take(x.cols);
    step.backend.rms_norm(normed, x, w.mixer_norm, step.config.norm_eps);
    attention_keys(step, *w.attention, w.state_layer, normed);
  }
  if (logits == LogitRows::kNone) return x.row_range(0, 0);
  Step last = step.last_rows();
  const MutView y = last.take(x.cols);
  int64_t next = 0;
  for (const RowSpan& span : step.rows()) {
    if (span.rows > 0) std::copy_n(x.row(span.row + span.rows - 1), x.cols, y.row(next++));
  }
  decoder_layer(last, w, y);
  return y;
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
  plan_rows(step, logits, result);
  if (step.tokens == 0) {
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
  const MutView y = run_layer(step, w.layer, logits, x);
  // The items' hidden states may be result.hidden itself: they are not read any more.
  result.hidden.resize(static_cast<size_t>(y.rows * size));
  result.logits.resize(static_cast<size_t>(y.rows * result.vocabulary));
  if (y.rows == 0) return;
  b.rms_norm({result.hidden.data(), y.rows, size}, y, w.final_norm, eps);
  const View normed{result.hidden.data(), y.rows, size};
  if (head == nullptr) return write_logits(step, weights, normed, result);
  head->multiply(b, {result.logits.data(), y.rows, result.vocabulary}, normed);
}

}  // namespace headgate

// The multi-token-prediction module: one more decoder layer over (next token, hidden state) pairs.
#include "model/decoder.h"
#include "model/layers/layers.h"

namespace headgate {

void run_mtp(Step& step, const ModelWeights& weights, View hidden, LogitRows logits,
             StepResult& result) {
  Backend& b = step.backend;
  const MtpWeights& w = *weights.mtp;
  const ScratchScope scope(step.buffers.scratch);
  const int64_t size = step.config.hidden_size;
  const float eps = step.config.norm_eps;
  result.vocabulary = step.config.vocabulary;
  result.hidden_size = size;
  result.first_row.assign(1, 0);
  if (step.tokens == 0) {
    result.hidden.clear();
    return write_logits(step, weights, hidden, result);
  }

  const MutView joined = step.take(2 * size);  // embedding first, hidden state second
  const MutView embedding = joined.columns(0, size);
  const MutView x = step.take(size);
  b.embed(x, step.buffers.tokens, *weights.embedding);
  b.rms_norm(embedding, x, w.embedding_norm, eps);
  b.rms_norm(joined.columns(size, size), hidden, w.hidden_norm, eps);
  b.linear(x, joined, *w.input);
  decoder_layer(step, w.layer, x);
  b.rms_norm(x, x, w.final_norm, eps);

  // `hidden` may be result.hidden itself: it is not read any more.
  result.hidden.assign(x.data, x.data + x.rows * x.cols);
  const int64_t rows = logits == LogitRows::kAll ? x.rows : logits == LogitRows::kLast ? 1 : 0;
  write_logits(step, weights, x.row_range(x.rows - rows, rows), result);
}

}  // namespace headgate

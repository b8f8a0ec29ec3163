// One residual layer: mixer, then MLP.
#include "model/layers/layers.h"

namespace headgate {
namespace {

// y = f(x), a part of the rows at a time: what lies between the projections of long steps (32 KiB a
// token) stays near the cores and bounded, while experts see the rows of the whole step at once.
template <typename F>
void by_parts(Step& step, View x, MutView y, const F& f) {
  if (step.trace != nullptr || step.tokens <= kPartRows) return f(step, x, y);  // heard as a whole
  for (int64_t row = 0; row < step.tokens;) {
    Step part = step.part(row, kPartRows);
    f(part, x.row_range(row, part.tokens), y.row_range(row, part.tokens));
    row += part.tokens;
  }
}

}  // namespace

void decoder_layer(Step& step, const LayerWeights& w, MutView x) {
  Backend& b = step.backend;
  const ScratchScope scope(step.buffers.scratch);
  const MutView h = step.take(step.config.hidden_size), y = step.take(step.config.hidden_size);
  b.rms_norm(h, x, w.mixer_norm, step.config.norm_eps);
  step.emit("input_norm", h);
  by_parts(step, h, y, [&w](Step& s, View in, MutView out) {
    if (w.attention) {
      attention(s, *w.attention, w.state_layer, in, out);
    } else {
      gated_delta_net(s, *w.delta, w.state_layer, in, out);
    }
  });
  step.emit("mixer", y);
  b.add(x, y);
  step.emit("mid", x);

  b.rms_norm(h, x, w.mlp_norm, step.config.norm_eps);
  step.emit("post_norm", h);
  if (w.moe) {
    moe(step, *w.moe, h, y);
  } else {
    by_parts(step, h, y, [&w](Step& s, View in, MutView out) { mlp(s, *w.mlp, in, out); });
  }
  step.emit("mlp", y);
  b.add(x, y);
  step.emit("out", x);
}

}  // namespace headgate

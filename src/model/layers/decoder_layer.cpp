// One residual layer: mixer, then MLP.
#include "model/layers/layers.h"

namespace headgate {

void decoder_layer(Step& step, const LayerWeights& w, MutView x) {
  Backend& b = step.backend;
  const ScratchScope scope(step.buffers.scratch);
  const MutView h = step.take(step.config.hidden_size), y = step.take(step.config.hidden_size);
  b.rms_norm(h, x, w.mixer_norm, step.config.norm_eps);
  step.emit("input_norm", h);
  if (w.attention) {
    attention(step, *w.attention, w.state_layer, h, y);
  } else {
    gated_delta_net(step, *w.delta, w.state_layer, h, y);
  }
  step.emit("mixer", y);
  b.add(x, y);
  step.emit("mid", x);

  b.rms_norm(h, x, w.mlp_norm, step.config.norm_eps);
  step.emit("post_norm", h);
  if (w.moe) {
    moe(step, *w.moe, h, y);
  } else {
    mlp(step, *w.mlp, h, y);
  }
  step.emit("mlp", y);
  b.add(x, y);
  step.emit("out", x);
}

}  // namespace headgate

// Building the views of a step.
#include "model/step.h"

#include "base/error.h"

namespace headgate {

void Step::add_sequence(SequenceState& state, int64_t count) {
  HEADGATE_CHECK(count <= state.capacity() - state.position());
  for (const SequenceState* other : buffers.states) HEADGATE_CHECK(other != &state);
  buffers.states.push_back(&state);
  buffers.rows.push_back({tokens, count, state.position()});
  tokens += count;
}

std::span<const KvSpan> Step::kv(int64_t attention_layer) const {
  buffers.kv.clear();
  for (size_t i = 0; i < buffers.states.size(); ++i)
    buffers.kv.push_back({buffers.rows[i], buffers.states[i]->kv_pages(attention_layer)});
  return buffers.kv;
}

std::span<const RecurrentSpan> Step::recurrent(int64_t recurrent_layer) const {
  buffers.recurrent.clear();
  for (size_t i = 0; i < buffers.states.size(); ++i)
    buffers.recurrent.push_back({buffers.rows[i], buffers.states[i]->conv(recurrent_layer),
                                 buffers.states[i]->delta(recurrent_layer)});
  return buffers.recurrent;
}

KvLayout Step::kv_layout() const { return buffers.states.front()->shape().kv; }

}  // namespace headgate

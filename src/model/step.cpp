// Building the views of a step.
#include "model/step.h"

#include "base/error.h"

namespace headgate {

void Step::add_sequence(SequenceState& state, int64_t count, bool deferred) {
  HEADGATE_CHECK(count <= state.capacity() - state.position());
  const StateShape& shape = state.shape();
  HEADGATE_CHECK(!deferred || shape.recurrent_layers == 0 || count <= shape.deferred_rows);
  for (const SequenceState* other : buffers.states) HEADGATE_CHECK(other != &state);
  buffers.states.push_back(&state);
  buffers.deferred.push_back(deferred);
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
  for (size_t i = 0; i < buffers.states.size(); ++i) {
    const SequenceState& state = *buffers.states[i];
    RecurrentSpan span;
    span.rows = buffers.rows[i];
    span.conv = state.conv(recurrent_layer);
    span.delta = state.delta(recurrent_layer);
    if (state.shape().deferred_rows > 0) {
      span.updates = state.deferred_updates(recurrent_layer);
      span.update_stride = state.shape().deferred_floats;
      span.fold = state.deferred();
      span.defer = buffers.deferred[i];
    }
    buffers.recurrent.push_back(span);
  }
  return buffers.recurrent;
}

KvLayout Step::kv_layout() const { return buffers.states.front()->shape().kv; }

}  // namespace headgate

// Building the views of a step.
#include "model/step.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {

void Step::add_sequence(SequenceState& state, int64_t count, bool deferred, bool stretched) {
  HEADGATE_CHECK(count <= state.capacity() - state.position());
  const StateShape& shape = state.shape();
  HEADGATE_CHECK(!deferred || shape.recurrent_layers == 0 || count <= shape.deferred_rows);
  for (const SequenceState* other : buffers.states) HEADGATE_CHECK(other != &state);
  buffers.states.push_back(&state);
  buffers.deferred.push_back(deferred);
  buffers.stretched.push_back(stretched);
  buffers.rows.push_back({tokens, count, state.position()});
  tokens += count;
}

Step Step::part(int64_t first, int64_t most) const {
  HEADGATE_CHECK(!is_part);
  buffers.part_rows.clear();
  buffers.part_sequences.clear();
  int64_t count = 0;
  for (size_t i = 0; i < buffers.rows.size() && count < most; ++i) {
    const RowSpan& span = buffers.rows[i];
    const int64_t skipped = std::max(first - span.row, int64_t{0});
    const int64_t left = span.rows - skipped;
    if (left <= 0) continue;
    // What may be taken back is set aside in one piece.
    const int64_t taken = buffers.deferred[i] ? left : std::min(left, most - count);
    buffers.part_rows.push_back({count, taken, span.position + skipped});
    buffers.part_sequences.push_back(i);
    count += taken;
  }
  Step part{backend, config, ropes, buffers, trace, count, prefix};
  part.is_part = true;
  return part;
}

Step Step::last_rows() const {
  HEADGATE_CHECK(!is_part);
  buffers.part_rows.clear();
  buffers.part_sequences.clear();
  int64_t count = 0;
  for (size_t i = 0; i < buffers.rows.size(); ++i) {
    const RowSpan& span = buffers.rows[i];
    if (span.rows == 0) continue;
    buffers.part_rows.push_back({count++, 1, span.position + span.rows - 1});
    buffers.part_sequences.push_back(i);
  }
  Step last{backend, config, ropes, buffers, trace, count, prefix};
  last.is_part = true;
  return last;
}

std::span<const RopeSpan> Step::rope() const {
  buffers.rope.clear();
  for (size_t i = 0; i < rows().size(); ++i) {
    const bool stretched = buffers.stretched[sequence(i)];
    buffers.rope.push_back({rows()[i], stretched ? &ropes.stretched : &ropes.plain});
  }
  return buffers.rope;
}

std::span<const KvSpan> Step::kv(int64_t attention_layer) const {
  buffers.kv.clear();
  for (size_t i = 0; i < rows().size(); ++i) {
    const SequenceState& state = *buffers.states[sequence(i)];
    buffers.kv.push_back({rows()[i], state.kv_pages(attention_layer)});
  }
  return buffers.kv;
}

std::span<const RecurrentSpan> Step::recurrent(int64_t recurrent_layer) const {
  buffers.recurrent.clear();
  for (size_t i = 0; i < rows().size(); ++i) {
    const SequenceState& state = *buffers.states[sequence(i)];
    RecurrentSpan span;
    span.rows = rows()[i];
    span.conv = state.conv(recurrent_layer);
    span.delta = state.delta(recurrent_layer);
    if (state.shape().deferred_rows > 0) {
      span.updates = state.deferred_updates(recurrent_layer);
      span.update_stride = state.shape().deferred_floats;
      // Folded in once, with the first of the sequence's rows.
      span.fold = span.rows.position == state.position() ? state.deferred() : 0;
      span.defer = buffers.deferred[sequence(i)];
    }
    buffers.recurrent.push_back(span);
  }
  return buffers.recurrent;
}

KvLayout Step::kv_layout() const { return buffers.states.front()->shape().kv; }

}  // namespace headgate

// What a sequence remembers: KV pages, convolution and delta states and position, moved together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace headgate {

// Sizes of one sequence's state, from the model's configuration.
struct StateShape {
  int64_t attention_layers = 0;
  KvLayout kv;  // of every attention layer
  int64_t recurrent_layers = 0;
  int64_t conv_floats = 0;   // per recurrent layer: (kernel - 1) * channels
  int64_t delta_floats = 0;  // per recurrent layer: value_heads * key_dim * value_dim
  // Tokens of one step whose recurrent updates can be set aside (drafts that may be taken back),
  // and what one of them takes per recurrent layer.
  int64_t deferred_rows = 0;
  int64_t deferred_floats = 0;

  int64_t page_bytes() const;       // one page: all attention layers
  int64_t slot_floats() const;      // one recurrent layer of a slot
  int64_t recurrent_bytes() const;  // one slot: all recurrent layers
};

// How a snapshot's recurrent state lies in memory. kF32: as it was, to the bit.
enum class StateFormat { kF32, kBf16, kInt8 };

class StatePool;
struct StatePoolData;

// The memory of a state, piece by piece: what a file holds of it.
template <typename Byte>
struct BasicStateImage {
  int64_t position = 0;
  int64_t deferred = 0;
  std::vector<std::span<Byte>> pages;  // page_bytes() each
  // Layer by layer: convolution and delta state, then the `deferred` updates that are set aside.
  std::vector<std::span<Byte>> recurrent;
};
using StateImage = BasicStateImage<std::byte>;
using ConstStateImage = BasicStateImage<const std::byte>;

// A saved recurrent state with shared KV pages, at one position. Cheap to copy (shared, immutable).
class Snapshot {
 public:
  int64_t position() const;
  int64_t bytes() const;  // of the recurrent copy; pages are shared
  // The same state in the pool's format for cold ones; nullopt when that is kF32, it is packed
  // already, or updates are set aside. Restoring a packed one gives a rounded state.
  std::optional<Snapshot> packed() const;
  bool is_packed() const;
  // Valid as long as a copy of this snapshot lives, and unchanged: any thread may read it. Not of
  // packed ones.
  ConstStateImage image() const;

 private:
  friend class SequenceState;
  struct Data;
  std::shared_ptr<const Data> data_;
};

// One sequence. Created by a pool, which must outlive it. Thread rule: one thread per pool.
class SequenceState {
 public:
  ~SequenceState();
  SequenceState(SequenceState&&) noexcept;
  SequenceState& operator=(SequenceState&&) noexcept;

  int64_t position() const;  // tokens consumed so far
  // Tokens that fit in the pages present: position() + the reserved rest, rounded up to a page.
  int64_t capacity() const;
  const StateShape& shape() const;

  // Makes pages for `tokens` more tokens present and private (copy-on-write of a shared last page).
  // False, with nothing changed, when the pool's budget does not allow it. Must be called before
  // each step.
  [[nodiscard]] bool reserve(int64_t tokens);
  // After a step has written them: position += tokens. `deferred`: the step left the recurrent
  // states as they were and set the tokens' updates aside, at most shape().deferred_rows of them.
  // Whatever was set aside before has been folded in.
  void advance(int64_t tokens, bool deferred = false);
  // Tokens before position() whose updates are set aside: the next step folds them in.
  int64_t deferred() const;

  // Goes back to the latest position <= `position` that can be restored exactly (a kept snapshot,
  // position 0, the current one, or any among the deferred tokens; attention-only models:
  // `position` itself) and returns it; the caller replays the tokens from there. Snapshots later
  // than the result are dropped. Going back among deferred tokens costs nothing.
  int64_t rewind(int64_t position);
  // Keeps a snapshot of the current position inside the sequence for later rewinds. False when the
  // budget forbids. Costs one recurrent state; pages are the sequence's own.
  [[nodiscard]] bool keep_snapshot();

  // A second sequence with the same past; pages are shared until written. nullopt when the budget
  // forbids it.
  [[nodiscard]] std::optional<SequenceState> fork() const;
  [[nodiscard]] std::optional<Snapshot> snapshot() const;
  // The state itself as a snapshot, without a copy; the sequence is gone.
  Snapshot freeze() &&;
  // Replaces the whole state; snapshots kept inside the sequence are dropped. `snapshot` must come
  // from the same pool. False when the budget forbids it (nothing changed then).
  [[nodiscard]] bool restore(const Snapshot& snapshot);

  // For filling the state from elsewhere: its memory as a state at `position` has it. Room must be
  // reserved. Pages before position() may be shared with others and must stay as they are.
  StateImage image_at(int64_t position, int64_t deferred) const;
  // What image_at() gave has been written: the state is that one now.
  void filled(int64_t position, int64_t deferred);

  // Views for the layers of a step; `layer` counts attention layers and recurrent layers
  // separately.
  std::span<std::byte* const> kv_pages(int64_t attention_layer) const;
  float* conv(int64_t recurrent_layer) const;
  float* delta(int64_t recurrent_layer) const;
  float* deferred_updates(int64_t recurrent_layer) const;  // [deferred_rows, deferred_floats]

 private:
  friend class StatePool;
  struct Data;
  explicit SequenceState(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

// Owns pages and slots of many sequences under one byte budget.
class StatePool {
 public:
  // Throws kUnsupported for a KV type or head size that no page can hold.
  // `cold`: of packed snapshots; see Snapshot::packed().
  StatePool(const StateShape& shape, int64_t budget_bytes, StateFormat cold = StateFormat::kF32);
  ~StatePool();
  StatePool(const StatePool&) = delete;
  StatePool& operator=(const StatePool&) = delete;

  // An empty sequence at position 0, or nullopt when the budget has no room for its slot.
  [[nodiscard]] std::optional<SequenceState> create();

  const StateShape& shape() const;
  int64_t budget_bytes() const;
  int64_t used_bytes() const;  // of pages and slots
  // Memory that states take elsewhere (indexes, buffers of files): the budget is for it, too. What
  // is in use already stays: see is_over().
  void set_other_bytes(int64_t bytes);
  int64_t other_bytes() const;
  bool is_over() const;

 private:
  std::shared_ptr<StatePoolData> data_;
};

}  // namespace headgate

// What the layers of one step share: backend, scratch memory, and which rows belong to which
// sequence.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "model/config.h"
#include "model/model.h"
#include "model/scratch.h"

namespace headgate {

// Memory that lives from step to step.
struct StepBuffers {
  ScratchStack scratch;
  std::vector<int32_t> tokens;
  std::vector<SequenceState*> states;
  std::vector<bool> deferred;   // by sequence
  std::vector<bool> stretched;  // by sequence
  std::vector<RopeSpan> rope;
  std::vector<RowSpan> rows;
  std::vector<RowSpan> part_rows;      // of the part being computed
  std::vector<size_t> part_sequences;  // whose they are
  std::vector<KvSpan> kv;
  std::vector<RecurrentSpan> recurrent;
  std::vector<int32_t> expert_ids;
  std::vector<float> expert_weights;
};

// Rows of a long step that mixers and dense MLPs compute at a time.
constexpr int64_t kPartRows = 512;

// Rotations of the model's own context and of the stretched one (LoadOptions::yarn_factor).
struct RopeTables {
  RopeTable plain, stretched;
};

// One step: rows [0, tokens) of every activation matrix, split over sequences by `rows`.
struct Step {
  Backend& backend;
  const ModelConfig& config;
  const RopeTables& ropes;
  StepBuffers& buffers;
  const Trace* trace;  // null: nobody listens
  int64_t tokens = 0;
  std::string prefix = {};  // of the names the trace hears: "layer3."
  bool is_part = false;     // a range of another step's rows

  // Adds one sequence's next `count` rows, which may be taken back when `deferred`.
  void add_sequence(SequenceState& state, int64_t count, bool deferred, bool stretched);

  MutView take(int64_t cols) const { return buffers.scratch.take(tokens, cols); }
  std::span<const RowSpan> rows() const { return is_part ? buffers.part_rows : buffers.rows; }
  // The rows from `first` on, at most about `most` of them, as a step of their own: what comes
  // before them must have been computed, and the parts share one part's memory. Valid until the
  // next call.
  Step part(int64_t first, int64_t most) const;
  // The last row of every sequence that has one, as a step of their own. Valid as a part is.
  Step last_rows() const;
  std::span<const RopeSpan> rope() const;  // valid until the next call
  // Views of the sequences' states in one layer; valid until the next call.
  std::span<const KvSpan> kv(int64_t attention_layer) const;
  std::span<const RecurrentSpan> recurrent(int64_t recurrent_layer) const;
  KvLayout kv_layout() const;
  // Index in `buffers` of the sequence of rows()[i].
  size_t sequence(size_t i) const { return is_part ? buffers.part_sequences[i] : i; }

  void emit(std::string_view name, View value) const {
    if (trace != nullptr) (*trace)(prefix + std::string(name), value);
  }
};

}  // namespace headgate

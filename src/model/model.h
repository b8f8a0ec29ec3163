// A loaded model: configuration, weights and the forward pass over a batch of sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "cache/sequence_state.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace headgate {

// Called while loading with bytes done and bytes in all; return false to cancel (Error kCancelled).
using LoadProgress = std::function<bool(int64_t done, int64_t total)>;

struct LoadOptions {
  bool mtp = true;  // load the multi-token-prediction module when the checkpoint has one
  // A folder for packed side files: the backend's own layout of the weights, mapped by later loads
  // instead of packing again. A missing, stale or damaged file is written anew (one warning).
  // Empty: none. Ignored for models in memory.
  std::string packed_cache;
  // From 1 on: sequences marked `stretched` turn positions by YaRN with this factor and may be so
  // many times as long as the context the model was made for; all others are not touched by it,
  // even where the file asks for YaRN. 0: what the file says, for all.
  double yarn_factor = 0;
  LoadProgress progress;
};

enum class LogitRows { kNone, kLast, kAll };

// One sequence's part of a step: its next tokens. `state` must have reserved room for them; the
// forward pass advances it.
struct BatchItem {
  SequenceState* state = nullptr;
  std::span<const int32_t> tokens;  // ids in [0, vocabulary)
  LogitRows logits = LogitRows::kLast;
  // Some of the tokens may be wrong (drafts): state->rewind() to any position among them is exact
  // and free until the next step. At most state->shape().deferred_rows tokens for hybrid models.
  bool deferred = false;
  bool stretched = false;  // LoadOptions::yarn_factor; the same in every step of a sequence
};

// Results in batch order: item 0's rows, then item 1's. Buffers are reused between steps.
struct StepResult {
  int64_t vocabulary = 0;
  int64_t hidden_size = 0;
  std::vector<float> logits;       // [logit rows, vocabulary]
  std::vector<int64_t> first_row;  // per item: index of its first row in logits
  std::vector<float>
      hidden;  // [all tokens, hidden_size] after the final norm; filled when keep_hidden
  bool keep_hidden = false;
  // Asked before every layer, where set: true breaks the step off with Error kCancelled. The states
  // of its items are then of no use.
  std::function<bool()> abandon = nullptr;
};

// One sequence's part of a pass of the drafting module: pairs of hidden states and the tokens that
// follow them.
struct MtpItem {
  SequenceState* state = nullptr;  // from a pool with mtp_state_shape(); advanced
  std::span<const int32_t> tokens;
  View hidden;             // [tokens.size(), hidden_size]
  bool stretched = false;  // as the sequence is
};

// Tokens that logits are wanted of: ids [0, leading), then for each group g the 16 ids from 16 g
// on. Drafts need not weigh every token there is, and the head is the dearest part of a draft.
struct VocabularyPart {
  static constexpr int64_t kGroup = 16;
  int64_t leading = 0;          // a multiple of 16; 0: the whole vocabulary, and no groups
  std::vector<int32_t> groups;  // ascending, none of them below `leading`

  int64_t size() const { return leading + static_cast<int64_t>(groups.size()) * kGroup; }
};

// Receives inner values while a step runs: "layer3.router_logits" with its matrix. For tests and
// inspection.
using Trace = std::function<void(std::string_view name, View value)>;

struct Step;  // internal: backend, scratch, spans

class Model {
 public:
  // Reads the configuration, checks every tensor's shape (one Error naming file, tensor, found,
  // expected) and loads the weights into the backend. Backend and checkpoint must outlive the
  // model: weights may be computed straight from the mapped files.
  static std::shared_ptr<const Model> load(const Checkpoint& checkpoint, Backend& backend,
                                           const LoadOptions& options = {});
  ~Model();

  const ModelConfig& config() const;
  Backend& backend() const;
  // `deferred_rows`: the most tokens of a deferred step.
  StateShape state_shape(DType kv_dtype, int64_t page_tokens = 256,
                         int64_t deferred_rows = 0) const;
  bool has_mtp() const;
  // Most tokens of a sequence that is not stretched, and of one that is (equal where nothing is).
  int64_t native_context() const;
  int64_t longest_context() const;
  int64_t weight_bytes() const;
  int64_t weight_bytes_per_token() const;  // bytes of weights one decoded token reads (batch 1)
  int64_t routed_bytes_per_token() const;  // of these, the routed experts

  // Runs all items in one step and advances their states; an item may be empty. Throws
  // kInvalidArgument for a token outside the vocabulary, before anything has changed. Thread rule:
  // one step at a time per backend and per model.
  void forward(std::span<const BatchItem> items, StepResult& result,
               const Trace& trace = nullptr) const;

  // Multi-token prediction (only when has_mtp()): pairs (hidden_i, token_{i+1}), `hidden`
  // final-normed, at positions state.position()... of each item's state, which has reserved room
  // and is advanced; writes logits of each item's last row or of all rows, and m [those rows,
  // hidden_size]. The module's output is final-normed, so a second draft passes result.hidden of
  // the first back in as `hidden` (it may be the same memory), and dropping drafts is
  // state.rewind(). With `part`, logits are [rows, part->size()] of those tokens, with the bits
  // they have among all. Source: DeepSeek-V3 (arXiv 2412.19437, section 2.2) with Qwen3-Next's
  // order: embedding first, hidden state second.
  StateShape mtp_state_shape(DType kv_dtype, int64_t page_tokens = 256) const;
  void mtp_forward(std::span<const MtpItem> items, LogitRows logits, StepResult& result,
                   const VocabularyPart* part = nullptr) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

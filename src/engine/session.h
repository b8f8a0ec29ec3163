// One conversation with a model: its tokens and state, prompts in chunks, and the loop that
// generates.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/draft_control.h"
#include "engine/outcome.h"
#include "model/model.h"
#include "sampling/sampler.h"

namespace headgate {

struct SessionOptions {
  int64_t context = 0;           // tokens of prompt and output together; 0: the model's own length
  int64_t prefill_chunk = 0;     // prompt tokens per step; 0: default_prefill_chunk()
  DType kv_dtype = DType::kF32;  // of KvLayout
  int64_t state_budget_bytes =
      0;  // KV pages, slots and snapshots; 0: what `context` needs, plus four snapshots
  // Tokens drafted per step and verified by the next: 0 none, -1 as many as pay. Never changes a
  // text, only its speed.
  int64_t drafts = 0;
  DraftOptions drafting = {};  // how they are drawn
};

// fp32 while a token's keys and values take at most 16 KiB so, bf16 beyond: small models stay
// exact, large ones keep their stated 24 KiB per token.
DType default_kv_dtype(const ModelConfig& config);

struct GenerationRequest {
  std::vector<int32_t>
      prompt;  // the whole conversation so far; what the state holds already is reused
  SamplingParams sampling;
  int64_t max_tokens = -1;                                      // -1: until the context is full
  std::vector<int32_t> stop_tokens;                             // not part of the output
  std::shared_ptr<const TokenConstraint> constraint;            // which tokens may come; null: all
  std::function<void(int64_t done, int64_t total)> on_prefill;  // after each prompt chunk, tokens
  std::function<bool(const SampledToken&)> on_token;  // false stops with kStop (a stop string, say)
  const std::atomic<bool>* cancel = nullptr;          // polled between steps
};

struct GenerationResult {
  std::vector<int32_t> tokens;  // generated, without the stop token
  FinishReason reason = FinishReason::kStop;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt, found in the state
  double prefill_seconds = 0;
  double decode_seconds = 0;
  DraftStats drafts;
};

// Owns one sequence and remembers which tokens it holds. With drafts, each step verifies what the
// model's drafting module (or the text so far) proposes: the output is that of plain decoding,
// token for token, for any sampling parameters and seed. Thread rule: one thread; `model` outlives
// it.
class Session {
 public:
  // `text_tokens` as in Sampler. Throws kResourceExhausted when the budget cannot hold one
  // sequence.
  Session(std::shared_ptr<const Model> model, int64_t text_tokens, const SessionOptions& options);
  ~Session();

  // Throws kInvalidArgument for an empty prompt or one that does not fit the context (both numbers
  // named).
  GenerationResult generate(const GenerationRequest& request);

  // Logits of every token of `tokens` from an empty state, in steps of `chunk`: rows are handed
  // over in order.
  void score(std::span<const int32_t> tokens, int64_t chunk,
             const std::function<void(int64_t first_token, View logits)>& on_rows);

  void clear();  // forgets all tokens

  // Reads `tokens`, reusing what is held, so that the state is the one after them.
  void read(const std::vector<int32_t>& tokens,
            const std::function<void(int64_t done, int64_t total)>& on_prefill = nullptr);
  // Writes the state and `note` to a file, complete or not at all; its size in bytes. `identity` as
  // EngineOptions::model_identity. Throws kIo, kInvalidArgument when nothing is held.
  int64_t save(const std::string& path, const std::string& identity, const std::string& note) const;
  // Takes the state from a file that save() wrote with the same model, build and settings; its
  // note. Throws kNotFound, kIo, kInvalidFile for a damaged file and kUnsupported for one that does
  // not fit; the state is empty then.
  std::string load(const std::string& path, const std::string& identity);
  const std::vector<int32_t>& tokens() const;  // those that the state has consumed
  int64_t position() const;
  int64_t context() const;
  const Model& model() const;

 private:
  friend class DecodeLoop;
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace headgate

// The trainer: micro-batches of packed documents in, one optimiser step, losses out.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "formats/tensor_store.h"
#include "train/train_config.h"

namespace headgate {

constexpr int64_t kMaxMtpSteps = 3;

// `rows` rows of `length` tokens, row-major. A document is a run of tokens with one id; nothing
// crosses from one run to the next: not attention, convolution, delta state or targets. Token i + 1
// is predicted at token i when both are of one document, and i + s + 1 by MTP step s likewise, so
// the first token of a document is never a target, and no separate validity of MTP is needed.
struct TrainBatch {
  int64_t rows = 0, length = 0;
  std::vector<int32_t> tokens;     // [rows, length] ids in [0, vocabulary)
  std::vector<int32_t> documents;  // [rows, length] ids; -1: padding, which counts nowhere
  std::vector<int32_t> positions;  // [rows, length] restarted at 0 in each document; empty: derived
  std::vector<float> weights;      // [rows, length] weight of the token as a target; 0: no loss
};

// All losses are means over the target weights of all micro-batches together.
struct StepStats {
  int64_t step = 0;  // steps done, this one included
  double loss = 0;   // what is minimised: main + balance + z + MTP, weighted
  double main_loss = 0;
  double balance_loss =
      0;              // before its weight; 1 is perfect balance (kPooledLayers: experts per token)
  double z_loss = 0;  // before its weight
  std::array<double, kMaxMtpSteps> mtp_loss = {};        // of each step, before its weight
  std::array<double, kMaxMtpSteps> mtp_acceptance = {};  // P(argmax right | steps before right)
  double gradient_norm = 0;                              // before clipping
  double learning_rate = 0;
  int64_t tokens = 0;        // padding excluded
  double target_weight = 0;  // sum of the weights that counted
  // Slots sent to each expert [MoE layers (the MTP module's is last), experts].
  std::vector<std::vector<int64_t>> expert_load;
  double max_load = 0;       // worst over layers of max / mean of expert_load
  int64_t dead_experts = 0;  // without a token in this step, all layers together
};

// One weight as checkpoints name it: "model.layers.0.mlp.experts.3.up_proj.weight".
struct TrainTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::span<const float> values;
  std::span<const float> gradient;  // of the last step or gradients() call, before clipping
};

// Called with the loss of every target: row, token index of the target, loss.
using TokenLossSink = std::function<void(int64_t row, int64_t token, float loss)>;

// Losses and weights are the same bits for every thread count. Thread rule: one thread at a time.
class Trainer {
 public:
  // Fresh weights of the seed. `threads` as ThreadPool: 0 means all cores. With several ranks every
  // one makes the same calls, each with its own rows and as many micro-batches as the others;
  // losses and gradients are those of all rows together, and each rank keeps the moments of its
  // part of the weights (ZeRO-1, Rajbhandari et al., arXiv 1910.02054). Throws kUnsupported for
  // Muon or adapters on several ranks.
  explicit Trainer(const TrainConfig& config, int threads = 0, Communicator& ranks = world());
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  const TrainConfig& config() const;
  const ModelConfig& model() const;
  int64_t parameters() const;  // MTP module included, adapters not
  int64_t steps_done() const;
  // The part of the configuration that may change between runs of a relay.
  void set_schedule(const ScheduleConfig& schedule);
  // Drafts trained from now on, at most those of the configuration; with 0 the module rests.
  void set_mtp_steps(int64_t steps);

  // Forward and backward of every micro-batch, then one optimiser step. The result depends on the
  // batches' contents and order, not on how a caller's workers made them. Throws kInvalidArgument
  // for a batch that contradicts itself or without a target.
  StepStats step(std::span<const TrainBatch> micro_batches);
  StepStats step(const TrainBatch& batch) { return step({&batch, 1}); }
  // step() without the optimiser: gradients stay readable through tensors().
  StepStats gradients(std::span<const TrainBatch> micro_batches);
  // Losses only; nothing changes. `sink`, when set, receives the main loss of every target.
  StepStats evaluate(std::span<const TrainBatch> micro_batches,
                     const TokenLossSink& sink = nullptr);

  // Every weight under its Hugging Face name, in file order; spans live as long as the trainer.
  std::vector<TrainTensor> tensors() const;
  // Replaces weights by those of a checkpoint (any float type, experts apart or stacked). Moments
  // and step stay. Throws kNotFound for a missing tensor (a missing MTP module keeps its fresh
  // weights), kInvalidFile for a wrong shape.
  void load_weights(const TensorStore& store);

  // Weights, both moments and step, exact to the bit, into folder/step-NNNNNNNN; written under a
  // temporary name, synced, renamed; then only the newest `keep` stay. `data_state` is the caller's
  // (position of the data, recipe), given back by load. The first rank writes. Returns the path.
  std::string save_checkpoint(const std::string& folder, const std::string& data_state,
                              int keep = 2);
  // The newest complete checkpoint of the folder (or one named itself); returns its data_state.
  // Throws kNotFound when there is none, kInvalidFile when it is of another model.
  std::string load_checkpoint(const std::string& folder);

  // model.safetensors and config.json of the weights as they are, as bf16 or fp32: what every other
  // program loads. Tokenizer files are the caller's.
  void export_weights(const std::string& folder, DType type = DType::kBF16) const;
  // The adapters as PEFT reads them, over the model that `base` names. Throws kInvalidArgument
  // without adapters.
  void export_adapter(const std::string& folder, const std::string& base) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

// Low-rank adapters over a frozen network: A and B of every adapted matrix, their gradients and
// their files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "train/ops.h"
#include "train/optimizer.h"
#include "train/parameters.h"
#include "train/train_config.h"

namespace headgate {

// The layers multiply by W = W0 + alpha / rank B A, made anew after every step, so that they need
// not know of adapters; the gradients of A and B follow from that of W. A trained model is
// therefore the merged one to the bit.
class LoraAdapters {
 public:
  // Marks every matrix of `map` frozen that no adapter needs the gradient of. A starts uniform
  // within 1 / sqrt(inputs), B zero. Throws kInvalidArgument when nothing is adapted.
  LoraAdapters(const LoraConfig& config, ParameterMap& map, uint64_t seed);

  // Remembers the adapted matrices of `weights` as W0.
  void take_base(const float* weights);
  // Writes W of every adapted matrix.
  void merge(Ops<float>& ops, float* weights);
  // A's and B's gradients from that of the weights.
  void project(Ops<float>& ops, const float* gradient);
  // AdamW on A and B, with decay on both.
  void update(Ops<float>& ops, const OptimizerConfig& config, const OptimizerStep& step);

  std::span<float> values() { return all(values_); }
  std::span<float> gradient() { return all(gradient_); }
  std::span<float> first() { return all(first_); }
  std::span<float> second() { return all(second_); }
  int64_t count() const { return size_; }
  // Names and shapes, for the digest of checkpoints.
  std::string description() const;

  // adapter_model.safetensors (fp32) and adapter_config.json, as PEFT names them.
  void write(const std::string& folder, const std::string& base) const;

 private:
  struct Target {
    std::string name;  // of the matrix
    int64_t offset = 0, rows = 0, cols = 0;
    int64_t base = 0, a = 0, b = 0;  // offsets of W0, A [rank, cols], B [rows, rank]
  };
  std::span<float> all(const Buffer<float>& buffer) const {
    return {buffer.data(), static_cast<size_t>(size_)};
  }

  LoraConfig config_;
  float scale_ = 0;
  int64_t size_ = 0;
  std::vector<Target> targets_;
  Buffer<float> base_, values_, gradient_, first_, second_, scaled_;
};

}  // namespace headgate

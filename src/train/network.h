// The whole network in training: forward, losses, backward of one micro-batch.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "train/layers/cross_entropy.h"
#include "train/layers/decoder_layer.h"
#include "train/trainer.h"

namespace headgate {

// Main loss first, then the MTP steps.
constexpr int64_t kMaxLosses = 1 + kMaxMtpSteps;

// Sums over one micro-batch, or over several added up.
struct LossSums {
  std::array<double, kMaxLosses> loss = {};    // weighted sums
  std::array<double, kMaxLosses> weight = {};  // of the targets
  std::array<int64_t, kMaxMtpSteps> drafts = {}, accepted = {};
};

// Target weights of each loss in a micro-batch, known before any forward pass.
std::array<double, kMaxLosses> target_weights(const BatchLayout& layout, int64_t mtp_steps);

template <typename T>
class Network {
 public:
  // Weights and gradients are arrays laid out by `ranges`; gradients are added to.
  Network(const ModelConfig& config, const NetworkRanges& ranges, const T* weights, T* gradients);
  ~Network();

  // MoE layers, the MTP module's last when the last forward pass ran it.
  int64_t routers() const;

  // Hidden states of the trunk and of `mtp_steps` steps. With `recompute` the layers' inner values
  // are dropped and computed again in backward().
  void forward(Ops<T>& ops, const BatchLayout& layout, int64_t mtp_steps, bool recompute);
  // Sums over the routers of the last forward pass.
  std::vector<RouterSums> router_sums() const;
  // Adds the losses of the last forward pass; with any scale not 0 backward() may follow. `sink`
  // as in Trainer::evaluate.
  void losses(Ops<T>& ops, const std::array<double, kMaxLosses>& scales, LossSums& sums,
              const TokenLossSink& sink = nullptr);
  struct BackwardOptions {
    bool mtp_reaches_trunk = true;
    bool freeze_router = false;
  };
  // Adds the gradients of the scaled losses and of the routers' losses (one entry per router).
  void backward(Ops<T>& ops, const std::vector<RouterLossGradient<T>>& routers,
                const BackwardOptions& options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

// Chooses experts per token, groups tokens by expert, and carries gradients back to the logits.
#pragma once

#include <cstdint>
#include <vector>

#include "train/layout.h"
#include "train/ops.h"

namespace headgate {

// Slots are (token, choice) pairs, sorted by expert and inside an expert by token: a stable order
// that no thread changes. Padding has no slots.
struct Routing {
  int64_t experts = 0, choices = 0;
  std::vector<int32_t> chosen;       // [tokens, choices] experts, most probable first
  std::vector<int64_t> first;        // [experts + 1] first slot of each expert
  std::vector<int32_t> slot_token;   // [slots]
  std::vector<int32_t> slot_choice;  // [slots]
  std::vector<int32_t> token_slot;   // [tokens, choices]; -1 for padding

  int64_t slots() const { return first.back(); }
  int64_t load(int64_t expert) const {
    return first[static_cast<size_t>(expert + 1)] - first[static_cast<size_t>(expert)];
  }
};

template <typename T>
struct RouterSaved {
  Buffer<T> logits;         // [tokens, experts (+ 1: the shared expert's gate)]
  Buffer<T> probabilities;  // [tokens, experts], 0 for padding
  Buffer<T> weights;        // [tokens, choices]
  Buffer<T> lse;            // [tokens, 1], 0 for padding
  Routing routing;
};

// Probabilities, the `choices` most probable experts (the lower index on ties), their weights
// (divided by their sum when `renormalise`) and the grouping, from the first columns of logits.
template <typename T>
void route(Ops<T>& ops, const BatchLayout& layout, int64_t experts, int64_t choices,
           bool renormalise, RouterSaved<T>& saved);

// What the balance and z losses add per token: dp_e = balance[e], d(lse^2) = z.
template <typename T>
struct RouterLossGradient {
  std::vector<T> balance;  // [experts]
  T z = 0;
};

// d_logits [tokens, experts] from the gradient of the weights [tokens, choices] and the losses.
template <typename T>
void route_backward(Ops<T>& ops, const BatchLayout& layout, bool renormalise,
                    const RouterSaved<T>& saved, In<T> d_weights,
                    const RouterLossGradient<T>& losses, Out<T> d_logits);

// Sums over a layer's tokens that the losses are made of.
struct RouterSums {
  std::vector<int64_t> load;   // slots per expert
  std::vector<double> chance;  // sum over tokens of each probability
  double z = 0;                // sum over tokens of lse^2
  int64_t tokens = 0;          // padding excluded

  void add(const RouterSums& other);
};
template <typename T>
RouterSums router_sums(const BatchLayout& layout, const RouterSaved<T>& saved);

// E sum_e f_e p_e with f = load / (tokens * choices) of `counted` and p = chance / tokens of
// `sums`; 1 when balanced. Source: arXiv 2501.11873, equation 4.
double balance_loss(const RouterSums& sums, const RouterSums& counted, int64_t choices);

}  // namespace headgate

// Routing, forward and backward.
#include "train/layers/router.h"

#include <algorithm>
#include <cmath>

#include "train/layers/activations.h"

namespace headgate {
namespace {

// Softmax of one token; returns log of the denominator.
template <typename T>
T softmax(const T* logits, int64_t n, T* p) {
  const T most = *std::max_element(logits, logits + n);
  const T sum = exp_shifted(logits, most, n, p);
  for (int64_t e = 0; e < n; ++e) p[e] /= sum;
  return most + std::log(sum);
}

// The largest of p, largest first, by repeated search: choices are few.
template <typename T>
void choose(const T* p, int64_t experts, int64_t choices, int32_t* chosen) {
  for (int64_t k = 0; k < choices; ++k) {
    int64_t best = -1;
    for (int64_t e = 0; e < experts; ++e) {
      if (best >= 0 && !(p[e] > p[best])) continue;
      if (std::find(chosen, chosen + k, static_cast<int32_t>(e)) == chosen + k) best = e;
    }
    chosen[k] = static_cast<int32_t>(best);
  }
}

// Counting sort of the choices by expert.
void group(const BatchLayout& layout, Routing& r) {
  const auto experts = static_cast<size_t>(r.experts);
  r.first.assign(experts + 1, 0);
  const auto choices = static_cast<size_t>(r.choices);
  for (size_t t = 0; t < layout.active.size(); ++t) {
    if (layout.active[t] == 0) continue;
    for (size_t k = 0; k < choices; ++k) {
      ++r.first[static_cast<size_t>(r.chosen[t * choices + k]) + 1];
    }
  }
  for (size_t e = 0; e < experts; ++e) r.first[e + 1] += r.first[e];
  std::vector<int64_t> next(r.first.begin(), r.first.end() - 1);
  r.slot_token.resize(static_cast<size_t>(r.slots()));
  r.slot_choice.resize(static_cast<size_t>(r.slots()));
  r.token_slot.assign(layout.active.size() * choices, -1);
  for (size_t t = 0; t < layout.active.size(); ++t) {
    if (layout.active[t] == 0) continue;
    for (size_t k = 0; k < choices; ++k) {
      const auto slot = static_cast<size_t>(next[static_cast<size_t>(r.chosen[t * choices + k])]++);
      r.slot_token[slot] = static_cast<int32_t>(t);
      r.slot_choice[slot] = static_cast<int32_t>(k);
      r.token_slot[t * choices + k] = static_cast<int32_t>(slot);
    }
  }
}

}  // namespace

template <typename T>
void route(Ops<T>& ops, const BatchLayout& layout, int64_t experts, int64_t choices,
           bool renormalise, RouterSaved<T>& saved) {
  const int64_t n = layout.size();
  Routing& r = saved.routing;
  r.experts = experts;
  r.choices = choices;
  r.chosen.resize(static_cast<size_t>(n * choices));
  const Out<T> logits = saved.logits.view(), p = saved.probabilities.shape(n, experts);
  const Out<T> weights = saved.weights.shape(n, choices), lse = saved.lse.shape(n, 1);
  ops.rows(n, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      int32_t* chosen = r.chosen.data() + t * choices;
      lse.data[t] = softmax(logits.row(t), experts, p.row(t));
      choose(p.row(t), experts, choices, chosen);
      T sum = 0;
      for (int64_t k = 0; k < choices; ++k) sum += p.row(t)[chosen[k]];
      for (int64_t k = 0; k < choices; ++k) {
        weights.row(t)[k] = renormalise ? p.row(t)[chosen[k]] / sum : p.row(t)[chosen[k]];
      }
      if (layout.active[static_cast<size_t>(t)] == 0) {
        std::fill(p.row(t), p.row(t) + experts, T(0));
        lse.data[t] = 0;
      }
    }
  });
  group(layout, r);
}

template <typename T>
void route_backward(Ops<T>& ops, const BatchLayout& layout, bool renormalise,
                    const RouterSaved<T>& saved, In<T> d_weights,
                    const RouterLossGradient<T>& losses, Out<T> d_logits) {
  const Routing& r = saved.routing;
  const Out<T> p = saved.probabilities.view(), weights = saved.weights.view();
  const T* lse = saved.lse.data();
  ops.rows(layout.size(), [&](int64_t first, int64_t count) {
    std::vector<T> dp(static_cast<size_t>(r.experts));
    for (int64_t t = first; t < first + count; ++t) {
      T* out = d_logits.row(t);
      std::fill(out, out + r.experts, T(0));
      if (layout.active[static_cast<size_t>(t)] == 0) continue;
      const int32_t* chosen = r.chosen.data() + t * r.choices;
      std::copy(losses.balance.begin(), losses.balance.end(), dp.begin());
      T dot = 0;
      for (int64_t k = 0; k < r.choices; ++k) dot += weights.row(t)[k] * d_weights.row(t)[k];
      for (int64_t k = 0; k < r.choices; ++k) {
        const T dw = d_weights.row(t)[k];
        if (renormalise) {
          out[chosen[k]] = weights.row(t)[k] * (dw - dot);
        } else {
          dp[static_cast<size_t>(chosen[k])] += dw;
        }
      }
      T mean = 0;
      for (int64_t e = 0; e < r.experts; ++e) mean += p.row(t)[e] * dp[static_cast<size_t>(e)];
      for (int64_t e = 0; e < r.experts; ++e) {
        out[e] += p.row(t)[e] * (dp[static_cast<size_t>(e)] - mean + T(2) * losses.z * lse[t]);
      }
    }
  });
}

void RouterSums::add(const RouterSums& other) {
  load.resize(other.load.size(), 0);
  chance.resize(other.chance.size(), 0);
  for (size_t e = 0; e < other.load.size(); ++e) {
    load[e] += other.load[e];
    chance[e] += other.chance[e];
  }
  z += other.z;
  tokens += other.tokens;
}

template <typename T>
RouterSums router_sums(const BatchLayout& layout, const RouterSaved<T>& saved) {
  const Routing& r = saved.routing;
  RouterSums sums;
  sums.chance.assign(static_cast<size_t>(r.experts), 0);
  for (int64_t e = 0; e < r.experts; ++e) sums.load.push_back(r.load(e));
  for (int64_t t = 0; t < layout.size(); ++t) {
    if (layout.active[static_cast<size_t>(t)] == 0) continue;
    ++sums.tokens;
    const T* p = saved.probabilities.view().row(t);
    for (int64_t e = 0; e < r.experts; ++e) {
      sums.chance[static_cast<size_t>(e)] += static_cast<double>(p[e]);
    }
    const auto lse = static_cast<double>(saved.lse.data()[t]);
    sums.z += lse * lse;
  }
  return sums;
}

double balance_loss(const RouterSums& sums, const RouterSums& counted, int64_t choices) {
  double total = 0;
  const double slots = static_cast<double>(counted.tokens * choices);
  for (size_t e = 0; e < sums.load.size(); ++e) {
    total += static_cast<double>(counted.load[e]) / slots * sums.chance[e];
  }
  return total * static_cast<double>(sums.load.size()) / static_cast<double>(sums.tokens);
}

#define HEADGATE_ROUTER(T)                                                                         \
  template void route<T>(Ops<T>&, const BatchLayout&, int64_t, int64_t, bool, RouterSaved<T>&);    \
  template void route_backward<T>(Ops<T>&, const BatchLayout&, bool, const RouterSaved<T>&, In<T>, \
                                  const RouterLossGradient<T>&, Out<T>);                           \
  template RouterSums router_sums<T>(const BatchLayout&, const RouterSaved<T>&);
HEADGATE_ROUTER(float)
HEADGATE_ROUTER(double)
#undef HEADGATE_ROUTER

}  // namespace headgate

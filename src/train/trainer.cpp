// The loop over micro-batches around the network and the optimiser.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/cpu_info.h"
#include "base/error.h"
#include "base/random.h"
#include "train/checkpoint_file.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/weight_files.h"

namespace headgate {
namespace {

// Names and shapes of all weights, in 16 hexadecimal digits.
std::string layout_digest(const ParameterMap& map) {
  uint64_t digest = 0;
  for (const ParameterSlice& slice : map.slices) {
    for (const char c : slice.name) digest = mix_bits(digest ^ static_cast<unsigned char>(c));
    for (const int64_t d : slice.shape) digest = mix_bits(digest ^ static_cast<uint64_t>(d));
  }
  return fmt::format("{:016x}", digest);
}

int64_t count_active(const BatchLayout& layout, int64_t shift) {
  int64_t count = 0;
  for (int64_t t = 0; t < layout.size(); ++t) {
    count += shift == 0 ? layout.active[static_cast<size_t>(t)] : layout.has(t, shift) ? 1 : 0;
  }
  return count;
}

// What one call has added up over its micro-batches.
struct Totals {
  std::array<double, kMaxLosses> weight = {};  // of all micro-batches
  int64_t tokens = 0, mtp_tokens = 0;          // routed tokens of a trunk router, of the module's
  LossSums losses;
  std::vector<RouterSums> routers;   // running
  std::vector<double> micro_losses;  // kMicroPerLayer: per router, weighted by tokens
};

}  // namespace

struct Trainer::Impl {
  TrainConfig config;
  ModelConfig model;
  ThreadPool pool;
  ParameterMap map;
  Buffer<float> weights, gradient, first, second;
  Ops<float> ops;
  std::unique_ptr<Network<float>> network;
  int64_t steps = 0;

  Impl(const TrainConfig& c, int threads)
      : config(c),
        model(train_model_config(c)),
        pool(threads),
        map(make_parameter_map(model)),
        ops(pool, c.precision != TrainPrecision::kF32) {
    weights.zeros(1, map.size);
    gradient.zeros(1, map.size);
    first.zeros(1, map.size);
    second.zeros(1, map.size);
    pool.run(static_cast<int64_t>(map.slices.size()), [&](int64_t i, int) {
      const ParameterSlice& slice = map.slices[static_cast<size_t>(i)];
      initialise(slice, config.seed, weights.data() + slice.offset);
    });
    network = std::make_unique<Network<float>>(model, map.ranges, weights.data(), gradient.data());
  }

  std::span<float> all(const Buffer<float>& buffer) const {
    return {buffer.data(), static_cast<size_t>(map.size)};
  }

  std::vector<BatchLayout> layouts(std::span<const TrainBatch> batches, Totals& totals) const {
    std::vector<BatchLayout> out;
    for (const TrainBatch& batch : batches) {
      out.push_back(make_layout(batch, model.vocabulary));
      const auto weight = target_weights(out.back(), config.loss.mtp_steps);
      for (size_t i = 0; i < weight.size(); ++i) totals.weight[i] += weight[i];
      totals.tokens += count_active(out.back(), 0);
      for (int64_t s = 1; s <= config.loss.mtp_steps; ++s) {
        totals.mtp_tokens += count_active(out.back(), s);
      }
    }
    if (!(totals.weight[0] > 0)) {
      fail(ErrorCode::kInvalidArgument, "train batch: no token has a loss");
    }
    return out;
  }

  // d(total loss) / d(sum of one loss).
  std::array<double, kMaxLosses> scales(const Totals& totals) const {
    std::array<double, kMaxLosses> out = {};
    for (size_t i = 0; i < out.size(); ++i) {
      if (totals.weight[i] > 0) out[i] = loss_weight(i) / totals.weight[i];
    }
    return out;
  }
  double loss_weight(size_t loss) const {
    if (loss == 0) return 1;
    return config.loss.mtp_weight * std::pow(config.loss.mtp_decay, static_cast<double>(loss - 1));
  }

  int64_t router_tokens(const Totals& totals, size_t router) const {
    const bool module = config.loss.mtp_steps > 0 && model.moe.experts > 0 &&
                        static_cast<int64_t>(router) + 1 == network->routers();
    return module ? totals.mtp_tokens : totals.tokens;
  }

  void run(std::span<const TrainBatch> batches, bool backward, const TokenLossSink& sink,
           Totals& totals);
  void add_routers(const std::vector<RouterSums>& sums, Totals& totals) const;
  std::vector<RouterLossGradient<float>> router_gradients(const std::vector<RouterSums>& micro,
                                                          const Totals& totals) const;
  StepStats report(const Totals& totals) const;
  void report_routers(const Totals& totals, StepStats& stats) const;
};

void Trainer::Impl::add_routers(const std::vector<RouterSums>& sums, Totals& totals) const {
  totals.routers.resize(sums.size());
  totals.micro_losses.resize(sums.size(), 0);
  for (size_t r = 0; r < sums.size(); ++r) {
    totals.routers[r].add(sums[r]);
    if (sums[r].tokens == 0) continue;
    totals.micro_losses[r] += balance_loss(sums[r], sums[r], model.moe.experts_per_token) *
                              static_cast<double>(sums[r].tokens);
  }
}

std::vector<RouterLossGradient<float>> Trainer::Impl::router_gradients(
    const std::vector<RouterSums>& micro, const Totals& totals) const {
  const auto count = micro.size();
  const auto experts = static_cast<size_t>(model.moe.experts);
  std::vector<RouterLossGradient<float>> out(count);
  RouterSums pooled;
  double all_tokens = 0;
  for (size_t r = 0; r < count; ++r) {
    pooled.add(totals.routers[r]);
    all_tokens += static_cast<double>(router_tokens(totals, r));
  }
  for (size_t r = 0; r < count; ++r) {
    const BalanceLoss mode = config.loss.balance;
    const RouterSums& counted = mode == BalanceLoss::kMicroPerLayer  ? micro[r]
                                : mode == BalanceLoss::kPooledLayers ? pooled
                                                                     : totals.routers[r];
    const auto tokens = static_cast<double>(router_tokens(totals, r));
    const double share = 1.0 / (static_cast<double>(count) * std::max(tokens, 1.0));
    out[r].z = static_cast<float>(config.loss.z_weight * share);
    out[r].balance.assign(experts, 0.0f);
    if (counted.tokens == 0) continue;
    for (size_t e = 0; e < experts; ++e) {
      // Transformers' f counts slots per token, so it is experts_per_token times larger.
      const double f = static_cast<double>(counted.load[e]) / static_cast<double>(counted.tokens);
      const double scale = mode == BalanceLoss::kPooledLayers
                               ? 1.0 / all_tokens
                               : share / static_cast<double>(model.moe.experts_per_token);
      out[r].balance[e] =
          static_cast<float>(config.loss.balance_weight * static_cast<double>(experts) * f * scale);
    }
  }
  return out;
}

void Trainer::Impl::run(std::span<const TrainBatch> batches, bool backward,
                        const TokenLossSink& sink, Totals& totals) {
  const std::vector<BatchLayout> all_layouts = layouts(batches, totals);
  const auto scale = backward ? scales(totals) : std::array<double, kMaxLosses>{};
  if (backward) {
    pool.run((map.size + 65535) / 65536, [&](int64_t block, int) {
      const int64_t from = block * 65536, to = std::min(map.size, from + 65536);
      std::fill(gradient.data() + from, gradient.data() + to, 0.0f);
    });
  }
  for (const BatchLayout& layout : all_layouts) {
    network->forward(ops, layout, config.loss.mtp_steps, config.recompute && backward);
    const std::vector<RouterSums> sums = network->router_sums();
    add_routers(sums, totals);
    network->losses(ops, scale, totals.losses, sink);
    if (!backward) continue;
    network->backward(ops, router_gradients(sums, totals),
                      {config.loss.mtp_reaches_trunk, config.freeze_router});
  }
}

void Trainer::Impl::report_routers(const Totals& totals, StepStats& stats) const {
  const auto routers = static_cast<double>(totals.routers.size());
  RouterSums pooled;
  for (size_t r = 0; r < totals.routers.size(); ++r) {
    const RouterSums& sums = totals.routers[r];
    pooled.add(sums);
    stats.expert_load.push_back(sums.load);
    int64_t most = 0, slots = 0;
    for (const int64_t load : sums.load) {
      most = std::max(most, load);
      slots += load;
      stats.dead_experts += load == 0 ? 1 : 0;
    }
    if (sums.tokens == 0) continue;
    const double mean = static_cast<double>(slots) / static_cast<double>(sums.load.size());
    stats.max_load = std::max(stats.max_load, static_cast<double>(most) / mean);
    stats.z_loss += sums.z / static_cast<double>(sums.tokens) / routers;
    stats.balance_loss += config.loss.balance == BalanceLoss::kMicroPerLayer
                              ? totals.micro_losses[r] / static_cast<double>(sums.tokens) / routers
                              : balance_loss(sums, sums, model.moe.experts_per_token) / routers;
  }
  if (config.loss.balance == BalanceLoss::kPooledLayers && pooled.tokens > 0) {
    stats.balance_loss = balance_loss(pooled, pooled, 1);
  }
}

StepStats Trainer::Impl::report(const Totals& totals) const {
  StepStats stats;
  stats.step = steps;
  stats.tokens = totals.tokens;
  stats.target_weight = totals.weight[0];
  stats.main_loss = totals.losses.loss[0] / totals.weight[0];
  report_routers(totals, stats);
  stats.loss = stats.main_loss + config.loss.balance_weight * stats.balance_loss +
               config.loss.z_weight * stats.z_loss;
  for (size_t s = 0; s < static_cast<size_t>(config.loss.mtp_steps); ++s) {
    if (totals.weight[s + 1] > 0) {
      stats.mtp_loss[s] = totals.losses.loss[s + 1] / totals.weight[s + 1];
    }
    if (totals.losses.drafts[s] > 0) {
      stats.mtp_acceptance[s] = static_cast<double>(totals.losses.accepted[s]) /
                                static_cast<double>(totals.losses.drafts[s]);
    }
    stats.loss += loss_weight(s + 1) * stats.mtp_loss[s];
  }
  return stats;
}

Trainer::Trainer(const TrainConfig& config, int threads) {
  if (config.loss.mtp_steps < 0 || config.loss.mtp_steps > kMaxMtpSteps) {
    fail(ErrorCode::kInvalidArgument, "train: {} MTP steps, expected 0 to {}",
         config.loss.mtp_steps, kMaxMtpSteps);
  }
  if (config.precision == TrainPrecision::kBF16 && selected_isa() < Isa::kAvx512Bf16) {
    fail(ErrorCode::kUnsupported, "train: bf16 products need AVX512_BF16, this machine runs {}",
         isa_name(selected_isa()));
  }
  impl_ = std::make_unique<Impl>(config, threads);
}
Trainer::~Trainer() = default;

const TrainConfig& Trainer::config() const { return impl_->config; }
const ModelConfig& Trainer::model() const { return impl_->model; }
int64_t Trainer::parameters() const { return impl_->map.count; }
int64_t Trainer::steps_done() const { return impl_->steps; }
void Trainer::set_schedule(const ScheduleConfig& schedule) { impl_->config.schedule = schedule; }

StepStats Trainer::gradients(std::span<const TrainBatch> micro_batches) {
  Totals totals;
  impl_->run(micro_batches, true, nullptr, totals);
  StepStats stats = impl_->report(totals);
  stats.gradient_norm = gradient_norm(impl_->pool, impl_->all(impl_->gradient));
  return stats;
}

StepStats Trainer::step(std::span<const TrainBatch> micro_batches) {
  StepStats stats = gradients(micro_batches);
  Impl& s = *impl_;
  if (!std::isfinite(stats.gradient_norm)) {
    fail(ErrorCode::kInternal, "train: step {}: the gradient is not finite (loss {})", s.steps + 1,
         stats.loss);
  }
  OptimizerStep update;
  update.rate = learning_rate(s.config.schedule, s.steps);
  update.number = s.steps + 1;
  update.freeze_router = s.config.freeze_router;
  const double limit = s.config.optimizer.clip_norm;
  if (limit > 0) update.gradient_scale = std::min(1.0, limit / (stats.gradient_norm + 1e-6));
  optimizer_step(s.ops, s.config.optimizer, s.map,
                 {s.weights.data(), s.gradient.data(), s.first.data(), s.second.data()}, update);
  stats.step = ++s.steps;
  stats.learning_rate = update.rate;
  return stats;
}

StepStats Trainer::evaluate(std::span<const TrainBatch> micro_batches, const TokenLossSink& sink) {
  Totals totals;
  impl_->run(micro_batches, false, sink, totals);
  return impl_->report(totals);
}

std::vector<TrainTensor> Trainer::tensors() const {
  std::vector<TrainTensor> out;
  for (const ParameterSlice& slice : impl_->map.slices) {
    const auto count = static_cast<size_t>(slice.count);
    out.push_back({slice.name,
                   slice.shape,
                   {impl_->weights.data() + slice.offset, count},
                   {impl_->gradient.data() + slice.offset, count}});
  }
  return out;
}

void Trainer::load_weights(const TensorStore& store) {
  read_weights(store, impl_->map, impl_->weights.data());
}

std::string Trainer::save_checkpoint(const std::string& folder, const std::string& data_state,
                                     int keep) {
  const Impl& s = *impl_;
  return write_training_state(folder,
                              {s.steps, layout_digest(s.map), data_state, s.all(s.weights),
                               s.all(s.first), s.all(s.second)},
                              keep);
}

std::string Trainer::load_checkpoint(const std::string& folder) {
  Impl& s = *impl_;
  TrainingState state{
      0, layout_digest(s.map), "", s.all(s.weights), s.all(s.first), s.all(s.second)};
  read_training_state(folder, state);
  s.steps = state.step;
  return state.data_state;
}

void Trainer::export_weights(const std::string& folder, DType type) const {
  write_weights(folder, impl_->config.model_json, type, impl_->map, impl_->weights.data());
}

}  // namespace headgate

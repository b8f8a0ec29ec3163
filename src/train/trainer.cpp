// The loop over micro-batches around the network and the optimiser.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/cpu_info.h"
#include "base/error.h"
#include "base/random.h"
#include "train/checkpoint_file.h"
#include "train/lora.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/weight_files.h"

namespace headgate {
namespace {

// Names and shapes of all weights and adapters, in 16 hexadecimal digits.
std::string layout_digest(const ParameterMap& map, const std::optional<LoraAdapters>& adapters) {
  uint64_t digest = 0;
  for (const ParameterSlice& slice : map.slices) {
    for (const char c : slice.name) digest = mix_bits(digest ^ static_cast<unsigned char>(c));
    for (const int64_t d : slice.shape) digest = mix_bits(digest ^ static_cast<uint64_t>(d));
  }
  if (adapters) {
    for (const char c : adapters->description())
      digest = mix_bits(digest ^ static_cast<unsigned char>(c));
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
  Communicator& ranks;
  ThreadPool pool;
  ParameterMap map;
  int64_t shard = 0;                // numbers of the arrays that a rank keeps moments of
  Buffer<float> weights, gradient;  // of all ranks' shards, end to end
  Buffer<float> shard_gradient, first, second;  // of this rank's
  Ops<float> ops;
  std::optional<LoraAdapters> adapters;
  std::unique_ptr<Network<float>> network;
  int64_t steps = 0;
  int64_t mtp_steps = 0;  // of the step at hand

  Impl(const TrainConfig& c, int threads, Communicator& communicator)
      : config(c),
        model(train_model_config(c)),
        ranks(communicator),
        pool(threads),
        map(make_parameter_map(model)),
        ops(pool, c.precision != TrainPrecision::kF32),
        mtp_steps(c.loss.mtp_steps) {
    shard = (map.size / ranks.ranks() + 16) / 16 * 16;
    if (ranks.ranks() == 1) shard = map.size;
    weights.zeros(1, shard * ranks.ranks());
    gradient.zeros(1, shard * ranks.ranks());
    if (config.lora.rank > 0) {
      adapters.emplace(config.lora, map, config.seed);
    } else {
      if (ranks.ranks() > 1) shard_gradient.zeros(1, shard);
      first.zeros(1, shard);
      second.zeros(1, shard);
    }
    pool.run(static_cast<int64_t>(map.slices.size()), [&](int64_t i, int) {
      const ParameterSlice& slice = map.slices[static_cast<size_t>(i)];
      initialise(slice, config.seed, weights.data() + slice.offset);
    });
    if (adapters) adapters->take_base(weights.data());
    network = std::make_unique<Network<float>>(model, map.ranges, weights.data(), gradient.data());
  }

  std::span<float> all(const Buffer<float>& buffer) const {
    return {buffer.data(), static_cast<size_t>(map.size)};
  }
  std::span<float> my_shard(const Buffer<float>& buffer) const {
    const int64_t offset = buffer.data() == weights.data() ? ranks.rank() * shard : 0;
    return {buffer.data() + offset, static_cast<size_t>(shard)};
  }
  // Of all rows: this rank's shard of it.
  std::span<float> summed_gradient() {
    if (ranks.ranks() == 1) return my_shard(gradient);
    ranks.sum_shards({gradient.data(), static_cast<size_t>(shard * ranks.ranks())},
                     my_shard(shard_gradient));
    return my_shard(shard_gradient);
  }
  double norm_of_all(double mine) const {
    double square[1] = {mine * mine};
    ranks.sum(square);
    return ranks.ranks() == 1 ? mine : std::sqrt(square[0]);
  }

  // What the optimiser moves and checkpoints keep. On several ranks the moments are gathered into,
  // or read into, `whole` [2][shards].
  TrainingState state(Buffer<float>& whole) {
    const std::string layout = layout_digest(map, adapters);
    if (adapters)
      return {steps, layout, "", adapters->values(), adapters->first(), adapters->second()};
    if (ranks.ranks() == 1) return {steps, layout, "", all(weights), all(first), all(second)};
    const Out<float> both = whole.shape(2, shard * ranks.ranks());
    const auto part = [&](int64_t i) {
      return std::span<float>(both.row(i), static_cast<size_t>(both.cols));
    };
    ranks.gather_shards(my_shard(first), part(0));
    ranks.gather_shards(my_shard(second), part(1));
    const auto size = static_cast<size_t>(map.size);
    return {steps, layout, "", all(weights), part(0).first(size), part(1).first(size)};
  }

  std::vector<BatchLayout> layouts(std::span<const TrainBatch> batches, Totals& totals) const {
    std::vector<BatchLayout> out;
    for (const TrainBatch& batch : batches) {
      out.push_back(make_layout(batch, model.vocabulary));
      const auto weight = target_weights(out.back(), mtp_steps);
      for (size_t i = 0; i < weight.size(); ++i) totals.weight[i] += weight[i];
      totals.tokens += count_active(out.back(), 0);
      for (int64_t s = 1; s <= mtp_steps; ++s) {
        totals.mtp_tokens += count_active(out.back(), s);
      }
    }
    ranks.sum(totals.weight);
    int64_t tokens[] = {totals.tokens, totals.mtp_tokens};
    ranks.sum(tokens);
    totals.tokens = tokens[0];
    totals.mtp_tokens = tokens[1];
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
    const bool module = mtp_steps > 0 && model.moe.experts > 0 &&
                        static_cast<int64_t>(router) + 1 == network->routers();
    return module ? totals.mtp_tokens : totals.tokens;
  }

  void run(std::span<const TrainBatch> batches, bool backward, const TokenLossSink& sink,
           Totals& totals);
  // Over the ranks.
  void sum_router(RouterSums& sums) const;
  void sum_losses(LossSums& sums) const;
  void add_routers(const std::vector<RouterSums>& sums, Totals& totals) const;
  std::vector<RouterLossGradient<float>> router_gradients(const std::vector<RouterSums>& micro,
                                                          const Totals& totals) const;
  StepStats report(const Totals& totals) const;
  void report_routers(const Totals& totals, StepStats& stats) const;
};

void Trainer::Impl::sum_router(RouterSums& sums) const {
  if (ranks.ranks() == 1) return;
  ranks.sum(sums.load);
  std::vector<double> parts = sums.chance;
  parts.push_back(sums.z);
  ranks.sum(parts);
  std::copy(parts.begin(), parts.end() - 1, sums.chance.begin());
  sums.z = parts.back();
  int64_t tokens[] = {sums.tokens};
  ranks.sum(tokens);
  sums.tokens = tokens[0];
}

void Trainer::Impl::sum_losses(LossSums& sums) const {
  if (ranks.ranks() == 1) return;
  ranks.sum(sums.loss);
  ranks.sum(sums.weight);
  ranks.sum(sums.drafts);
  ranks.sum(sums.accepted);
}

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
    network->forward(ops, layout, mtp_steps, config.recompute && backward);
    std::vector<RouterSums> sums = network->router_sums();
    for (RouterSums& router : sums) sum_router(router);
    add_routers(sums, totals);
    network->losses(ops, scale, totals.losses, sink);
    if (!backward) continue;
    network->backward(ops, router_gradients(sums, totals),
                      {config.loss.mtp_reaches_trunk, config.freeze_router});
  }
  sum_losses(totals.losses);
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
  for (size_t s = 0; s < static_cast<size_t>(mtp_steps); ++s) {
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

Trainer::Trainer(const TrainConfig& config, int threads, Communicator& ranks) {
  if (config.loss.mtp_steps < 0 || config.loss.mtp_steps > kMaxMtpSteps) {
    fail(ErrorCode::kInvalidArgument, "train: {} MTP steps, expected 0 to {}",
         config.loss.mtp_steps, kMaxMtpSteps);
  }
  if (config.precision == TrainPrecision::kBF16 && selected_isa() < Isa::kAvx512Bf16) {
    fail(ErrorCode::kUnsupported, "train: bf16 products need AVX512_BF16, this machine runs {}",
         isa_name(selected_isa()));
  }
  if (ranks.ranks() > 1 &&
      (config.lora.rank > 0 || config.optimizer.kind == OptimizerKind::kMuon)) {
    fail(ErrorCode::kUnsupported, "train: Muon and adapters run on one rank, found {}",
         ranks.ranks());
  }
  impl_ = std::make_unique<Impl>(config, threads, ranks);
}
Trainer::~Trainer() = default;

const TrainConfig& Trainer::config() const { return impl_->config; }
const ModelConfig& Trainer::model() const { return impl_->model; }
int64_t Trainer::parameters() const { return impl_->map.count; }
int64_t Trainer::steps_done() const { return impl_->steps; }
void Trainer::set_schedule(const ScheduleConfig& schedule) { impl_->config.schedule = schedule; }
void Trainer::set_mtp_steps(int64_t steps) {
  HEADGATE_CHECK(steps >= 0 && steps <= impl_->config.loss.mtp_steps);
  impl_->mtp_steps = steps;
}

StepStats Trainer::gradients(std::span<const TrainBatch> micro_batches) {
  Totals totals;
  impl_->run(micro_batches, true, nullptr, totals);
  Impl& s = *impl_;
  StepStats stats = s.report(totals);
  if (s.adapters) s.adapters->project(s.ops, s.gradient.data());
  const std::span<float> gradient = s.adapters ? s.adapters->gradient() : s.summed_gradient();
  stats.gradient_norm = s.norm_of_all(gradient_norm(s.pool, gradient));
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
  update.freeze_mtp = s.mtp_steps == 0;
  const double limit = s.config.optimizer.clip_norm;
  if (limit > 0) update.gradient_scale = std::min(1.0, limit / (stats.gradient_norm + 1e-6));
  if (s.adapters) {
    s.adapters->update(s.ops, s.config.optimizer, update);
    s.adapters->merge(s.ops, s.weights.data());
  } else {
    const std::span<float> weights = s.my_shard(s.weights);
    const int64_t begin = s.ranks.rank() * s.shard;
    const float* gradient = s.ranks.ranks() == 1 ? s.gradient.data() : s.shard_gradient.data();
    optimizer_step(
        s.ops, s.config.optimizer, s.map,
        {begin, begin + s.shard, weights.data(), gradient, s.first.data(), s.second.data()},
        update);
    if (s.ranks.ranks() > 1) {
      s.ranks.gather_shards(weights,
                            {s.weights.data(), static_cast<size_t>(s.shard * s.ranks.ranks())});
    }
  }
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
  Impl& s = *impl_;
  read_weights(store, s.map, s.weights.data());
  if (!s.adapters) return;
  s.adapters->take_base(s.weights.data());
  s.adapters->merge(s.ops, s.weights.data());
}

std::string Trainer::save_checkpoint(const std::string& folder, const std::string& data_state,
                                     int keep) {
  Buffer<float> whole;
  TrainingState state = impl_->state(whole);
  state.data_state = data_state;
  std::string path;
  if (impl_->ranks.rank() == 0) path = write_training_state(folder, state, keep);
  int64_t written[] = {1};
  impl_->ranks.sum(written);  // no rank goes on before the checkpoint is complete
  return path;
}

std::string Trainer::load_checkpoint(const std::string& folder) {
  Impl& s = *impl_;
  Buffer<float> whole;
  TrainingState state = s.state(whole);
  read_training_state(folder, state);
  s.steps = state.step;
  if (s.ranks.ranks() > 1) {
    for (int64_t i = 0; i < 2; ++i) {
      const float* from = whole.view().row(i) + s.ranks.rank() * s.shard;
      std::copy(from, from + s.shard, (i == 0 ? s.first : s.second).data());
    }
  }
  if (s.adapters) s.adapters->merge(s.ops, s.weights.data());
  return state.data_state;
}

void Trainer::export_adapter(const std::string& folder, const std::string& base) const {
  if (!impl_->adapters) fail(ErrorCode::kInvalidArgument, "train: no adapters to write");
  impl_->adapters->write(folder, base);
}

void Trainer::export_weights(const std::string& folder, DType type) const {
  write_weights(folder, impl_->config.model_json, type, impl_->map, impl_->weights.data());
}

}  // namespace headgate

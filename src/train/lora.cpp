// Adapters as plain matrices beside the network.
#include "train/lora.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "formats/safetensors_writer.h"

namespace headgate {
namespace {

bool is_adapted(const LoraConfig& config, const ParameterSlice& slice) {
  if (slice.name.starts_with("mtp.")) return false;
  switch (slice.part) {
    case Part::kQuery:
    case Part::kKey:
    case Part::kValue:
    case Part::kAttentionOut:
      return config.attention;
    case Part::kDeltaQkvz:
    case Part::kDeltaBa:
    case Part::kDeltaOut:
      return config.delta;
    case Part::kSharedGate:
    case Part::kSharedUp:
    case Part::kSharedDown:
    case Part::kMlpGate:
    case Part::kMlpUp:
    case Part::kMlpDown:
      return config.shared;
    case Part::kExpertGate:
    case Part::kExpertUp:
    case Part::kExpertDown:
      return config.experts;
    default:
      return false;
  }
}

void freeze(const LoraConfig& config, LayerRanges& layer) {
  layer.qkv.frozen = layer.attention_out.frozen = !config.attention;
  layer.delta_in.frozen = layer.delta_out.frozen = !config.delta;
  layer.always.gate_up.frozen = layer.always.down.frozen = !config.shared;
  for (GluRanges& expert : layer.experts) {
    expert.gate_up.frozen = expert.down.frozen = !config.experts;
  }
}

// "model.layers.0.self_attn.q_proj.weight" -> "model.layers.0.self_attn.q_proj".
std::string module_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

}  // namespace

LoraAdapters::LoraAdapters(const LoraConfig& config, ParameterMap& map, uint64_t seed)
    : config_(config), scale_(static_cast<float>(config.alpha / static_cast<double>(config.rank))) {
  int64_t base = 0, widest = 0;
  for (const ParameterSlice& slice : map.slices) {
    if (!is_adapted(config, slice)) continue;
    Target t;
    t.name = slice.name;
    t.offset = slice.offset;
    t.rows = slice.shape[0];
    t.cols = slice.shape[1];
    t.base = base;
    t.a = size_;
    t.b = size_ + config.rank * t.cols;
    base += slice.count;
    size_ += config.rank * (t.rows + t.cols);
    widest = std::max(widest, t.rows);
    targets_.push_back(std::move(t));
  }
  if (targets_.empty()) fail(ErrorCode::kInvalidArgument, "lora: the network has no such matrices");
  NetworkRanges& ranges = map.ranges;
  ranges.embedding.frozen = ranges.head.frozen = ranges.mtp_input.frozen = true;
  for (LayerRanges& layer : ranges.layers) freeze(config, layer);
  LoraConfig none = config;
  none.attention = none.delta = none.shared = none.experts = false;
  freeze(none, ranges.mtp_layer);
  base_.zeros(1, base);
  for (Buffer<float>* buffer : {&values_, &gradient_, &first_, &second_}) buffer->zeros(1, size_);
  scaled_.shape(widest, config.rank);
  for (const Target& t : targets_) {
    const double limit = 1.0 / std::sqrt(static_cast<double>(t.cols));
    for (int64_t i = 0; i < config.rank * t.cols; ++i) {
      const double u =
          random_uniform(seed, static_cast<uint64_t>(t.a) ^ 0x10ca, static_cast<uint64_t>(i));
      values_.data()[t.a + i] = static_cast<float>(limit * (2 * u - 1));
    }
  }
}

void LoraAdapters::take_base(const float* weights) {
  for (const Target& t : targets_) {
    std::copy(weights + t.offset, weights + t.offset + t.rows * t.cols, base_.data() + t.base);
  }
}

void LoraAdapters::merge(Ops<float>& ops, float* weights) {
  const int64_t rank = config_.rank;
  for (const Target& t : targets_) {
    const float* from = base_.data() + t.base;
    std::copy(from, from + t.rows * t.cols, weights + t.offset);
    const Out<float> scaled = scaled_.shape(t.rows, rank);
    row_scale(scaled.data, values_.data() + t.b, scale_, t.rows * rank);
    ops.product({Form::kNN, scaled, In<float>(values_.data() + t.a, rank, t.cols),
                 Out<float>(weights + t.offset, t.rows, t.cols), true},
                false);
  }
}

void LoraAdapters::project(Ops<float>& ops, const float* gradient) {
  const int64_t rank = config_.rank;
  for (const Target& t : targets_) {
    const In<float> dw(gradient + t.offset, t.rows, t.cols);
    const In<float> a(values_.data() + t.a, rank, t.cols), b(values_.data() + t.b, t.rows, rank);
    const Product<float> both[] = {
        {Form::kTN, b, dw, Out<float>(gradient_.data() + t.a, rank, t.cols), false},
        {Form::kNT, dw, a, Out<float>(gradient_.data() + t.b, t.rows, rank), false}};
    ops.products(both, false);
  }
  row_scale(gradient_.data(), gradient_.data(), scale_, size_);
}

void LoraAdapters::update(Ops<float>& ops, const OptimizerConfig& config,
                          const OptimizerStep& step) {
  constexpr int64_t kBlock = 1 << 16;
  const AdamwFactors factors = adamw_factors(config, step, true);
  ops.pool().run((size_ + kBlock - 1) / kBlock, [&](int64_t task, int) {
    const int64_t at = task * kBlock;
    row_adamw(factors, std::min(kBlock, size_ - at), values_.data() + at, gradient_.data() + at,
              first_.data() + at, second_.data() + at);
  });
}

std::string LoraAdapters::description() const {
  std::string out = fmt::format("lora {} {}", config_.rank, config_.alpha);
  for (const Target& t : targets_) out += " " + t.name;
  return out;
}

void LoraAdapters::write(const std::string& folder, const std::string& base) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create: {}", folder, error.message());
  const int64_t rank = config_.rank;
  SafetensorsWriter writer(folder);
  for (const Target& t : targets_) {
    const std::string stem = "base_model.model." + module_of(t.name);
    writer.declare(stem + ".lora_A.weight", DType::kF32, {rank, t.cols});
    writer.declare(stem + ".lora_B.weight", DType::kF32, {t.rows, rank});
  }
  std::set<std::string> modules;
  for (const Target& t : targets_) {
    const auto bytes = [&](int64_t at, int64_t count) {
      return std::as_bytes(std::span(values_.data() + at, static_cast<size_t>(count)));
    };
    writer.write(bytes(t.a, rank * t.cols));
    writer.write(bytes(t.b, t.rows * rank));
    const std::string module = module_of(t.name);
    modules.insert(module.substr(module.rfind('.') + 1));
  }
  writer.finish();
  std::filesystem::rename(folder + "/model.safetensors", folder + "/adapter_model.safetensors",
                          error);
  if (error) fail(ErrorCode::kIo, "{}/adapter_model.safetensors: {}", folder, error.message());
  json::array names;
  for (const std::string& module : modules) names.emplace_back(module);
  const json::object config = {{"base_model_name_or_path", base},
                               {"bias", "none"},
                               {"fan_in_fan_out", false},
                               {"inference_mode", true},
                               {"lora_alpha", config_.alpha},
                               {"lora_dropout", 0.0},
                               {"peft_type", "LORA"},
                               {"r", rank},
                               {"target_modules", std::move(names)},
                               {"task_type", "CAUSAL_LM"}};
  write_text_file(folder + "/adapter_config.json", dump_json_python(config, 2) + "\n");
}

}  // namespace headgate

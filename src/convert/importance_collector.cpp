// Which traced value feeds which matrices.
#include "convert/importance_collector.h"

#include <charconv>

#include "base/error.h"
#include "convert/delta_layout.h"

namespace headgate {

ImportanceCollector::ImportanceCollector(const ModelConfig& config, const Naming& naming)
    : config_(config), naming_(naming) {
  // A model read from a folder computes with natural heads; GGUF files of some families tile them.
  const DeltaShape& shape = config.delta.shape;
  if (naming.tiled_value_heads && !shape.tiled && shape.value_heads > 0) {
    delta_columns_ =
        list_map(tiled_from_natural(shape, 0, shape.value_dim), config.delta.value_width());
  }
}

void ImportanceCollector::observe(std::string_view name, View value) {
  if (name == "embed") tokens_ += value.rows;
  if (name == "final_norm") {
    add(config_.tied_embeddings ? Part::kEmbedding : Part::kLmHead, 0, value);
  }
  constexpr std::string_view kLayer = "layer";
  if (!name.starts_with(kLayer)) return;
  int64_t layer = 0;
  const char* const first = name.data() + kLayer.size();
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(first, last, layer);
  if (error != std::errc() || end == last || *end != '.' || layer < 0 || layer >= config_.layers)
    return;
  observe_layer(layer, name.substr(static_cast<size_t>(end + 1 - name.data())), value);
}

void ImportanceCollector::observe_layer(int64_t layer, std::string_view name, View value) {
  const bool attends = config_.mixers[static_cast<size_t>(layer)] == Mixer::kAttention;
  const bool routes = config_.moe_layers[static_cast<size_t>(layer)];
  if (name == "input_norm" && attends) {
    for (const Part part : {Part::kQuery, Part::kKey, Part::kValue}) add(part, layer, value);
  } else if (name == "input_norm") {
    for (const Part part :
         {Part::kDeltaQkv, Part::kDeltaZ, Part::kDeltaBa, Part::kDeltaB, Part::kDeltaA})
      add(part, layer, value);
  } else if (name == (config_.attention.output_gate ? "gated" : "attn") && attends) {
    add(Part::kAttentionOut, layer, value);
  } else if (name == "normed" && !attends) {
    add_delta_out(layer, value);
  } else if (name == "post_norm" && routes) {
    for (const Part part : {Part::kSharedGate, Part::kSharedUp}) {
      if (config_.moe.shared_width > 0) add(part, layer, value);
    }
    mlp_input_.clear();
    for (int64_t r = 0; r < value.rows; ++r)
      mlp_input_.insert(mlp_input_.end(), value.row(r), value.row(r) + value.cols);
  } else if (name == "post_norm") {
    for (const Part part : {Part::kMlpGate, Part::kMlpUp}) add(part, layer, value);
  } else if (name == "topk_index" && routes) {
    add_routed(layer, value);
  }
}

void ImportanceCollector::add(Part part, int64_t layer, View x) {
  const std::string name = gguf_tensor_name(naming_, part, layer);
  for (int64_t r = 0; r < x.rows; ++r)
    matrix_.add(name, 1, 0, x.cols, {x.row(r), static_cast<size_t>(x.cols)});
}

// Traced by token or by value head; ssm_out reads all heads of a token.
void ImportanceCollector::add_delta_out(int64_t layer, View x) {
  const int64_t width = config_.delta.value_width();
  HEADGATE_CHECK(x.stride == x.cols && x.rows * x.cols % width == 0);
  std::vector<float> row(static_cast<size_t>(width));
  for (int64_t begin = 0; begin < x.rows * x.cols; begin += width) {
    for (int64_t c = 0; c < width; ++c) {
      const int64_t from = delta_columns_.empty() ? c : delta_columns_[static_cast<size_t>(c)];
      row[static_cast<size_t>(c)] = x.data[begin + from];
    }
    add(Part::kDeltaOut, layer, {row.data(), 1, width});
  }
}

void ImportanceCollector::add_routed(int64_t layer, View expert_ids) {
  const int64_t hidden = config_.hidden_size;
  HEADGATE_CHECK(static_cast<int64_t>(mlp_input_.size()) == expert_ids.rows * hidden);
  const std::string gate = gguf_tensor_name(naming_, Part::kExpertsGate, layer);
  const std::string up = gguf_tensor_name(naming_, Part::kExpertsUp, layer);
  for (int64_t t = 0; t < expert_ids.rows; ++t) {
    const std::span<const float> x(mlp_input_.data() + t * hidden, static_cast<size_t>(hidden));
    for (int64_t k = 0; k < expert_ids.cols; ++k) {
      const auto expert = static_cast<int64_t>(expert_ids.row(t)[k]);
      matrix_.add(gate, config_.moe.experts, expert, hidden, x);
      matrix_.add(up, config_.moe.experts, expert, hidden, x);
    }
  }
}

}  // namespace headgate

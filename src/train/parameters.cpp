// Lays the weights out so that matrices multiplied with the same input are one matrix.
#include "train/parameters.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace headgate {
namespace {

class Builder {
 public:
  Builder(const ModelConfig& config, ParameterMap& map) : config_(config), map_(map) {
    naming_.trunk_layers = config.layers;
    naming_.zero_centered_norm = true;
  }

  // The next matrix starts on a cache line.
  MatrixRange start(int64_t cols) {
    map_.size = (map_.size + 15) / 16 * 16;
    return {map_.size, 0, cols};
  }

  // Appends rows to a matrix that is being built.
  void append(MatrixRange& range, Part part, int64_t layer, std::vector<int64_t> shape,
              ParameterKind kind, int64_t expert = 0) {
    ParameterSlice slice;
    slice.name = hf_tensor_name(naming_, part, layer, expert);
    slice.part = part;
    slice.offset = map_.size;
    slice.count = 1;
    for (const int64_t dimension : shape) slice.count *= dimension;
    slice.shape = std::move(shape);
    slice.kind = kind;
    range.rows += slice.count / range.cols;
    map_.size += slice.count;
    map_.count += slice.count;
    map_.slices.push_back(std::move(slice));
  }

  MatrixRange matrix(Part part, int64_t layer, int64_t rows, int64_t cols, ParameterKind kind) {
    MatrixRange range = start(cols);
    append(range, part, layer, {rows, cols}, kind);
    return range;
  }

  MatrixRange vector(Part part, int64_t layer, int64_t size, ParameterKind kind) {
    MatrixRange range = start(size);
    append(range, part, layer, {size}, kind);
    return range;
  }

  LayerRanges layer(int64_t index, Mixer mixer, bool moe) {
    LayerRanges r;
    r.mixer = mixer;
    r.moe = moe;
    r.mixer_norm =
        vector(Part::kMixerNorm, index, config_.hidden_size, ParameterKind::kCentredNorm);
    if (mixer == Mixer::kAttention) {
      attention(index, r);
    } else {
      delta(index, r);
    }
    r.mlp_norm = vector(Part::kMlpNorm, index, config_.hidden_size, ParameterKind::kCentredNorm);
    if (moe) {
      experts(index, r);
    } else {
      r.always = glu(index, config_.dense_width, Part::kMlpGate, Part::kMlpUp, Part::kMlpDown, 0);
    }
    return r;
  }

 private:
  void attention(int64_t index, LayerRanges& r) {
    const AttentionConfig& a = config_.attention;
    const int64_t hidden = config_.hidden_size, kv = a.kv_heads * a.head_dim;
    r.qkv = start(hidden);
    append(r.qkv, Part::kQuery, index, {2 * a.heads * a.head_dim, hidden},
           ParameterKind::kHiddenMatrix);
    append(r.qkv, Part::kKey, index, {kv, hidden}, ParameterKind::kHiddenMatrix);
    append(r.qkv, Part::kValue, index, {kv, hidden}, ParameterKind::kHiddenMatrix);
    r.query_norm = vector(Part::kQueryNorm, index, a.head_dim, ParameterKind::kCentredNorm);
    r.key_norm = vector(Part::kKeyNorm, index, a.head_dim, ParameterKind::kCentredNorm);
    r.attention_out = matrix(Part::kAttentionOut, index, hidden, a.heads * a.head_dim,
                             ParameterKind::kHiddenMatrix);
  }

  void delta(int64_t index, LayerRanges& r) {
    const GatedDeltaConfig& d = config_.delta;
    const int64_t hidden = config_.hidden_size, heads = d.shape.value_heads;
    r.delta_in = start(hidden);
    append(r.delta_in, Part::kDeltaQkvz, index, {2 * d.key_width() + 2 * d.value_width(), hidden},
           ParameterKind::kHiddenMatrix);
    append(r.delta_in, Part::kDeltaBa, index, {2 * heads, hidden}, ParameterKind::kTable);
    r.conv = start(d.conv_kernel);
    append(r.conv, Part::kDeltaConv, index, {d.conv_channels(), 1, d.conv_kernel},
           ParameterKind::kOther);
    r.decay = vector(Part::kDeltaDecay, index, heads, ParameterKind::kOther);
    r.dt_bias = vector(Part::kDeltaDtBias, index, heads, ParameterKind::kOther);
    r.delta_norm = vector(Part::kDeltaNorm, index, d.shape.value_dim, ParameterKind::kOther);
    r.delta_out =
        matrix(Part::kDeltaOut, index, hidden, d.value_width(), ParameterKind::kHiddenMatrix);
  }

  GluRanges glu(int64_t index, int64_t width, Part gate, Part up, Part down, int64_t expert) {
    const int64_t hidden = config_.hidden_size;
    GluRanges r;
    r.gate_up = start(hidden);
    append(r.gate_up, gate, index, {width, hidden}, ParameterKind::kHiddenMatrix, expert);
    append(r.gate_up, up, index, {width, hidden}, ParameterKind::kHiddenMatrix, expert);
    r.down = start(width);
    append(r.down, down, index, {hidden, width}, ParameterKind::kHiddenMatrix, expert);
    return r;
  }

  void experts(int64_t index, LayerRanges& r) {
    const MoeConfig& moe = config_.moe;
    r.router = start(config_.hidden_size);
    append(r.router, Part::kRouter, index, {moe.experts, config_.hidden_size},
           ParameterKind::kTable);
    if (moe.shared_width > 0) {
      append(r.router, Part::kSharedScale, index, {1, config_.hidden_size}, ParameterKind::kTable);
      r.always =
          glu(index, moe.shared_width, Part::kSharedGate, Part::kSharedUp, Part::kSharedDown, 0);
    }
    for (int64_t e = 0; e < moe.experts; ++e) {
      r.experts.push_back(
          glu(index, moe.expert_width, Part::kExpertGate, Part::kExpertUp, Part::kExpertDown, e));
    }
  }

  const ModelConfig& config_;
  ParameterMap& map_;
  Naming naming_;
};

// Rows of normal numbers scaled to the length that deviation 0.02 gives on average.
void equal_rows(int64_t rows, int64_t cols, uint64_t seed, uint64_t stream, float* values) {
  for (int64_t r = 0; r < rows; ++r) {
    double square = 0;
    for (int64_t c = 0; c < cols; ++c) {
      const float x = random_normal(seed, stream, static_cast<uint64_t>(r * cols + c));
      values[r * cols + c] = x;
      square += static_cast<double>(x) * static_cast<double>(x);
    }
    const double scale = 0.02 * std::sqrt(static_cast<double>(cols) / square);
    for (int64_t c = 0; c < cols; ++c) {
      values[r * cols + c] = static_cast<float>(values[r * cols + c] * scale);
    }
  }
}

}  // namespace

ParameterMap make_parameter_map(const ModelConfig& config) {
  ParameterMap map;
  Builder build(config, map);
  NetworkRanges& r = map.ranges;
  const int64_t hidden = config.hidden_size;
  r.embedding = build.matrix(Part::kEmbedding, 0, config.vocabulary, hidden, ParameterKind::kTable);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const auto i = static_cast<size_t>(layer);
    r.layers.push_back(build.layer(layer, config.mixers[i], config.moe_layers[i]));
  }
  r.final_norm = build.vector(Part::kFinalNorm, 0, hidden, ParameterKind::kCentredNorm);
  r.head = config.tied_embeddings
               ? r.embedding
               : build.matrix(Part::kLmHead, 0, config.vocabulary, hidden, ParameterKind::kTable);
  r.mtp = config.mtp_layers > 0;
  if (r.mtp) {
    const int64_t module = config.layers;
    r.mtp_input =
        build.matrix(Part::kMtpInput, module, hidden, 2 * hidden, ParameterKind::kHiddenMatrix);
    r.mtp_embedding_norm =
        build.vector(Part::kMtpEmbeddingNorm, module, hidden, ParameterKind::kCentredNorm);
    r.mtp_hidden_norm =
        build.vector(Part::kMtpHiddenNorm, module, hidden, ParameterKind::kCentredNorm);
    r.mtp_final_norm =
        build.vector(Part::kMtpFinalNorm, module, hidden, ParameterKind::kCentredNorm);
    r.mtp_layer = build.layer(module, Mixer::kAttention, config.moe.experts > 0);
  }
  map.size = (map.size + 15) / 16 * 16;
  return map;
}

void initialise(const ParameterSlice& slice, uint64_t seed, float* values) {
  const auto stream = static_cast<uint64_t>(slice.offset);
  const auto uniform = [&](int64_t i, double low, double high) {
    return low + (high - low) * random_uniform(seed, stream, static_cast<uint64_t>(i));
  };
  switch (slice.part) {
    case Part::kRouter:
      equal_rows(slice.shape[0], slice.shape[1], seed, stream, values);
      return;
    case Part::kDeltaDecay:
      for (int64_t i = 0; i < slice.count; ++i) {
        values[i] = static_cast<float>(std::log(uniform(i, 0.5, 8.0)));
      }
      return;
    case Part::kDeltaDtBias:
      for (int64_t i = 0; i < slice.count; ++i) {
        // softplus(bias) is the step.
        const double step = std::exp(uniform(i, std::log(0.001), std::log(0.1)));
        values[i] = static_cast<float>(std::log(std::expm1(step)));
      }
      return;
    case Part::kDeltaConv:
      for (int64_t i = 0; i < slice.count; ++i) {
        values[i] = static_cast<float>(uniform(i, -0.5, 0.5));
      }
      return;
    default:
      break;
  }
  if (slice.kind == ParameterKind::kCentredNorm || slice.part == Part::kDeltaNorm) {
    const float start = slice.part == Part::kDeltaNorm ? 1.0f : 0.0f;
    std::fill(values, values + slice.count, start);
    return;
  }
  for (int64_t i = 0; i < slice.count; ++i) {
    values[i] = 0.02f * random_normal(seed, stream, static_cast<uint64_t>(i));
  }
}

}  // namespace headgate

// Loading a decoder part by part, whichever way its tensors are fused.
#include "model/weights.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "model/packed_file.h"
#include "model/tensor_loader.h"

namespace headgate {
namespace {

// Rows of an in_proj_qkvz or in_proj_ba tensor, which lie grouped by key head.
class GroupedRows {
 public:
  explicit GroupedRows(const DeltaShape& shape)
      : shape_(shape), repeat_(shape.value_heads / shape.key_heads) {}

  int64_t qkvz_rows() const { return shape_.key_heads * qkvz_group(); }
  int64_t ba_rows() const { return 2 * shape_.value_heads; }

  // q of all key heads, k of all, v of all value heads.
  std::vector<int64_t> qkv() const {
    std::vector<int64_t> rows;
    add(rows, qkvz_group(), 0, shape_.key_dim);
    add(rows, qkvz_group(), shape_.key_dim, shape_.key_dim);
    add(rows, qkvz_group(), 2 * shape_.key_dim, repeat_ * shape_.value_dim);
    return rows;
  }
  std::vector<int64_t> z() const {
    std::vector<int64_t> rows;
    add(rows, qkvz_group(), 2 * shape_.key_dim + repeat_ * shape_.value_dim,
        repeat_ * shape_.value_dim);
    return rows;
  }
  std::vector<int64_t> b() const {
    std::vector<int64_t> rows;
    add(rows, 2 * repeat_, 0, repeat_);
    return rows;
  }
  std::vector<int64_t> a() const {
    std::vector<int64_t> rows;
    add(rows, 2 * repeat_, repeat_, repeat_);
    return rows;
  }

 private:
  int64_t qkvz_group() const { return 2 * shape_.key_dim + 2 * repeat_ * shape_.value_dim; }
  void add(std::vector<int64_t>& rows, int64_t group, int64_t first, int64_t count) const {
    for (int64_t head = 0; head < shape_.key_heads; ++head) {
      for (int64_t i = 0; i < count; ++i) rows.push_back(head * group + first + i);
    }
  }

  DeltaShape shape_;
  int64_t repeat_;
};

class DecoderLoader {
 public:
  DecoderLoader(TensorLoader& tensors, const ModelConfig& config) : t_(tensors), c_(config) {}

  ModelWeights load(bool mtp) {
    ModelWeights w;
    w.embedding = t_.matrix({Part::kEmbedding}, c_.vocabulary, c_.hidden_size, !c_.tied_embeddings);
    int64_t attention = 0, recurrent = 0;
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      const auto index = static_cast<size_t>(layer);
      const bool attends = c_.mixers[index] == Mixer::kAttention;
      w.layers.push_back(load_layer(layer, c_.mixers[index], c_.moe_layers[index]));
      w.layers.back().state_layer = attends ? attention++ : recurrent++;
    }
    w.final_norm = t_.vector({Part::kFinalNorm}, {c_.hidden_size});
    if (!c_.tied_embeddings) w.head = t_.matrix({Part::kLmHead}, c_.vocabulary, c_.hidden_size);
    if (mtp) w.mtp = load_mtp();
    return w;
  }

 private:
  LayerWeights load_layer(int64_t layer, Mixer mixer, bool moe) {
    LayerWeights w;
    w.mixer_norm = t_.vector({Part::kMixerNorm, layer}, {c_.hidden_size});
    if (mixer == Mixer::kAttention) {
      w.attention = load_attention(layer);
    } else {
      w.delta = load_delta(layer);
    }
    w.mlp_norm = t_.vector({Part::kMlpNorm, layer}, {c_.hidden_size});
    if (moe) {
      w.moe = load_moe(layer);
    } else {
      w.mlp = std::make_unique<MlpWeights>(
          load_mlp(layer, {Part::kMlpGate, Part::kMlpUp, Part::kMlpDown}, c_.dense_width));
    }
    return w;
  }

  std::unique_ptr<AttentionWeights> load_attention(int64_t layer) {
    const AttentionConfig& a = c_.attention;
    const int64_t query = a.heads * a.head_dim, key = a.kv_heads * a.head_dim;
    auto w = std::make_unique<AttentionWeights>();
    w->query = t_.matrix({Part::kQuery, layer}, a.output_gate ? 2 * query : query, c_.hidden_size);
    w->key = t_.matrix({Part::kKey, layer}, key, c_.hidden_size);
    w->value = t_.matrix({Part::kValue, layer}, key, c_.hidden_size);
    w->out = t_.matrix({Part::kAttentionOut, layer}, c_.hidden_size, query);
    w->query_norm = t_.vector({Part::kQueryNorm, layer}, {a.head_dim});
    w->key_norm = t_.vector({Part::kKeyNorm, layer}, {a.head_dim});
    return w;
  }

  std::unique_ptr<GatedDeltaWeights> load_delta(int64_t layer) {
    const GatedDeltaConfig& d = c_.delta;
    const int64_t heads = d.shape.value_heads;
    auto w = std::make_unique<GatedDeltaWeights>();
    load_delta_inputs(layer, *w);
    w->conv = t_.vector({Part::kDeltaConv, layer}, {d.conv_channels(), 1, d.conv_kernel});
    w->neg_exp_a = t_.vector({Part::kDeltaDecay, layer}, {heads});
    w->dt_bias = t_.vector({Part::kDeltaDtBias, layer}, {heads});
    w->norm = t_.vector({Part::kDeltaNorm, layer}, {d.shape.value_dim});
    w->out = t_.matrix({Part::kDeltaOut, layer}, c_.hidden_size, d.value_width());
    return w;
  }

  void load_delta_inputs(int64_t layer, GatedDeltaWeights& w) {
    const GatedDeltaConfig& d = c_.delta;
    const GroupedRows grouped(d.shape);
    const PartPlace qkvz{Part::kDeltaQkvz, layer}, ba{Part::kDeltaBa, layer};
    // Where neither form exists, the error names the one the family's own files have.
    const bool fused_family = c_.family == "qwen3_next";
    if (t_.has(qkvz) || (fused_family && !t_.is_gguf() && !t_.has({Part::kDeltaQkv, layer}))) {
      w.qkv = t_.chosen_rows(qkvz, grouped.qkvz_rows(), c_.hidden_size, grouped.qkv());
      w.z = t_.chosen_rows(qkvz, grouped.qkvz_rows(), c_.hidden_size, grouped.z());
    } else {
      w.qkv = t_.matrix({Part::kDeltaQkv, layer}, d.conv_channels(), c_.hidden_size);
      w.z = t_.matrix({Part::kDeltaZ, layer}, d.value_width(), c_.hidden_size);
    }
    if (t_.has(ba) || (fused_family && !t_.has({Part::kDeltaB, layer}))) {
      w.b = t_.chosen_rows(ba, grouped.ba_rows(), c_.hidden_size, grouped.b());
      w.a = t_.chosen_rows(ba, grouped.ba_rows(), c_.hidden_size, grouped.a());
    } else {
      w.b = t_.matrix({Part::kDeltaB, layer}, d.shape.value_heads, c_.hidden_size);
      w.a = t_.matrix({Part::kDeltaA, layer}, d.shape.value_heads, c_.hidden_size);
    }
  }

  struct MlpParts {
    Part gate, up, down;
  };

  MlpWeights load_mlp(int64_t layer, const MlpParts& parts, int64_t width) {
    MlpWeights w;
    w.gate = t_.matrix({parts.gate, layer}, width, c_.hidden_size);
    w.up = t_.matrix({parts.up, layer}, width, c_.hidden_size);
    w.down = t_.matrix({parts.down, layer}, c_.hidden_size, width);
    return w;
  }

  std::unique_ptr<MoeWeights> load_moe(int64_t layer) {
    auto w = std::make_unique<MoeWeights>();
    w->router = t_.matrix({Part::kRouter, layer}, c_.moe.experts, c_.hidden_size);
    std::vector<ExpertSource> sources;
    for (int64_t expert = 0; expert < c_.moe.experts; ++expert)
      sources.push_back(expert_source(layer, expert));
    w->experts = t_.experts(sources);
    if (c_.moe.shared_width > 0) {
      w->shared = load_mlp(layer, {Part::kSharedGate, Part::kSharedUp, Part::kSharedDown},
                           c_.moe.shared_width);
      w->shared_scale = t_.matrix({Part::kSharedScale, layer}, 1, c_.hidden_size);
    }
    return w;
  }

  ExpertSource expert_source(int64_t layer, int64_t e) {
    const int64_t hidden = c_.hidden_size, width = c_.moe.expert_width, count = c_.moe.experts;
    const PartPlace both{Part::kExpertsGateUp, layer}, down{Part::kExpertsDown, layer};
    ExpertSource s;
    if (t_.has(both)) {
      s.gate = t_.stacked_source(both, count, 2 * width, hidden, e, 0, width);
      s.up = t_.stacked_source(both, count, 2 * width, hidden, e, width, width);
    } else if (t_.is_gguf()) {
      s.gate = t_.stacked_source({Part::kExpertsGate, layer}, count, width, hidden, e, 0, width);
      s.up = t_.stacked_source({Part::kExpertsUp, layer}, count, width, hidden, e, 0, width);
    } else {
      s.gate = t_.source({Part::kExpertGate, layer, e}, width, hidden);
      s.up = t_.source({Part::kExpertUp, layer, e}, width, hidden);
    }
    s.down = t_.is_gguf() || t_.has(down)
                 ? t_.stacked_source(down, count, hidden, width, e, 0, hidden)
                 : t_.source({Part::kExpertDown, layer, e}, hidden, width);
    return s;
  }

  std::unique_ptr<MtpWeights> load_mtp() {
    const int64_t layer = c_.layers, hidden = c_.hidden_size;
    auto w = std::make_unique<MtpWeights>();
    w->embedding_norm = t_.vector({Part::kMtpEmbeddingNorm, layer}, {hidden});
    w->hidden_norm = t_.vector({Part::kMtpHiddenNorm, layer}, {hidden});
    w->input = t_.matrix({Part::kMtpInput, layer}, hidden, 2 * hidden);
    w->layer = load_layer(layer, Mixer::kAttention, c_.moe.experts > 0);
    w->final_norm = t_.vector({Part::kMtpFinalNorm, layer}, {hidden});
    return w;
  }

  TensorLoader& t_;
  const ModelConfig& c_;
};

int64_t bytes_of(const std::unique_ptr<Matrix>& matrix) { return matrix ? matrix->bytes() : 0; }

int64_t mlp_bytes(const MlpWeights& w) {
  return bytes_of(w.gate) + bytes_of(w.up) + bytes_of(w.down);
}

// Matrices of a layer with `experts` of its routed experts.
int64_t layer_bytes(const LayerWeights& w, int64_t experts) {
  int64_t bytes = 0;
  if (w.attention) {
    const AttentionWeights& a = *w.attention;
    bytes += bytes_of(a.query) + bytes_of(a.key) + bytes_of(a.value) + bytes_of(a.out);
  }
  if (w.delta) {
    const GatedDeltaWeights& d = *w.delta;
    bytes += bytes_of(d.qkv) + bytes_of(d.z) + bytes_of(d.b) + bytes_of(d.a) + bytes_of(d.out);
  }
  if (w.mlp) bytes += mlp_bytes(*w.mlp);
  if (w.moe) {
    const MoeWeights& m = *w.moe;
    bytes += bytes_of(m.router) + bytes_of(m.shared_scale) + mlp_bytes(m.shared) +
             experts * m.experts->bytes_per_expert();
  }
  return bytes;
}

}  // namespace

namespace {

// While it lives, weights pass through the image.
class ImageInUse {
 public:
  ImageInUse(Backend& backend, WeightImage* image) : backend_(backend) { backend.use_image(image); }
  ~ImageInUse() { backend_.use_image(nullptr); }
  ImageInUse(const ImageInUse&) = delete;
  ImageInUse& operator=(const ImageInUse&) = delete;

 private:
  Backend& backend_;
};

ModelWeights load_through(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                          const LoadOptions& options, WeightImage* image, bool packed) {
  const ImageInUse use(backend, image);
  TensorLoader tensors(checkpoint, config, backend, options.progress, packed);
  ModelWeights weights = DecoderLoader(tensors, config).load(options.mtp && config.mtp_layers > 0);
  tensors.finish();
  return weights;
}

// The side file, when there is one that fits the model; one warning when there is another.
std::unique_ptr<PackedReader> open_packed(const std::string& path, uint64_t identity) {
  if (!file_exists(path)) return nullptr;
  try {
    return std::make_unique<PackedReader>(path, identity, 0);
  } catch (const Error& e) {
    log_warning("{}; packing the model again", e.what());
    return nullptr;
  }
}

}  // namespace

ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                          const LoadOptions& options) {
  const std::optional<uint64_t> identity = options.packed_cache.empty()
                                               ? std::nullopt
                                               : packed_identity(checkpoint, options.mtp ? 1 : 0);
  if (!identity) return load_through(checkpoint, config, backend, options, nullptr, false);
  const std::string path = packed_path(options.packed_cache, checkpoint);
  if (const std::unique_ptr<PackedReader> reader = open_packed(path, *identity)) {
    ModelWeights weights = load_through(checkpoint, config, backend, options, reader.get(), true);
    if (reader->complete()) return weights;
    log_warning("{}: holds other weights than the model asks for; packing the model again", path);
  }
  PackedWriter writer(path, *identity);
  ModelWeights weights = load_through(checkpoint, config, backend, options, &writer, false);
  writer.finish();
  return weights;
}

int64_t stored_bytes(const ModelWeights& w) {
  int64_t bytes = bytes_of(w.embedding) + bytes_of(w.head);
  const auto all_of = [](const LayerWeights& layer) {
    return layer_bytes(layer, layer.moe ? layer.moe->experts->experts() : 0);
  };
  for (const LayerWeights& layer : w.layers) bytes += all_of(layer);
  if (w.mtp) bytes += bytes_of(w.mtp->input) + all_of(w.mtp->layer);
  return bytes;
}

int64_t bytes_per_token(const ModelWeights& w, const ModelConfig& config) {
  int64_t bytes = w.output().bytes();
  for (const LayerWeights& layer : w.layers)
    bytes += layer_bytes(layer, config.moe.experts_per_token);
  return bytes;
}

int64_t routed_bytes_per_token(const ModelWeights& w, const ModelConfig& config) {
  int64_t bytes = 0;
  for (const LayerWeights& layer : w.layers) {
    if (layer.moe) bytes += config.moe.experts_per_token * layer.moe->experts->bytes_per_expert();
  }
  return bytes;
}

}  // namespace headgate

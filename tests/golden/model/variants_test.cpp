// The other ways a checkpoint may store the same weights, and checkpoints that contradict
// themselves.
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

#include "model/tensor_names.h"
#include "tensor/codec.h"
#include "tensor/half.h"
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

using Bytes = std::vector<std::byte>;

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  Bytes bytes;
};

// A checkpoint in memory, made by editing the tensors of another one.
class Variant {
 public:
  explicit Variant(const std::string& path) : source_(open_checkpoint(path)) {
    for (const TensorEntry& e : source_.tensors.tensors()) {
      const std::span<const std::byte> bytes = source_.tensors.data(e);
      tensors_.push_back({e.name, e.dtype, e.shape, {bytes.begin(), bytes.end()}});
    }
  }

  Checkpoint& source() { return source_; }
  std::deque<Tensor>& tensors() { return tensors_; }

  Tensor& at(const std::string& name) {
    for (Tensor& t : tensors_) {
      if (t.name == name) return t;
    }
    throw std::out_of_range(name);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  }
  void add(Tensor tensor) { tensors_.push_back(std::move(tensor)); }

  // The bytes stay here; call once.
  Checkpoint checkpoint() {
    Checkpoint out;
    out.format = source_.format;
    out.path = "variant";
    out.config = source_.config;
    out.gguf = source_.gguf;
    for (const Tensor& t : tensors_) {
      TensorEntry e;
      e.name = t.name;
      e.dtype = t.dtype;
      e.shape = t.shape;
      e.bytes = static_cast<int64_t>(t.bytes.size());
      e.file = out.tensors.add_memory("variant", t.bytes);
      out.tensors.add_tensor(std::move(e));
    }
    return out;
  }

 private:
  Checkpoint source_;
  std::deque<Tensor> tensors_;
};

struct Loaded {
  explicit Loaded(Variant& variant)
      : checkpoint(variant.checkpoint()), backend(open_backend(options())) {
    model = Model::load(checkpoint, *backend);
  }
  static BackendOptions options() {
    BackendOptions o;
    o.threads = 2;
    return o;
  }

  Checkpoint checkpoint;
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const Model> model;
};

std::vector<float> logits_of(const Model& model, const std::vector<int32_t>& ids) {
  Runner runner(model);
  SequenceState state = runner.create();
  return runner.feed(state, ids, 50);
}

void expect_golden_logits(const std::string& name, Variant& variant) {
  const GoldenCase c(name);
  const Loaded loaded(variant);
  const std::string length = c.keys("in.", ".ids").back();
  const std::vector<float> want = c.floats("out." + length + ".logits");
  const std::vector<float> got = logits_of(*loaded.model, c.ids("in." + length + ".ids"));
  EXPECT_TRUE(all_near(std::span(got).last(want.size()), want, c.logit_limit()));
}

Bytes joined(std::initializer_list<const Bytes*> parts) {
  Bytes out;
  for (const Bytes* part : parts) out.insert(out.end(), part->begin(), part->end());
  return out;
}

TEST(CheckpointVariants, FusedExpertsOfTransformers5) {
  Variant v(golden_case_path("q3n_tiny"));
  const ModelConfig c = read_model_config(v.source());
  const Naming naming = tensor_naming(c, v.source());
  for (int64_t layer = 0; layer <= c.layers; ++layer) {
    Bytes both, down;
    for (int64_t e = 0; e < c.moe.experts; ++e) {
      const auto take = [&](Part part, Bytes& to) {
        const std::string name = hf_tensor_name(naming, part, layer, e);
        const Bytes& from = v.at(name).bytes;
        to.insert(to.end(), from.begin(), from.end());
        v.remove(name);
      };
      take(Part::kExpertGate, both);
      take(Part::kExpertUp, both);
      take(Part::kExpertDown, down);
    }
    const int64_t n = c.moe.experts, h = c.hidden_size, w = c.moe.expert_width;
    v.add({hf_tensor_name(naming, Part::kExpertsGateUp, layer), DType::kBF16, {n, 2 * w, h}, both});
    v.add({hf_tensor_name(naming, Part::kExpertsDown, layer), DType::kBF16, {n, h, w}, down});
  }
  expect_golden_logits("q3n_tiny", v);
}

TEST(CheckpointVariants, GgufWithFusedExpertsAndUnsplitDeltaInputs) {
  Variant v(golden_case_path("q3n_tiny") + "/model-bf16.gguf");
  Variant hf(golden_case_path("q3n_tiny"));
  const ModelConfig c = read_model_config(v.source());
  const Naming naming = tensor_naming(c, v.source());
  const int64_t n = c.moe.experts, h = c.hidden_size, w = c.moe.expert_width;
  const auto part = static_cast<size_t>(w * row_bytes(DType::kBF16, h));
  for (int64_t layer = 0; layer <= c.layers; ++layer) {
    const Bytes gate = v.at(gguf_tensor_name(naming, Part::kExpertsGate, layer)).bytes;
    const Bytes up = v.at(gguf_tensor_name(naming, Part::kExpertsUp, layer)).bytes;
    Bytes both;
    for (size_t e = 0; e < static_cast<size_t>(n); ++e) {
      for (const Bytes* from : {&gate, &up})
        both.insert(both.end(), from->begin() + static_cast<std::ptrdiff_t>(e * part),
                    from->begin() + static_cast<std::ptrdiff_t>((e + 1) * part));
    }
    v.remove(gguf_tensor_name(naming, Part::kExpertsGate, layer));
    v.remove(gguf_tensor_name(naming, Part::kExpertsUp, layer));
    v.add(
        {gguf_tensor_name(naming, Part::kExpertsGateUp, layer), DType::kBF16, {n, 2 * w, h}, both});
    if (layer == c.layers || c.mixers[static_cast<size_t>(layer)] == Mixer::kAttention) continue;
    Tensor fused = hf.at(hf_tensor_name(naming, Part::kDeltaQkvz, layer));
    fused.name = gguf_tensor_name(naming, Part::kDeltaQkvz, layer);
    v.add(std::move(fused));
    v.remove(gguf_tensor_name(naming, Part::kDeltaQkv, layer));
    v.remove(gguf_tensor_name(naming, Part::kDeltaZ, layer));
  }
  expect_golden_logits("q3n_tiny", v);
}

// ---- Qwen3.5 as GGUF: value heads in tiled order ----

std::vector<float> decoded(const Tensor& t) {
  std::vector<float> out(static_cast<size_t>(
      std::accumulate(t.shape.begin(), t.shape.end(), int64_t{1}, std::multiplies<>())));
  dequantize_row(t.dtype, t.bytes.data(), out.data(), static_cast<int64_t>(out.size()));
  return out;
}

Bytes as_bytes(const std::vector<float>& values) {
  Bytes out(values.size() * sizeof(float));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// Blocks of `unit` floats in rows of `heads` of them, behind `skip` floats: grouped to tiled order.
void tile(std::vector<float>& x, const DeltaShape& shape, size_t skip, size_t unit, size_t row) {
  const auto heads = static_cast<size_t>(shape.value_heads),
             keys = static_cast<size_t>(shape.key_heads);
  const size_t repeat = heads / keys;
  for (size_t at = skip; at + heads * unit <= x.size(); at += row) {
    const std::vector<float> old(x.begin() + static_cast<std::ptrdiff_t>(at),
                                 x.begin() + static_cast<std::ptrdiff_t>(at + heads * unit));
    for (size_t g = 0; g < keys; ++g) {
      for (size_t s = 0; s < repeat; ++s)
        std::copy_n(old.begin() + static_cast<std::ptrdiff_t>((g * repeat + s) * unit), unit,
                    x.begin() + static_cast<std::ptrdiff_t>(at + (s * keys + g) * unit));
    }
  }
}

void tile_part(Part part, std::vector<float>& x, const ModelConfig& c) {
  const DeltaShape& d = c.delta.shape;
  const auto hidden = static_cast<size_t>(c.hidden_size), dv = static_cast<size_t>(d.value_dim);
  const auto keys = static_cast<size_t>(2 * c.delta.key_width());
  const auto kernel = static_cast<size_t>(c.delta.conv_kernel);
  switch (part) {
    case Part::kDeltaQkv:
      return tile(x, d, keys * hidden, dv * hidden, x.size());
    case Part::kDeltaZ:
      return tile(x, d, 0, dv * hidden, x.size());
    case Part::kDeltaB:
    case Part::kDeltaA:
      return tile(x, d, 0, hidden, x.size());
    case Part::kDeltaDecay:
    case Part::kDeltaDtBias:
      return tile(x, d, 0, 1, x.size());
    case Part::kDeltaConv:
      return tile(x, d, keys * kernel, dv * kernel, x.size());
    case Part::kDeltaOut:
      return tile(x, d, 0, dv, static_cast<size_t>(c.delta.value_width()));
    default:
      return;
  }
}

GgufMetadata qwen35_metadata(const ModelConfig& c) {
  GgufMetadata g;
  g.set_text("general.architecture", std::string(gguf_architecture(c)));
  const DeltaShape& d = c.delta.shape;
  const std::pair<const char*, int64_t> integers[] = {
      {"block_count", c.layers + 1},
      {"nextn_predict_layers", 1},
      {"context_length", c.context_length},
      {"embedding_length", c.hidden_size},
      {"attention.head_count", c.attention.heads},
      {"attention.head_count_kv", c.attention.kv_heads},
      {"attention.key_length", c.attention.head_dim},
      {"rope.dimension_count", c.attention.rotary_dims},
      {"expert_count", c.moe.experts},
      {"expert_used_count", c.moe.experts_per_token},
      {"expert_feed_forward_length", c.moe.expert_width},
      {"expert_shared_feed_forward_length", c.moe.shared_width},
      {"ssm.conv_kernel", c.delta.conv_kernel},
      {"ssm.state_size", d.key_dim},
      {"ssm.group_count", d.key_heads},
      {"ssm.time_step_rank", d.value_heads},
      {"ssm.inner_size", c.delta.value_width()},
      {"full_attention_interval", 4}};
  for (const auto& [key, value] : integers)
    g.set_u32(fmt::format("{}.{}", gguf_architecture(c), key), value);
  g.set_f32(fmt::format("{}.rope.freq_base", gguf_architecture(c)), c.rope.theta);
  g.set_f32(fmt::format("{}.attention.layer_norm_rms_epsilon", gguf_architecture(c)), c.norm_eps);
  return g;
}

TEST(CheckpointVariants, Qwen35GgufWithTiledValueHeads) {
  Variant v(golden_case_path("q35_moe"));
  const ModelConfig c = read_model_config(v.source());
  ASSERT_GT(c.delta.shape.key_heads, 1);
  ASSERT_GT(c.delta.shape.value_heads, c.delta.shape.key_heads);
  const Naming naming = tensor_naming(c, v.source());
  for (Tensor& t : v.tensors()) {
    const std::optional<PartAddress> address = parse_hf_tensor_name(naming, t.name);
    ASSERT_TRUE(address.has_value()) << t.name;
    std::vector<float> x = decoded(t);
    const PartTransform transform = part_name(address->part).transform;
    for (float& f : x) {
      if (transform == PartTransform::kNorm) f += 1.0f;
      if (transform == PartTransform::kMinusExp) f = -std::exp(f);
    }
    tile_part(address->part, x, c);
    t.name = gguf_tensor_name(naming, address->part, address->layer);
    t.dtype = DType::kF32;
    t.bytes = as_bytes(x);
  }
  v.source().format = CheckpointFormat::kGguf;
  v.source().gguf = qwen35_metadata(c);
  expect_golden_logits("q35_moe", v);
}

// ---- FP8 ----

uint8_t nearest_e4m3(float value) {
  uint8_t best = 0;
  float error = INFINITY;
  for (int code = 0; code < 256; ++code) {
    const float miss = std::abs(fp8_e4m3_to_float(static_cast<uint8_t>(code)) - value);
    if (miss < error) {
      error = miss;
      best = static_cast<uint8_t>(code);
    }
  }
  return best;
}

enum class ScaleKind { kF32, kBF16, kPowerOfTwo };

// A matrix as FP8 codes with 128x128 scales beside the same values in fp32.
struct Fp8Matrix {
  Tensor codes, scales, values;
};

Fp8Matrix to_fp8(const Tensor& t, ScaleKind kind) {
  const int64_t rows = t.shape[0], cols = t.shape[1], blocks = (cols + 127) / 128;
  const std::vector<float> x = decoded(t);
  Fp8Matrix out{{t.name, DType::kF8E4M3, t.shape, Bytes(x.size())},
                {t.name + "_scale_inv", DType::kF32, {(rows + 127) / 128, blocks}, {}},
                {t.name, DType::kF32, t.shape, {}}};
  std::vector<float> scales, values(x.size());
  for (int64_t b = 0; b < (rows + 127) / 128 * blocks; ++b)
    scales.push_back(
        kind == ScaleKind::kPowerOfTwo
            ? std::ldexp(1.0f, static_cast<int>(-9 + b % 3))
            : bf16_to_float(float_to_bf16(0.002f + 0.0007f * static_cast<float>(b % 5))));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t col = 0; col < cols; ++col) {
      const auto i = static_cast<size_t>(r * cols + col);
      const float scale = scales[static_cast<size_t>(r / 128 * blocks + col / 128)];
      const uint8_t code = nearest_e4m3(x[i] / scale);
      out.codes.bytes[i] = static_cast<std::byte>(code);
      values[i] = fp8_e4m3_to_float(code) * scale;
    }
  }
  out.values.bytes = as_bytes(values);
  out.scales.bytes = as_bytes(scales);
  if (kind == ScaleKind::kBF16) {
    out.scales.dtype = DType::kBF16;
    out.scales.bytes.clear();
    for (const float s : scales) {
      const uint16_t h = float_to_bf16(s);
      out.scales.bytes.push_back(static_cast<std::byte>(h & 255));
      out.scales.bytes.push_back(static_cast<std::byte>(h >> 8));
    }
  } else if (kind == ScaleKind::kPowerOfTwo) {
    out.scales.dtype = DType::kU8;
    out.scales.bytes.clear();
    for (const float s : scales)
      out.scales.bytes.push_back(static_cast<std::byte>(std::ilogb(s) + 127));
  }
  return out;
}

class Fp8Variants : public testing::TestWithParam<ScaleKind> {};

TEST_P(Fp8Variants, ComputeWithTheirDecodedValues) {
  Variant fp8(golden_case_path("q3n_wide")), wide(golden_case_path("q3n_wide"));
  std::vector<std::string> names;
  for (const Tensor& t : fp8.tensors()) {
    const bool chosen =
        t.name.find("_proj") != std::string::npos && t.name.find("in_proj_ba") == std::string::npos;
    if (chosen && t.shape.size() == 2) names.push_back(t.name);
  }
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    Fp8Matrix m = to_fp8(fp8.at(name), GetParam());
    fp8.at(name) = m.codes;
    fp8.add(m.scales);
    wide.at(name) = m.values;
  }
  const Loaded a(fp8), b(wide);
  const std::vector<int32_t> ids{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  EXPECT_TRUE(all_near(logits_of(*a.model, ids), logits_of(*b.model, ids), 2e-4));
}
INSTANTIATE_TEST_SUITE_P(Scales, Fp8Variants,
                         testing::Values(ScaleKind::kF32, ScaleKind::kBF16,
                                         ScaleKind::kPowerOfTwo));

// ---- Contradictions ----

std::string load_error(Variant& variant) {
  try {
    const Loaded loaded(variant);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CheckpointContradictions, EveryMissingOrMisshapenTensorIsNamed) {
  for (const char* file : {"q3n_tiny", "q3n_tiny/model-bf16.gguf", "q35_moe", "q3_dense"}) {
    Variant v(golden_case_path(file));
    const std::deque<Tensor> all = v.tensors();
    std::map<std::string, bool> tried;  // one of each kind: digits do not matter
    for (const Tensor& t : all) {
      std::string kind = t.name;
      std::erase_if(kind, [](char ch) { return ch >= '0' && ch <= '9'; });
      if (std::exchange(tried[kind], true)) continue;
      v.tensors() = all;
      Tensor& grown = v.at(t.name);
      grown.shape[0] += 1;
      grown.bytes.resize(grown.bytes.size() / static_cast<size_t>(t.shape[0]) *
                         static_cast<size_t>(grown.shape[0]));
      const std::string misshapen = load_error(v);
      // The token table of a GGUF is what tells the vocabulary: then another tensor contradicts it.
      const std::string named = t.name == "token_embd.weight" ? "output.weight" : t.name;
      EXPECT_NE(misshapen.find(named + ": shape ["), std::string::npos)
          << t.name << ": " << misshapen;
      EXPECT_NE(misshapen.find("expected ["), std::string::npos) << misshapen;

      v.tensors() = all;
      v.remove(t.name);
      const bool optional = t.name == "lm_head.weight" || t.name == "output.weight" ||
                            t.name == "mtp.fc.weight" ||
                            t.name.find("nextn.eh_proj") != std::string::npos ||
                            t.name.find("mtp.layers.0.input_layernorm") != std::string::npos;
      const std::string missing = load_error(v);
      if (!optional) {
        EXPECT_NE(missing, "") << t.name;
      }
    }
    EXPECT_GT(tried.size(), 8u);
  }
}

TEST(CheckpointContradictions, WithoutMtpTensorsThereIsNoDrafting) {
  Variant v(golden_case_path("q3n_tiny"));
  std::erase_if(v.tensors(), [](const Tensor& t) { return t.name.starts_with("mtp."); });
  const Loaded loaded(v);
  EXPECT_FALSE(loaded.model->has_mtp());
  EXPECT_EQ(loaded.model->config().mtp_layers, 0);
}

TEST(CheckpointContradictions, IntegerWeightsAndForeignScalesAreRefused) {
  Variant v(golden_case_path("q3_dense"));
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  Tensor& t = v.at(name);
  const std::deque<Tensor> all = v.tensors();
  t.dtype = DType::kI16;
  EXPECT_NE(load_error(v).find(name + ": type i16"), std::string::npos);

  v.tensors() = all;
  Fp8Matrix m = to_fp8(v.at(name), ScaleKind::kF32);
  v.at(name) = m.codes;
  m.scales.name = name + "_scale";
  v.add(m.scales);
  EXPECT_NE(load_error(v).find("_scale_inv"), std::string::npos);

  v.tensors() = all;
  v.at(name) = m.codes;
  m.scales.name = name + "_scale_inv";
  m.scales.shape.push_back(2);
  m.scales.bytes = joined({&m.scales.bytes, &m.scales.bytes});
  v.add(m.scales);
  EXPECT_NE(load_error(v).find(name + "_scale_inv: shape ["), std::string::npos);
}

TEST(CheckpointLoading, ReportsProgressAndStopsWhenAsked) {
  const Checkpoint checkpoint = open_checkpoint(golden_case_path("q3n_tiny"));
  const std::unique_ptr<Backend> backend = open_backend(Loaded::options());
  LoadOptions options;
  int64_t last = 0, total = 0;
  options.progress = [&](int64_t done, int64_t all) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, all);
    last = done;
    total = all;
    return true;
  };
  const auto model = Model::load(checkpoint, *backend, options);
  EXPECT_EQ(last, total);
  EXPECT_GT(model->weight_bytes(), 0);
  EXPECT_LT(model->weight_bytes_per_token(), model->weight_bytes());

  options.progress = [](int64_t, int64_t) { return false; };
  EXPECT_THROW((void)Model::load(checkpoint, *backend, options), Error);
  options = {};
  options.mtp = false;
  EXPECT_FALSE(Model::load(checkpoint, *backend, options)->has_mtp());
}

}  // namespace
}  // namespace headgate

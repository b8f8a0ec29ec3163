// Random checkpoints: the list of tensors of a geometry, and rows to fill them.
#include "convert/synth.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "convert/metadata.h"
#include "convert/quant_mix.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "model/tensor_names.h"
#include "tensor/codec.h"
#include "text/byte_level.h"

namespace headgate {
namespace {

enum class Fill : uint8_t { kMatrix, kNorm, kPlainNorm, kDecay, kDtBias };

struct SynthTensor {
  std::string name;
  std::vector<int64_t> shape;
  Fill fill = Fill::kMatrix;
  bool typed = true;  // false: fp32 in GGUF whatever the type (router, convolution, vectors)
  Part part = Part::kEmbedding;
  int64_t layer = 0;
};

// Lists the tensors of a geometry under the names and shapes of one format.
class TensorLister {
 public:
  TensorLister(const ModelConfig& c, bool gguf) : c_(c), gguf_(gguf) {
    naming_.trunk_layers = c.layers;
    naming_.zero_centered_norm = c.zero_centered_norm;
    if (c.family == "qwen3" || c.family == "qwen3_moe") naming_.gguf_mlp_norm = "ffn_norm.weight";
    if (c.family.starts_with("qwen3_5")) naming_.hf_root = "model.language_model.";
  }

  std::vector<SynthTensor> list() {
    const int64_t hidden = c_.hidden_size;
    add(Part::kEmbedding, 0, {c_.vocabulary, hidden});
    if (!c_.tied_embeddings) add(Part::kLmHead, 0, {c_.vocabulary, hidden});
    add(Part::kFinalNorm, 0, {hidden}, Fill::kNorm);
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      const auto index = static_cast<size_t>(layer);
      add_layer(layer, c_.mixers[index], c_.moe_layers[index]);
    }
    for (int64_t module = 0; module < c_.mtp_layers; ++module) {
      const int64_t layer = c_.layers + module;
      add(Part::kMtpInput, layer, {hidden, 2 * hidden});
      for (const Part norm : {Part::kMtpEmbeddingNorm, Part::kMtpHiddenNorm, Part::kMtpFinalNorm}) {
        add(norm, layer, {hidden}, Fill::kNorm);
      }
      add_layer(layer, Mixer::kAttention, c_.moe.experts > 0);
    }
    return std::move(tensors_);
  }

 private:
  void add(Part part, int64_t layer, std::vector<int64_t> shape, Fill fill = Fill::kMatrix,
           bool typed = true, int64_t expert = 0) {
    std::string name = gguf_ ? gguf_tensor_name(naming_, part, layer)
                             : hf_tensor_name(naming_, part, layer, expert);
    tensors_.push_back(
        {std::move(name), std::move(shape), fill, typed && fill == Fill::kMatrix, part, layer});
  }

  void add_layer(int64_t layer, Mixer mixer, bool moe) {
    const int64_t hidden = c_.hidden_size;
    add(Part::kMixerNorm, layer, {hidden}, Fill::kNorm);
    if (mixer == Mixer::kAttention) {
      const AttentionConfig& a = c_.attention;
      add(Part::kQuery, layer, {a.heads * a.head_dim * (a.output_gate ? 2 : 1), hidden});
      add(Part::kKey, layer, {a.kv_heads * a.head_dim, hidden});
      add(Part::kValue, layer, {a.kv_heads * a.head_dim, hidden});
      add(Part::kAttentionOut, layer, {hidden, a.heads * a.head_dim});
      add(Part::kQueryNorm, layer, {a.head_dim}, Fill::kNorm);
      add(Part::kKeyNorm, layer, {a.head_dim}, Fill::kNorm);
    } else {
      add_delta_net(layer);
    }
    add(Part::kMlpNorm, layer, {hidden}, Fill::kNorm);
    if (moe) {
      add_moe(layer);
    } else {
      add(Part::kMlpGate, layer, {c_.dense_width, hidden});
      add(Part::kMlpUp, layer, {c_.dense_width, hidden});
      add(Part::kMlpDown, layer, {hidden, c_.dense_width});
    }
  }

  void add_delta_net(int64_t layer) {
    const GatedDeltaConfig& d = c_.delta;
    const int64_t hidden = c_.hidden_size, heads = d.shape.value_heads;
    const bool split = c_.family.starts_with("qwen3_5");
    if (gguf_ || split) {
      add(Part::kDeltaQkv, layer, {d.conv_channels(), hidden});
      add(Part::kDeltaZ, layer, {d.value_width(), hidden});
    } else {
      add(Part::kDeltaQkvz, layer, {d.conv_channels() + d.value_width(), hidden});
    }
    if (split) {
      add(Part::kDeltaB, layer, {heads, hidden});
      add(Part::kDeltaA, layer, {heads, hidden});
    } else {
      add(Part::kDeltaBa, layer, {2 * heads, hidden});
    }
    if (gguf_) {
      add(Part::kDeltaConv, layer, {d.conv_channels(), d.conv_kernel}, Fill::kMatrix, false);
    } else {
      add(Part::kDeltaConv, layer, {d.conv_channels(), 1, d.conv_kernel});
    }
    add(Part::kDeltaDecay, layer, {heads}, Fill::kDecay);
    add(Part::kDeltaDtBias, layer, {heads}, Fill::kDtBias);
    add(Part::kDeltaNorm, layer, {d.shape.value_dim}, Fill::kPlainNorm);
    add(Part::kDeltaOut, layer, {hidden, d.value_width()});
  }

  void add_moe(int64_t layer) {
    const int64_t hidden = c_.hidden_size, experts = c_.moe.experts, width = c_.moe.expert_width;
    const int64_t shared = c_.moe.shared_width;
    add(Part::kRouter, layer, {experts, hidden}, Fill::kMatrix, false);
    if (shared > 0) {
      add(Part::kSharedScale, layer, {1, hidden}, Fill::kMatrix, false);
      add(Part::kSharedGate, layer, {shared, hidden});
      add(Part::kSharedUp, layer, {shared, hidden});
      add(Part::kSharedDown, layer, {hidden, shared});
    }
    if (gguf_) {
      add(Part::kExpertsGate, layer, {experts, width, hidden});
      add(Part::kExpertsUp, layer, {experts, width, hidden});
      add(Part::kExpertsDown, layer, {experts, hidden, width});
    } else if (c_.family.starts_with("qwen3_5")) {
      add(Part::kExpertsGateUp, layer, {experts, 2 * width, hidden});
      add(Part::kExpertsDown, layer, {experts, hidden, width});
    } else {
      for (int64_t e = 0; e < experts; ++e) {
        add(Part::kExpertGate, layer, {width, hidden}, Fill::kMatrix, true, e);
        add(Part::kExpertUp, layer, {width, hidden}, Fill::kMatrix, true, e);
        add(Part::kExpertDown, layer, {hidden, width}, Fill::kMatrix, true, e);
      }
    }
  }

  const ModelConfig& c_;
  bool gguf_;
  Naming naming_;
  std::vector<SynthTensor> tensors_;
};

// Distinct rows of a matrix; longer ones repeat them. Experts and rows then still differ from their
// neighbours.
constexpr int64_t kDistinctRows = 509;

float fill_value(const SynthTensor& tensor, const ModelConfig& c, bool gguf, uint64_t seed,
                 uint64_t stream, uint64_t i) {
  const float normal = random_normal(seed, stream, i);
  switch (tensor.fill) {
    case Fill::kMatrix:
      return normal / std::sqrt(static_cast<float>(tensor.shape.back()));
    case Fill::kNorm:
      return 0.1f * normal + (c.zero_centered_norm && !gguf ? 0.0f : 1.0f);
    case Fill::kPlainNorm:
      return 1.0f + 0.1f * normal;
    case Fill::kDecay: {
      // A in 0.5 to 8: heads that forget within a token and heads that remember hundreds.
      const auto a = static_cast<float>(0.5 + 7.5 * random_uniform(seed, stream, i));
      return gguf ? -a : std::log(a);
    }
    case Fill::kDtBias:
      return -3.0f + normal;
  }
  return 0;
}

void write_tensor_data(const SynthTensor& tensor, const TensorDeclaration& declared,
                       const ModelConfig& c, bool gguf, uint64_t seed, uint64_t stream,
                       ThreadPool& pool, TensorWriter& writer) {
  const int64_t cols = tensor.shape.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) rows *= tensor.shape[i];
  const int64_t distinct = std::min(rows, kDistinctRows);
  const int64_t bytes = row_bytes(declared.dtype, cols);
  std::vector<std::byte> tile(static_cast<size_t>(distinct * bytes));
  pool.run(distinct, [&](int64_t row, int) {
    std::vector<float> values(static_cast<size_t>(cols));
    for (int64_t i = 0; i < cols; ++i) {
      values[static_cast<size_t>(i)] =
          fill_value(tensor, c, gguf, seed, stream, static_cast<uint64_t>(row * cols + i));
    }
    quantize_row(declared.dtype, values.data(), tile.data() + row * bytes, cols);
  });
  for (int64_t row = 0; row < rows; row += distinct) {
    writer.write(
        std::span(tile).first(static_cast<size_t>(std::min(distinct, rows - row) * bytes)));
  }
}

DType stored_type(const SynthTensor& tensor, const ModelConfig& c, const SynthOptions& options,
                  bool gguf) {
  if (!tensor.typed) return gguf || tensor.fill == Fill::kDecay ? DType::kF32 : DType::kBF16;
  if (!gguf) return is_quantized(options.type) ? DType::kBF16 : options.type;
  const int64_t cols = tensor.shape.back();
  if (!options.mix.empty()) {
    MixContext context;
    context.blocks = c.layers + c.mtp_layers;
    context.trunk_layers = c.layers;
    context.heads_per_kv_head = c.attention.heads / c.attention.kv_heads;
    context.tied_embeddings = c.tied_embeddings;
    return choose_type(find_quant_mix(options.mix), context, tensor.part, tensor.layer, cols);
  }
  if (cols % dtype_info(options.type).block_elements == 0) return options.type;
  return cols % 32 == 0 ? DType::kQ8_0 : DType::kF16;
}

// 256 bytes, no merges, Qwen's added tokens.
TokenizerParts byte_tokenizer() {
  TokenizerParts parts;
  parts.source = "synthetic tokenizer";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    parts.tokens.push_back(spell_bytes(std::string_view(&c, 1)));
  }
  int32_t id = 256;
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    parts.added.push_back({.id = id++, .content = special, .special = true});
  }
  for (const char* plain : {"<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
                            "<think>", "</think>"}) {
    parts.added.push_back({.id = id++, .content = plain});
  }
  parts.eos_ids = {258, 256};
  parts.pad_id = 256;
  return parts;
}

std::unique_ptr<TensorWriter> open_writer(const SynthOptions& options, ModelConfig& config,
                                          bool gguf) {
  const TokenizerParts tokenizer = byte_tokenizer();
  config.eos_tokens = tokenizer.eos_ids;
  config.pad_token = tokenizer.pad_id;
  const DType base = options.mix.empty() ? options.type : find_quant_mix(options.mix).base;
  const DType type = gguf || !is_quantized(base) ? base : DType::kBF16;
  GgufMetadata metadata =
      make_model_metadata(config, "synthetic " + options.preset, type, config.mtp_layers > 0);
  add_tokenizer_metadata(metadata, tokenizer, config);
  if (gguf) return std::make_unique<GgufWriter>(options.output, std::move(metadata));
  if (!is_directory(options.output) && ::mkdir(options.output.c_str(), 0755) != 0) {
    fail(ErrorCode::kIo, "{}: cannot make the folder: {}", options.output, std::strerror(errno));
  }
  Checkpoint source;
  source.path = options.output;
  source.gguf = std::move(metadata);
  write_folder_files(source, config, type, options.output);
  constexpr int64_t kShardBytes = int64_t{4} << 30;
  return std::make_unique<SafetensorsWriter>(options.output, kShardBytes);
}

}  // namespace

ConvertReport synthesize_checkpoint(const SynthOptions& options) {
  if (options.output.empty()) fail(ErrorCode::kInvalidArgument, "output: found no path");
  if (!is_writable(options.type)) {
    fail(ErrorCode::kInvalidArgument, "type: {} cannot be written", dtype_name(options.type));
  }
  ModelConfig config = synth_config(options);
  if (config.vocabulary < 265) {
    fail(ErrorCode::kInvalidArgument,
         "vocab_size: {}, expected at least 265 for the byte tokenizer", config.vocabulary);
  }
  const bool gguf = options.output.ends_with(".gguf");
  const std::vector<SynthTensor> tensors = TensorLister(config, gguf).list();
  const std::unique_ptr<TensorWriter> writer = open_writer(options, config, gguf);
  ConvertReport report;
  for (const SynthTensor& tensor : tensors)
    writer->declare(tensor.name, stored_type(tensor, config, options, gguf), tensor.shape);
  int64_t total = 0;
  for (const TensorDeclaration& declared : writer->declared()) total += declared.bytes;
  ThreadPool pool(options.threads);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorDeclaration& declared = writer->declared()[i];
    if (options.header_only) {
      writer->skip(declared.bytes);
    } else {
      write_tensor_data(tensors[i], declared, config, gguf, options.seed, i, pool, *writer);
    }
    report.bytes_written += declared.bytes;
    if (options.progress && !options.progress(report.bytes_written, total)) {
      fail(ErrorCode::kCancelled, "synth: cancelled");
    }
  }
  writer->finish();
  report.tensors = static_cast<int64_t>(tensors.size());
  report.files = writer->paths();
  return report;
}

}  // namespace headgate

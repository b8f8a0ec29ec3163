// The quantisation driver: choose types, declare, then encode row by row and measure.
#include "convert/quantize.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "convert/importance.h"
#include "convert/metadata.h"
#include "convert/tensor_plan.h"
#include "formats/gguf_writer.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

constexpr int64_t kPieceFloats = int64_t{8} << 20;  // 32 MiB of fp32 at a time
constexpr int64_t kTaskFloats = int64_t{1} << 15;   // some milliseconds of search

// The report's classes, in order.
enum class ClassId : uint8_t {
  kEmbedding,
  kHead,
  kAttention,
  kDeltaNet,
  kRoutedExperts,
  kSharedExpert,
  kDenseMlp,
  kDraftHead,
  kExact
};
constexpr std::string_view kClassNames[] = {"embedding", "output head",    "attention",
                                            "delta net", "routed experts", "shared expert",
                                            "dense MLP", "draft head",     "norms and gates"};

ClassId class_of(Part part, bool draft) {
  if (is_kept_exact(part)) return ClassId::kExact;
  if (draft) return ClassId::kDraftHead;
  switch (part) {
    case Part::kEmbedding:
      return ClassId::kEmbedding;
    case Part::kLmHead:
      return ClassId::kHead;
    case Part::kQuery:
    case Part::kKey:
    case Part::kValue:
    case Part::kAttentionOut:
      return ClassId::kAttention;
    case Part::kSharedGate:
    case Part::kSharedUp:
    case Part::kSharedDown:
      return ClassId::kSharedExpert;
    case Part::kMlpGate:
    case Part::kMlpUp:
    case Part::kMlpDown:
      return ClassId::kDenseMlp;
    case Part::kExpertsGate:
    case Part::kExpertsUp:
    case Part::kExpertsGateUp:
    case Part::kExpertsDown:
      return ClassId::kRoutedExperts;
    default:
      return ClassId::kDeltaNet;
  }
}

// One tensor of the output with everything decided.
struct Job {
  PlannedTensor tensor;
  DType type = DType::kF32;
  ClassId group = ClassId::kExact;
};

struct ErrorSums {
  double error = 0.0, value = 0.0;
};

std::vector<PlannedTensor> plan_tensors(const Checkpoint& input, const ModelConfig& config) {
  if (input.format == CheckpointFormat::kHuggingFace) return plan_gguf(input, config, /*mtp=*/true);
  std::vector<PlannedTensor> plan;
  for (const TensorEntry& entry : input.tensors.tensors()) {
    plan.push_back({entry.name,
                    entry.shape,
                    entry.shape.size() >= 2,
                    {{&entry}, nullptr, {}, ValueTransform::kCopy}});
  }
  return plan;
}

std::string model_name(const std::string& path) {
  const std::string trimmed = path.substr(0, path.find_last_not_of('/') + 1);
  return trimmed.substr(trimmed.rfind('/') + 1);
}

GgufMetadata output_metadata(const Checkpoint& input, const ModelConfig& config,
                             const QuantMix& mix) {
  GgufMetadata metadata = input.gguf;
  if (input.format == CheckpointFormat::kHuggingFace) {
    metadata =
        make_gguf_metadata(input, config, model_name(input.path), DType::kBF16, /*mtp=*/true);
  }
  metadata.set_u32("general.file_type", mix.file_type);
  metadata.set_u32("general.quantization_version", 2);
  metadata.set_text("headgate.quantization_mix", std::string(mix.name));
  return metadata;
}

// Adds up the error of rows [count, cols] as stored in `bytes`.
ErrorSums measure(DType type, const float* values, const std::byte* bytes, int64_t count,
                  int64_t cols, std::vector<float>& decoded) {
  ErrorSums sums;
  decoded.resize(static_cast<size_t>(cols));
  for (int64_t r = 0; r < count; ++r) {
    dequantize_row(type, bytes + r * row_bytes(type, cols), decoded.data(), cols);
    for (int64_t c = 0; c < cols; ++c) {
      const double x = values[r * cols + c],
                   d = static_cast<double>(decoded[static_cast<size_t>(c)]) - x;
      sums.error += d * d;
      sums.value += x * x;
    }
  }
  return sums;
}

class Quantizer {
 public:
  Quantizer(const Checkpoint& input, const QuantizeOptions& options, const ModelConfig& config)
      : input_(input),
        options_(options),
        pool_(options.threads),
        mix_(find_quant_mix(options.mix)) {
    if (!options.importance.empty()) importance_ = ImportanceMatrix::load(options.importance);
    plan(config);
  }

  QuantizeReport run(const ModelConfig& config) {
    GgufWriter writer(options_.output, output_metadata(input_, config, mix_),
                      options_.max_part_bytes);
    for (const Job& job : jobs_) {
      writer.declare(job.tensor.name, job.type, job.tensor.shape);
      report_.bytes_read += job.tensor.source_bytes();
    }
    for (const std::string_view name : kClassNames) {
      report_.classes.emplace_back();
      report_.classes.back().name = std::string(name);
    }
    progress(0);
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const Job& job = jobs_[i];
      account(job, writer.declared()[i].bytes);
      if (is_plain_copy(job.tensor, job.type)) {
        write_tensor(input_.tensors, job.tensor, job.type, pool_, writer);
      } else {
        encode(job, writer);
      }
      release_sources(input_.tensors, job.tensor);
      progress(job.tensor.source_bytes());
    }
    writer.finish();
    report_.files = writer.paths();
    std::erase_if(report_.classes, [](const QuantizeClass& c) { return c.tensors == 0; });
    return std::move(report_);
  }

 private:
  void plan(const ModelConfig& config) {
    Naming naming = tensor_naming(config, input_);
    MixContext context;
    context.trunk_layers = config.layers;
    context.blocks = config.layers + config.mtp_layers;
    context.heads_per_kv_head = config.attention.heads / config.attention.kv_heads;
    context.tied_embeddings = config.tied_embeddings;
    context.importance = !importance_.empty();
    for (PlannedTensor& tensor : plan_tensors(input_, config)) {
      Job job{std::move(tensor)};
      const std::optional<PartAddress> address = parse_gguf_tensor_name(naming, job.tensor.name);
      if (address) {
        job.group = class_of(address->part, address->layer >= config.layers);
        job.type = choose_type(mix_, context, address->part, address->layer, job.tensor.cols());
      } else {
        // A tensor of no known part is passed on as it is.
        log_warning("{}: tensor {}: unknown, kept as it is", input_.path, job.tensor.name);
        job.type = job.tensor.source.parts.front()->dtype;
      }
      for (const TensorEntry* part : job.tensor.source.parts)
        report_.input_was_quantized |= is_quantized(part->dtype);
      jobs_.push_back(std::move(job));
    }
  }

  void progress(int64_t bytes) {
    done_ += bytes;
    if (options_.progress && !options_.progress(done_, report_.bytes_read))
      fail(ErrorCode::kCancelled, "quantization: cancelled");
  }

  QuantizeClass& group(const Job& job) { return report_.classes[static_cast<size_t>(job.group)]; }

  void account(const Job& job, int64_t bytes) {
    QuantizeClass& c = group(job);
    const int64_t elements = job.tensor.rows() * job.tensor.cols();
    ++c.tensors;
    c.elements += elements;
    c.bytes += bytes;
    c.elements_by_type[job.type] += elements;
    report_.bytes_written += bytes;
  }

  // Column weights of each matrix of the stack; empty when there are none.
  std::vector<std::vector<float>> column_weights(const Job& job) {
    if (importance_.empty() || !is_quantized(job.type)) return {};
    const PlannedTensor& t = job.tensor;
    const int64_t matrices = t.shape.size() > 2 ? t.shape.front() : 1;
    std::vector<std::vector<float>> weights;
    for (int64_t m = 0; m < matrices; ++m) {
      weights.push_back(importance_.column_means(t.name, m, t.cols()));
      if (weights.back().empty()) {
        ++report_.without_importance;
        return {};
      }
    }
    return weights;
  }

  void encode(const Job& job, TensorWriter& writer) {
    // Reading follows the source's own rows: a [1, n] or [channels, 1, kernel] tensor keeps its
    // length.
    const int64_t source_cols = std::max<int64_t>(job.tensor.source.parts.front()->cols(), 1);
    const int64_t cols = std::max<int64_t>(job.tensor.cols(), 1);
    const int64_t source_rows = job.tensor.rows() * job.tensor.cols() / source_cols;
    const std::vector<std::vector<float>> weights = column_weights(job);
    const int64_t rows_per_matrix =
        weights.empty() ? 1 : job.tensor.rows() / static_cast<int64_t>(weights.size());
    // Whole output rows: a piece holds a multiple of both lengths when they differ.
    const int64_t piece =
        source_cols == cols ? std::max<int64_t>(1, kPieceFloats / cols) : source_rows;
    std::vector<float> values(static_cast<size_t>(std::min(piece, source_rows) * source_cols));
    for (int64_t first = 0; first < source_rows; first += piece) {
      const int64_t count = std::min(piece, source_rows - first);
      read_rows(input_.tensors, job.tensor, first, count, pool_, values.data());
      const auto weights_of = [&](int64_t row) -> const float* {
        if (weights.empty()) return nullptr;
        return weights[static_cast<size_t>((first + row) / rows_per_matrix)].data();
      };
      encode_rows(job, values.data(), count * source_cols / cols, cols, weights_of);
      writer.write(encoded_);
    }
  }

  template <typename Weights>
  void encode_rows(const Job& job, const float* values, int64_t rows, int64_t cols,
                   const Weights& weights_of) {
    const DType type = job.type;
    const int64_t bytes = row_bytes(type, cols);
    const int64_t rows_per_task = std::max<int64_t>(1, kTaskFloats / cols);
    const int64_t tasks = (rows + rows_per_task - 1) / rows_per_task;
    encoded_.resize(static_cast<size_t>(rows * bytes));
    std::vector<ErrorSums> sums(static_cast<size_t>(tasks));
    std::byte* const out = encoded_.data();
    pool_.run(tasks, [&](int64_t task, int) {
      std::vector<float> decoded;
      const int64_t begin = task * rows_per_task, end = std::min(rows, begin + rows_per_task);
      for (int64_t r = begin; r < end; ++r)
        quantize_row(type, values + r * cols, out + r * bytes, cols, weights_of(r));
      sums[static_cast<size_t>(task)] =
          measure(type, values + begin * cols, out + begin * bytes, end - begin, cols, decoded);
    });
    // Added in task order, so that the report does not depend on the threads either.
    for (const ErrorSums& s : sums) {
      group(job).squared_error += s.error;
      group(job).squared_value += s.value;
    }
  }

  const Checkpoint& input_;
  const QuantizeOptions& options_;
  ThreadPool pool_;
  const QuantMix& mix_;
  ImportanceMatrix importance_;
  std::vector<Job> jobs_;
  std::vector<std::byte> encoded_;
  QuantizeReport report_;
  int64_t done_ = 0;
};

}  // namespace

double QuantizeClass::bits_per_weight() const {
  return elements > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(elements) : 0.0;
}

double QuantizeClass::rmse() const {
  return elements > 0 ? std::sqrt(squared_error / static_cast<double>(elements)) : 0.0;
}

double QuantizeClass::relative_error() const {
  return squared_value > 0.0 ? std::sqrt(squared_error / squared_value) : 0.0;
}

QuantizeClass QuantizeReport::total() const {
  QuantizeClass all;
  all.name = "total";
  for (const QuantizeClass& c : classes) {
    all.tensors += c.tensors;
    all.elements += c.elements;
    all.bytes += c.bytes;
    all.squared_error += c.squared_error;
    all.squared_value += c.squared_value;
    for (const auto& [type, elements] : c.elements_by_type) all.elements_by_type[type] += elements;
  }
  return all;
}

QuantizeReport quantize_checkpoint(const QuantizeOptions& options) {
  if (!options.output.ends_with(".gguf")) {
    fail(ErrorCode::kInvalidArgument, "{}: expected an output name ending in .gguf",
         options.output);
  }
  const Checkpoint input = open_checkpoint(options.input);
  const ModelConfig config = read_model_config(input);
  return Quantizer(input, options, config).run(config);
}

}  // namespace headgate

// The conversion driver: plan, declare, stream.
#include "convert/convert.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "convert/metadata.h"
#include "convert/tensor_plan.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "model/adapter.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

bool is_gguf_path(const std::string& path) { return path.ends_with(".gguf"); }

void make_folder(const std::string& path) {
  if (is_directory(path)) return;
  if (::mkdir(path.c_str(), 0755) != 0) {
    fail(ErrorCode::kIo, "{}: cannot make the folder: {}", path, std::strerror(errno));
  }
}

// The type most matrix values of the input have.
DType main_type(const Checkpoint& checkpoint) {
  std::vector<int64_t> elements(64, 0);
  for (const TensorEntry& entry : checkpoint.tensors.tensors()) {
    if (entry.shape.size() >= 2) elements[static_cast<size_t>(entry.dtype)] += entry.elements();
  }
  const auto most = std::max_element(elements.begin(), elements.end());
  return static_cast<DType>(most - elements.begin());
}

// What a matrix is written as when no type is asked for.
DType kept_type(DType source, bool to_gguf) {
  if (source == DType::kF8E4M3) return DType::kBF16;
  if (source == DType::kF64) return DType::kF32;
  return !to_gguf && is_quantized(source) ? DType::kBF16 : source;
}

DType type_of(const PlannedTensor& tensor, const ConvertOptions& options, bool to_gguf) {
  if (!tensor.matrix) return DType::kF32;
  const DType wanted =
      options.type ? *options.type : kept_type(tensor.source.parts.front()->dtype, to_gguf);
  // Short rows keep their values in a plain type rather than failing the whole conversion.
  if (tensor.cols() % dtype_info(wanted).block_elements == 0) return wanted;
  return tensor.cols() % 32 == 0 ? DType::kQ8_0 : DType::kF16;
}

class ProgressCounter {
 public:
  ProgressCounter(const ConvertProgress& progress, int64_t total)
      : progress_(progress), total_(total) {
    add(0);
  }
  void add(int64_t bytes) {
    done_ += bytes;
    if (progress_ && !progress_(done_, total_))
      fail(ErrorCode::kCancelled, "conversion: cancelled");
  }

 private:
  const ConvertProgress& progress_;
  int64_t total_;
  int64_t done_ = 0;
};

ConvertReport write_all(const Checkpoint& input, const std::vector<PlannedTensor>& plan,
                        const ConvertOptions& options, bool to_gguf, TensorWriter& writer) {
  ThreadPool pool(options.threads);
  ConvertReport report;
  for (const PlannedTensor& tensor : plan) {
    writer.declare(tensor.name, type_of(tensor, options, to_gguf), tensor.shape);
    report.bytes_read += tensor.source_bytes();
  }
  ProgressCounter progress(options.progress, report.bytes_read);
  for (size_t i = 0; i < plan.size(); ++i) {
    write_tensor(input.tensors, plan[i], writer.declared()[i].dtype, pool, writer);
    release_sources(input.tensors, plan[i]);
    progress.add(plan[i].source_bytes());
  }
  writer.finish();
  report.files = writer.paths();
  report.tensors = static_cast<int64_t>(plan.size());
  for (const TensorDeclaration& tensor : writer.declared()) report.bytes_written += tensor.bytes;
  return report;
}

// GGUF to GGUF: the same tensors under the same names.
std::vector<PlannedTensor> plan_copy(const Checkpoint& input) {
  std::vector<PlannedTensor> plan;
  for (const TensorEntry& entry : input.tensors.tensors()) {
    const bool matrix = entry.shape.size() >= 2 && entry.dtype != DType::kF32;
    plan.push_back(
        {entry.name, entry.shape, matrix, {{&entry}, nullptr, {}, ValueTransform::kCopy}});
  }
  return plan;
}

ConvertReport to_gguf(const Checkpoint& input, const ModelConfig& config,
                      const ConvertOptions& options) {
  if (input.format == CheckpointFormat::kGguf) {
    GgufWriter writer(options.output, input.gguf, options.max_part_bytes);
    return write_all(input, plan_copy(input), options, true, writer);
  }
  std::string name = options.name;
  if (name.empty()) {
    const size_t end = input.path.find_last_not_of('/');
    const std::string path = input.path.substr(0, end + 1);
    name = path.substr(path.rfind('/') + 1);
  }
  const DType type = options.type.value_or(kept_type(main_type(input), true));
  GgufWriter writer(options.output, make_gguf_metadata(input, config, name, type, options.mtp),
                    options.max_part_bytes);
  return write_all(input, plan_gguf(input, config, options.mtp), options, true, writer);
}

ConvertReport to_folder(const Checkpoint& input, const ModelConfig& config,
                        const ConvertOptions& options) {
  if (input.format == CheckpointFormat::kHuggingFace) {
    fail(ErrorCode::kInvalidArgument,
         "{}: both input and output are folders, expected a GGUF on one side", options.output);
  }
  if (options.type && is_quantized(*options.type)) {
    fail(ErrorCode::kInvalidArgument, "{}: type {}, expected f32, f16 or bf16 for a folder",
         options.output, dtype_name(*options.type));
  }
  make_folder(options.output);
  const DType type = options.type.value_or(kept_type(main_type(input), false));
  SafetensorsWriter writer(options.output, options.max_part_bytes);
  ConvertReport report =
      write_all(input, plan_folder(input, config, options.mtp), options, false, writer);
  write_folder_files(input, config, type, options.output);
  return report;
}

}  // namespace

ConvertReport convert_checkpoint(const ConvertOptions& options) {
  if (options.type && !is_writable(*options.type)) {
    fail(ErrorCode::kInvalidArgument, "type: {} cannot be written", dtype_name(*options.type));
  }
  Checkpoint input = open_checkpoint(options.input);
  if (!options.adapter.empty()) apply_adapter(input, options.adapter);
  const ModelConfig config = read_model_config(input);
  return is_gguf_path(options.output) ? to_gguf(input, config, options)
                                      : to_folder(input, config, options);
}

}  // namespace headgate

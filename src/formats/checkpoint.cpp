// Opens a model from whatever path names it.
#include "formats/checkpoint.h"

#include <cstring>

#include "base/error.h"
#include "formats/gguf_reader.h"
#include "formats/safetensors.h"

namespace headgate {
namespace {

constexpr int64_t kMaxConfigBytes = 16 << 20;
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool is_gguf(const std::string& path) {
  const InputFile file(path);
  char magic[4] = {};
  if (file.size() < 4) return false;
  file.read_at(0, std::as_writable_bytes(std::span(magic)));
  return std::memcmp(magic, "GGUF", 4) == 0;
}

json::object read_json_object(const std::string& path) {
  json::value value = parse_json(read_text_file(path, kMaxConfigBytes), path);
  if (!value.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected a JSON object", path);
  return std::move(value.get_object());
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Checkpoint open_folder(const std::string& folder, const std::string& weights) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kHuggingFace;
  checkpoint.path = folder;
  if (!file_exists(folder + "/config.json")) {
    fail(ErrorCode::kNotFound, "{}: config.json not found, expected a model folder or a GGUF file",
         folder);
  }
  checkpoint.config = read_json_object(folder + "/config.json");
  const std::string generation = folder + "/generation_config.json";
  if (file_exists(generation)) checkpoint.generation_config = read_json_object(generation);
  if (weights.ends_with(".json")) {
    read_safetensors_index(checkpoint.tensors, weights);
  } else {
    checkpoint.tensors = open_safetensors(weights);
  }
  return checkpoint;
}

Checkpoint open_gguf_checkpoint(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kGguf;
  checkpoint.path = path;
  checkpoint.gguf = open_gguf(checkpoint.tensors, path);
  return checkpoint;
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) {
  if (is_directory(path)) {
    const std::string folder =
        path.size() > 1 && path.back() == '/' ? path.substr(0, path.size() - 1) : path;
    for (const char* name : {kWeights, kIndex}) {
      const std::string weights = folder + "/" + name;
      if (file_exists(weights)) return open_folder(folder, weights);
    }
    fail(ErrorCode::kNotFound, "{}: neither {} nor {} found, expected one of them", folder,
         kWeights, kIndex);
  }
  if (!file_exists(path)) {
    fail(ErrorCode::kNotFound, "{}: not found, expected a model folder or a GGUF file", path);
  }
  if (is_gguf(path)) return open_gguf_checkpoint(path);
  if (path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json")) {
    return open_folder(folder_of(path), path);
  }
  fail(ErrorCode::kInvalidFile, "{}: found neither GGUF nor safetensors, expected a model", path);
}

Checkpoint open_checkpoint_memory(std::span<const std::byte> gguf, const std::string& name) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kGguf;
  checkpoint.path = name;
  checkpoint.gguf = read_gguf(checkpoint.tensors, checkpoint.tensors.add_memory(name, gguf));
  return checkpoint;
}

}  // namespace headgate

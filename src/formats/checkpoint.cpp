// Opens whatever a user names: a folder, one of its files, a GGUF or a part of one.
#include "formats/checkpoint.h"

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf_reader.h"
#include "formats/safetensors.h"

namespace headgate {
namespace {

bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

json::object read_object(const std::string& path) {
  const json::value value = parse_json(read_text_file(path, 64 << 20), path);
  if (!value.is_object()) fail(ErrorCode::kInvalidFile, "{}: found no JSON object", path);
  return value.get_object();
}

Checkpoint open_folder(const std::string& folder) {
  Checkpoint checkpoint;
  checkpoint.path = folder;
  checkpoint.config = read_object(folder + "/config.json");
  if (file_exists(folder + "/generation_config.json")) {
    checkpoint.generation_config = read_object(folder + "/generation_config.json");
  }
  const std::string index = folder + "/model.safetensors.index.json";
  const std::string single = folder + "/model.safetensors";
  if (file_exists(index)) {
    read_safetensors_index(checkpoint.tensors, index);
  } else if (file_exists(single)) {
    read_safetensors(checkpoint.tensors, checkpoint.tensors.add_file(MappedFile(single)));
  } else {
    fail(ErrorCode::kNotFound,
         "{}: found neither model.safetensors nor model.safetensors.index.json", folder);
  }
  return checkpoint;
}

// The name of part `part` of a split file "name-00001-of-00003.gguf"; empty when `path` is not
// spelled so.
std::string split_name(const std::string& path, int64_t part, int64_t count) {
  const std::string ending = fmt::format("-of-{:05}.gguf", count);
  if (!ends_with(path, ending) || path.size() < ending.size() + 6) return "";
  return path.substr(0, path.size() - ending.size() - 5) + fmt::format("{:05}", part) + ending;
}

Checkpoint open_gguf(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kGguf;
  checkpoint.path = path;
  TensorStore& store = checkpoint.tensors;
  checkpoint.gguf = read_gguf(store, store.add_file(MappedFile(path)));
  const int64_t count = checkpoint.gguf.integer("split.count").value_or(1);
  if (count <= 1) return checkpoint;
  if (count > 99999 || split_name(path, 1, count).empty()) {
    fail(ErrorCode::kInvalidFile,
         "{}: split.count is {}, expected a name ending in -NNNNN-of-{:05}.gguf", path, count,
         count);
  }
  const int64_t own = checkpoint.gguf.integer("split.no").value_or(-1);
  for (int64_t part = 0; part < count; ++part) {
    if (part == own) continue;
    const std::string name = split_name(path, part + 1, count);
    GgufMetadata metadata = read_gguf(store, store.add_file(MappedFile(name)));
    const int64_t number = metadata.integer("split.no").value_or(-1);
    if (number != part || metadata.integer("split.count").value_or(1) != count) {
      fail(ErrorCode::kInvalidFile, "{}: split.no {} of {}, expected {} of {}", name, number,
           metadata.integer("split.count").value_or(1), part, count);
    }
    if (part == 0)
      checkpoint.gguf = std::move(metadata);  // the first part carries the model's metadata
  }
  const std::optional<int64_t> total = checkpoint.gguf.integer("split.tensors.count");
  if (total && *total != static_cast<int64_t>(store.tensors().size())) {
    fail(ErrorCode::kInvalidFile, "{}: {} tensors in {} parts, expected {}", path,
         store.tensors().size(), count, *total);
  }
  return checkpoint;
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) {
  if (is_directory(path)) return open_folder(path);
  if (!file_exists(path)) fail(ErrorCode::kNotFound, "{}: no such file or folder", path);
  if (ends_with(path, ".safetensors") || ends_with(path, ".index.json")) {
    const size_t slash = path.rfind('/');
    return open_folder(slash == std::string::npos ? "." : path.substr(0, slash));
  }
  return open_gguf(path);
}

Checkpoint open_checkpoint_memory(std::span<const std::byte> gguf, const std::string& name) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kGguf;
  checkpoint.path = name;
  checkpoint.gguf = read_gguf(checkpoint.tensors, checkpoint.tensors.add_memory(name, gguf));
  return checkpoint;
}

}  // namespace headgate

// Safetensors headers and the shard index as JSON.
#include "formats/safetensors_writer.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

std::string shard_name(size_t part, size_t parts) {
  if (parts == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", part + 1, parts);
}

json::array json_numbers(std::span<const int64_t> numbers) {
  json::array array;
  for (const int64_t number : numbers) array.emplace_back(number);
  return array;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string folder, int64_t max_part_bytes,
                                     SafetensorsMetadata metadata)
    : TensorWriter(max_part_bytes), folder_(std::move(folder)), metadata_(std::move(metadata)) {}

void SafetensorsWriter::check_type(const TensorDeclaration& tensor) const {
  if (dtype_info(tensor.dtype).safetensors.empty()) {
    fail(ErrorCode::kInvalidArgument, "tensor {}: type {}, expected one that safetensors has",
         tensor.name, dtype_name(tensor.dtype));
  }
  if (tensor.name == "__metadata__") {
    fail(ErrorCode::kInvalidArgument, "tensor {}: a reserved name", tensor.name);
  }
}

std::string SafetensorsWriter::part_path(size_t part, size_t parts) const {
  return folder_ + "/" + shard_name(part, parts);
}

void SafetensorsWriter::write_header(OutputFile& out, size_t part) {
  json::object header;
  if (!metadata_.empty()) {
    json::object strings;
    for (const auto& [key, value] : metadata_) strings[key] = value;
    header["__metadata__"] = std::move(strings);
  }
  int64_t offset = 0;
  for (size_t i = parts()[part].first; i < parts()[part].last; ++i) {
    const TensorDeclaration& tensor = declared()[i];
    json::object entry;
    entry["dtype"] = std::string(dtype_info(tensor.dtype).safetensors);
    entry["shape"] = json_numbers(tensor.shape);
    const int64_t range[] = {offset, offset + tensor.bytes};
    entry["data_offsets"] = json_numbers(range);
    header[tensor.name] = std::move(entry);
    offset += tensor.bytes;
  }
  std::string text = dump_json(json::value(std::move(header)));
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<uint64_t>(text.size());
  out.write(std::as_bytes(std::span(&length, 1)));
  out.write(text);
}

void SafetensorsWriter::write_extra_files() {
  if (parts().size() == 1) return;
  json::object weight_map;
  int64_t total = 0;
  for (size_t part = 0; part < parts().size(); ++part) {
    for (size_t i = parts()[part].first; i < parts()[part].last; ++i) {
      weight_map[declared()[i].name] = shard_name(part, parts().size());
      total += declared()[i].bytes;
    }
  }
  json::object index;
  index["metadata"] = json::object{{"total_size", total}};
  index["weight_map"] = std::move(weight_map);
  write_text_file(folder_ + "/model.safetensors.index.json",
                  dump_json_python(json::value(std::move(index)), 2) + "\n");
}

}  // namespace headgate

// Safetensors headers and shard indexes of outside origin.
#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr int64_t kMaxIndexBytes = 256 << 20;
constexpr size_t kMaxDimensions = 16;
constexpr std::string_view kMetadataKey = "__metadata__";

std::string_view view_of(const json::string& text) { return {text.data(), text.size()}; }
std::string_view view_of(json::string_view text) { return {text.data(), text.size()}; }

// A non-negative integer, or nothing.
std::optional<int64_t> natural(const json::value& value) {
  if (value.is_int64() && value.get_int64() >= 0) return value.get_int64();
  return std::nullopt;  // beyond 2^63 too: Boost then keeps a uint64
}

std::vector<int64_t> read_naturals(const json::object& object, const char* field, size_t limit,
                                   const std::string& where) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr || !value->is_array() || value->get_array().size() > limit) {
    fail(ErrorCode::kInvalidFile, "{}: {} {}, expected an array of at most {} integers", where,
         field, value == nullptr ? "not found" : "malformed", limit);
  }
  std::vector<int64_t> numbers;
  numbers.reserve(value->get_array().size());
  for (const json::value& item : value->get_array()) {
    const std::optional<int64_t> number = natural(item);
    if (!number) {
      fail(ErrorCode::kInvalidFile, "{}: {} holds {}, expected integers from 0 to 2^63 - 1", where,
           field, dump_json(item).substr(0, 40));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

DType read_dtype(const json::object& object, const std::string& where) {
  const json::value* value = object.if_contains("dtype");
  if (value == nullptr || !value->is_string()) {
    fail(ErrorCode::kInvalidFile, "{}: dtype {}, expected a string", where,
         value == nullptr ? "not found" : "malformed");
  }
  const std::string_view name = view_of(value->get_string());
  const std::optional<DType> type = dtype_from_safetensors(name);
  if (!type) {
    fail(ErrorCode::kUnsupported,
         "{}: dtype {}, expected one of F64 F32 F16 BF16 F8_E4M3 F8_E8M0 I64 I32 I16 I8 U8 BOOL",
         where, name.substr(0, 40));
  }
  return *type;
}

TensorEntry read_entry(std::string_view name, const json::value& value, int32_t file,
                       int64_t data_offset, const std::string& path) {
  const std::string where = fmt::format("{}: tensor {}", path, name);
  if (!value.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected an object", where);
  const json::object& object = value.get_object();
  TensorEntry entry;
  entry.name = std::string(name);
  entry.file = file;
  entry.dtype = read_dtype(object, where);
  entry.shape = read_naturals(object, "shape", kMaxDimensions, where);
  const std::vector<int64_t> offsets = read_naturals(object, "data_offsets", 2, where);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail(ErrorCode::kInvalidFile, "{}: data_offsets {}, expected begin and end in order", where,
         format_shape(offsets));
  }
  const int64_t elements = checked_elements(entry.shape, where);
  entry.bytes = offsets[1] - offsets[0];
  const int64_t width = dtype_info(entry.dtype).block_bytes;
  if (elements > INT64_MAX / width || elements * width != entry.bytes) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected {} elements of {} bytes for shape {}",
         where, entry.bytes, elements, width, format_shape(entry.shape));
  }
  if (offsets[1] > INT64_MAX - data_offset) {
    fail(ErrorCode::kInvalidFile, "{}: ends at data byte {}, expected inside the file", where,
         offsets[1]);
  }
  entry.offset = data_offset + offsets[0];
  return entry;
}

SafetensorsMetadata read_metadata(const json::value& value, const std::string& path) {
  SafetensorsMetadata metadata;
  if (!value.is_object()) {
    fail(ErrorCode::kInvalidFile, "{}: __metadata__: expected an object of strings", path);
  }
  for (const auto& item : value.get_object()) {
    if (!item.value().is_string()) {
      fail(ErrorCode::kInvalidFile, "{}: __metadata__: key {}: expected a string", path,
           view_of(item.key()));
    }
    metadata.emplace(view_of(item.key()), view_of(item.value().get_string()));
  }
  return metadata;
}

// The tensors, sorted by offset, must cover the data section exactly.
void check_coverage(std::vector<TensorEntry>& entries, int64_t data_offset, int64_t file_size,
                    const std::string& path) {
  std::stable_sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  int64_t end = data_offset;
  for (const TensorEntry& entry : entries) {
    if (entry.offset != end) {
      fail(ErrorCode::kInvalidFile,
           "{}: tensor {}: starts at data byte {}, expected {} where the one before ends", path,
           entry.name, entry.offset - data_offset, end - data_offset);
    }
    if (entry.bytes > file_size - entry.offset) {
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: ends at data byte {}, but the file has {}",
           path, entry.name, entry.offset + entry.bytes - data_offset, file_size - data_offset);
    }
    end = entry.offset + entry.bytes;
  }
  if (end != file_size) {
    fail(ErrorCode::kInvalidFile, "{}: {} data bytes, expected {}, the end of the last tensor",
         path, file_size - data_offset, end - data_offset);
  }
}

std::string_view header_text(std::span<const std::byte> bytes, const std::string& path) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected at least the 8 of a header length", path,
         bytes.size());
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t most = std::min<uint64_t>(bytes.size() - sizeof length, kMaxHeaderBytes);
  if (length > most) {
    fail(ErrorCode::kInvalidFile, "{}: header of {} bytes, expected at most {}", path, length,
         most);
  }
  return {reinterpret_cast<const char*>(bytes.data()) + sizeof length, static_cast<size_t>(length)};
}

json::value parse_strict(std::string_view text, const std::string& source) {
  JsonLimits limits;
  limits.depth = 8;
  limits.reject_duplicate_keys = true;
  json::value value = parse_json(text, source, limits);
  if (!value.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected a JSON object", source);
  return value;
}

// A shard name must stay inside the folder: relative, no "..", and a safetensors file.
void check_shard_name(std::string_view name, const std::string& index_path) {
  bool good = name.size() > 12 && name.ends_with(".safetensors") && name.front() != '/' &&
              name.find('\0') == std::string_view::npos &&
              name.find('\\') == std::string_view::npos;
  for (size_t begin = 0; good && begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    good = !part.empty() && part != "." && part != "..";
    begin = end + 1;
  }
  if (!good) {
    fail(ErrorCode::kInvalidFile, "{}: shard {}: expected a .safetensors file inside the folder",
         index_path, name.substr(0, 200));
  }
}

}  // namespace

ShardIndex parse_shard_index(std::string_view text, const std::string& index_path) {
  const json::value index = parse_strict(text, index_path);
  const json::value* map = index.get_object().if_contains("weight_map");
  if (map == nullptr || !map->is_object() || map->get_object().empty()) {
    fail(ErrorCode::kInvalidFile, "{}: weight_map {}, expected an object naming a shard per tensor",
         index_path, map == nullptr ? "not found" : "empty or malformed");
  }
  ShardIndex weights;
  for (const auto& item : map->get_object()) {
    if (!item.value().is_string()) {
      fail(ErrorCode::kInvalidFile, "{}: weight_map: tensor {}: expected a file name", index_path,
           view_of(item.key()));
    }
    const std::string_view shard = view_of(item.value().get_string());
    check_shard_name(shard, index_path);
    weights.emplace(view_of(item.key()), shard);
  }
  return weights;
}

SafetensorsMetadata read_safetensors(TensorStore& store, int32_t file) {
  const std::string path = store.paths()[static_cast<size_t>(file)];
  const std::span<const std::byte> bytes = store.file_bytes(file);
  const std::string_view text = header_text(bytes, path);
  const json::value header = parse_strict(text, path);
  const auto data_offset = static_cast<int64_t>(sizeof(uint64_t) + text.size());

  SafetensorsMetadata metadata;
  std::vector<TensorEntry> entries;
  entries.reserve(header.get_object().size());
  for (const auto& item : header.get_object()) {
    const std::string_view name = view_of(item.key());
    if (name == kMetadataKey) {
      metadata = read_metadata(item.value(), path);
    } else {
      entries.push_back(read_entry(name, item.value(), file, data_offset, path));
    }
  }
  check_coverage(entries, data_offset, static_cast<int64_t>(bytes.size()), path);
  for (TensorEntry& entry : entries) store.add_tensor(std::move(entry));
  return metadata;
}

TensorStore open_safetensors(const std::string& path) {
  TensorStore store;
  read_safetensors(store, store.add_file(MappedFile(path)));
  return store;
}

void read_safetensors_index(TensorStore& store, const std::string& index_path) {
  const size_t slash = index_path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : index_path.substr(0, slash + 1);
  const ShardIndex weights =
      parse_shard_index(read_text_file(index_path, kMaxIndexBytes), index_path);
  std::map<std::string, int32_t> shards;
  for (const auto& [tensor, shard] : weights) {
    if (shards.contains(shard)) continue;
    if (!file_exists(folder + shard)) {
      fail(ErrorCode::kNotFound, "{}: shard {}: not found, expected for tensor {}", index_path,
           shard, tensor);
    }
    const int32_t file = store.add_file(MappedFile(folder + shard));
    shards.emplace(shard, file);
    read_safetensors(store, file);
  }
  for (const auto& [tensor, shard] : weights) {
    const TensorEntry* entry = store.find(tensor);
    if (entry == nullptr || entry->file != shards.at(shard)) {
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: {}, expected in shard {}", index_path, tensor,
           entry == nullptr ? "not found"
                            : "found in " + store.paths()[static_cast<size_t>(entry->file)],
           shard);
    }
  }
}

}  // namespace headgate

// The safetensors container: u64 header length, JSON header, data.
#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

// The format's own limit on headers (100 MB); the 80B's 76,000 names take about 8 MB.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDims = 8;

[[noreturn]] void fail_tensor(const std::string& path, std::string_view name,
                              const std::string& what) {
  fail(ErrorCode::kInvalidFile, "{}: tensor {}: {}", path, name, what);
}

// A non-negative integer below 2^62, or nothing.
std::optional<int64_t> to_size(const json::value& value) {
  if (const int64_t* number = value.if_int64();
      number != nullptr && *number >= 0 && *number < (int64_t{1} << 62)) {
    return *number;
  }
  return std::nullopt;
}

int64_t read_shape(TensorEntry& entry, const json::value* shape, const std::string& path) {
  if (shape == nullptr || !shape->is_array() || shape->get_array().size() > kMaxDims) {
    fail_tensor(path, entry.name,
                fmt::format("no shape, expected a list of at most {} sizes", kMaxDims));
  }
  int64_t elements = 1;
  for (const json::value& item : shape->get_array()) {
    const std::optional<int64_t> extent = to_size(item);
    if (!extent || (*extent > 0 && elements > (int64_t{1} << 58) / *extent)) {
      fail_tensor(path, entry.name,
                  fmt::format("shape {}, expected sizes with at most 2^58 elements in all",
                              dump_json(*shape)));
    }
    elements *= *extent;
    entry.shape.push_back(*extent);
  }
  return elements;
}

TensorEntry read_entry(std::string_view name, const json::value& value, int64_t data_start,
                       const std::string& path) {
  TensorEntry entry;
  entry.name = name;
  const json::object* object = value.if_object();
  if (object == nullptr)
    fail_tensor(path, name, "found no JSON object, expected dtype, shape and data_offsets");
  const json::value* dtype = object->if_contains("dtype");
  if (dtype == nullptr || !dtype->is_string()) fail_tensor(path, name, "no dtype");
  const std::optional<DType> type = dtype_from_safetensors(std::string_view(dtype->get_string()));
  if (!type) {
    fail(ErrorCode::kUnsupported, "{}: tensor {}: dtype {} is not supported", path, name,
         std::string_view(dtype->get_string()));
  }
  entry.dtype = *type;
  const int64_t elements = read_shape(entry, object->if_contains("shape"), path);
  const json::value* offsets = object->if_contains("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->get_array().size() != 2) {
    fail_tensor(path, name, "no data_offsets, expected [begin, end]");
  }
  const std::optional<int64_t> begin = to_size(offsets->get_array()[0]);
  const std::optional<int64_t> end = to_size(offsets->get_array()[1]);
  const int64_t bytes = elements * dtype_info(*type).block_bytes;
  if (!begin || !end || *end < *begin || *end - *begin != bytes) {
    fail_tensor(path, name,
                fmt::format("data_offsets {}, expected {} bytes for {} {}", dump_json(*offsets),
                            bytes, dump_json(*object->if_contains("shape")), dtype_name(*type)));
  }
  entry.bytes = bytes;
  entry.offset = data_start + *begin;
  return entry;
}

// The format allows no gaps and no overlaps: both are signs of a damaged or crafted header.
void check_coverage(std::vector<TensorEntry>& entries, int64_t data_start, int64_t file_bytes,
                    const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  int64_t expected = data_start;
  for (const TensorEntry& entry : entries) {
    if (entry.offset != expected) {
      fail_tensor(path, entry.name,
                  fmt::format("data starts at byte {}, expected {} ({})", entry.offset, expected,
                              entry.offset < expected ? "overlap" : "gap"));
    }
    expected += entry.bytes;
  }
  if (expected != file_bytes) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected {} from its header", path, file_bytes,
         expected);
  }
}

}  // namespace

void read_safetensors(TensorStore& store, int32_t file) {
  const std::string path = store.paths()[static_cast<size_t>(file)];
  const std::span<const std::byte> bytes = store.file_bytes(file);
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected at least 8 for a safetensors file", path,
         bytes.size());
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - sizeof header_bytes) {
    fail(ErrorCode::kInvalidFile, "{}: header of {} bytes, file has {}", path, header_bytes,
         bytes.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes,
                              header_bytes);
  const json::value header =
      parse_json(text, path + " header", {.depth = 8, .reject_duplicate_keys = true});
  if (!header.is_object()) fail(ErrorCode::kInvalidFile, "{}: header is no JSON object", path);
  const auto data_start = static_cast<int64_t>(sizeof header_bytes + header_bytes);
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : header.get_object()) {
    if (name == "__metadata__") continue;
    entries.push_back(read_entry(name, value, data_start, path));
    entries.back().file = file;
  }
  check_coverage(entries, data_start, static_cast<int64_t>(bytes.size()), path);
  for (TensorEntry& entry : entries) store.add_tensor(std::move(entry));
}

void read_safetensors_index(TensorStore& store, const std::string& index_path) {
  const json::value index = parse_json(read_text_file(index_path, 256 << 20), index_path,
                                       {.depth = 8, .reject_duplicate_keys = true});
  const json::value* map =
      index.is_object() ? index.get_object().if_contains("weight_map") : nullptr;
  if (map == nullptr || !map->is_object()) {
    fail(ErrorCode::kInvalidFile, "{}: no weight_map, expected an object of tensor names and files",
         index_path);
  }
  const size_t slash = index_path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? std::string() : index_path.substr(0, slash + 1);
  std::map<std::string, int32_t, std::less<>> files;
  for (const auto& [name, file] : map->get_object()) {
    if (!file.is_string())
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: no file name", index_path,
           std::string_view(name));
    const std::string_view shard(file.get_string());
    if (files.find(shard) != files.end()) continue;
    // A shard lies beside its index; anything else could read files the user did not name.
    if (shard.empty() || shard.find('/') != std::string_view::npos ||
        shard.find('\0') != std::string_view::npos) {
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: file \"{}\", expected a name inside the folder",
           index_path, std::string_view(name), shard);
    }
    const int32_t number = store.add_file(MappedFile(folder + std::string(shard)));
    files.emplace(std::string(shard), number);
    read_safetensors(store, number);
  }
  for (const auto& [name, file] : map->get_object()) {
    const TensorEntry* entry = store.find(name);
    const int32_t expected = files.find(std::string_view(file.get_string()))->second;
    if (entry == nullptr || entry->file != expected) {
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: not found in {}", index_path,
           std::string_view(name), std::string_view(file.get_string()));
    }
  }
}

}  // namespace headgate

// Finds and joins the parts of a split GGUF file.
#include <optional>

#include "base/error.h"
#include "formats/gguf_names.h"
#include "formats/gguf_reader.h"

namespace headgate {
namespace {

// What a part says about its place; `count` is 0 for a file that is not split.
struct SplitKeys {
  int64_t number = 0;
  int64_t count = 0;
  int64_t tensors = 0;
};

SplitKeys read_split_keys(const GgufMetadata& metadata, const std::string& path) {
  try {
    SplitKeys keys;
    keys.count = metadata.integer("split.count").value_or(0);
    keys.number = metadata.integer("split.no").value_or(0);
    keys.tensors = metadata.integer("split.tensors.count").value_or(0);
    return keys;
  } catch (const Error& error) {
    fail(ErrorCode::kInvalidFile, "{}: {}", path, error.what());
  }
}

void check_part(const SplitKeys& keys, int64_t number, int64_t count, const std::string& path) {
  if (keys.number != number || keys.count != count) {
    fail(ErrorCode::kInvalidFile, "{}: says it is part {} of {}, expected part {} of {}", path,
         keys.number + 1, keys.count, number + 1, count);
  }
}

}  // namespace

std::string gguf_part_path(const std::string& stem, int64_t number, int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number + 1, count);
}

std::optional<GgufPartName> parse_gguf_part_path(const std::string& path) {
  constexpr size_t kSuffix = std::string_view("-00001-of-00001.gguf").size();
  if (path.size() < kSuffix) return std::nullopt;
  const std::string suffix = path.substr(path.size() - kSuffix);
  GgufPartName name;
  for (size_t i = 0; i < 5; ++i) {
    const char a = suffix[1 + i], b = suffix[10 + i];
    if (a < '0' || a > '9' || b < '0' || b > '9') return std::nullopt;
    name.number = name.number * 10 + (a - '0');
    name.count = name.count * 10 + (b - '0');
  }
  name.number -= 1;
  name.stem = path.substr(0, path.size() - kSuffix);
  if (gguf_part_path(name.stem, name.number, name.count) != path) return std::nullopt;
  return name;
}

GgufMetadata open_gguf(TensorStore& store, const std::string& path) {
  const std::optional<GgufPartName> name = parse_gguf_part_path(path);
  if (!name) {
    GgufMetadata metadata = read_gguf(store, store.add_file(MappedFile(path)));
    const SplitKeys keys = read_split_keys(metadata, path);
    if (keys.count > 1) {
      fail(ErrorCode::kInvalidFile,
           "{}: part {} of {}, expected a name ending in -00001-of-{:05}.gguf", path,
           keys.number + 1, keys.count, keys.count);
    }
    return metadata;
  }
  if (name->count < 1 || name->number < 0 || name->number >= name->count) {
    fail(ErrorCode::kInvalidFile, "{}: part {} of {}, expected a part within the count", path,
         name->number + 1, name->count);
  }
  GgufMetadata first;
  SplitKeys expected;
  for (int64_t part = 0; part < name->count; ++part) {
    const std::string part_path = gguf_part_path(name->stem, part, name->count);
    GgufMetadata metadata = read_gguf(store, store.add_file(MappedFile(part_path)));
    const SplitKeys keys = read_split_keys(metadata, part_path);
    // A lone file may be called "-00001-of-00001" without split keys.
    if (name->count > 1 || keys.count > 0) check_part(keys, part, name->count, part_path);
    if (part == 0) {
      first = std::move(metadata);
      expected = keys;
    }
  }
  const auto found = static_cast<int64_t>(store.tensors().size());
  if (expected.count > 0 && expected.tensors != found) {
    fail(ErrorCode::kInvalidFile, "{}: {} tensors in {} parts, expected {}", path, found,
         name->count, expected.tensors);
  }
  return first;
}

}  // namespace headgate

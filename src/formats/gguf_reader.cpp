// The GGUF container: header, typed key-value pairs, tensor list, aligned data section.
#include "formats/gguf_reader.h"

#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr int kMaxDims = 4;
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kMaxNameBytes = 65535;

// A cursor over the file that refuses to pass its end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  uint64_t left() const { return bytes_.size() - position_; }
  uint64_t position() const { return position_; }

  template <typename T>
  T take(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  std::string take_string(std::string_view what, uint64_t limit) {
    const auto length = take<uint64_t>(what);
    if (length > limit) {
      fail(ErrorCode::kInvalidFile, "{}: {}: string of {} bytes, expected at most {}", path_, what,
           length, limit);
    }
    need(length, what);
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return text;
  }

  void need(uint64_t bytes, std::string_view what) const {
    if (bytes > left()) {
      fail(ErrorCode::kInvalidFile, "{}: {} at byte {}: file ends after {} more bytes, expected {}",
           path_, what, position_, left(), bytes);
    }
  }
  const std::string& path() const { return path_; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
  uint64_t position_ = 0;
};

uint64_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
      return 8;
    case GgufType::kArray:
      return 12;
  }
  return 0;
}

int64_t take_integer(Cursor& in, GgufType type, std::string_view key) {
  switch (type) {
    case GgufType::kU8:
      return in.take<uint8_t>(key);
    case GgufType::kI8:
      return in.take<int8_t>(key);
    case GgufType::kBool:
      return in.take<uint8_t>(key);
    case GgufType::kU16:
      return in.take<uint16_t>(key);
    case GgufType::kI16:
      return in.take<int16_t>(key);
    case GgufType::kU32:
      return in.take<uint32_t>(key);
    case GgufType::kI32:
      return in.take<int32_t>(key);
    default:
      return in.take<int64_t>(key);
  }
}

double take_float(Cursor& in, GgufType type, std::string_view key) {
  return type == GgufType::kF32 ? static_cast<double>(in.take<float>(key)) : in.take<double>(key);
}

GgufType take_type(Cursor& in, std::string_view key) {
  const auto type = in.take<uint32_t>(key);
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    fail(ErrorCode::kInvalidFile, "{}: key {}: value type {}, expected 0 to 12", in.path(), key,
         type);
  }
  return static_cast<GgufType>(type);
}

GgufArray take_array(Cursor& in, std::string_view key, int depth) {
  if (depth > kMaxArrayDepth) {
    fail(ErrorCode::kInvalidFile, "{}: key {}: arrays nested deeper than {}", in.path(), key,
         kMaxArrayDepth);
  }
  GgufArray array;
  array.element = take_type(in, key);
  const auto count = in.take<uint64_t>(key);
  if (count > in.left() / element_bytes(array.element)) {
    fail(ErrorCode::kInvalidFile, "{}: key {}: array of {} items, file has {} bytes left",
         in.path(), key, count, in.left());
  }
  if (array.element == GgufType::kString) {
    std::vector<std::string> items;
    for (uint64_t i = 0; i < count; ++i) items.push_back(in.take_string(key, in.left()));
    array.items = std::move(items);
  } else if (array.element == GgufType::kArray) {
    std::vector<GgufArray> items;
    for (uint64_t i = 0; i < count; ++i) items.push_back(take_array(in, key, depth + 1));
    array.items = std::move(items);
  } else if (array.element == GgufType::kF32 || array.element == GgufType::kF64) {
    std::vector<double> items;
    for (uint64_t i = 0; i < count; ++i) items.push_back(take_float(in, array.element, key));
    array.items = std::move(items);
  } else {
    std::vector<int64_t> items;
    for (uint64_t i = 0; i < count; ++i) items.push_back(take_integer(in, array.element, key));
    array.items = std::move(items);
  }
  return array;
}

GgufValue take_value(Cursor& in, std::string_view key) {
  GgufValue value;
  value.type = take_type(in, key);
  switch (value.type) {
    case GgufType::kString:
      value.value = in.take_string(key, in.left());
      break;
    case GgufType::kArray:
      value.value = take_array(in, key, 1);
      break;
    case GgufType::kF32:
    case GgufType::kF64:
      value.value = take_float(in, value.type, key);
      break;
    default:
      value.value = take_integer(in, value.type, key);
  }
  return value;
}

GgufMetadata take_metadata(Cursor& in, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = in.take_string("metadata key", kMaxNameBytes);
    if (key.empty() || !is_valid_utf8(key)) {
      fail(ErrorCode::kInvalidFile, "{}: metadata key {}: found an empty or invalid UTF-8 name",
           in.path(), i);
    }
    if (metadata.find(key) != nullptr)
      fail(ErrorCode::kInvalidFile, "{}: key {} appears twice", in.path(), key);
    metadata.set(key, take_value(in, key));
  }
  return metadata;
}

TensorEntry take_tensor(Cursor& in, int32_t file) {
  TensorEntry entry;
  entry.file = file;
  entry.name = in.take_string("tensor name", kMaxNameBytes);
  if (entry.name.empty() || !is_valid_utf8(entry.name)) {
    fail(ErrorCode::kInvalidFile, "{}: a tensor name at byte {} is empty or invalid UTF-8",
         in.path(), in.position());
  }
  const auto fail_tensor = [&](const std::string& what) {
    fail(ErrorCode::kInvalidFile, "{}: tensor {}: {}", in.path(), entry.name, what);
  };
  const auto dims = in.take<uint32_t>(entry.name);
  if (dims > kMaxDims)
    fail_tensor(fmt::format("{} dimensions, expected at most {}", dims, kMaxDims));
  entry.shape.resize(dims);
  uint64_t elements = 1;
  for (uint32_t d = 0; d < dims; ++d) {
    const auto extent = in.take<uint64_t>(entry.name);
    if (extent == 0 || extent > (uint64_t{1} << 62) / elements) {
      fail_tensor(fmt::format(
          "dimension {} of {}, expected a size between 1 and 2^62 elements in all", d, extent));
    }
    elements *= extent;
    entry.shape[dims - 1 - d] = static_cast<int64_t>(extent);
  }
  const auto type = in.take<uint32_t>(entry.name);
  const std::optional<DType> dtype = dtype_from_ggml(type);
  if (!dtype) {
    fail(ErrorCode::kUnsupported, "{}: tensor {}: GGML type {} is not supported", in.path(),
         entry.name, type);
  }
  entry.dtype = *dtype;
  const DTypeInfo& info = dtype_info(*dtype);
  if (entry.cols() % info.block_elements != 0) {
    fail_tensor(fmt::format("rows of {} elements, expected a multiple of {} for {}", entry.cols(),
                            info.block_elements, info.name));
  }
  entry.bytes = static_cast<int64_t>(elements / static_cast<uint64_t>(info.block_elements)) *
                info.block_bytes;
  const auto offset = in.take<uint64_t>(entry.name);
  if (offset > (uint64_t{1} << 62))
    fail_tensor(fmt::format("offset {} beyond the end of the file", offset));
  entry.offset = static_cast<int64_t>(offset);
  return entry;
}

}  // namespace

GgufMetadata read_gguf(TensorStore& store, int32_t file) {
  const std::string path = store.paths()[static_cast<size_t>(file)];
  Cursor in(store.file_bytes(file), path);
  if (const auto magic = in.take<uint32_t>("magic"); magic != kMagic) {
    fail(ErrorCode::kInvalidFile, "{}: starts with {:#010x}, expected a GGUF file", path, magic);
  }
  const auto version = in.take<uint32_t>("version");
  if (version != 2 && version != 3) {
    fail(ErrorCode::kUnsupported, "{}: GGUF version {}, expected 2 or 3", path, version);
  }
  const auto tensors = in.take<uint64_t>("tensor count");
  const auto keys = in.take<uint64_t>("key count");
  // The smallest key takes 13 bytes, the smallest tensor 24.
  if (keys > in.left() / 13 || tensors > in.left() / 24) {
    fail(ErrorCode::kInvalidFile, "{}: {} keys and {} tensors, file has {} bytes left", path, keys,
         tensors, in.left());
  }
  GgufMetadata metadata = take_metadata(in, keys);
  const int64_t alignment = metadata.integer("general.alignment").value_or(32);
  if (alignment <= 0 || alignment > (1 << 20) ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    fail(ErrorCode::kInvalidFile, "{}: general.alignment {}, expected a power of two up to 2^20",
         path, alignment);
  }
  std::vector<TensorEntry> entries;
  for (uint64_t i = 0; i < tensors; ++i) entries.push_back(take_tensor(in, file));
  const auto data = static_cast<int64_t>((in.position() + static_cast<uint64_t>(alignment) - 1) /
                                         static_cast<uint64_t>(alignment)) *
                    alignment;
  for (TensorEntry& entry : entries) {
    if (entry.offset % alignment != 0) {
      fail(ErrorCode::kInvalidFile, "{}: tensor {}: offset {}, expected a multiple of {}", path,
           entry.name, entry.offset, alignment);
    }
    entry.offset += data;
    store.add_tensor(std::move(entry));
  }
  return metadata;
}

}  // namespace headgate

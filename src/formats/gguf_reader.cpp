// A bounds-checked GGUF parser.
#include "formats/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF fields are read as they lie");

// Smallest encodings: what a count is checked against before anything is reserved.
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxDimensions = 4;
constexpr int64_t kMaxAlignment = 1 << 20;

int64_t encoded_size(GgufType type) {
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
    case GgufType::kString:
      return 8;
    case GgufType::kArray:
      return 12;
  }
  return 1;
}

// Walks the header; every read is checked against the bytes that are left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  uint64_t left() const { return bytes_.size() - position_; }
  int64_t position() const { return static_cast<int64_t>(position_); }
  const std::string& path() const { return path_; }

  template <typename T>
  T read(std::string_view what) {
    if (left() < sizeof(T)) truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  std::string_view text(std::string_view what) {
    const auto length = read<uint64_t>(what);
    if (length > left()) truncated(what, length);
    const std::string_view view(reinterpret_cast<const char*>(bytes_.data() + position_),
                                static_cast<size_t>(length));
    position_ += static_cast<size_t>(length);
    if (!is_valid_utf8(view)) {
      fail(ErrorCode::kInvalidFile, "{}: {}: found invalid UTF-8, expected UTF-8 text", path_,
           what);
    }
    return view;
  }

  // Checks a number of items of at least `item_bytes` each against the rest of the file.
  void check_count(uint64_t count, uint64_t item_bytes, std::string_view what) const {
    if (count > left() / item_bytes) {
      fail(ErrorCode::kInvalidFile, "{}: {}: count {}, expected at most {} in the {} bytes left",
           path_, what, count, left() / item_bytes, left());
    }
  }

 private:
  [[noreturn]] void truncated(std::string_view what, uint64_t needed) const {
    fail(ErrorCode::kInvalidFile, "{}: {}: {} bytes left at byte {}, expected {}", path_, what,
         left(), position_, needed);
  }

  std::span<const std::byte> bytes_;
  const std::string& path_;
  size_t position_ = 0;
};

GgufType read_type(Cursor& in, std::string_view what) {
  const auto type = in.read<uint32_t>(what);
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    fail(ErrorCode::kInvalidFile, "{}: {}: value type {}, expected 0 to 12", in.path(), what, type);
  }
  return static_cast<GgufType>(type);
}

int64_t read_integer(Cursor& in, GgufType type, std::string_view what) {
  switch (type) {
    case GgufType::kU8:
      return in.read<uint8_t>(what);
    case GgufType::kI8:
      return in.read<int8_t>(what);
    case GgufType::kU16:
      return in.read<uint16_t>(what);
    case GgufType::kI16:
      return in.read<int16_t>(what);
    case GgufType::kU32:
      return in.read<uint32_t>(what);
    case GgufType::kI32:
      return in.read<int32_t>(what);
    case GgufType::kBool: {
      const auto value = in.read<uint8_t>(what);
      if (value > 1) {
        fail(ErrorCode::kInvalidFile, "{}: {}: bool {}, expected 0 or 1", in.path(), what, value);
      }
      return value;
    }
    default:
      return in.read<int64_t>(what);
  }
}

double read_real(Cursor& in, GgufType type, std::string_view what) {
  return type == GgufType::kF32 ? static_cast<double>(in.read<float>(what)) : in.read<double>(what);
}

bool is_real(GgufType type) { return type == GgufType::kF32 || type == GgufType::kF64; }

template <typename T, typename Read>
std::vector<T> read_items(uint64_t count, Read read_one) {
  std::vector<T> items;
  items.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) items.push_back(read_one());
  return items;
}

GgufArray read_array(Cursor& in, std::string_view what, int depth) {
  if (depth > kMaxArrayDepth) {
    fail(ErrorCode::kInvalidFile, "{}: {}: arrays nested deeper than {}", in.path(), what,
         kMaxArrayDepth);
  }
  GgufArray array;
  array.element = read_type(in, what);
  const auto count = in.read<uint64_t>(what);
  in.check_count(count, static_cast<uint64_t>(encoded_size(array.element)), what);
  const GgufType type = array.element;
  if (type == GgufType::kString) {
    array.items = read_items<std::string>(count, [&] { return std::string(in.text(what)); });
  } else if (type == GgufType::kArray) {
    array.items = read_items<GgufArray>(count, [&] { return read_array(in, what, depth + 1); });
  } else if (is_real(type)) {
    array.items = read_items<double>(count, [&] { return read_real(in, type, what); });
  } else {
    array.items = read_items<int64_t>(count, [&] { return read_integer(in, type, what); });
  }
  return array;
}

GgufValue read_value(Cursor& in, std::string_view what) {
  GgufValue value;
  value.type = read_type(in, what);
  if (value.type == GgufType::kString) {
    value.value = std::string(in.text(what));
  } else if (value.type == GgufType::kArray) {
    value.value = read_array(in, what, 1);
  } else if (is_real(value.type)) {
    value.value = read_real(in, value.type, what);
  } else {
    value.value = read_integer(in, value.type, what);
  }
  return value;
}

void read_metadata(Cursor& in, uint64_t count, GgufMetadata& metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key(in.text("metadata key"));
    if (metadata.find(key) != nullptr) {
      fail(ErrorCode::kInvalidFile, "{}: metadata key {}: found twice, expected once", in.path(),
           key);
    }
    metadata.set(key, read_value(in, key));
  }
}

int64_t read_alignment(const GgufMetadata& metadata, const std::string& path) {
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return kGgufAlignment;
  const auto* number = std::get_if<int64_t>(&value->value);
  if (number == nullptr || value->type != GgufType::kU32 || *number < 1 ||
      *number > kMaxAlignment || !std::has_single_bit(static_cast<uint64_t>(*number))) {
    fail(ErrorCode::kInvalidFile,
         "{}: metadata key general.alignment: {}, expected u32, a power of two up to {}", path,
         number == nullptr ? std::string(gguf_type_name(value->type)) : std::to_string(*number),
         kMaxAlignment);
  }
  return *number;
}

DType read_tensor_type(Cursor& in, const std::string& where) {
  const auto number = in.read<uint32_t>(where);
  const std::optional<DType> type = dtype_from_ggml(number);
  if (!type) {
    fail(ErrorCode::kUnsupported,
         "{}: tensor type {}, expected one of F32 F16 BF16 F64 I8 I16 I32 I64 Q4_0 Q4_1 Q5_0 Q5_1 "
         "Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4",
         where, ggml_type_label(number));
  }
  return *type;
}

// Reads one tensor's description; `offset` stays relative to the data section.
TensorEntry read_tensor_info(Cursor& in, int32_t file, int64_t alignment) {
  TensorEntry entry;
  entry.file = file;
  entry.name = std::string(in.text("tensor name"));
  const std::string where = fmt::format("{}: tensor {}", in.path(), entry.name);
  const auto dimensions = in.read<uint32_t>(where);
  if (dimensions > kMaxDimensions) {
    fail(ErrorCode::kInvalidFile, "{}: {} dimensions, expected at most {}", where, dimensions,
         kMaxDimensions);
  }
  for (uint32_t d = 0; d < dimensions; ++d) entry.shape.push_back(in.read<int64_t>(where));
  std::reverse(entry.shape.begin(), entry.shape.end());
  entry.dtype = read_tensor_type(in, where);
  const auto offset = in.read<uint64_t>(where);

  const int64_t elements = checked_elements(entry.shape, where);
  const DTypeInfo& info = dtype_info(entry.dtype);
  if (entry.cols() % info.block_elements != 0) {
    fail(ErrorCode::kInvalidFile, "{}: rows of {} elements, expected a multiple of {} for {}",
         where, entry.cols(), info.block_elements, info.name);
  }
  if (elements / info.block_elements > INT64_MAX / 8 / info.block_bytes) {
    fail(ErrorCode::kInvalidFile, "{}: shape {}, expected a size that fits the file", where,
         format_shape(entry.shape));
  }
  entry.bytes = elements / info.block_elements * info.block_bytes;
  if (offset % static_cast<uint64_t>(alignment) != 0 || offset > uint64_t{1} << 62) {
    fail(ErrorCode::kInvalidFile, "{}: data offset {}, expected a multiple of {} inside the file",
         where, offset, alignment);
  }
  entry.offset = static_cast<int64_t>(offset);
  return entry;
}

void check_version(Cursor& in) {
  const auto version = in.read<uint32_t>("version");
  if (version == 2 || version == 3) return;
  if (version != 0 && (version & 0xffffu) == 0) {
    fail(ErrorCode::kUnsupported, "{}: big-endian GGUF, expected little-endian", in.path());
  }
  fail(ErrorCode::kUnsupported, "{}: GGUF version {}, expected 2 or 3", in.path(), version);
}

}  // namespace

std::string ggml_type_label(int64_t ggml_type) {
  struct Name {
    int64_t type;
    const char* name;
  };
  static constexpr Name kNames[] = {{9, "Q8_1"},     {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
                                    {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"},   {22, "IQ2_S"},
                                    {29, "IQ1_M"},   {34, "TQ1_0"}, {35, "TQ2_0"},   {40, "NVFP4"},
                                    {41, "Q1_0"}};
  for (const Name& item : kNames) {
    if (item.type == ggml_type) return fmt::format("{} ({})", item.name, ggml_type);
  }
  return fmt::format("unknown ({})", ggml_type);
}

GgufMetadata read_gguf(TensorStore& store, int32_t file) {
  const std::string path = store.paths()[static_cast<size_t>(file)];
  Cursor in(store.file_bytes(file), path);
  const auto magic = in.read<uint32_t>("magic");
  if (magic != 0x46554747u) {
    fail(ErrorCode::kInvalidFile, "{}: starts with {:08x}, expected the magic of GGUF", path,
         magic);
  }
  check_version(in);
  const auto tensors = in.read<uint64_t>("tensor count");
  const auto entries = in.read<uint64_t>("metadata count");
  in.check_count(entries, kMinEntryBytes, "metadata");
  in.check_count(tensors, kMinTensorBytes, "tensors");
  GgufMetadata metadata;
  read_metadata(in, entries, metadata);
  const int64_t alignment = read_alignment(metadata, path);

  in.check_count(tensors, kMinTensorBytes, "tensors");
  std::vector<TensorEntry> infos;
  infos.reserve(static_cast<size_t>(tensors));
  for (uint64_t i = 0; i < tensors; ++i) infos.push_back(read_tensor_info(in, file, alignment));
  const int64_t data = (in.position() + alignment - 1) / alignment * alignment;
  for (TensorEntry& entry : infos) {
    entry.offset += data;
    store.add_tensor(std::move(entry));
  }
  store.check_overlaps(file);
  return metadata;
}

}  // namespace headgate

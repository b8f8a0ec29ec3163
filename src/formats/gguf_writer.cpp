// GGUF headers as bytes.
#include "formats/gguf_writer.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "formats/gguf_names.h"

namespace headgate {
namespace {

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  out.append(text);
}

void put_integer(std::string& out, GgufType type, int64_t value) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return put(out, static_cast<uint8_t>(value));
    case GgufType::kU16:
    case GgufType::kI16:
      return put(out, static_cast<uint16_t>(value));
    case GgufType::kU32:
    case GgufType::kI32:
      return put(out, static_cast<uint32_t>(value));
    default:
      return put(out, value);
  }
}

void put_real(std::string& out, GgufType type, double value) {
  if (type == GgufType::kF32) {
    put(out, static_cast<float>(value));
  } else {
    put(out, value);
  }
}

void put_array(std::string& out, const GgufArray& array);

void put_item(std::string& out, GgufType type, int64_t value) { put_integer(out, type, value); }
void put_item(std::string& out, GgufType type, double value) { put_real(out, type, value); }
void put_item(std::string& out, GgufType /*type*/, const std::string& value) {
  put_text(out, value);
}
void put_item(std::string& out, GgufType /*type*/, const GgufArray& value) {
  put_array(out, value);
}

void put_array(std::string& out, const GgufArray& array) {
  put(out, static_cast<uint32_t>(array.element));
  std::visit(
      [&](const auto& items) {
        put(out, static_cast<uint64_t>(items.size()));
        for (const auto& item : items) put_item(out, array.element, item);
      },
      array.items);
}

void put_value(std::string& out, const GgufValue& value) {
  put(out, static_cast<uint32_t>(value.type));
  std::visit([&](const auto& v) { put_item(out, value.type, v); }, value.value);
}

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr std::string_view kSplitKeys[] = {"split.no", "split.count", "split.tensors.count"};

void add_split_keys(GgufMetadata& metadata, size_t part, size_t parts, size_t tensors) {
  metadata.set("split.no", {GgufType::kU16, static_cast<int64_t>(part)});
  metadata.set("split.count", {GgufType::kU16, static_cast<int64_t>(parts)});
  metadata.set("split.tensors.count", {GgufType::kI32, static_cast<int64_t>(tensors)});
}

}  // namespace

std::string encode_gguf_header(const GgufMetadata& metadata,
                               std::span<const TensorDeclaration> tensors, int64_t alignment) {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, static_cast<uint64_t>(tensors.size()));
  put(out, static_cast<uint64_t>(metadata.entries().size()));
  for (const auto& entry : metadata.entries()) {
    put_text(out, entry.first);
    put_value(out, entry.second);
  }
  int64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    put_text(out, tensor.name);
    // A scalar is written as one element, as the format asks for at least one dimension.
    const size_t dimensions = std::max<size_t>(tensor.shape.size(), 1);
    put(out, static_cast<uint32_t>(dimensions));
    if (tensor.shape.empty()) put(out, int64_t{1});
    for (auto d = tensor.shape.rbegin(); d != tensor.shape.rend(); ++d) put(out, *d);
    put(out, static_cast<uint32_t>(dtype_info(tensor.dtype).ggml_type));
    put(out, offset);
    offset += round_up(tensor.bytes, alignment);
  }
  out.resize(static_cast<size_t>(round_up(static_cast<int64_t>(out.size()), alignment)));
  return out;
}

GgufWriter::GgufWriter(std::string path, GgufMetadata metadata, int64_t max_part_bytes)
    : TensorWriter(max_part_bytes), path_(std::move(path)), metadata_(std::move(metadata)) {
  alignment_ = metadata_.integer("general.alignment").value_or(kGgufAlignment);
  if (alignment_ < 1 || !std::has_single_bit(static_cast<uint64_t>(alignment_))) {
    fail(ErrorCode::kInvalidFile, "metadata key general.alignment: {}, expected a power of two",
         alignment_);
  }
  for (const std::string_view key : kSplitKeys) metadata_.remove(key);
}

void GgufWriter::check_type(const TensorDeclaration& tensor) const {
  if (dtype_info(tensor.dtype).ggml_type < 0) {
    fail(ErrorCode::kInvalidArgument, "tensor {}: type {}, expected one that GGUF has", tensor.name,
         dtype_name(tensor.dtype));
  }
  if (tensor.shape.size() > 4) {
    fail(ErrorCode::kInvalidArgument, "tensor {}: {} dimensions, expected at most 4", tensor.name,
         tensor.shape.size());
  }
}

std::string GgufWriter::part_path(size_t part, size_t parts) const {
  if (parts == 1) return path_;
  if (parts > 65535) {
    fail(ErrorCode::kInvalidArgument, "{}: {} parts, expected at most 65535", path_, parts);
  }
  const std::string stem = path_.ends_with(".gguf") ? path_.substr(0, path_.size() - 5) : path_;
  return gguf_part_path(stem, static_cast<int64_t>(part), static_cast<int64_t>(parts));
}

void GgufWriter::write_header(OutputFile& out, size_t part) {
  GgufMetadata metadata;
  if (part == 0) {
    metadata = metadata_;
  } else if (const GgufValue* alignment_value = metadata_.find("general.alignment")) {
    metadata.set("general.alignment", *alignment_value);
  }
  if (parts().size() > 1) {
    add_split_keys(metadata, part, parts().size(), declared().size());
  }
  const Part& range = parts()[part];
  out.write(encode_gguf_header(
      metadata, std::span(declared()).subspan(range.first, range.last - range.first), alignment_));
}

}  // namespace headgate

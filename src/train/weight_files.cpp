// One tensor per slice; experts may also come stacked.
#include "train/weight_files.h"

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "formats/safetensors_writer.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

// Values [first, first + count) of a stored tensor.
void decode(const TensorStore& store, const TensorEntry& entry, int64_t first, int64_t count,
            float* out) {
  if (!is_float(entry.dtype) || entry.dtype == DType::kF8E4M3) {
    fail(ErrorCode::kUnsupported, "{}: type {}, expected a float type", store.describe(entry),
         dtype_name(entry.dtype));
  }
  dequantize_row(entry.dtype, store.data(entry).data() + row_bytes(entry.dtype, first), out, count);
}

void check_count(const TensorStore& store, const TensorEntry& entry, int64_t expected) {
  if (entry.elements() == expected) return;
  fail(ErrorCode::kInvalidFile, "{}: shape {}, expected {} values", store.describe(entry),
       format_shape(entry.shape), expected);
}

// An expert's matrix out of mlp.experts.gate_up_proj or mlp.experts.down_proj.
bool decode_stacked(const TensorStore& store, const ParameterMap& map, const ParameterSlice& slice,
                    float* out) {
  const size_t at = slice.name.find(".experts.");
  if (at == std::string::npos) return false;
  const std::string stem = slice.name.substr(0, at + 9);
  const bool down = slice.part == Part::kExpertDown;
  const TensorEntry* entry = store.find(stem + (down ? "down_proj" : "gate_up_proj"));
  if (entry == nullptr) return false;
  int64_t experts = 0;
  for (const ParameterSlice& other : map.slices) {
    experts += other.part == slice.part && other.name.starts_with(stem) ? 1 : 0;
  }
  const int64_t stride = slice.count * (down ? 1 : 2);
  check_count(store, *entry, experts * stride);
  const int64_t expert = std::stoll(slice.name.substr(at + 9));
  decode(store, *entry, expert * stride + (slice.part == Part::kExpertUp ? slice.count : 0),
         slice.count, out);
  return true;
}

}  // namespace

void read_weights(const TensorStore& store, const ParameterMap& map, float* weights) {
  for (const ParameterSlice& slice : map.slices) {
    float* out = weights + slice.offset;
    if (const TensorEntry* entry = store.find(slice.name)) {
      check_count(store, *entry, slice.count);
      decode(store, *entry, 0, slice.count, out);
    } else if (!decode_stacked(store, map, slice, out) && !slice.name.starts_with("mtp.")) {
      fail(ErrorCode::kNotFound, "{}: no tensor {}", store.paths().empty() ? "" : store.paths()[0],
           slice.name);
    }
  }
}

void write_weights(const std::string& folder, const std::string& config_json, DType type,
                   const ParameterMap& map, const float* weights) {
  if (type != DType::kBF16 && type != DType::kF32) {
    fail(ErrorCode::kUnsupported, "train export: type {}, expected bf16 or f32", dtype_name(type));
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create: {}", folder, error.message());
  SafetensorsWriter writer(folder);
  for (const ParameterSlice& slice : map.slices) writer.declare(slice.name, type, slice.shape);
  std::vector<std::byte> bytes;
  for (const ParameterSlice& slice : map.slices) {
    bytes.resize(static_cast<size_t>(row_bytes(type, slice.count)));
    quantize_row(type, weights + slice.offset, bytes.data(), slice.count);
    writer.write(bytes);
  }
  writer.finish();
  write_text_file(folder + "/config.json", config_json);
}

}  // namespace headgate

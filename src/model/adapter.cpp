// Merges adapters tensor by tensor.
#include "model/adapter.h"

#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr int64_t kMostRank = 4096;

double number(const json::object& config, std::string_view key, const std::string& source) {
  const json::value* value = config.if_contains(key);
  if (value == nullptr || !value->is_number())
    fail(ErrorCode::kInvalidFile, "{}: {}: expected a number", source, key);
  return value->to_number<double>();
}

void refuse(const json::object& config, std::string_view key, const std::string& source) {
  const json::value* value = config.if_contains(key);
  if (value == nullptr || value->is_null()) return;
  const bool empty = (value->is_bool() && !value->as_bool()) ||
                     (value->is_array() && value->as_array().empty()) ||
                     (value->is_object() && value->as_object().empty());
  if (!empty) fail(ErrorCode::kUnsupported, "{}: {} is set, expected plain LoRA", source, key);
}

struct AdapterConfig {
  int64_t rank = 0;
  double scale = 0;
};

AdapterConfig read_adapter_config(const std::string& path) {
  const json::value parsed = parse_json(read_text_file(path), path);
  if (!parsed.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected a JSON object", path);
  const json::object& config = parsed.as_object();
  const json::value* type = config.if_contains("peft_type");
  if (type == nullptr || !type->is_string() || type->as_string() != "LORA")
    fail(ErrorCode::kUnsupported, "{}: peft_type: expected LORA", path);
  for (const char* key : {"use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern",
                          "modules_to_save", "trainable_token_indices", "target_parameters"})
    refuse(config, key, path);
  const double rank = number(config, "r", path), alpha = number(config, "lora_alpha", path);
  if (!(rank >= 1 && rank <= static_cast<double>(kMostRank)) || rank != std::floor(rank))
    fail(ErrorCode::kInvalidFile, "{}: r is {}, expected an integer of 1 to {}", path, rank,
         kMostRank);
  const json::value* root = config.if_contains("use_rslora");
  const bool by_root = root != nullptr && root->is_bool() && root->as_bool();
  return {static_cast<int64_t>(rank), alpha / (by_root ? std::sqrt(rank) : rank)};
}

std::vector<float> decoded(const TensorStore& store, const TensorEntry& entry, int64_t first,
                           int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  dequantize_row(entry.dtype, store.data(entry).data() + row_bytes(entry.dtype, first), out.data(),
                 count);
  return out;
}

// Where a module's matrix lies: a tensor of its own, or rows of a stacked one.
struct Place {
  const TensorEntry* entry = nullptr;
  int64_t first = 0, rows = 0, cols = 0;  // first: element
};

// "...mlp.experts.3.gate_proj" in "...mlp.experts.gate_up_proj" [experts, 2 width, hidden].
std::optional<Place> stacked_place(const TensorStore& store, const std::string& module) {
  const size_t at = module.find(".experts.");
  if (at == std::string::npos) return std::nullopt;
  const size_t dot = module.find('.', at + 9);
  if (dot == std::string::npos || dot - at - 9 > 6) return std::nullopt;
  const std::string digits = module.substr(at + 9, dot - at - 9);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  const std::string part = module.substr(dot + 1);
  const bool down = part == "down_proj", up = part == "up_proj";
  if (!down && !up && part != "gate_proj") return std::nullopt;
  const TensorEntry* entry =
      store.find(module.substr(0, at + 9) + (down ? "down_proj" : "gate_up_proj"));
  if (entry == nullptr || entry->shape.size() != 3) return std::nullopt;
  const int64_t expert = std::stoll(digits);
  if (expert >= entry->shape[0]) return std::nullopt;
  Place place{entry, 0, entry->shape[1] / (down ? 1 : 2), entry->shape[2]};
  place.first = expert * entry->shape[1] * entry->shape[2] + (up ? place.rows * place.cols : 0);
  return place;
}

Place find_place(const TensorStore& store, const std::string& module, const std::string& source) {
  if (const TensorEntry* entry = store.find(module + ".weight"); entry != nullptr) {
    if (entry->shape.size() != 2)
      fail(ErrorCode::kInvalidFile, "{}: {} is no matrix in the model", source, module);
    return {entry, 0, entry->shape[0], entry->shape[1]};
  }
  if (const std::optional<Place> place = stacked_place(store, module)) return *place;
  fail(ErrorCode::kInvalidFile, "{}: the model has no matrix {}", source, module);
}

const TensorEntry& half(const TensorStore& adapter, const std::string& name, int64_t rows,
                        int64_t cols) {
  const TensorEntry& entry = adapter.require(name);
  if (entry.shape != std::vector<int64_t>{rows, cols})
    fail(ErrorCode::kInvalidFile, "{}: shape {}, expected [{}, {}]", adapter.describe(entry),
         format_shape(entry.shape), rows, cols);
  if (!is_float(entry.dtype))
    fail(ErrorCode::kUnsupported, "{}: type {}, expected a float type", adapter.describe(entry),
         dtype_name(entry.dtype));
  return entry;
}

// w += scale b a.
void add_product(const std::vector<float>& a, const std::vector<float>& b, int64_t rank,
                 float scale, const Place& place, float* w) {
  for (int64_t i = 0; i < place.rows; ++i) {
    float* row = w + i * place.cols;
    for (int64_t r = 0; r < rank; ++r) {
      const float factor = scale * b[static_cast<size_t>(i * rank + r)];
      const float* from = a.data() + r * place.cols;
      for (int64_t j = 0; j < place.cols; ++j) row[j] += factor * from[j];
    }
  }
}

}  // namespace

void apply_adapter(Checkpoint& checkpoint, const std::string& folder) {
  if (checkpoint.format != CheckpointFormat::kHuggingFace)
    fail(ErrorCode::kUnsupported,
         "{}: adapters join model folders; make one of this file with headgate convert",
         checkpoint.path);
  const AdapterConfig config = read_adapter_config(folder + "/adapter_config.json");
  const std::string path = folder + "/adapter_model.safetensors";
  const TensorStore adapter = open_safetensors(path);
  TensorStore& store = checkpoint.tensors;
  // Whole tensors as fp32: several modules may lie in one.
  std::map<std::string, std::vector<float>> merged;
  for (const TensorEntry& entry : adapter.tensors()) {
    constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";
    if (entry.name.ends_with(kB)) continue;
    if (!entry.name.ends_with(kA) || !entry.name.starts_with(kPrefix))
      fail(ErrorCode::kUnsupported, "{}: expected {}<module>{}", adapter.describe(entry), kPrefix,
           kA);
    const std::string stem = entry.name.substr(0, entry.name.size() - kA.size());
    const Place place = find_place(store, stem.substr(kPrefix.size()), path);
    const TensorEntry& a = half(adapter, stem + std::string(kA), config.rank, place.cols);
    const TensorEntry& b = half(adapter, stem + std::string(kB), place.rows, config.rank);
    auto [at, fresh] = merged.try_emplace(place.entry->name);
    if (fresh) at->second = decoded(store, *place.entry, 0, place.entry->elements());
    add_product(decoded(adapter, a, 0, a.elements()), decoded(adapter, b, 0, b.elements()),
                config.rank, static_cast<float>(config.scale), place,
                at->second.data() + place.first);
  }
  if (merged.empty()) fail(ErrorCode::kInvalidFile, "{}: no adapters in it", path);
  for (const auto& [name, values] : merged) {
    TensorEntry entry = store.require(name);
    const bool plain = entry.dtype == DType::kF32 || entry.dtype == DType::kF16;
    entry.dtype = plain ? entry.dtype : DType::kBF16;
    const auto count = static_cast<int64_t>(values.size());
    std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(entry.dtype, count)));
    quantize_row(entry.dtype, values.data(), bytes.data(), count);
    store.replace(std::move(entry), path, std::move(bytes));
  }
}

}  // namespace headgate

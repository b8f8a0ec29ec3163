// The findings of `inspect` as plain values, and their two forms: text and JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/model_options.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace headgate {

struct SizeGroup {
  std::string name;  // a type ("q4_k") or a class of tensors ("routed experts")
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

struct InspectReport {
  std::string path;
  std::string format;
  std::vector<std::string> files;
  int64_t file_bytes = 0;
  int64_t tensors = 0;
  ModelConfig config;
  ModelSize size;
  std::vector<SizeGroup> by_type;   // largest first
  std::vector<SizeGroup> by_class;  // in the order of a token's way through the model
  int64_t context = 0;              // that the state is estimated for
  int64_t weight_bytes = 0;         // as stored; packing keeps their size within a few percent
  DType kv_dtype = DType::kBF16;
  StateSize state;
  int64_t memory_bytes() const { return weight_bytes + state.total(); }
  std::optional<std::string> tokenizer;  // one line; nullopt: none
  std::string tokenizer_problem;         // why there is none
  std::optional<std::string> template_source;
  int64_t template_bytes = 0;
};

InspectReport inspect_checkpoint(const Checkpoint& checkpoint, const ModelOptions& options);

// The class of a tensor: "routed experts", "delta-net projections", ..., "other" for an unknown
// name.
std::string tensor_class(const Naming& naming, CheckpointFormat format, const std::string& name);

std::string inspect_text(const InspectReport& report);
json::object inspect_json(const InspectReport& report);
std::string tensors_text(const TensorStore& store);
json::array tensors_json(const TensorStore& store);
std::string metadata_text(const Checkpoint& checkpoint);
json::value metadata_json(const Checkpoint& checkpoint);

}  // namespace headgate

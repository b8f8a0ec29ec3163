// Gathers the report of `inspect` from headers alone.
#include "cli/inspect_report.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "cli/format.h"
#include "engine/draft_control.h"

namespace headgate {
namespace {

constexpr std::string_view kMtp = "multi-token prediction";

constexpr std::array<std::string_view, 10> kClassOrder = {"embedding",
                                                          "delta-net projections",
                                                          "attention projections",
                                                          "router",
                                                          "shared expert",
                                                          "routed experts",
                                                          "dense MLP",
                                                          "norms",
                                                          "lm_head",
                                                          kMtp};

std::string_view part_class(Part part) {
  switch (part) {
    case Part::kEmbedding:
      return "embedding";
    case Part::kLmHead:
      return "lm_head";
    case Part::kQuery:
    case Part::kKey:
    case Part::kValue:
    case Part::kAttentionOut:
      return "attention projections";
    case Part::kDeltaQkvz:
    case Part::kDeltaQkv:
    case Part::kDeltaZ:
    case Part::kDeltaBa:
    case Part::kDeltaB:
    case Part::kDeltaA:
    case Part::kDeltaConv:
    case Part::kDeltaOut:
      return "delta-net projections";
    case Part::kRouter:
      return "router";
    case Part::kSharedScale:
    case Part::kSharedGate:
    case Part::kSharedUp:
    case Part::kSharedDown:
      return "shared expert";
    case Part::kMlpGate:
    case Part::kMlpUp:
    case Part::kMlpDown:
      return "dense MLP";
    case Part::kExpertsGate:
    case Part::kExpertsUp:
    case Part::kExpertsDown:
    case Part::kExpertsGateUp:
    case Part::kExpertGate:
    case Part::kExpertUp:
    case Part::kExpertDown:
      return "routed experts";
    default:
      // Norms, and the vectors of the delta net that decay and gate.
      return "norms";
  }
}

void add_to(SizeGroup& group, const TensorEntry& entry) {
  ++group.tensors;
  group.elements += entry.elements();
  group.bytes += entry.bytes;
}

std::vector<SizeGroup> sorted_groups(std::map<std::string, SizeGroup> groups) {
  std::vector<SizeGroup> out;
  for (auto& [name, group] : groups) {
    group.name = name;
    out.push_back(std::move(group));
  }
  const auto rank = [](const SizeGroup& group) {
    return std::find(kClassOrder.begin(), kClassOrder.end(), group.name) - kClassOrder.begin();
  };
  std::stable_sort(out.begin(), out.end(), [&](const SizeGroup& a, const SizeGroup& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.bytes > b.bytes;
  });
  return out;
}

void describe_tokenizer(const Checkpoint& checkpoint, InspectReport& report) {
  try {
    const Tokenizer tokenizer = load_tokenizer(checkpoint);
    int64_t added = 0;
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) added += tokenizer.is_added(id) ? 1 : 0;
    std::string ends;
    for (int32_t id : tokenizer.eos_ids())
      ends += fmt::format("{}{} ({})", ends.empty() ? "" : ", ", tokenizer.token_text(id), id);
    report.tokenizer =
        fmt::format("byte-level BPE ({}), {} tokens, {} of them added; end: {}",
                    pre_tokenizer_name(tokenizer.pre_tokenizer()),
                    format_digits(tokenizer.vocab_size()), added, ends.empty() ? "none" : ends);
  } catch (const Error& error) {
    // A checkpoint without a tokenizer can still be inspected.
    report.tokenizer_problem = error.what();
  }
  if (const std::optional<StoredTemplate> stored = stored_template(checkpoint)) {
    report.template_source = stored->source;
    report.template_bytes = static_cast<int64_t>(stored->text().size());
  }
}

}  // namespace

std::string tensor_class(const Naming& naming, CheckpointFormat format, const std::string& name) {
  const std::optional<PartAddress> address = format == CheckpointFormat::kGguf
                                                 ? parse_gguf_tensor_name(naming, name)
                                                 : parse_hf_tensor_name(naming, name);
  if (!address) return "other";
  const PartScope scope = part_name(address->part).scope;
  const bool in_layer = scope == PartScope::kLayer || scope == PartScope::kExpert;
  if (scope == PartScope::kMtp || (in_layer && address->layer >= naming.trunk_layers))
    return std::string(kMtp);
  return std::string(part_class(address->part));
}

InspectReport inspect_checkpoint(const Checkpoint& checkpoint, const ModelOptions& options) {
  if (options.context < 0)
    fail(ErrorCode::kInvalidArgument, "--ctx: found {}, expected 0 or more", options.context);
  InspectReport report;
  report.path = checkpoint.path;
  report.format = checkpoint.format == CheckpointFormat::kGguf ? "GGUF" : "Hugging Face";
  report.files = checkpoint.tensors.paths();
  for (size_t file = 0; file < report.files.size(); ++file)
    report.file_bytes +=
        static_cast<int64_t>(checkpoint.tensors.file_bytes(static_cast<int32_t>(file)).size());
  report.config = read_model_config(checkpoint);
  report.size = model_size(report.config);
  const Naming naming = tensor_naming(report.config, checkpoint);
  std::map<std::string, SizeGroup> types, classes;
  for (const TensorEntry& entry : checkpoint.tensors.tensors()) {
    ++report.tensors;
    report.weight_bytes += entry.bytes;
    add_to(types[std::string(dtype_name(entry.dtype))], entry);
    add_to(classes[tensor_class(naming, checkpoint.format, entry.name)], entry);
  }
  report.by_type = sorted_groups(std::move(types));
  report.by_class = sorted_groups(std::move(classes));
  report.context = options.context > 0 ? options.context : report.config.context_length;
  report.kv_dtype = kv_dtype(options, report.config);
  report.state = state_size(report.config, report.kv_dtype, report.context, kMostDrafts + 1);
  describe_tokenizer(checkpoint, report);
  return report;
}

}  // namespace headgate

// The report of `inspect` as text and as JSON.
#include <fmt/core.h>

#include "cli/format.h"
#include "cli/inspect_report.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

std::string heading(std::string_view text) {
  return styled(Stream::kOutput, Style::kBold, text) + "\n";
}

struct Share {
  const char* name;
  int64_t parameters;
  int64_t active;  // read per token
};

// Names as in the sizes of ModelSize; an embedding lookup reads one row, which counts as nothing.
std::vector<Share> shares(const ModelConfig& config, const ModelSize& size) {
  std::vector<Share> out;
  const auto add = [&out](const char* name, int64_t parameters, int64_t active) {
    if (parameters > 0 || active > 0) out.push_back({name, parameters, active});
  };
  add("embedding", size.embedding, 0);
  add("delta-net projections", size.delta_projections, size.delta_projections);
  add("attention projections", size.attention_projections, size.attention_projections);
  add("router", size.router, size.router);
  add("shared expert", size.shared_expert, size.shared_expert);
  add("routed experts", size.routed_experts, size.routed_experts_active);
  add("dense MLP", size.dense_mlp, size.dense_mlp);
  add("norms", size.norms, size.norms);
  add("lm_head", config.tied_embeddings ? 0 : size.lm_head, size.lm_head);
  return out;
}

std::string layer_line(const ModelConfig& c) {
  const int64_t recurrent = c.recurrent_layers(), attention = c.attention_layers();
  if (recurrent == 0) return fmt::format("{}, all attention", c.layers);
  return fmt::format("{}: {} gated delta net, {} attention", c.layers, recurrent, attention);
}

void describe_experts(const ModelConfig& c, TextTable& table) {
  if (c.moe.experts == 0) return;
  std::string text = fmt::format("{} of width {}, {} per token", c.moe.experts, c.moe.expert_width,
                                 c.moe.experts_per_token);
  if (c.moe.shared_width > 0) text += fmt::format(", and one shared of {}", c.moe.shared_width);
  table.row({"experts", text});
}

std::string model_text(const InspectReport& r) {
  const ModelConfig& c = r.config;
  TextTable table({1});
  table.row({"family", c.family});
  table.row({"format", fmt::format("{}, {} file{}, {}", r.format, r.files.size(),
                                   r.files.size() == 1 ? "" : "s",
                                   format_bytes(static_cast<double>(r.file_bytes)))});
  table.row({"layers", layer_line(c)});
  table.row({"hidden size", std::to_string(c.hidden_size)});
  table.row({"attention", fmt::format("{} heads of {}, {} key-value head{}, {} rotary dims{}",
                                      c.attention.heads, c.attention.head_dim, c.attention.kv_heads,
                                      c.attention.kv_heads == 1 ? "" : "s", c.attention.rotary_dims,
                                      c.attention.output_gate ? ", output gate" : "")});
  if (c.recurrent_layers() > 0) {
    const DeltaShape& d = c.delta.shape;
    table.row(
        {"delta net",
         fmt::format("{} key heads of {}, {} value heads of {}, convolution of {}", d.key_heads,
                     d.key_dim, d.value_heads, d.value_dim, c.delta.conv_kernel)});
  }
  describe_experts(c, table);
  if (c.dense_width > 0 && r.size.dense_mlp > 0)
    table.row({"dense MLP", fmt::format("width {}", c.dense_width)});
  table.row({"rope",
             fmt::format("theta {}{}", c.rope.theta,
                         c.rope.yarn ? fmt::format(", YaRN factor {} over {} tokens", c.rope.factor,
                                                   format_digits(c.rope.original_context))
                                     : "")});
  table.row({"context", format_digits(c.context_length) + " tokens"});
  table.row({"vocabulary", fmt::format("{}{}", format_digits(c.vocabulary),
                                       c.tied_embeddings ? ", tied embeddings" : "")});
  if (c.mtp_layers > 0)
    table.row({"prediction heads", fmt::format("{} (multi-token prediction)", c.mtp_layers)});
  table.row({"tokenizer", r.tokenizer.value_or("none: " + r.tokenizer_problem)});
  table.row({"chat template",
             r.template_source ? fmt::format("{} ({} bytes)", *r.template_source, r.template_bytes)
                               : "none: the built-in ChatML is used"});
  return table.text(2);
}

std::string parameters_text(const InspectReport& r) {
  TextTable table;
  table.row({"", "parameters", "per token"});
  for (const Share& share : shares(r.config, r.size))
    table.row({share.name, format_count(static_cast<double>(share.parameters)),
               format_count(static_cast<double>(share.active))});
  table.row({"total", format_count(static_cast<double>(r.size.parameters)),
             format_count(static_cast<double>(r.size.active_parameters))});
  if (r.size.mtp_parameters > 0)
    table.row(
        {"multi-token prediction", format_count(static_cast<double>(r.size.mtp_parameters)), ""});
  return table.text(2);
}

std::string groups_text(const std::vector<SizeGroup>& groups) {
  TextTable table;
  table.row({"", "tensors", "values", "size", "bits each"});
  for (const SizeGroup& group : groups) {
    const double bits = group.elements > 0 ? 8.0 * static_cast<double>(group.bytes) /
                                                 static_cast<double>(group.elements)
                                           : 0;
    table.row({group.name, std::to_string(group.tensors),
               format_count(static_cast<double>(group.elements)),
               format_bytes(static_cast<double>(group.bytes)), fmt::format("{:.2f}", bits)});
  }
  return table.text(2);
}

std::string memory_text(const InspectReport& r) {
  TextTable table;
  table.row({"weights as stored", format_bytes(static_cast<double>(r.weight_bytes))});
  table.row({fmt::format("keys and values ({}, {} a token)", kv_type_name(r.kv_dtype),
                         format_binary_bytes(static_cast<double>(r.state.kv_bytes_per_token))),
             format_bytes(static_cast<double>(r.state.kv_bytes))});
  if (r.state.delta_bytes > 0)
    table.row({"recurrent state", format_bytes(static_cast<double>(r.state.delta_bytes))});
  if (r.state.conv_bytes > 0)
    table.row({"convolution state", format_bytes(static_cast<double>(r.state.conv_bytes))});
  if (r.state.draft_bytes > 0)
    table.row(
        {"drafting (--draft off: none)", format_bytes(static_cast<double>(r.state.draft_bytes))});
  table.row({"total", format_bytes(static_cast<double>(r.memory_bytes()))});
  return table.text(2);
}

json::object groups_json(const std::vector<SizeGroup>& groups) {
  json::object out;
  for (const SizeGroup& group : groups)
    out[group.name] = json::object{
        {"tensors", group.tensors}, {"values", group.elements}, {"bytes", group.bytes}};
  return out;
}

json::object config_json(const ModelConfig& c) {
  json::array mixers;
  for (Mixer mixer : c.mixers)
    mixers.emplace_back(mixer == Mixer::kAttention ? "attention" : "gated_delta");
  return {{"family", c.family},
          {"vocabulary", c.vocabulary},
          {"hidden_size", c.hidden_size},
          {"layers", c.layers},
          {"attention_layers", c.attention_layers()},
          {"recurrent_layers", c.recurrent_layers()},
          {"mixers", std::move(mixers)},
          {"heads", c.attention.heads},
          {"kv_heads", c.attention.kv_heads},
          {"head_dim", c.attention.head_dim},
          {"rotary_dims", c.attention.rotary_dims},
          {"delta_key_heads", c.delta.shape.key_heads},
          {"delta_value_heads", c.delta.shape.value_heads},
          {"delta_key_dim", c.delta.shape.key_dim},
          {"delta_value_dim", c.delta.shape.value_dim},
          {"conv_kernel", c.delta.conv_kernel},
          {"experts", c.moe.experts},
          {"experts_per_token", c.moe.experts_per_token},
          {"expert_width", c.moe.expert_width},
          {"shared_expert_width", c.moe.shared_width},
          {"dense_width", c.dense_width},
          {"context_length", c.context_length},
          {"rope_theta", c.rope.theta},
          {"yarn_factor", c.rope.yarn ? json::value(c.rope.factor) : json::value(nullptr)},
          {"norm_eps", c.norm_eps},
          {"tied_embeddings", c.tied_embeddings},
          {"mtp_layers", c.mtp_layers},
          {"eos_tokens", json::array(c.eos_tokens.begin(), c.eos_tokens.end())}};
}

json::object parameters_json(const InspectReport& r) {
  json::object parts;
  for (const Share& share : shares(r.config, r.size))
    parts[share.name] = json::object{{"parameters", share.parameters}, {"per_token", share.active}};
  return {{"total", r.size.parameters},
          {"active_per_token", r.size.active_parameters},
          {"multi_token_prediction", r.size.mtp_parameters},
          {"parts", std::move(parts)}};
}

// Arrays longer than this are named, not listed: vocabularies.
constexpr size_t kListedItems = 16;

std::string gguf_text(const GgufValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value.value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value.value)) return python_float(*number);
  if (const auto* text = std::get_if<std::string>(&value.value))
    return text->size() > 120 ? fmt::format("{} bytes of text", text->size()) : *text;
  const auto& array = std::get<GgufArray>(value.value);
  const size_t size = std::visit([](const auto& items) { return items.size(); }, array.items);
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&array.items);
      integers != nullptr && size <= kListedItems) {
    std::string out;
    for (int64_t item : *integers) out += (out.empty() ? "" : ", ") + std::to_string(item);
    return "[" + out + "]";
  }
  return fmt::format("{} x {}", format_digits(static_cast<int64_t>(size)),
                     gguf_type_name(array.element));
}

}  // namespace

std::string inspect_text(const InspectReport& r) {
  return heading(printable(r.path)) + printable(model_text(r)) + "\n" + heading("Parameters") +
         parameters_text(r) + "\n" + heading("Sizes by class") + groups_text(r.by_class) + "\n" +
         heading("Sizes by type") + groups_text(r.by_type) + "\n" +
         heading(fmt::format("Memory for {} tokens of context", format_digits(r.context))) +
         memory_text(r);
}

json::object inspect_json(const InspectReport& r) {
  json::array files;
  for (const std::string& file : r.files) files.emplace_back(file);
  return {{"path", r.path},
          {"format", r.format},
          {"files", std::move(files)},
          {"file_bytes", r.file_bytes},
          {"tensors_count", r.tensors},
          {"config", config_json(r.config)},
          {"parameters", parameters_json(r)},
          {"by_class", groups_json(r.by_class)},
          {"by_type", groups_json(r.by_type)},
          {"memory", json::object{{"context", r.context},
                                  {"weight_bytes", r.weight_bytes},
                                  {"kv_type", std::string(kv_type_name(r.kv_dtype))},
                                  {"kv_bytes_per_token", r.state.kv_bytes_per_token},
                                  {"kv_bytes", r.state.kv_bytes},
                                  {"recurrent_state_bytes", r.state.delta_bytes},
                                  {"convolution_state_bytes", r.state.conv_bytes},
                                  {"draft_bytes", r.state.draft_bytes},
                                  {"total_bytes", r.memory_bytes()}}},
          {"tokenizer", r.tokenizer ? json::value(*r.tokenizer) : json::value(nullptr)},
          {"chat_template",
           r.template_source ? json::value(*r.template_source) : json::value(nullptr)}};
}

std::string tensors_text(const TensorStore& store) {
  TextTable table({1, 2});
  table.row({"tensor", "type", "shape", "size"});
  for (const TensorEntry& entry : store.tensors())
    table.row({printable(entry.name), std::string(dtype_name(entry.dtype)),
               format_shape(entry.shape), format_bytes(static_cast<double>(entry.bytes))});
  return table.text();
}

json::array tensors_json(const TensorStore& store) {
  json::array out;
  for (const TensorEntry& entry : store.tensors()) {
    out.push_back(json::object{{"name", entry.name},
                               {"type", std::string(dtype_name(entry.dtype))},
                               {"shape", json::array(entry.shape.begin(), entry.shape.end())},
                               {"bytes", entry.bytes},
                               {"file", store.paths()[static_cast<size_t>(entry.file)]},
                               {"offset", entry.offset}});
  }
  return out;
}

std::string metadata_text(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::kHuggingFace)
    return dump_json_python(checkpoint.config, 2) + "\n";
  TextTable table({1, 2});
  for (const auto& [key, value] : checkpoint.gguf.entries())
    table.row(
        {printable(key), std::string(gguf_type_name(value.type)), printable(gguf_text(value))});
  return table.text();
}

json::value metadata_json(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::kHuggingFace) return checkpoint.config;
  json::object out;
  for (const auto& [key, value] : checkpoint.gguf.entries()) {
    if (const auto* integer = std::get_if<int64_t>(&value.value)) {
      out[key] = *integer;
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      out[key] = *number;
    } else if (const auto* text = std::get_if<std::string>(&value.value)) {
      out[key] = *text;
    } else {
      out[key] = gguf_text(value);
    }
  }
  return out;
}

}  // namespace headgate

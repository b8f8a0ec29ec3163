// Reading of -m, and the loaders that a model host calls.
#include "cli/served_models.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "cli/assistant.h"
#include "cli/embedded_model.h"

namespace headgate {
namespace {

// A loaded model with its engine, which goes first.
struct Unit {
  explicit Unit(Assistant a) : assistant(std::move(a)) {}
  Assistant assistant;
  std::unique_ptr<Engine> engine;
};

void read_setting(const std::string& setting, const std::string& text, ModelSpec& spec) {
  const size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
  if (key == "adapter" && !value.empty()) {
    spec.adapter = value;
  } else if (key == "alias" && !value.empty()) {
    spec.aliases.push_back(value);
  } else if (key == "ctx") {
    const char* end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, spec.context);
    if (parsed.ec != std::errc() || parsed.ptr != end || spec.context < 0)
      fail(ErrorCode::kInvalidArgument, "--model: {}: ctx: found \"{}\", expected a number", text,
           value);
  } else {
    fail(ErrorCode::kInvalidArgument,
         "--model: {}: found \"{}\", expected adapter=DIR, alias=NAME or ctx=N", text, setting);
  }
}

// Of the memory that weights leave, as much as the engine would take of what is free.
int64_t state_share(int64_t weights, const ServedModelsOptions& options) {
  if (options.state_bytes > 0 || options.budget_bytes == 0) return options.state_bytes;
  return std::max<int64_t>((options.budget_bytes - weights) / 4, 0);
}

ModelFacts facts_of(const ModelOptions& options, const ServedModelsOptions& shared) {
  // Merging the adapter changes no size, and takes a while.
  ModelOptions plain = options;
  plain.adapter.clear();
  if (!options.adapter.empty() && !is_directory(options.adapter))
    fail(ErrorCode::kNotFound, "--model: {}: no such folder, expected an adapter", options.adapter);
  const Checkpoint checkpoint = open_model_files(plain);
  const ModelConfig config = read_model_config(checkpoint);
  ModelFacts facts;
  for (const TensorEntry& tensor : checkpoint.tensors.tensors()) facts.weight_bytes += tensor.bytes;
  facts.trained_context = config.context_length;
  facts.context = options.context > 0 ? std::min(options.context, config.context_length)
                                      : config.context_length;
  facts.vocabulary = config.vocabulary;
  facts.hidden_size = config.hidden_size;
  facts.state_bytes = state_share(facts.weight_bytes, shared);
  return facts;
}

ServedModel load_served(const std::string& name, const ModelOptions& options,
                        const ServedModelsOptions& shared, const LoadProgress& progress) {
  const bool at_start = shared.at_start != nullptr && *shared.at_start;
  const auto unit = std::make_shared<Unit>(
      load_assistant(options, true, at_start ? LoadProgress(nullptr) : progress));
  const Assistant& assistant = unit->assistant;
  const ModelConfig& config = assistant.loaded.model->config();
  EngineOptions engine = shared.engine(assistant.loaded, options, name);
  engine.state_budget_bytes = state_share(assistant.loaded.model->weight_bytes(), shared);
  unit->engine = std::make_unique<Engine>(assistant.loaded.model,
                                          text_tokens(&assistant.tokenizer, config), engine);
  ServedModel model;
  model.engine = unit->engine.get();
  model.tokenizer = &assistant.tokenizer;
  model.chat_template = assistant.template_or_null();
  model.sampling_defaults = assistant.sampling_defaults;
  model.stop_tokens = assistant.stop_tokens;
  model.created = static_cast<int64_t>(std::time(nullptr));
  model.owner = unit;
  return model;
}

}  // namespace

ModelSpec parse_model_spec(const std::string& text) {
  ModelSpec spec;
  std::string rest = text;
  const size_t equals = rest.find('=');
  // What begins like a path is one, whatever is in it.
  const bool path_first = rest.rfind("./", 0) == 0 || rest.rfind("../", 0) == 0 ||
                          (!rest.empty() && (rest[0] == '/' || rest[0] == '~'));
  const size_t comma = rest.find(',');
  const bool named =
      equals != std::string::npos && !path_first && (comma == std::string::npos || equals < comma);
  if (named) {
    spec.name = rest.substr(0, equals);
    rest.erase(0, equals + 1);
  }
  // A comma may be part of a path; what follows one is a setting only where it looks like one.
  for (size_t at = rest.find(','); at != std::string::npos; at = rest.find(',', at + 1)) {
    if (rest.find('=', at) == std::string::npos) break;
    std::string settings = rest.substr(at + 1);
    rest.resize(at);
    while (!settings.empty()) {
      const size_t end = std::min(settings.find(','), settings.size());
      read_setting(settings.substr(0, end), text, spec);
      settings.erase(0, std::min(end + 1, settings.size()));
    }
    break;
  }
  spec.path = rest;
  if (named && (spec.name.empty() || spec.path.empty()))
    fail(ErrorCode::kInvalidArgument, "--model: found \"{}\", expected NAME=PATH", text);
  return spec;
}

std::string model_name_of(const std::string& path) {
  if (path.empty()) return std::string(embedded_model_id());
  std::string name = path;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  const size_t suffix = name.rfind(".gguf");
  if (suffix != std::string::npos && suffix + 5 == name.size() && suffix > 0) name.resize(suffix);
  return name;
}

std::string folder_name(const std::string& model_name) {
  std::string out;
  for (const char c : model_name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || c == '_' || c == '-' || (c == '.' && !out.empty())) {
      out += c;
    } else {
      out += c == '/' ? "--" : "_";
    }
  }
  return out;
}

std::vector<HostedModel> hosted_models(const std::vector<ModelSpec>& specs,
                                       const ServedModelsOptions& options) {
  std::vector<HostedModel> out;
  for (const ModelSpec& spec : specs) {
    ModelOptions own = options.loading;
    own.path = spec.path;
    if (!spec.adapter.empty()) own.adapter = spec.adapter;
    if (spec.context >= 0) own.context = spec.context;
    HostedModel model;
    model.name = spec.name.empty() ? model_name_of(spec.path) : spec.name;
    model.aliases = spec.aliases;
    model.facts = facts_of(own, options);
    model.load = [name = model.name, own, options](const LoadProgress& progress) {
      return load_served(name, own, options, progress);
    };
    out.push_back(std::move(model));
  }
  return out;
}

}  // namespace headgate

// Reads recipes: the only file that includes toml++.
#include "train/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace headgate {
namespace {

// Reads the keys of one table; those nobody asked for are an error.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string file, std::string name)
      : table_(table), file_(std::move(file)), name_(std::move(name)) {}

  [[noreturn]] void wrong(const toml::node* node, const std::string& what) const {
    const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
    fail(ErrorCode::kInvalidFile, "{}:{}: {}{}", file_, line, name_.empty() ? "" : name_ + ": ",
         what);
  }

  const toml::node* find(std::string_view key) {
    known_.emplace_back(key);
    return table_.get(key);
  }

  void read(std::string_view key, bool& value) {
    if (const toml::node* node = find(key)) {
      if (!node->is_boolean()) type_error(*node, key, "true or false");
      value = node->as_boolean()->get();
    }
  }
  void read(std::string_view key, std::string& value) {
    if (const toml::node* node = find(key)) {
      if (!node->is_string()) type_error(*node, key, "a text in quotes");
      value = node->as_string()->get();
    }
  }
  void read(std::string_view key, int64_t& value, int64_t least, int64_t most = int64_t{1} << 40) {
    if (const toml::node* node = find(key)) {
      if (!node->is_integer()) type_error(*node, key, "an integer");
      value = node->as_integer()->get();
      if (value < least || value > most)
        wrong(node, fmt::format("{} = {}, expected {}..{}", key, value, least, most));
    }
  }
  void read(std::string_view key, double& value, double least,
            double most = std::numeric_limits<double>::max()) {
    if (const toml::node* node = find(key)) {
      value = number_of(*node, key);
      if (!(value >= least && value <= most))
        wrong(node, fmt::format("{} = {}, expected a number of at least {}", key, value, least));
    }
  }
  void read(std::string_view key, std::vector<std::string>& value) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    if (!node->is_array()) type_error(*node, key, "a list of texts");
    for (const toml::node& item : *node->as_array()) {
      if (!item.is_string()) type_error(item, key, "a list of texts");
      value.push_back(item.as_string()->get());
    }
  }
  // A table of numbers, in the order of the file as far as TOML keeps one (by name).
  void read(std::string_view key, std::vector<std::pair<std::string, double>>& value) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    if (!node->is_table()) type_error(*node, key, "a table of numbers");
    for (const auto& [name, item] : *node->as_table()) {
      const double number = number_of(item, name.str());
      if (number < 0) wrong(&item, fmt::format("{} = {}, expected 0 or more", name.str(), number));
      value.emplace_back(std::string(name.str()), number);
    }
  }
  // One of several words; the index of the one found.
  size_t choose(std::string_view key, std::initializer_list<std::string_view> words,
                size_t preset) {
    const toml::node* node = find(key);
    if (node == nullptr) return preset;
    std::string all;
    size_t index = 0;
    for (std::string_view word : words) {
      if (node->is_string() && node->as_string()->get() == word) return index;
      all += (index++ == 0 ? "" : ", ") + std::string(word);
    }
    wrong(node, fmt::format("{}: expected one of {}", key, all));
  }

  // To be called last.
  void finish() const {
    for (const auto& [key, node] : table_) {
      if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
      std::string names;
      for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
      wrong(&node, fmt::format("unknown key {}, expected one of {}", key.str(), names));
    }
  }

  const std::string& file() const { return file_; }

 private:
  [[noreturn]] void type_error(const toml::node& node, std::string_view key,
                               std::string_view expected) const {
    wrong(&node, fmt::format("{}: expected {}", key, expected));
  }
  double number_of(const toml::node& node, std::string_view key) const {
    if (node.is_integer()) return static_cast<double>(node.as_integer()->get());
    if (!node.is_floating_point()) type_error(node, key, "a number");
    return node.as_floating_point()->get();
  }

  const toml::table& table_;
  std::string file_, name_;
  std::vector<std::string> known_;
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

std::string beside(const Recipe& recipe, const std::string& path) {
  return path.empty() || path[0] == '/' ? path : folder_of(recipe.path) + path;
}

// [set] of the model: numbers that replace those of the preset.
void override_config(TableReader& root, const toml::node& node, json::object& config) {
  if (!node.is_table()) root.wrong(&node, "set: expected a table");
  for (const auto& [key, item] : *node.as_table()) {
    const std::string name(key.str());
    if (!config.contains(name))
      root.wrong(&item, fmt::format("set.{}: config.json has no such key", name));
    if (item.is_integer()) {
      config[name] = item.as_integer()->get();
    } else if (item.is_floating_point()) {
      config[name] = item.as_floating_point()->get();
    } else if (item.is_boolean()) {
      config[name] = item.as_boolean()->get();
    } else {
      root.wrong(&item, fmt::format("set.{}: expected a number", name));
    }
  }
}

void read_model(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[model]");
  std::string preset, config;
  reader.read("preset", preset);
  reader.read("config", config);
  reader.read("init", recipe.init);
  recipe.init = beside(recipe, recipe.init);
  if (!recipe.init.empty()) {
    if (!preset.empty() || !config.empty())
      reader.wrong(nullptr, "init brings its configuration: expected no preset and no config");
    recipe.train.freeze_router = true;
    reader.finish();
    return;
  }
  if (preset.empty() == config.empty())
    reader.wrong(nullptr, "expected one of preset = \"small\", config = \"config.json\" and init");
  const std::string text =
      preset.empty() ? read_text_file(beside(recipe, config)) : train_preset(preset);
  json::value parsed = parse_json(text, preset.empty() ? config : preset);
  if (!parsed.is_object()) reader.wrong(nullptr, config + ": expected a JSON object");
  if (const toml::node* set = reader.find("set")) override_config(reader, *set, parsed.as_object());
  recipe.train.model_json = dump_json_python(parsed, 2) + "\n";
  reader.finish();
}

void read_losses(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[loss]");
  LossConfig& loss = recipe.train.loss;
  loss.balance = static_cast<BalanceLoss>(
      reader.choose("balance", {"global", "micro", "pooled"}, static_cast<size_t>(loss.balance)));
  reader.read("balance_weight", loss.balance_weight, 0);
  reader.read("z_weight", loss.z_weight, 0);
  reader.read("mtp_steps", loss.mtp_steps, 0, 3);
  reader.read("mtp_weight", loss.mtp_weight, 0);
  reader.read("mtp_decay", loss.mtp_decay, 0);
  reader.read("mtp_reaches_trunk", loss.mtp_reaches_trunk);
  reader.finish();
}

void read_optimizer(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[optimizer]");
  OptimizerConfig& optimizer = recipe.train.optimizer;
  optimizer.kind = static_cast<OptimizerKind>(
      reader.choose("kind", {"adamw", "muon"}, static_cast<size_t>(optimizer.kind)));
  reader.read("beta1", optimizer.beta1, 0, 1);
  reader.read("beta2", optimizer.beta2, 0, 1);
  reader.read("epsilon", optimizer.epsilon, 0);
  reader.read("weight_decay", optimizer.weight_decay, 0);
  reader.read("decay_norms", optimizer.decay_norms);
  reader.read("decay_everything", optimizer.decay_everything);
  reader.read("clip_norm", optimizer.clip_norm, 0);
  reader.read("muon_momentum", optimizer.muon_momentum, 0, 1);
  reader.read("warmup_steps", recipe.warmup_steps, 0);
  reader.finish();
}

void read_arithmetic(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[compute]");
  TrainConfig& train = recipe.train;
  train.precision = static_cast<TrainPrecision>(
      reader.choose("precision", {"auto", "f32", "bf16"}, static_cast<size_t>(train.precision)));
  reader.read("recompute", train.recompute);
  reader.read("freeze_router", train.freeze_router);
  reader.finish();
}

void read_lora(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[lora]");
  LoraConfig& lora = recipe.train.lora;
  lora.rank = 8;
  reader.read("rank", lora.rank, 1, 1024);
  reader.read("alpha", lora.alpha, 0);
  std::vector<std::string> targets;
  reader.read("targets", targets);
  if (!targets.empty()) lora.attention = lora.delta = lora.shared = false;
  for (const std::string& target : targets) {
    if (target == "attention") {
      lora.attention = true;
    } else if (target == "delta") {
      lora.delta = true;
    } else if (target == "shared") {
      lora.shared = true;
    } else if (target == "experts") {
      lora.experts = true;
    } else {
      reader.wrong(nullptr, "targets: expected some of attention, delta, shared, experts");
    }
  }
  reader.finish();
  if (recipe.init.empty()) reader.wrong(nullptr, "expected init in [model]: what it adapts");
}

void read_saving(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[checkpoint]");
  reader.read("minutes", recipe.save_minutes, 0);
  reader.read("steps", recipe.save_steps, 0);
  reader.read("keep", recipe.keep, 1, 1000);
  reader.finish();
}

void read_evaluation(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[evaluate]");
  reader.read("steps", recipe.evaluate_steps, 1);
  reader.read("rows", recipe.evaluate_rows, 1, 1 << 20);
  reader.read("files", recipe.evaluate_files);
  if (recipe.evaluate_files.empty()) reader.wrong(nullptr, "files: expected held-out token shards");
  for (std::string& file : recipe.evaluate_files) file = beside(recipe, file);
  reader.finish();
}

void read_export(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[export]");
  reader.read("gguf_type", recipe.gguf_type);
  reader.read("context", recipe.context, 1);
  reader.finish();
}

void read_source(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[[source]]");
  RecipeSource source;
  reader.read("name", source.name);
  const bool skills = reader.choose("kind", {"tokens", "skills"}, 0) == 1;
  reader.read("weight", source.weight, 0);
  if (skills) {
    reader.read("families", source.families);
    reader.read("needle_words", source.needle_words, 1, 1 << 24);
    reader.read("thinking", source.thinking, 0, 1);
    reader.read("passages", source.passages);
    source.passages = beside(recipe, source.passages);
  } else {
    reader.read("files", source.files);
    for (std::string& file : source.files) file = beside(recipe, file);
    if (source.files.empty()) reader.wrong(nullptr, "files: expected a list of token shards");
  }
  reader.finish();
  if (source.name.empty()) reader.wrong(nullptr, "expected a name");
  for (const RecipeSource& other : recipe.sources)
    if (other.name == source.name)
      reader.wrong(nullptr, "the name " + source.name + " comes twice");
  recipe.sources.push_back(std::move(source));
}

void read_phase(Recipe& recipe, const toml::table& table) {
  TableReader reader(table, recipe.path, "[[phase]]");
  RecipePhase phase;
  if (!recipe.phases.empty()) {
    phase = recipe.phases.back();  // what is not said stays as it was
    phase.decay = false;
  }
  phase.steps = 0;
  phase.name = "phase " + std::to_string(recipe.phases.size() + 1);
  reader.read("name", phase.name);
  reader.read("steps", phase.steps, 1);
  reader.read("row_length", phase.row_length, 8, 1 << 22);
  reader.read("rows", phase.rows, 1, 1 << 20);
  reader.read("micro_rows", phase.micro_rows, 0, 1 << 20);
  reader.read("rate", phase.rate, 0, 10);
  reader.read("decay", phase.decay);
  reader.read("final_share", phase.final_share, 0, 1);
  reader.read("mtp_steps", phase.mtp_steps, 0, 3);
  std::vector<std::pair<std::string, double>> mix;
  const toml::node* mix_node = table.get("mix");
  reader.read("mix", mix);
  reader.finish();
  if (phase.steps == 0) reader.wrong(nullptr, "expected steps");
  if (mix_node != nullptr) phase.mix.assign(recipe.sources.size(), 0);
  double total = 0;
  for (const auto& [name, share] : mix) {
    const auto found =
        std::find_if(recipe.sources.begin(), recipe.sources.end(),
                     [wanted = name](const RecipeSource& source) { return source.name == wanted; });
    if (found == recipe.sources.end())
      reader.wrong(mix_node, fmt::format("mix: there is no source {}", name));
    phase.mix[static_cast<size_t>(found - recipe.sources.begin())] = share;
    total += share;
  }
  if (mix_node != nullptr && !(total > 0)) reader.wrong(mix_node, "mix: every share is 0");
  if (phase.mix.empty()) phase.mix.assign(recipe.sources.size(), 1);
  recipe.phases.push_back(std::move(phase));
}

// Calls `read` for a table, or for each of an array of tables.
void for_tables(TableReader& root, Recipe& recipe, std::string_view key, bool list,
                void (*read)(Recipe&, const toml::table&)) {
  const toml::node* node = root.find(key);
  if (node == nullptr) return;
  if (!list) {
    if (!node->is_table()) root.wrong(node, fmt::format("expected [{}]", key));
    return read(recipe, *node->as_table());
  }
  if (!node->is_array_of_tables()) root.wrong(node, fmt::format("expected [[{}]]", key));
  for (const toml::node& item : *node->as_array()) read(recipe, *item.as_table());
}

}  // namespace

int64_t Recipe::total_steps() const {
  int64_t steps = 0;
  for (const RecipePhase& phase : phases) steps += phase.steps;
  return steps;
}

std::pair<const RecipePhase*, int64_t> Recipe::phase_of(int64_t step) const {
  int64_t before = 0;
  for (const RecipePhase& phase : phases) {
    if (step < before + phase.steps || &phase == &phases.back()) return {&phase, before};
    before += phase.steps;
  }
  HEADGATE_CHECK(false);
  return {nullptr, 0};
}

ScheduleConfig Recipe::schedule_of(int64_t step) const {
  const auto [phase, before] = phase_of(step);
  ScheduleConfig schedule;
  schedule.peak_rate = phase->rate;
  schedule.warmup_steps = warmup_steps;
  if (phase->decay) {
    schedule.decay_start = before;
    schedule.decay_steps = phase->steps;
    schedule.final_share = phase->final_share;
  }
  return schedule;
}

int64_t Recipe::mtp_steps_of(int64_t step) const {
  if (train.lora.rank > 0) return 0;  // the module has no adapters
  const int64_t steps = phase_of(step).first->mtp_steps;
  return steps < 0 ? train.loss.mtp_steps : std::min(steps, train.loss.mtp_steps);
}

Recipe parse_recipe(std::string_view text, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kInvalidFile, "{}:{}: {}", path, error.source().begin.line,
         error.description());
  }
  Recipe recipe;
  recipe.path = path;
  TableReader root(table, path, "");
  root.read("name", recipe.name);
  int64_t seed = 0;
  root.read("seed", seed, 0, std::numeric_limits<int64_t>::max());
  recipe.seed = static_cast<uint64_t>(seed);
  recipe.train.seed = recipe.seed;
  root.read("tokenizer", recipe.tokenizer);
  recipe.tokenizer = beside(recipe, recipe.tokenizer);
  for_tables(root, recipe, "model", false, read_model);
  for_tables(root, recipe, "loss", false, read_losses);
  for_tables(root, recipe, "optimizer", false, read_optimizer);
  for_tables(root, recipe, "compute", false, read_arithmetic);
  for_tables(root, recipe, "lora", false, read_lora);
  for_tables(root, recipe, "source", true, read_source);
  for_tables(root, recipe, "phase", true, read_phase);
  for_tables(root, recipe, "checkpoint", false, read_saving);
  for_tables(root, recipe, "evaluate", false, read_evaluation);
  for_tables(root, recipe, "export", false, read_export);
  root.finish();
  if (recipe.tokenizer.empty()) recipe.tokenizer = recipe.init;
  if (recipe.tokenizer.empty()) root.wrong(nullptr, "expected tokenizer = \"FOLDER\"");
  if (recipe.train.model_json.empty() && recipe.init.empty())
    root.wrong(nullptr, "expected [model]");
  if (recipe.sources.empty()) root.wrong(nullptr, "expected at least one [[source]]");
  if (recipe.phases.empty()) root.wrong(nullptr, "expected at least one [[phase]]");
  return recipe;
}

Recipe read_recipe(const std::string& path) { return parse_recipe(read_text_file(path), path); }

}  // namespace headgate

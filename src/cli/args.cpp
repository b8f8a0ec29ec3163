// The option parser behind args.h: the only file that includes CLI11.
#include "cli/args.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "cli/config_file.h"
#include "cli/terminal.h"

namespace headgate {

struct Command::Data {
  CLI::App* app = nullptr;
  CLI::Option* last = nullptr;
  std::string group;
  std::string examples;
  std::function<int()> run;
  bool configurable = false;
  bool print_config = false;
  std::string config_path;

  void remember(CLI::Option* option) {
    last = option;
    if (!group.empty() && !option->get_positional()) option->group(group);
  }
};

namespace {

// Shows the default value of plain values in --help; an empty text says nothing.
template <typename T>
CLI::Option* plain(CLI::App& app, const std::string& names, T& value, const std::string& help) {
  CLI::Option* option = app.add_option(names, value, help);
  if constexpr (std::is_same_v<T, std::string>) {
    if (!value.empty()) option->capture_default_str();
  } else {
    option->capture_default_str();
  }
  return option;
}

constexpr size_t kNameColumns = 30;
constexpr size_t kHelpColumns = 100;

// Breaks a text at spaces into lines of at most `columns` bytes.
std::string wrap(const std::string& text, size_t columns) {
  std::string out;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (line > 0 && line + 1 + end - at > columns) {
      out += '\n';
      line = 0;
    } else if (line > 0) {
      out += ' ';
      ++line;
    }
    out += text.substr(at, end - at);
    line += end - at;
    at = end + 1;
  }
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at))
    text.replace(at, from.size(), to);
  return text;
}

// The help pages: names in one column, wrapped texts in the other.
class Pages : public CLI::Formatter {
 public:
  Pages() {
    column_width(kNameColumns);
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }
  // CLI11 spells "--no-x" as "--no-x{false}".
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    return replaced(CLI::Formatter::make_option_name(option, positional), "{false}", "");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string out;
    if (option->get_type_size() != 0) {
      if (!option->get_type_name().empty()) out += " " + option->get_type_name();
      if (!option->get_default_str().empty()) out += " [" + option->get_default_str() + "]";
      if (option->get_required()) out += " (required)";
    }
    return out;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return wrap(option->get_description(), kHelpColumns - kNameColumns);
  }
};

}  // namespace

Command::Command(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Command::~Command() = default;

Command& Command::flag(const std::string& names, bool& value, const std::string& help) {
  data_->remember(data_->app->add_flag(names, value, help));
  return *this;
}

Command& Command::flag(const std::string& names, std::optional<bool>& value,
                       const std::string& help) {
  const auto set = [&value](const CLI::results_t& results) {
    value = results.empty() || results.back() == "true" || results.back() == "1";
    return true;
  };
  CLI::Option* option = data_->app->add_flag(names);
  option->description(help);
  // A flag with a callback receives "true" or, through "!--no-x", "false".
  option->each([set](const std::string& text) { set({text}); });
  data_->remember(option);
  return *this;
}

Command& Command::option(const std::string& names, std::string& value, const std::string& help) {
  data_->remember(plain(*data_->app, names, value, help));
  return takes("TEXT");
}

Command& Command::option(const std::string& names, int& value, const std::string& help) {
  data_->remember(plain(*data_->app, names, value, help));
  return takes("N");
}

Command& Command::option(const std::string& names, int64_t& value, const std::string& help) {
  data_->remember(plain(*data_->app, names, value, help));
  return takes("N");
}

Command& Command::option(const std::string& names, uint64_t& value, const std::string& help) {
  data_->remember(plain(*data_->app, names, value, help));
  return takes("N");
}

Command& Command::option(const std::string& names, std::optional<std::string>& value,
                         const std::string& help) {
  data_->remember(data_->app->add_option(names, value, help));
  return takes("TEXT");
}

Command& Command::option(const std::string& names, std::optional<int64_t>& value,
                         const std::string& help) {
  data_->remember(data_->app->add_option(names, value, help));
  return takes("N");
}

Command& Command::option(const std::string& names, std::optional<uint64_t>& value,
                         const std::string& help) {
  data_->remember(data_->app->add_option(names, value, help));
  return takes("N");
}

Command& Command::option(const std::string& names, std::optional<double>& value,
                         const std::string& help) {
  data_->remember(data_->app->add_option(names, value, help));
  return takes("X");
}

Command& Command::option(const std::string& names, std::vector<std::string>& value,
                         const std::string& help) {
  CLI::Option* option = data_->app->add_option(names, value, help);
  // An option takes one value each time; a positional argument all that follow.
  if (!option->get_positional()) option->allow_extra_args(false);
  data_->remember(option);
  return takes("TEXT");
}

Command& Command::option(const std::string& names, std::vector<int64_t>& value,
                         const std::string& help) {
  CLI::Option* option = data_->app->add_option(names, value, help);
  option->allow_extra_args(false)->delimiter(',');
  std::string preset;
  for (int64_t number : value) preset += (preset.empty() ? "" : ",") + std::to_string(number);
  option->default_str(preset);
  data_->remember(option);
  return takes("N,N..");
}

Command& Command::choice(const std::string& names, std::string& value,
                         const std::vector<std::string>& allowed, const std::string& help) {
  CLI::Option* option = plain(*data_->app, names, value, help);
  std::string words;
  for (const std::string& word : allowed) words += (words.empty() ? "" : "|") + word;
  option->check(CLI::Validator(
      [allowed, words](const std::string& text) {
        for (const std::string& word : allowed)
          if (word == text) return std::string();
        return "found " + text + ", expected " + words;
      },
      ""));
  data_->remember(option);
  return takes(words);
}

Command& Command::required() {
  data_->last->required();
  return *this;
}

Command& Command::takes(const std::string& what) {
  data_->last->type_name(what);
  return *this;
}

Command& Command::group(const std::string& title) {
  data_->group = title;
  return *this;
}

Command& Command::example(const std::string& line, const std::string& what) {
  if (data_->examples.empty()) data_->examples = "Examples:\n";
  data_->examples += "  # " + what + "\n  " + line + "\n";
  data_->app->footer(data_->examples);
  return *this;
}

Command& Command::configurable() {
  data_->configurable = true;
  return group("Configuration")
      .option("--config", data_->config_path,
              "TOML file with these options as keys (max_running = 8)")
      .takes("FILE")
      .flag("--print-config", data_->print_config,
            "Show all options with their values as TOML, and leave");
}

void Command::action(std::function<int()> run) { data_->run = std::move(run); }

namespace {

// The options that may come from elsewhere, by their long names.
std::vector<CLI::Option*> settable_options(CLI::App& app) {
  std::vector<CLI::Option*> out;
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (name != "help" && name != "config" && name != "print-config") out.push_back(option);
  }
  return out;
}

bool is_repeatable(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

// Takes over a value that did not come from the command line; the option's own checks apply.
void set_option(CLI::Option& option, const Setting& setting, const std::string& source) {
  try {
    for (const std::string& value : setting.values) option.add_result(value);
    if (!setting.values.empty()) option.run_callback();
  } catch (const CLI::Error& error) {
    fail(ErrorCode::kInvalidArgument, "{}: {}", source, error.what());
  }
}

void apply_settings(CLI::App& app, const std::string& config_path) {
  const std::vector<CLI::Option*> options = settable_options(app);
  for (CLI::Option* option : options) {
    const std::string name = option->get_lnames().front();
    const char* value = std::getenv(environment_name(name).c_str());
    if (option->count() == 0 && value != nullptr)
      set_option(*option, {name, {value}}, environment_name(name));
  }
  if (config_path.empty()) return;
  std::vector<std::string> names;
  for (const CLI::Option* option : options) names.push_back(option->get_lnames().front());
  for (const Setting& setting : read_settings_file(config_path)) {
    const auto found = std::find(names.begin(), names.end(), setting.name);
    if (found == names.end()) {
      const std::string near = nearest_option(setting.name, names);
      fail(ErrorCode::kInvalidArgument, "{}: unknown key {}{}", config_path, setting.name,
           near.empty() ? "" : ": did you mean " + near + "?");
    }
    CLI::Option& option = *options[static_cast<size_t>(found - names.begin())];
    if (option.count() == 0) set_option(option, setting, config_path + ": " + setting.name);
  }
}

std::string printed_settings(CLI::App& app) {
  std::string out;
  for (CLI::Option* option : settable_options(app)) {
    Setting setting{option->get_lnames().front(), option->results()};
    const bool is_flag = option->get_expected_min() == 0;
    if (setting.values.empty() && is_flag) setting.values = {"false"};
    if (setting.values.empty() && !option->get_default_str().empty())
      setting.values = {option->get_default_str()};
    // What has no default (the model's own decides) is shown, but not set.
    if (setting.values.empty() && !is_repeatable(*option)) out += "# ";
    out += settings_line(setting, is_repeatable(*option)) + "\n";
  }
  return out;
}

}  // namespace

struct CommandLine::Data {
  CLI::App app;
  std::vector<std::unique_ptr<Command>> commands;
  std::vector<std::string> arguments;
};

CommandLine::CommandLine(const std::string& name, const std::string& description,
                         const std::string& version)
    : data_(std::make_unique<Data>()) {
  CLI::App& app = data_->app;
  app.name(name);
  app.description(description);
  app.formatter(std::make_shared<Pages>());
  app.set_version_flag("--version", name + " " + version, "Show the version and leave");
  app.set_help_flag("-h,--help", "Show this help and leave");
  app.require_subcommand(1);
  app.footer("headgate COMMAND --help explains the options of a command, with examples.");
}

CommandLine::~CommandLine() = default;

Command& CommandLine::add(const std::string& name, const std::string& help) {
  auto data = std::make_unique<Command::Data>();
  data->app = data_->app.add_subcommand(name, help);
  data->app->group("Commands");
  data_->commands.push_back(std::unique_ptr<Command>(new Command(std::move(data))));
  return *data_->commands.back();
}

namespace {

OptionText text_of(const CLI::Option& option) {
  OptionText out;
  out.argument = option.get_positional();
  if (out.argument) out.names.push_back(option.get_name(true));
  for (const std::string& name : option.get_snames()) out.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.names.push_back("--" + name);
  if (option.get_type_size() != 0) out.value = option.get_type_name();
  if (out.value.find('|') != std::string::npos) out.words = CLI::detail::split(out.value, '|');
  out.help = option.get_description();
  out.preset = option.get_default_str();
  out.group = option.get_group();
  out.required = option.get_required();
  return out;
}

}  // namespace

std::vector<CommandText> CommandLine::describe() const {
  std::vector<CommandText> out;
  for (const auto& command : data_->commands) {
    const CLI::App& app = *command->data_->app;
    CommandText text{app.get_name(), app.get_description(), command->data_->examples, {}};
    for (const CLI::Option* option : app.get_options()) text.options.push_back(text_of(*option));
    out.push_back(std::move(text));
  }
  return out;
}

const std::vector<std::string>& CommandLine::arguments() const { return data_->arguments; }

int CommandLine::run(int argc, const char* const* argv) {
  CLI::App& app = data_->app;
  data_->arguments.assign(argv, argv + argc);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    // Help and version pages.
    std::ostringstream out;
    app.exit(success, out, out);
    write_stdout(replaced(out.str(), "\n\n\n", "\n\n"));
    return 0;
  } catch (const CLI::RequiredError& error) {
    const std::string what = error.what();
    report_error((what.find("subcommand") == std::string::npos ? what : "no command given") +
                 " (see headgate --help)");
    return 2;
  } catch (const CLI::ParseError& error) {
    std::string place = app.get_name();
    for (const CLI::App* used : app.get_subcommands()) place += " " + used->get_name();
    report_error(std::string(error.what()) + " (see " + place + " --help)");
    return 2;
  }
  for (const auto& command : data_->commands) {
    Command::Data& chosen = *command->data_;
    if (!chosen.app->parsed()) continue;
    if (chosen.configurable) apply_settings(*chosen.app, chosen.config_path);
    if (!chosen.print_config) return chosen.run();
    write_stdout(printed_settings(*chosen.app));
    return 0;
  }
  return 2;
}

}  // namespace headgate

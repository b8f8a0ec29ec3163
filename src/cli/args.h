// Subcommands and their options, declared without exposing the option parser to every command.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headgate {

// One subcommand under construction. Values passed by reference are written while parsing and must
// live until the action has run. `names` is "-n,--max-tokens" or, for a positional argument,
// "file". Every call returns the command, so that declarations can be chained.
class Command {
 public:
  // "--x" sets true; "--x,!--no-x" sets true or false.
  Command& flag(const std::string& names, bool& value, const std::string& help);
  Command& flag(const std::string& names, std::optional<bool>& value, const std::string& help);

  Command& option(const std::string& names, std::string& value, const std::string& help);
  Command& option(const std::string& names, int& value, const std::string& help);
  Command& option(const std::string& names, int64_t& value, const std::string& help);
  Command& option(const std::string& names, uint64_t& value, const std::string& help);
  Command& option(const std::string& names, std::optional<std::string>& value,
                  const std::string& help);
  Command& option(const std::string& names, std::optional<int64_t>& value, const std::string& help);
  Command& option(const std::string& names, std::optional<uint64_t>& value,
                  const std::string& help);
  Command& option(const std::string& names, std::optional<double>& value, const std::string& help);
  // Repeatable, one value each time.
  Command& option(const std::string& names, std::vector<std::string>& value,
                  const std::string& help);
  // Numbers separated by commas.
  Command& option(const std::string& names, std::vector<int64_t>& value, const std::string& help);
  // One of a fixed set of words.
  Command& choice(const std::string& names, std::string& value,
                  const std::vector<std::string>& allowed, const std::string& help);

  Command& required();                       // the option declared last must be given
  Command& takes(const std::string& what);   // how --help names the value of the last option
  Command& group(const std::string& title);  // heading in --help of the options that follow
  Command& example(const std::string& line, const std::string& what);

  // Options of this command may also come from the environment (HEADGATE_MAX_RUNNING for
  // --max-running) and from a TOML file (--config FILE, max_running = 8). A flag beats the
  // environment, that beats the file.
  // --print-config shows the result.
  Command& configurable();

  // What the command does; returns the exit code.
  void action(std::function<int()> run);

 private:
  friend class CommandLine;
  struct Data;
  explicit Command(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;

 public:
  ~Command();
};

// What --help says of an option, and of a command, as data: for completion scripts and man pages.
struct OptionText {
  std::vector<std::string> names;  // "-n", "--max-tokens"; of an argument: its name alone
  std::string value;               // "N", "FILE", "a|b"; empty: a flag
  std::vector<std::string> words;  // of a choice
  std::string help, preset, group;
  bool argument = false;
  bool required = false;
};
struct CommandText {
  std::string name, help, examples;
  std::vector<OptionText> options;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& description, const std::string& version);
  ~CommandLine();

  Command& add(const std::string& name, const std::string& help);

  // All commands in the order of their declaration; call it when all are declared.
  std::vector<CommandText> describe() const;

  // Parses and runs one command. Prints --help; reports a wrong command line in one line on stderr
  // and returns 2. Errors of the action pass through.
  int run(int argc, const char* const* argv);
  // What run() was given, for a command that reads its options again.
  const std::vector<std::string>& arguments() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace headgate

// headgate man: manual pages of the program and its commands, written from the option table.
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct ManOptions {
  std::optional<std::string> command;
  std::optional<std::string> output;
};

// A line of text for roff: no escapes, no requests, hyphens that can be copied.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += std::string("\\&") + c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string head(const std::string& title, const std::string& name, const std::string& what) {
  return fmt::format(
      ".TH \"{}\" \"1\" \"\" \"headgate {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n", title,
      HEADGATE_VERSION, roff(name), roff(what));
}

std::string option_entry(const OptionText& option) {
  std::string names;
  for (const std::string& name : option.names) {
    const std::string plain = name.substr(0, name.find('{'));
    names += (names.empty() ? "" : ", ") +
             (option.argument ? "\\fI" + roff(plain) + "\\fR" : "\\fB" + roff(plain) + "\\fR");
  }
  if (!option.argument && !option.value.empty()) names += " \\fI" + roff(option.value) + "\\fR";
  std::string text = roff(option.help);
  if (option.argument && !option.words.empty()) text += ": " + roff(option.value);
  if (!option.preset.empty()) text += " [" + roff(option.preset) + "]";
  if (option.required && !option.argument) text += " (required)";
  return ".TP\n" + names + "\n" + text + "\n";
}

std::string page_of(const CommandText& command) {
  std::string synopsis = "\\fBheadgate " + roff(command.name) + "\\fR [\\fIOPTIONS\\fR]";
  std::string arguments, options, group;
  for (const OptionText& option : command.options) {
    if (option.argument) {
      synopsis += (option.required ? " \\fI" : " [\\fI") + roff(option.names.front()) +
                  (option.required ? "\\fR" : "\\fR]");
      arguments += option_entry(option);
      continue;
    }
    if (option.group != group) options += ".SS \"" + roff(group = option.group) + "\"\n";
    options += option_entry(option);
  }
  std::string title = "HEADGATE-" + command.name;
  for (char& c : title)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  std::string out = head(title, "headgate-" + command.name, command.help);
  out += ".SH SYNOPSIS\n" + synopsis + "\n";
  if (!arguments.empty()) out += ".SH ARGUMENTS\n" + arguments;
  out += ".SH OPTIONS\n" + options;
  if (!command.examples.empty()) {
    const size_t first_line = command.examples.find('\n') + 1;
    out += ".SH EXAMPLES\n.nf\n" + roff(command.examples.substr(first_line)) + ".fi\n";
  }
  return out + ".SH SEE ALSO\n\\fBheadgate\\fR(1)\n";
}

std::string main_page(const std::vector<CommandText>& commands) {
  std::string out =
      head("HEADGATE", "headgate", "runs, serves, converts and measures Qwen3-Next models");
  out += ".SH SYNOPSIS\n\\fBheadgate\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH COMMANDS\n";
  for (const CommandText& command : commands)
    out += ".TP\n\\fBheadgate\\-" + roff(command.name) + "\\fR(1)\n" + roff(command.help) + "\n";
  out +=
      ".SH EXIT STATUS\n0 for success, 2 for a wrong command line, other numbers for errors, which "
      "are told in one line.\n";
  return out;
}

int man(const std::vector<CommandText>& commands, const ManOptions& o) {
  if (o.output) {
    const std::filesystem::path folder(*o.output);
    std::filesystem::create_directories(folder);
    write_text_file((folder / "headgate.1").string(), main_page(commands));
    for (const CommandText& command : commands)
      write_text_file((folder / ("headgate-" + command.name + ".1")).string(), page_of(command));
    return 0;
  }
  if (!o.command) {
    write_stdout(main_page(commands));
    return 0;
  }
  for (const CommandText& command : commands) {
    if (command.name != *o.command) continue;
    write_stdout(page_of(command));
    return 0;
  }
  fail(ErrorCode::kInvalidArgument, "man: found no command {} (see headgate --help)", *o.command);
}

}  // namespace

void add_man(CommandLine& line) {
  auto o = std::make_shared<ManOptions>();
  line.add("man", "Print the manual page of the program or of a command")
      .option("command", o->command, "The command; without one, the program's page")
      .option("--output", o->output, "Write all pages into this folder instead")
      .takes("DIR")
      .example("headgate man serve | man -l -", "read the page of headgate serve")
      .action([o, &line] { return man(line.describe(), *o); });
}

}  // namespace headgate

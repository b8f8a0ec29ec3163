// headgate completion: scripts that let bash, zsh and fish complete commands, options and words.
#include <algorithm>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct CompletionOptions {
  std::string shell;
};

bool is_path(const std::string& value) {
  static const char* const kPaths[] = {"FILE",   "DIR",   "PATH",  "FOLDER",
                                       "FILE..", "INPUT", "OUTPUT"};
  return std::find(std::begin(kPaths), std::end(kPaths), value) != std::end(kPaths);
}

// In single quotes, as all three shells read it.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// Spelled "--no-x{false}" by the parser.
std::vector<std::string> plain_names(const OptionText& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.names) out.push_back(name.substr(0, name.find('{')));
  return out;
}

std::string words_of_arguments(const CommandText& command) {
  for (const OptionText& option : command.options)
    if (option.argument && !option.words.empty()) return joined(option.words);
  return {};
}

std::string bash_of(const std::vector<CommandText>& commands) {
  std::string names, options, values;
  for (const CommandText& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    std::string all;
    for (const OptionText& option : command.options) {
      if (option.argument) continue;
      const std::vector<std::string> spelled = plain_names(option);
      all += (all.empty() ? "" : " ") + joined(spelled);
      std::string pattern;
      for (const std::string& name : spelled)
        pattern += (pattern.empty() ? "" : "|") + command.name + ":" + name;
      if (!option.words.empty()) {
        values += "    " + pattern + ") COMPREPLY=($(compgen -W " + quoted(joined(option.words)) +
                  " -- \"$cur\")); return ;;\n";
      } else if (is_path(option.value)) {
        values += "    " + pattern + ") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n";
      } else if (!option.value.empty()) {
        values += "    " + pattern + ") return ;;\n";
      }
    }
    options += "    " + command.name + ") words=" + quoted(all) +
               "; arguments=" + quoted(words_of_arguments(command)) + " ;;\n";
  }
  return "# bash completion of headgate: source <(headgate completion bash)\n"
         "_headgate() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
         "command=${COMP_WORDS[1]}\n"
         "  local words='' arguments=''\n"
         "  COMPREPLY=()\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W " +
         quoted(names + " --help --version") +
         " -- \"$cur\")); return; fi\n"
         "  case $command:$prev in\n" +
         values +
         "  esac\n"
         "  case $command in\n" +
         options +
         "  esac\n"
         "  case $cur in\n"
         "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
         "    *) COMPREPLY=($(compgen -W \"$arguments\" -- \"$cur\") $(compgen -f -- \"$cur\")) "
         ";;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _headgate headgate\n";
}

// A description inside of brackets: these and colons have a meaning there.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_value(const OptionText& option) {
  if (option.value.empty()) return {};
  if (!option.words.empty()) return ":value:(" + joined(option.words) + ")";
  return is_path(option.value) ? ":file:_files" : ":" + zsh_text(option.value) + ":";
}

std::string zsh_of(const std::vector<CommandText>& commands) {
  std::string names, cases;
  for (const CommandText& command : commands) {
    names += "    " + quoted(command.name + ":" + zsh_text(command.help)) + "\n";
    cases += "    " + command.name + ") _arguments -s";
    for (const OptionText& option : command.options) {
      if (option.argument) {
        cases += " \\\n      " + quoted(option.words.empty()
                                            ? "*:file:_files"
                                            : ":" + option.names[0] + zsh_value(option).substr(6));
        continue;
      }
      for (const std::string& name : plain_names(option))
        cases += " \\\n      " +
                 quoted("*" + name + "[" + zsh_text(option.help) + "]" + zsh_value(option));
    }
    cases += " ;;\n";
  }
  return "#compdef headgate\n"
         "# zsh completion of headgate: headgate completion zsh > a folder of $fpath as _headgate\n"
         "_headgate() {\n"
         "  local -a commands=(\n" +
         names +
         "  )\n"
         "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
         "  local command=$words[2]\n"
         "  shift words; (( CURRENT-- ))\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _headgate ]; then _headgate \"$@\"; else compdef _headgate "
         "headgate; fi\n";
}

std::string fish_of(const std::vector<CommandText>& commands) {
  std::string out =
      "# fish completion of headgate: headgate completion fish | source\n"
      "complete -c headgate -n __fish_use_subcommand -f\n";
  for (const CommandText& command : commands) {
    out += "complete -c headgate -n __fish_use_subcommand -a " + command.name + " -d " +
           quoted(command.help) + "\n";
    const std::string here =
        "complete -c headgate -n '__fish_seen_subcommand_from " + command.name + "'";
    for (const OptionText& option : command.options) {
      if (option.argument) {
        if (!option.words.empty()) out += here + " -a " + quoted(joined(option.words)) + "\n";
        continue;
      }
      for (const std::string& name : plain_names(option)) {
        out += here + (name.size() == 2 ? " -s " + name.substr(1) : " -l " + name.substr(2)) +
               " -d " + quoted(option.help);
        if (!option.words.empty())
          out += " -x -a " + quoted(joined(option.words));
        else if (is_path(option.value))
          out += " -r -F";
        else if (!option.value.empty())
          out += " -x";
        out += "\n";
      }
    }
  }
  return out;
}

}  // namespace

void add_completion(CommandLine& line) {
  auto o = std::make_shared<CompletionOptions>();
  line.add("completion", "Print a script that completes commands and options in a shell")
      .choice("shell", o->shell, {"bash", "zsh", "fish"}, "The shell to print it for")
      .required()
      .example("source <(headgate completion bash)", "in ~/.bashrc")
      .action([o, &line] {
        const std::vector<CommandText> commands = line.describe();
        write_stdout(o->shell == "bash"  ? bash_of(commands)
                     : o->shell == "zsh" ? zsh_of(commands)
                                         : fish_of(commands));
        return 0;
      });
}

}  // namespace headgate

// Reading lines from a person at a terminal, with editing and history where libedit is present.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headgate {

enum class LineResult { kLine, kEnd, kInterrupted };

// Thread rule: one object, one thread. On a stream that is not a terminal it reads plain lines and
// prints no prompt.
class LineEditor {
 public:
  // `history_file` empty: history is not kept. The file is created with mode 0600.
  LineEditor(const std::string& history_file, std::vector<std::string> completions);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Reads one line without its newline. kEnd: end of input (Ctrl-D). kInterrupted: Ctrl-C; `line`
  // is what had been typed.
  LineResult read(const std::string& prompt, std::string& line);
  // Adds a whole input to the history and to its file.
  void remember(const std::string& input);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// "libedit" or "none".
const char* line_editing_library();

// $XDG_STATE_HOME/headgate/<name>, else ~/.local/state/headgate/<name>, its folders made with mode
// 0700; empty when there is no home.
std::string state_file(const std::string& name);

}  // namespace headgate

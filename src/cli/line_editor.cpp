// Line editing by libedit; plain reading where it is absent or the streams are no terminals.
#include "cli/line_editor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include "cli/terminal.h"

#ifdef HEADGATE_LIBEDIT
#include <histedit.h>
#endif

namespace headgate {
namespace {

constexpr int kHistoryEntries = 1000;

// Reads lines from standard input with a buffer of its own.
class PlainReader {
 public:
  LineResult read(std::string& line) {
    line.clear();
    while (true) {
      const size_t newline = buffer_.find('\n');
      if (newline != std::string::npos) {
        line = buffer_.substr(0, newline);
        buffer_.erase(0, newline + 1);
        return LineResult::kLine;
      }
      std::array<char, 4096> bytes;
      const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) {
        if (InterruptScope::interrupted()) return LineResult::kInterrupted;
        continue;
      }
      if (n <= 0) {
        line.swap(buffer_);
        return line.empty() ? LineResult::kEnd : LineResult::kLine;
      }
      buffer_.append(bytes.data(), static_cast<size_t>(n));
    }
  }

 private:
  std::string buffer_;
};

bool make_folders(const std::string& path) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string folder = path.substr(0, at);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return false;
  }
  return true;
}

}  // namespace

std::string state_file(const std::string& name) {
  std::string folder;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  // The specification asks to ignore a relative path.
  if (state != nullptr && state[0] == '/') {
    folder = state;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::string(home) + "/.local/state";
  } else {
    return "";
  }
  std::string path = folder + "/headgate/" + name;
  return make_folders(path) ? path : "";
}

#ifdef HEADGATE_LIBEDIT

struct LineEditor::Data {
  PlainReader plain;
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string history_file;
  std::string prompt;
  std::vector<std::string> completions;

  static Data* of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<Data*>(data);
  }

  static char* show_prompt(EditLine* editor) { return of(editor)->prompt.data(); }

  // Waits for the next character in slices, because a Ctrl-C between the prompt and a blocking read
  // would not end that read. Returns 1, 0 at the end of input, -1 when interrupted.
  static int read_character(EditLine*, wchar_t* character) {
    constexpr int kSliceMs = 50;
    std::mbstate_t state{};
    while (true) {
      if (InterruptScope::interrupted()) return -1;
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (::poll(&input, 1, kSliceMs) <= 0) continue;
      char byte = 0;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return static_cast<int>(got);
      const size_t used = std::mbrtowc(character, &byte, 1, &state);
      if (used == static_cast<size_t>(-2)) continue;  // the rest of the character follows
      if (used == static_cast<size_t>(-1)) *character = L'?';
      return 1;
    }
  }

  // Completes the word that fills the whole line so far.
  static unsigned char complete(EditLine* editor, int) {
    const Data* data = of(editor);
    const LineInfo* line = el_line(editor);
    const std::string word(line->buffer, line->cursor);
    std::vector<std::string> found;
    for (const std::string& candidate : data->completions)
      if (!word.empty() && candidate.rfind(word, 0) == 0) found.push_back(candidate);
    if (found.size() != 1) return CC_REFRESH_BEEP;
    el_insertstr(editor, (found[0].substr(word.size()) + " ").c_str());
    return CC_REFRESH;
  }

  void open_editor() {
    // libedit counts columns by the locale; without one every UTF-8 character would be several.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1)
      std::setlocale(LC_CTYPE, "C.UTF-8");
    editor = el_init("headgate", stdin, stdout, stderr);
    if (editor == nullptr) return;
    history = history_init();
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT_ESC, &show_prompt, '\1');
    el_set(editor, EL_GETCFN, &read_character);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_ADDFN, "headgate-complete", "Completes commands", &complete);
    el_set(editor, EL_BIND, "^I", "headgate-complete", nullptr);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    ::history(history, &event, H_SETSIZE, kHistoryEntries);
    ::history(history, &event, H_SETUNIQUE, 1);
    open_history();
  }

  void open_history() {
    if (history_file.empty()) return;
    const int fd = ::open(history_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      history_file.clear();
      return;
    }
    // What people ask is nobody else's business, also in a file made by hand.
    ::fchmod(fd, 0600);
    ::close(fd);
    ::history(history, &event, H_LOAD, history_file.c_str());
  }

  LineResult edit(std::string& line) {
    int count = 0;
    const char* text = el_gets(editor, &count);
    if (text == nullptr || count <= 0) {
      const bool interrupted = InterruptScope::interrupted();
      const LineInfo* typed = el_line(editor);
      line.assign(typed->buffer, typed->lastchar);
      write_stdout("\n");
      return interrupted ? LineResult::kInterrupted : LineResult::kEnd;
    }
    line.assign(text, static_cast<size_t>(count));
    if (!line.empty() && line.back() == '\n') line.pop_back();
    return LineResult::kLine;
  }
};

LineEditor::LineEditor(const std::string& history_file, std::vector<std::string> completions)
    : data_(std::make_unique<Data>()) {
  data_->history_file = history_file;
  data_->completions = std::move(completions);
  const char* term = std::getenv("TERM");
  const bool simple = term == nullptr || std::strcmp(term, "dumb") == 0;
  if (is_terminal(Stream::kInput) && is_terminal(Stream::kOutput) && !simple) data_->open_editor();
}

LineEditor::~LineEditor() {
  if (data_->history != nullptr) history_end(data_->history);
  if (data_->editor != nullptr) el_end(data_->editor);
}

LineResult LineEditor::read(const std::string& prompt, std::string& line) {
  if (data_->editor == nullptr) {
    if (is_terminal(Stream::kInput)) write_stdout(prompt);
    return data_->plain.read(line);
  }
  // libedit must know which bytes of the prompt take no room: escape sequences between \1 and \1.
  data_->prompt.clear();
  for (size_t i = 0; i < prompt.size(); ++i) {
    const bool escape = prompt[i] == '\x1b';
    if (escape) data_->prompt += '\1';
    data_->prompt += prompt[i];
    if (!escape) continue;
    while (++i < prompt.size() && prompt[i] != 'm') data_->prompt += prompt[i];
    data_->prompt += "m\1";
  }
  return data_->edit(line);
}

void LineEditor::remember(const std::string& input) {
  if (data_->history == nullptr || input.empty()) return;
  ::history(data_->history, &data_->event, H_ENTER, input.c_str());
  if (!data_->history_file.empty())
    ::history(data_->history, &data_->event, H_SAVE, data_->history_file.c_str());
}

const char* line_editing_library() { return "libedit"; }

#else

struct LineEditor::Data {
  PlainReader plain;
};

LineEditor::LineEditor(const std::string&, std::vector<std::string>)
    : data_(std::make_unique<Data>()) {}
LineEditor::~LineEditor() = default;

LineResult LineEditor::read(const std::string& prompt, std::string& line) {
  if (is_terminal(Stream::kInput)) write_stdout(prompt);
  return data_->plain.read(line);
}

void LineEditor::remember(const std::string&) {}

const char* line_editing_library() { return "none"; }

#endif

}  // namespace headgate

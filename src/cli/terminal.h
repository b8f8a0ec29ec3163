// Standard streams as people and scripts see them: colours only on a terminal, one-line errors,
// Ctrl-C as a flag.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

namespace headgate {

enum class Stream { kInput, kOutput, kError };

bool is_terminal(Stream stream);
// True when `stream` is a terminal that shows colours and NO_COLOR is not set (no-color.org).
bool shows_colours(Stream stream);
int terminal_columns();  // of stderr; 80 when unknown

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };
// `text` in a style where `stream` shows colours, else as it is.
std::string styled(Stream stream, Style style, std::string_view text);
// The escape sequence that begins a style; kPlain ends every style. Empty without colours.
std::string_view style_code(Stream stream, Style style);

// Writes all of `text` at once. Throws kIo when the stream refuses (a full disk, say).
void write_stdout(std::string_view text);
// Never throws: there is nobody left to tell.
void write_stderr(std::string_view text) noexcept;

template <typename... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  write_stdout(fmt::format(format, std::forward<Args>(args)...));
}

// "headgate: error: message" on stderr, in one line.
void report_error(std::string_view message) noexcept;
// "headgate: message" on stderr.
void report_note(std::string_view message) noexcept;

// All of standard input; throws kResourceExhausted beyond `limit_bytes`.
std::string read_stdin(int64_t limit_bytes = int64_t{256} << 20);

// Control characters of `text` replaced, so that names and pieces of text of outside origin cannot
// steer the terminal: ESC and the like become U+FFFD; newline and tab stay.
std::string printable(std::string_view text);

// While an object lives, Ctrl-C and SIGTERM set a flag instead of ending the process; so many of
// them before a reset() end it at once with status 130. Only one object at a time.
class InterruptScope {
 public:
  explicit InterruptScope(int presses_to_kill = 2);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  static const std::atomic<bool>& flag();
  static bool interrupted() { return flag().load(); }
  static bool terminated();  // by SIGTERM; not undone by reset()
  static void reset();
};

}  // namespace headgate

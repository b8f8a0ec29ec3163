// POSIX implementation of the standard streams.
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {
namespace {

int descriptor(Stream stream) {
  switch (stream) {
    case Stream::kInput:
      return STDIN_FILENO;
    case Stream::kOutput:
      return STDOUT_FILENO;
    case Stream::kError:
      return STDERR_FILENO;
  }
  return STDERR_FILENO;
}

// Bytes written; fewer than asked only after an error, which is in errno.
size_t write_all(int fd, std::string_view text) noexcept {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

std::string one_line(std::string_view message) {
  std::string out;
  for (char c : message) out += c == '\n' || c == '\r' ? ' ' : c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return printable(out);
}

std::atomic<bool> interrupt_flag{false};
std::atomic<bool> terminate_flag{false};
std::atomic<int> presses{0};
std::atomic<int> presses_to_kill_now{2};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler sets them");

extern "C" void on_interrupt(int signal) {
  interrupt_flag.store(true);
  if (signal == SIGTERM) terminate_flag.store(true);
  if (presses.fetch_add(1) + 1 >= presses_to_kill_now.load()) ::_exit(128 + signal);
}

struct SavedActions {
  struct sigaction interrupt {};
  struct sigaction terminate {};
};
SavedActions saved_actions;

}  // namespace

bool is_terminal(Stream stream) { return ::isatty(descriptor(stream)) == 1; }

bool shows_colours(Stream stream) {
  static const bool wanted = [] {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return (no_color == nullptr || *no_color == '\0') &&
           (term == nullptr || std::strcmp(term, "dumb") != 0);
  }();
  return wanted && is_terminal(stream);
}

int terminal_columns() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string_view style_code(Stream stream, Style style) {
  if (!shows_colours(stream)) return "";
  static constexpr std::array<std::string_view, 7> kCodes = {
      "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"};
  return kCodes[static_cast<size_t>(style)];
}

std::string styled(Stream stream, Style style, std::string_view text) {
  return fmt::format("{}{}{}", style_code(stream, style), text, style_code(stream, Style::kPlain));
}

void write_stdout(std::string_view text) {
  if (write_all(STDOUT_FILENO, text) != text.size()) {
    fail(ErrorCode::kIo, "standard output: cannot write: {}", std::strerror(errno));
  }
}

void write_stderr(std::string_view text) noexcept { write_all(STDERR_FILENO, text); }

void report_error(std::string_view message) noexcept {
  write_stderr(fmt::format("headgate: {} {}\n", styled(Stream::kError, Style::kRed, "error:"),
                           one_line(message)));
}

void report_note(std::string_view message) noexcept {
  write_stderr(fmt::format("headgate: {}\n", one_line(message)));
}

std::string read_stdin(int64_t limit_bytes) {
  std::string out;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorCode::kIo, "standard input: cannot read: {}", std::strerror(errno));
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<size_t>(n));
    if (static_cast<int64_t>(out.size()) > limit_bytes) {
      fail(ErrorCode::kResourceExhausted, "standard input: more than the limit of {} bytes",
           limit_bytes);
    }
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const DecodedCodePoint c = decode_utf8(text, at);
    const bool control = (c.code_point < 0x20 && c.code_point != '\n' && c.code_point != '\t') ||
                         (c.code_point >= 0x7f && c.code_point < 0xa0);
    append_utf8(out, control ? U'\uFFFD' : c.code_point);
    at += static_cast<size_t>(c.bytes);
  }
  return out;
}

InterruptScope::InterruptScope(int presses_to_kill) {
  reset();
  presses_to_kill_now.store(presses_to_kill);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // No SA_RESTART: a read that waits for the user must return.
  ::sigaction(SIGINT, &action, &saved_actions.interrupt);
  ::sigaction(SIGTERM, &action, &saved_actions.terminate);
}

InterruptScope::~InterruptScope() {
  ::sigaction(SIGINT, &saved_actions.interrupt, nullptr);
  ::sigaction(SIGTERM, &saved_actions.terminate, nullptr);
}

const std::atomic<bool>& InterruptScope::flag() { return interrupt_flag; }
bool InterruptScope::terminated() { return terminate_flag.load(); }

void InterruptScope::reset() {
  presses.store(0);
  interrupt_flag.store(false);
}

}  // namespace headgate

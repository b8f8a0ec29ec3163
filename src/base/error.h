// Errors of operations that cannot be done, and checks of invariants that must hold.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace headgate {

// What kind of thing went wrong. Each code maps once to a process exit code and once to an HTTP
// status.
enum class ErrorCode {
  kInvalidArgument,    // the caller's request is wrong: option, prompt, parameter
  kNotFound,           // a file, tensor, token or model that does not exist
  kInvalidFile,        // a file that breaks its format or contradicts itself
  kUnsupported,        // well-formed, but nothing here can do it
  kResourceExhausted,  // memory, pages, disk or a stated limit
  kCancelled,          // stopped on request
  kIo,                 // the operating system refused
  kInternal            // should not happen; a bug if seen
};

// Thrown when an operation cannot be done. The message says what, where, found and expected, in one
// line. Caught at five boundaries only: CLI command, HTTP handler, job item, C ABI call, engine
// request.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// Throws Error(code, formatted message). Control characters in the message are escaped, so that
// names from hostile files cannot forge lines in a log or a terminal.
[[noreturn]] void throw_error(ErrorCode code, const std::string& message);

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw_error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Process exit code of an error: 2 invalid argument, 3 not found, 4 invalid file, 5 unsupported,
// 6 resources, 7 I/O, 130 cancelled, 70 internal.
int exit_code(ErrorCode code);

// Prints the message with its place to stderr and aborts. Used by HEADGATE_CHECK.
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace headgate

// Aborts when an invariant does not hold: a bug in Headgate, never a property of input.
#define HEADGATE_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::headgate::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define HEADGATE_DCHECK(condition) static_cast<void>(0)
#else
#define HEADGATE_DCHECK(condition) HEADGATE_CHECK(condition)
#endif

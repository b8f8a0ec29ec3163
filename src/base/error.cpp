// Error codes, message escaping and failed checks.
#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace headgate {
namespace {

std::string escape_control_characters(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void throw_error(ErrorCode code, const std::string& message) {
  throw Error(code, escape_control_characters(message));
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 2;
    case ErrorCode::kNotFound:
      return 3;
    case ErrorCode::kInvalidFile:
      return 4;
    case ErrorCode::kUnsupported:
      return 5;
    case ErrorCode::kResourceExhausted:
      return 6;
    case ErrorCode::kIo:
      return 7;
    case ErrorCode::kCancelled:
      return 130;
    case ErrorCode::kInternal:
      return 70;
  }
  return 70;
}

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace headgate

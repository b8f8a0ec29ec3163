// Logging to stderr, one line a message. Never log prompts, outputs or secrets.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

namespace headgate {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Messages below the level are dropped; kWarning until set. HEADGATE_LOG=debug|info|warning|error
// overrides.
void set_log_level(LogLevel level);

void log_message(LogLevel level, const std::string& message);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace headgate

// The log sink: spdlog on stderr, coloured only on a terminal.
#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace headgate {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* level_from_environment() {
  const char* level = std::getenv("HEADGATE_LOG");
  return level != nullptr && *level != '\0' ? level : nullptr;
}

spdlog::logger& sink() {
  static const std::unique_ptr<spdlog::logger> logger = [] {
    auto made = std::make_unique<spdlog::logger>(
        "headgate", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    const char* level = level_from_environment();
    made->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::warn);
    return made;
  }();
  return *logger;
}

}  // namespace

void set_log_level(LogLevel level) {
  if (level_from_environment() == nullptr) sink().set_level(to_spdlog(level));
}

void log_message(LogLevel level, const std::string& message) {
  sink().log(to_spdlog(level), message);
}

}  // namespace headgate

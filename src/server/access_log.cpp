// Log lines to standard error, each in one write.
#include "server/access_log.h"

#include <unistd.h>

#include <chrono>
#include <ctime>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

// "2026-01-31T12:34:56.789Z".
std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03d}Z", std::string_view(text, length), millis);
}

}  // namespace

void AccessLog::request(const HttpRequest& request, std::string_view route,
                        const Answered& answer) {
  if (format_ == LogFormat::kOff) return;
  if (format_ == LogFormat::kText) {
    std::string line = fmt::format("{} {} {} {} {:.0f} ms", timestamp(), answer.status,
                                   request.method, route, answer.seconds * 1e3);
    for (const auto& note : answer.notes) line += fmt::format(" {}={}", note.first, note.second);
    if (!request.user.empty()) line += " key=" + request.user;
    line += fmt::format(" id={} peer={}{}", request.id, request.peer,
                        answer.complete ? "" : " incomplete");
    return write(std::move(line));
  }
  json::object out = {
      {"time", timestamp()},        {"event", "request"},          {"id", request.id},
      {"method", request.method},   {"route", std::string(route)}, {"status", answer.status},
      {"ms", answer.seconds * 1e3}, {"complete", answer.complete}, {"peer", request.peer}};
  if (!request.user.empty()) out["key"] = request.user;
  for (const auto& note : answer.notes) out[note.first] = note.second;
  write(dump_json(out));
}

void AccessLog::event(std::string_view name, std::string_view detail) {
  if (format_ == LogFormat::kOff) return;
  if (format_ == LogFormat::kText)
    return write(fmt::format("{} {}: {}", timestamp(), name, detail));
  write(dump_json(json::object{
      {"time", timestamp()}, {"event", std::string(name)}, {"detail", std::string(detail)}}));
}

void AccessLog::write(std::string line) {
  line += '\n';
  // A log that cannot be written must not stop the server.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace headgate

// Drawing of progress bars.
#include "cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "cli/format.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
// Work that is over at once needs no bar.
constexpr auto kFirstDraw = std::chrono::milliseconds(250);

std::string amount(ProgressUnit unit, double value) {
  return unit == ProgressUnit::kBytes ? format_bytes(value)
                                      : format_digits(static_cast<int64_t>(value));
}

std::string rate(ProgressUnit unit, double per_second) {
  switch (unit) {
    case ProgressUnit::kBytes:
      return format_bytes(per_second) + "/s";
    case ProgressUnit::kTokens:
      return fmt::format("{:.1f} tok/s", per_second);
    case ProgressUnit::kSteps:
      return "";
  }
  return "";
}

// Eighths of a cell, so that a short bar still moves smoothly.
std::string bar_cells(double share, int cells) {
  static constexpr std::array<std::string_view, 8> kParts = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(share * cells * 8);
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kParts[static_cast<size_t>(eighths % 8)];
  const int used = (eighths + 7) / 8;
  return out + std::string(static_cast<size_t>(std::max(0, cells - used)), ' ');
}

}  // namespace

std::string progress_line(const std::string& label, ProgressUnit unit, int64_t done, int64_t total,
                          double seconds, int columns) {
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  std::string tail =
      fmt::format(" {:3.0f}%  {} / {}", share * 100, amount(unit, static_cast<double>(done)),
                  amount(unit, static_cast<double>(total)));
  if (seconds > 0.5 && done > 0) {
    const double per_second = static_cast<double>(done) / seconds;
    const std::string speed = rate(unit, per_second);
    if (!speed.empty()) tail += "  " + speed;
    if (done < total)
      tail += "  " + format_seconds(static_cast<double>(total - done) / per_second) + " left";
  }
  const int room = columns - static_cast<int>(label.size() + tail.size()) - 5;
  if (room < 5) return fmt::format("{}{}", label, tail).substr(0, static_cast<size_t>(columns));
  return fmt::format("{} ▕{}▏{}", label, bar_cells(share, std::min(room, 32)), tail);
}

ProgressBar::ProgressBar(std::string label, ProgressUnit unit)
    : label_(std::move(label)),
      unit_(unit),
      visible_(is_terminal(Stream::kError)),
      start_(Clock::now()),
      last_draw_(start_ - kRedrawInterval) {}

ProgressBar::~ProgressBar() { finish(); }

void ProgressBar::update(int64_t done, int64_t total) {
  if (!visible_) return;
  const Clock::time_point now = Clock::now();
  if (total != last_total_) {
    last_total_ = total;
    start_ = now;
  }
  if (now - last_draw_ < kRedrawInterval || (!drawn_ && now - start_ < kFirstDraw)) return;
  last_draw_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  write_stderr("\r" + progress_line(label_, unit_, done, total, seconds, terminal_columns() - 1) +
               "\x1b[K");
}

void ProgressBar::finish() {
  if (drawn_) write_stderr("\r\x1b[K");
  drawn_ = false;
}

}  // namespace headgate

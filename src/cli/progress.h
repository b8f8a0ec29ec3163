// A progress bar on stderr, drawn only on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace headgate {

enum class ProgressUnit { kBytes, kTokens, kSteps };

// One line that redraws itself at most ten times a second and vanishes at the end. Thread rule: one
// thread.
class ProgressBar {
 public:
  ProgressBar(std::string label, ProgressUnit unit);
  ~ProgressBar();  // wipes the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(int64_t done, int64_t total);
  void label(std::string text) { label_ = std::move(text); }
  void finish();  // wipes the line; more updates may follow

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  ProgressUnit unit_;
  bool visible_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_draw_;
  int64_t last_total_ = -1;
};

// The line itself, of at most `columns` columns: label, bar, percent, amounts, rate and time left.
std::string progress_line(const std::string& label, ProgressUnit unit, int64_t done, int64_t total,
                          double seconds, int columns);

}  // namespace headgate

// The limits of one template rendering, and the errors that name template and line.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>

#include "base/error.h"

namespace headgate::jinja {

// What one rendering may use. A template comes with a downloaded checkpoint: it is not trusted.
struct Limits {
  int64_t output_bytes = int64_t{32} << 20;     // longest string, the rendered text included
  int64_t produced_bytes = int64_t{256} << 20;  // all strings and lists made on the way
  int64_t steps = 5'000'000;                    // nodes evaluated, items visited, 32 bytes scanned
  int depth = 400;                              // nested evaluations, macro calls included
  int64_t range_items = 100'000;                // as the sandbox of the Python library
};

// Counts what a rendering uses. Not thread-safe: one object for one rendering.
class Runtime {
 public:
  Runtime(std::string name, const Limits& limits, std::time_t now)
      : name_(std::move(name)), limits_(limits), now_(now) {}

  void step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) out_of("evaluation steps", limits_.steps);
  }
  // Scanning text costs a step per 32 bytes.
  void scan(size_t bytes) { step(1 + static_cast<int64_t>(bytes / 32)); }
  // A string of this size is about to exist. Call it before building a large one.
  void produce(size_t bytes) {
    if (static_cast<int64_t>(bytes) > limits_.output_bytes) {
      out_of("bytes in one text", limits_.output_bytes);
    }
    produced_ += static_cast<int64_t>(bytes);
    if (produced_ > limits_.produced_bytes) out_of("bytes of text", limits_.produced_bytes);
    scan(bytes);
  }
  // A list or dict of this many items is about to exist.
  void produce_items(size_t items) {
    step(static_cast<int64_t>(items));
    produced_ += static_cast<int64_t>(items) * 48;
    if (produced_ > limits_.produced_bytes) out_of("bytes of values", limits_.produced_bytes);
  }
  // Fails early while a text is still growing.
  void check_growing(size_t bytes) const {
    if (static_cast<int64_t>(bytes) > limits_.output_bytes) {
      out_of("bytes in one text", limits_.output_bytes);
    }
  }

  void enter() {
    if (++depth_ > limits_.depth) out_of("levels of nesting", limits_.depth);
  }
  void leave() { --depth_; }

  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidArgument, "{}:{}: {}", name_, line_,
         fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void out_of(const char* what, int64_t limit) const {
    fail(ErrorCode::kResourceExhausted, "{}:{}: the template uses more than {} {}", name_, line_,
         limit, what);
  }

  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  const Limits& limits() const { return limits_; }
  std::time_t now() const { return now_; }

 private:
  std::string name_;
  Limits limits_;
  std::time_t now_;
  int line_ = 1;
  int depth_ = 0;
  int64_t steps_ = 0;
  int64_t produced_ = 0;
};

// Counts one level of nesting while it lives.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime) { runtime_.enter(); }
  ~DepthGuard() { runtime_.leave(); }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Runtime& runtime_;
};

}  // namespace headgate::jinja

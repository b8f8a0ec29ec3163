// A compiled Jinja template: the language of chat templates, as jinja2 3.1 renders it in the
// immutable sandbox with trim_blocks and lstrip_blocks.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "chat/jinja_runtime.h"

namespace headgate::jinja {

struct Ast;

// Thread rule: a compiled template is immutable; any number of threads may render it.
class Template {
 public:
  // Throws kInvalidFile for bad syntax, kUnsupported for tags that need other templates, both with
  // "name:line: " in front; kResourceExhausted beyond 512 KiB.
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // Renders with these variables. Also known: range, dict, namespace, cycler, joiner,
  // raise_exception(message), strftime_now(format), which uses `now`. Throws kInvalidArgument when
  // the template fails or raises, kResourceExhausted at a limit.
  std::string render(const json::object& variables, std::time_t now,
                     const Limits& limits = {}) const;

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::unique_ptr<Ast> ast_;
};

}  // namespace headgate::jinja

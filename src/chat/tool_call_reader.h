// Readers of one tool call each, in the two styles of Qwen models.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "chat/json_scanner.h"

namespace headgate {

// Reads a tool call from behind its opening tag. `name` and `arguments` grow as the text comes in;
// arguments is JSON text that is only ever appended to.
class ToolCallReader {
 public:
  enum class State { kMore, kDone, kBroken };
  virtual ~ToolCallReader() = default;

  // Takes what it can from the front of `text` and says how many bytes that were; what is left
  // must be offered again together with more. After kDone or kBroken nothing more is read.
  virtual State read(std::string_view text, size_t* used) = 0;

  // Set once the name is known; arguments may be streamed from then on.
  const std::optional<std::string>& name() const { return name_; }
  const std::string& arguments() const { return arguments_; }

 protected:
  std::optional<std::string> name_;
  std::string arguments_;
};

// {"name": ..., "arguments": {...}}
std::unique_ptr<ToolCallReader> make_hermes_reader();

// <function=NAME><parameter=KEY>VALUE</parameter>...</function>; values of parameters that the
// tool's schema declares as text are taken as they are, others are JSON.
std::unique_ptr<ToolCallReader> make_coder_reader(const json::array& declared_tools);

}  // namespace headgate

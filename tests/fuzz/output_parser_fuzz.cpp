// Fuzzes the parser of model output and the stop strings: the way a text is cut must not matter.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "chat/output_parser.h"
#include "chat/stop_strings.h"

namespace {

using headgate::OutputEvent;
using headgate::OutputParser;
using headgate::OutputParserOptions;
using headgate::OutputSummary;

struct Outcome {
  OutputSummary summary;
  std::string content, arguments;  // of all events together
};

Outcome parse(const OutputParserOptions& options, std::string_view text, size_t step) {
  OutputParser parser(options);
  Outcome out;
  const auto add = [&](const std::vector<OutputEvent>& events) {
    for (const OutputEvent& event : events) {
      if (event.kind == OutputEvent::Kind::kContent) out.content += event.text;
      if (event.kind == OutputEvent::Kind::kToolArguments) out.arguments += event.text;
    }
  };
  for (size_t i = 0; i < text.size(); i += step) add(parser.push(text.substr(i, step)));
  add(parser.finish("stop"));
  out.summary = parser.summary();
  return out;
}

bool same(const Outcome& a, const Outcome& b) {
  if (a.summary.content != b.summary.content ||
      a.summary.reasoning_content != b.summary.reasoning_content ||
      a.summary.incomplete != b.summary.incomplete || a.content != b.content ||
      a.summary.tool_calls.size() != b.summary.tool_calls.size()) {
    return false;
  }
  for (size_t i = 0; i < a.summary.tool_calls.size(); ++i) {
    if (a.summary.tool_calls[i].arguments != b.summary.tool_calls[i].arguments) return false;
  }
  return a.content == a.summary.content.value_or("");
}

std::string stop_at(std::string_view text, std::string_view pattern, size_t step) {
  headgate::StopStrings stop({std::string(pattern), "\n\n"});
  std::string out;
  for (size_t i = 0; i < text.size(); i += step) out += stop.push(text.substr(i, step)).text;
  return out + stop.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  OutputParserOptions options;
  options.reasoning = static_cast<OutputParserOptions::Reasoning>(data[0] % 3);
  options.tools = static_cast<headgate::ToolStyle>(data[0] / 3 % 3);
  options.declared_tools =
      headgate::parse_json(
          R"([{"function": {"name": "f", "parameters": {"properties": {"i": {"type": "integer"}}}}}])",
          "tools")
          .as_array();
  const size_t step = 1 + data[1] % 5;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = parse(options, text, size);
  if (!same(whole, parse(options, text, step))) std::abort();
  // Reported calls hold valid JSON.
  for (const headgate::ToolCall& call : whole.summary.tool_calls) {
    if (call.arguments.empty()) std::abort();
  }
  const std::string_view pattern = text.substr(0, text.size() % 7);
  if (stop_at(text, pattern, size) != stop_at(text, pattern, step)) std::abort();
  return 0;
}

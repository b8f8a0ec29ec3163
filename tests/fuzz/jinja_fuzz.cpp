// Fuzzes the template engine: any template over a small conversation renders or fails with one
// error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "chat/jinja.h"

namespace {

constexpr std::string_view kContext = R"({"messages": [
  {"role": "system", "content": "Be kind."},
  {"role": "user", "content": "Gr\u00fc\u00dfe \ud83d\ude42 <b>"},
  {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5]}}}]},
  {"role": "tool", "content": "42"}], "tools": [{"function": {"name": "f", "parameters": {}}}],
  "add_generation_prompt": true, "n": 7, "f": -0.5, "s": "Hello World", "l": [3, 1, 2], "d": {"b": 1, "a": null}})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const headgate::json::object context =
      headgate::parse_json(kContext, "context").as_object();
  // Small limits keep a run short; they are enforced the same way at every size.
  headgate::jinja::Limits limits;
  limits.output_bytes = 1 << 18;
  limits.produced_bytes = 8 << 20;
  limits.steps = 200'000;
  limits.range_items = 10'000;
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    const headgate::jinja::Template compiled(source, "fuzz");
    compiled.render(context, 1'600'000'000, limits);
  } catch (const headgate::Error&) {
    // The expected outcome for most inputs.
  }
  return 0;
}

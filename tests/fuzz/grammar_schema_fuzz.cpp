// Fuzzes JSON schemas: any text compiles and can be read under, or fails with one error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "grammar/json_schema.h"
#include "tests/fuzz/grammar_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    headgate::JsonLimits limits;
    limits.depth = 2000;
    const headgate::json::value schema = headgate::parse_json(text, "fuzz", limits);
    headgate::JsonSchemaOptions options;
    options.spacing = size % 2 == 0 ? headgate::JsonSpacing::kCompact : headgate::JsonSpacing::kAny;
    headgate::read_some(headgate::json_schema_grammar(schema, options));
  } catch (const headgate::Error&) {
    // The expected outcome for most inputs.
  }
  return 0;
}

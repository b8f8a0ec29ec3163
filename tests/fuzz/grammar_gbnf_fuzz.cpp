// Fuzzes grammars in GBNF: any text compiles and can be read under, or fails with one error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "grammar/gbnf.h"
#include "tests/fuzz/grammar_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    headgate::read_some(headgate::gbnf_grammar(text, nullptr, "fuzz"));
  } catch (const headgate::Error&) {
    // The expected outcome for most inputs.
  }
  return 0;
}

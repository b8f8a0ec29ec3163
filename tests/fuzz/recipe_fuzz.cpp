// Fuzzes the reader of recipes: any text gives phases that cover every step, or one Error.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("config") != std::string_view::npos) return 0;  // would open files of this machine
  try {
    const headgate::Recipe recipe = headgate::parse_recipe(text, "recipe.toml");
    HEADGATE_CHECK(!recipe.phases.empty() && recipe.total_steps() > 0);
    const auto [phase, before] = recipe.phase_of(recipe.total_steps() - 1);
    HEADGATE_CHECK(phase == &recipe.phases.back());
    HEADGATE_CHECK(before + phase->steps == recipe.total_steps());
    HEADGATE_CHECK(phase->mix.size() == recipe.sources.size());
  } catch (const headgate::Error&) {
  }
  return 0;
}

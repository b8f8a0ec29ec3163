// The tools that the generator knows: parameters, phrasings, answers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace headgate {

// What a parameter's value is drawn from.
enum class ArgumentKind : uint8_t {
  kNone,
  kCity,
  kName,
  kRoom,
  kDay,
  kClock,
  kThing,
  kFruit,
  kLanguage,
  kCurrency,
  kDish,
  kTitle,
  kEventTitle,
  kText,
  kQuery,
  kSum,
  kUnit,
  kOnOff,
  kOpenClose,
  kSmallNumber,
  kNumber,
  kDegrees
};

struct ToolParameter {
  std::string_view name;
  ArgumentKind kind = ArgumentKind::kNone;  // kNone: there is no such parameter
};

constexpr int kToolParameters = 3;
constexpr int kToolPhrasings = 6;

// Phrasings hold {parameter}; {w} is the word of a boolean ("on", "off", "open", "close"), {W} the
// same as a capital. Empty phrasings are not there.
struct ToolSpec {
  std::string_view name, description;
  ToolParameter parameters[kToolParameters];
  std::string_view phrasings[kToolPhrasings];
  std::string_view result_key;  // of the tool's result, whose value is {r}
  ArgumentKind result;
  std::string_view reply;
};

std::span<const ToolSpec> tool_specs();

}  // namespace headgate

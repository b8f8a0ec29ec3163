// What "%5.2f" and "{:>8}" have in common: a specification, and values formatted by it.
#pragma once

#include <cstdint>
#include <string>

#include "chat/jinja_value.h"

namespace headgate::jinja {

// What stands between % or : and the conversion letter.
struct FormatSpec {
  std::string fill = " ";
  char align = 0;  // < > = ^, 0: by type
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  int precision = -1;
  char grouping = 0;
  char type = 0;
};

constexpr int64_t kMaxWidth = 1'000'000;
constexpr int kMaxPrecision = 500;

std::string format_integer(Runtime& rt, Int value, const FormatSpec& spec);
std::string format_float(Runtime& rt, double value, const FormatSpec& spec);
std::string format_text(Runtime& rt, const std::string& text, FormatSpec spec);

// Puts sign and prefix before the digits and fills up to the width.
std::string assemble_number(Runtime& rt, const FormatSpec& spec, bool negative,
                            const std::string& prefix, const std::string& body);

}  // namespace headgate::jinja

// Formats, put together from smaller expressions.
#include "grammar/string_formats.h"

#include <fmt/core.h>

namespace headgate {
namespace {

// Days that exist: 29 February in years divisible by 4, but not by 100 unless by 400.
std::string date() {
  const std::string year = "(?:000[1-9]|00[1-9]\\d|0[1-9]\\d{2}|[1-9]\\d{3})";
  const std::string leap =
      "(?:\\d{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
  return fmt::format(
      "(?:{0}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"
      "02-(?:0[1-9]|1\\d|2[0-8]))|{1}-02-29)",
      year, leap);
}

std::string time_of_day() {
  return "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]"
         "\\d)";
}

std::string duration() {
  return "P(?:\\d{1,4}W|(?:\\d{1,4}Y(?:\\d{1,3}M(?:\\d{1,3}D)?)?|\\d{1,3}M(?:\\d{1,3}D)?|\\d{1,3}D)"
         "(?:T(?:\\d{1,3}H(?:\\d{1,3}M(?:\\d{1,3}S)?)?|\\d{1,3}M(?:\\d{1,3}S)?|\\d{1,3}S))?|"
         "T(?:\\d{1,3}H(?:\\d{1,3}M(?:\\d{1,3}S)?)?|\\d{1,3}M(?:\\d{1,3}S)?|\\d{1,3}S))";
}

std::string ipv4() {
  const std::string part = "(?:25[0-5]|2[0-4]\\d|1\\d{2}|[1-9]?\\d)";
  return fmt::format("{0}\\.{0}\\.{0}\\.{0}", part);
}

std::string ipv6() {
  const std::string h = "[0-9A-Fa-f]{1,4}";
  const auto run = [&](int count) {
    std::string out = h;
    for (int i = 1; i < count; ++i) out += ":" + h;
    return out;
  };
  std::string out = "(?:" + run(8) + "|::";
  // `before` groups, "::", up to 7 - before groups behind it.
  for (int before = 0; before <= 7; ++before) {
    for (int behind = 0; before + behind <= 7; ++behind) {
      if (before + behind == 0) continue;
      out += "|" + (before > 0 ? run(before) : "") + "::" + (behind > 0 ? run(behind) : "");
    }
  }
  return out + ")";
}

std::string host_name() {
  const std::string label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
  return fmt::format("{0}(?:\\.{0}){{0,6}}", label);
}

std::string email() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";
  return fmt::format("{0}(?:\\.{0}){{0,2}}@{1}", atom, host_name());
}

// Path, query and fragment characters of RFC 3986.
std::string uri_rest() {
  const std::string pchar = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
  return fmt::format("(?:/{0}*)*(?:\\?(?:{0}|[/?])*)?(?:#(?:{0}|[/?])*)?", pchar);
}

std::string uri() {
  return fmt::format("[A-Za-z][A-Za-z0-9+.-]{{0,15}}://{0}(?::\\d{{1,5}})?{1}", host_name(),
                     uri_rest());
}

}  // namespace

std::optional<std::string> format_pattern(std::string_view name) {
  if (name == "date") return date();
  if (name == "time") return time_of_day();
  if (name == "date-time") return date() + "T" + time_of_day();
  if (name == "duration") return duration();
  if (name == "uuid") {
    return "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
  }
  if (name == "email") return email();
  if (name == "hostname") return host_name();
  if (name == "ipv4") return ipv4();
  if (name == "ipv6") return ipv6();
  if (name == "uri") return uri();
  if (name == "uri-reference") {
    const std::string path = "(?:[A-Za-z0-9._~-]+|\\.\\.?)?";
    return fmt::format("(?:{}|{}{})", uri(), path, uri_rest());
  }
  if (name == "json-pointer") return "(?:/(?:[^~/]|~[01])*)*";
  return std::nullopt;
}

bool is_format_hint(std::string_view name) {
  for (const std::string_view hint :
       {"int32", "int64", "uint32", "uint64", "float", "double", "decimal", "password", "binary",
        "byte", "textarea", "markdown"}) {
    if (name == hint) return true;
  }
  return false;
}

}  // namespace headgate

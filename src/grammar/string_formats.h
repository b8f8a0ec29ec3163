// The formats of strings that JSON schema names, as regular expressions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate {

// The whole-text expression of "date", "time", "date-time", "duration", "uuid", "email",
// "hostname", "ipv4", "ipv6", "uri", "uri-reference" or "json-pointer"; nothing for other names.
// Texts that fit are valid, though not every valid text fits (no leap seconds, no quoted local
// parts of addresses, no IP literals in URIs). Sources: RFC 3339, 4122, 5321, 1123, 4291, 3986,
// 6901.
std::optional<std::string> format_pattern(std::string_view name);

// Whether `name` is a hint for programs rather than a rule for texts ("int32", "password"): known
// to be without effect.
bool is_format_hint(std::string_view name);

}  // namespace headgate

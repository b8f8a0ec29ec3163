// JSON for the whole house: Boost.JSON behind one door, with errors that name their source.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

namespace json = boost::json;

struct JsonLimits {
  int64_t depth = 64;
  int64_t bytes = int64_t{256} << 20;
  bool reject_duplicate_keys = false;  // otherwise the last one wins, as in Python
};

// Parses one JSON document. Objects keep the order of their keys. `source` names the text in errors
// ("model/config.json"). Throws kInvalidFile for malformed text, invalid UTF-8, excessive depth or
// size.
json::value parse_json(std::string_view text, std::string_view source,
                       const JsonLimits& limits = {});

// Serialises as Python's json.dumps(value, ensure_ascii=False): ", " and ": " separators, key order
// kept, shortest round-trip floats ("1.0", "1e-07", "1e+20"). With indent >= 0, one item per line.
std::string dump_json_python(const json::value& value, int indent = -1);

// Serialises compactly: no spaces.
std::string dump_json(const json::value& value);

// Shortest decimal text that reads back as `number`, spelled as Python's repr(float).
std::string python_float(double number);

}  // namespace headgate

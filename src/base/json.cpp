// Boost.JSON is compiled here and nowhere else.
#include "base/json.h"

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <set>
#include <vector>

#include "base/error.h"

namespace headgate {
namespace {

// A SAX pass that finds a key written twice in one object; Boost's own DOM builder keeps the last
// silently.
struct DuplicateKeyFinder {
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  std::vector<std::set<std::string>> open_objects;
  std::string partial_key;
  std::string duplicate;

  bool on_document_begin(boost::system::error_code&) { return true; }
  bool on_document_end(boost::system::error_code&) { return true; }
  bool on_object_begin(boost::system::error_code&) {
    open_objects.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, boost::system::error_code&) {
    open_objects.pop_back();
    return true;
  }
  bool on_array_begin(boost::system::error_code&) { return true; }
  bool on_array_end(std::size_t, boost::system::error_code&) { return true; }
  bool on_key_part(json::string_view part, std::size_t, boost::system::error_code&) {
    partial_key.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, boost::system::error_code& ec) {
    partial_key.append(part.data(), part.size());
    if (!open_objects.back().insert(partial_key).second) {
      duplicate = partial_key;
      ec = make_error_code(json::error::exception);
      return false;
    }
    partial_key.clear();
    return true;
  }
  bool on_string_part(json::string_view, std::size_t, boost::system::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, boost::system::error_code&) { return true; }
  bool on_number_part(json::string_view, boost::system::error_code&) { return true; }
  bool on_int64(int64_t, json::string_view, boost::system::error_code&) { return true; }
  bool on_uint64(uint64_t, json::string_view, boost::system::error_code&) { return true; }
  bool on_double(double, json::string_view, boost::system::error_code&) { return true; }
  bool on_bool(bool, boost::system::error_code&) { return true; }
  bool on_null(boost::system::error_code&) { return true; }
  bool on_comment_part(json::string_view, boost::system::error_code&) { return true; }
  bool on_comment(json::string_view, boost::system::error_code&) { return true; }
};

void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

struct Style {
  const char* comma;
  const char* colon;
  int indent;  // < 0: one line
};

void new_line(std::string& out, const Style& style, int depth) {
  if (style.indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(style.indent) * static_cast<size_t>(depth), ' ');
}

void write_value(std::string& out, const json::value& value, const Style& style, int depth);

void write_array(std::string& out, const json::array& array, const Style& style, int depth) {
  out += '[';
  bool first = true;
  for (const json::value& item : array) {
    if (!first) out += style.comma;
    first = false;
    new_line(out, style, depth + 1);
    write_value(out, item, style, depth + 1);
  }
  if (!first) new_line(out, style, depth);
  out += ']';
}

void write_object(std::string& out, const json::object& object, const Style& style, int depth) {
  out += '{';
  bool first = true;
  for (const auto& [key, item] : object) {
    if (!first) out += style.comma;
    first = false;
    new_line(out, style, depth + 1);
    write_string(out, key);
    out += style.colon;
    write_value(out, item, style, depth + 1);
  }
  if (!first) new_line(out, style, depth);
  out += '}';
}

void write_value(std::string& out, const json::value& value, const Style& style, int depth) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      break;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      break;
    case json::kind::int64:
      out += fmt::format("{}", value.get_int64());
      break;
    case json::kind::uint64:
      out += fmt::format("{}", value.get_uint64());
      break;
    case json::kind::double_:
      out += python_float(value.get_double());
      break;
    case json::kind::string:
      write_string(out, value.get_string());
      break;
    case json::kind::array:
      write_array(out, value.get_array(), style, depth);
      break;
    case json::kind::object:
      write_object(out, value.get_object(), style, depth);
      break;
  }
}

}  // namespace

json::value parse_json(std::string_view text, std::string_view source, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.bytes) {
    fail(ErrorCode::kInvalidFile, "{}: JSON of {} bytes, expected at most {}", source, text.size(),
         limits.bytes);
  }
  json::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.depth);
  boost::system::error_code ec;
  if (limits.reject_duplicate_keys) {
    json::basic_parser<DuplicateKeyFinder> finder(options);
    finder.write_some(false, text.data(), text.size(), ec);
    if (!finder.handler().duplicate.empty()) {
      fail(ErrorCode::kInvalidFile, "{}: key \"{}\" appears twice in one JSON object", source,
           finder.handler().duplicate);
    }
    ec.clear();
  }
  json::stream_parser parser({}, options);
  const std::size_t consumed = parser.write_some(text.data(), text.size(), ec);
  if (!ec) parser.finish(ec);
  if (ec) {
    fail(ErrorCode::kInvalidFile, "{}: invalid JSON at byte {}: {}", source, consumed,
         ec.message());
  }
  for (std::size_t i = consumed; i < text.size(); ++i) {
    if (text[i] != ' ' && text[i] != '\n' && text[i] != '\r' && text[i] != '\t') {
      fail(ErrorCode::kInvalidFile, "{}: text after the end of the JSON value at byte {}", source,
           i);
    }
  }
  return parser.release();
}

std::string dump_json_python(const json::value& value, int indent) {
  std::string out;
  write_value(out, value, Style{indent < 0 ? ", " : ",", ": ", indent}, 0);
  return out;
}

std::string dump_json(const json::value& value) {
  std::string out;
  write_value(out, value, Style{",", ":", -1}, 0);
  return out;
}

std::string python_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  char buffer[40];
  const double magnitude = std::fabs(number);
  // Python switches to the exponent form below 1e-4 and from 1e16 on.
  const bool fixed = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
  std::string text(buffer, end);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace headgate

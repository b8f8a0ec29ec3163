// Python's str.format, HTML escaping and URL quoting.
#include "chat/jinja_format.h"

#include <algorithm>

#include "base/utf8.h"
#include "chat/jinja_format_spec.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const Arguments& arguments) : rt_(rt), arguments_(arguments) {}

  std::string run(const std::string& format, int depth);

 private:
  Value field(const std::string& name);
  Value argument(const std::string& name);
  FormatSpec parse_spec(const std::string& text);
  std::string render(const Value& value, const std::string& spec_text);

  Runtime& rt_;
  const Arguments& arguments_;
  int64_t automatic_ = 0;  // next automatic number; -1 once numbers were given
};

Value BraceFormatter::argument(const std::string& name) {
  Int number = 0;
  if (name.empty()) {
    if (automatic_ < 0) rt_.error("cannot switch from manual to automatic field numbering");
    number = automatic_++;
  } else if (name.find_first_not_of("0123456789") != std::string::npos) {
    for (const auto& [key, value] : arguments_.keyword) {
      if (key == name) return value;
    }
    rt_.error("format: no argument named '{}'", name);
  } else {
    if (automatic_ > 0) rt_.error("cannot switch from automatic to manual field numbering");
    automatic_ = -1;
    if (!parse_integer(name, 10, &number)) rt_.error("format: bad field number '{}'", name);
  }
  if (number >= static_cast<Int>(arguments_.positional.size())) {
    rt_.error("format: replacement index {} out of range", number);
  }
  return arguments_.positional[static_cast<size_t>(number)];
}

Value BraceFormatter::field(const std::string& name) {
  size_t at = std::min(name.find_first_of(".["), name.size());
  Value value = argument(name.substr(0, at));
  while (at < name.size()) {
    if (name[at] == '.') {
      const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
      if (end == at + 1) rt_.error("format: empty attribute");
      value = get_attribute(rt_, value, name.substr(at + 1, end - at - 1));
      at = end;
    } else {
      const size_t end = name.find(']', at);
      if (end == std::string::npos || end == at + 1) rt_.error("format: bad index");
      const std::string key = name.substr(at + 1, end - at - 1);
      Int number = 0;
      const bool is_number = key.find_first_not_of("0123456789") == std::string::npos &&
                             parse_integer(key, 10, &number);
      value = get_item(rt_, value, is_number ? Value::integer(number) : Value::string(key));
      at = end + 1;
      if (at < name.size() && name[at] != '.' && name[at] != '[') rt_.error("format: bad field");
    }
  }
  return value;
}

FormatSpec BraceFormatter::parse_spec(const std::string& text) {
  FormatSpec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  if (!text.empty()) {
    const auto first = static_cast<size_t>(decode_utf8(text, 0).bytes);
    if (first < text.size() && is_align(text[first])) {
      spec.fill = text.substr(0, first);
      spec.align = text[first];
      at = first + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto have = [&](std::string_view set) {
    return at < text.size() && set.find(text[at]) != std::string_view::npos;
  };
  if (have("+- ")) spec.sign = text[at++];
  if (have("#")) spec.alternate = text[at++] == '#';
  if (have("0")) {
    ++at;
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  const auto number = [&] {
    int64_t n = 0;
    while (have("0123456789")) {
      n = n * 10 + (text[at++] - '0');
      if (n > kMaxWidth) rt_.error("format width too large");
    }
    return n;
  };
  spec.width = number();
  if (have(",_")) spec.grouping = text[at++];
  if (have(".")) {
    ++at;
    if (!have("0123456789")) rt_.error("format specifier missing precision");
    spec.precision = static_cast<int>(number());
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) rt_.error("invalid format specifier '{}'", text);
  return spec;
}

std::string BraceFormatter::render(const Value& value, const std::string& spec_text) {
  if (spec_text.empty()) return to_text(rt_, value);
  FormatSpec spec = parse_spec(spec_text);
  if (value.is_string()) {
    if ((spec.type != 0 && spec.type != 's') || spec.grouping != 0 || spec.alternate ||
        spec.sign != '-') {
      rt_.error("invalid format specifier '{}' for a str", spec_text);
    }
    // A zero before the width fills text from the right.
    if (spec.align == '=') {
      if (spec_text[0] == '=' || spec_text.find('=') != std::string::npos) {
        rt_.error("'=' alignment not allowed in string format specifier");
      }
      spec.align = '<';
    }
    return format_text(rt_, value.as_text(), spec);
  }
  if (!value.is_number()) {
    rt_.error("unsupported format string passed to {}.__format__", type_name(value));
  }
  if (spec.precision > kMaxPrecision) rt_.error("format precision too large");
  const bool float_type = std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (value.is(Kind::kFloat) || (float_type && spec.type != 0)) {
    if (spec.type != 0 && !float_type) rt_.error("unknown format code '{}' for float", spec.type);
    return format_float(rt_, value.as_double(), spec);
  }
  if (spec.type != 0 && std::string_view("dxXobn").find(spec.type) == std::string_view::npos) {
    rt_.error("unknown format code '{}' for int", spec.type);
  }
  if (spec.precision >= 0) rt_.error("precision not allowed in integer format specifier");
  if (value.is(Kind::kBool) && spec.type == 0 && spec.width == 0) return to_text(rt_, value);
  return format_integer(rt_, value.as_integer(), spec);
}

std::string BraceFormatter::run(const std::string& format, int depth) {
  if (depth > 2) rt_.error("format: too many levels of nesting");
  std::string out;
  rt_.scan(format.size());
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      out += c;
      ++at;
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') rt_.error("single '}}' in format string");
    int open = 1;
    size_t end = at + 1;
    for (; end < format.size() && open > 0; ++end) {
      open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
    }
    if (open > 0) rt_.error("expected '}}' before end of string");
    const std::string inner = format.substr(at + 1, end - at - 2);
    at = end;
    const size_t mark = std::min(inner.find_first_of("!:"), inner.size());
    Value value = field(inner.substr(0, mark));
    size_t spec_at = mark;
    if (mark < inner.size() && inner[mark] == '!') {
      const char conversion = mark + 1 < inner.size() ? inner[mark + 1] : '\0';
      if (conversion != 'r' && conversion != 's') rt_.error("format: unknown conversion");
      value = Value::string(conversion == 'r' ? to_repr(rt_, value) : to_text(rt_, value));
      spec_at = mark + 2;
      if (spec_at < inner.size() && inner[spec_at] != ':') rt_.error("format: expected ':'");
    }
    const std::string spec =
        spec_at < inner.size() ? run(inner.substr(spec_at + 1), depth + 1) : std::string();
    out += render(value, spec);
    rt_.check_growing(out.size());
  }
  return out;
}

}  // namespace

std::string format_braces(Runtime& rt, const std::string& format, const Arguments& arguments) {
  std::string out = BraceFormatter(rt, arguments).run(format, 1);
  rt.produce(out.size());
  return out;
}

std::string escape_html(Runtime& rt, std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  rt.produce(out.size());
  return out;
}

std::string quote_url(Runtime& rt, std::string_view text, bool in_query) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !in_query)) {
      out += c;
    } else if (c == ' ' && in_query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  rt.produce(out.size());
  return out;
}

}  // namespace headgate::jinja

// Values as text: str(), repr() and json.dumps().
#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"
#include "chat/jinja_text.h"
#include "chat/jinja_value.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

void repr_string(std::string& out, const std::string& text) {
  const bool use_double =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = use_double ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    const auto c = static_cast<uint32_t>(d.code_point);
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(d.code_point)) {
      out.append(text, i, static_cast<size_t>(d.bytes));
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += fmt::format("\\U{:08x}", c);
    }
    i += static_cast<size_t>(d.bytes);
  }
  out += quote;
}

void repr_to(Runtime& rt, std::string& out, const Value& value);

void repr_items(Runtime& rt, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    repr_to(rt, out, items[i]);
  }
}

void repr_dict(Runtime& rt, std::string& out, const DictData& dict) {
  out += '{';
  bool first = true;
  for (const auto& [key, item] : dict.items) {
    if (!first) out += ", ";
    first = false;
    repr_to(rt, out, key);
    out += ": ";
    repr_to(rt, out, item);
  }
  out += '}';
}

void repr_range(std::string& out, const RangeData& range) {
  out += fmt::format("range({}, {}", range.start, range.stop);
  if (range.step != 1) out += fmt::format(", {}", range.step);
  out += ')';
}

void repr_to(Runtime& rt, std::string& out, const Value& value) {
  const DepthGuard guard(rt);
  rt.step();
  rt.check_growing(out.size());
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      break;
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      break;
    case Kind::kInt:
      out += integer_text(value.as_integer());
      break;
    case Kind::kFloat:
      out += float_text(value.as_double());
      break;
    case Kind::kString:
      rt.scan(value.as_text().size());
      if (value.string_data().safe) out += "Markup(";
      repr_string(out, value.as_text());
      if (value.string_data().safe) out += ')';
      break;
    case Kind::kList:
      out += '[';
      repr_items(rt, out, value.items());
      out += ']';
      break;
    case Kind::kTuple:
      out += '(';
      repr_items(rt, out, value.items());
      out += value.items().size() == 1 ? ",)" : ")";
      break;
    case Kind::kDict:
      repr_dict(rt, out, value.dict_data());
      break;
    case Kind::kRange:
      repr_range(out, value.range_data());
      break;
    case Kind::kView:
      out += std::string(type_name(value)) + "([";
      repr_items(rt, out, view_data(value).items);
      out += "])";
      break;
    case Kind::kGenerator:
      out += "<generator object>";
      break;
    case Kind::kObject:
      out += value.as_object().repr(rt);
      break;
  }
}

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style) {}

  void write(const Value& value, int level);
  std::string take() { return std::move(out_); }

 private:
  void new_line(int level) {
    if (!style_.multi_line) return;
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += style_.indent;
  }
  void write_string(const std::string& text);
  void write_key(const Value& key);
  void write_list(const std::vector<Value>& items, int level);
  void write_dict(const Value& value, int level);

  Runtime& rt_;
  const JsonStyle& style_;
  std::string out_;
};

void JsonWriter::write_string(const std::string& text) {
  rt_.scan(text.size());
  out_ += '"';
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    const auto c = static_cast<uint32_t>(d.code_point);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += static_cast<char>(c);
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (c == '\r') {
      out_ += "\\r";
    } else if (c == '\t') {
      out_ += "\\t";
    } else if (c == '\b') {
      out_ += "\\b";
    } else if (c == '\f') {
      out_ += "\\f";
    } else if (c < 0x20 || (style_.ensure_ascii && c > 0x7e && c < 0x10000)) {
      out_ += c == 0x7f ? std::string(1, '\x7f') : fmt::format("\\u{:04x}", c);
    } else if (style_.ensure_ascii && c >= 0x10000) {
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10),
                          0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      out_.append(text, i, static_cast<size_t>(d.bytes));
    }
    i += static_cast<size_t>(d.bytes);
  }
  out_ += '"';
}

void JsonWriter::write_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      write_string(key.as_text());
      break;
    case Kind::kNone:
      out_ += "\"null\"";
      break;
    case Kind::kBool:
      out_ += key.as_bool() ? "\"true\"" : "\"false\"";
      break;
    case Kind::kInt:
      out_ += '"' + integer_text(key.as_integer()) + '"';
      break;
    case Kind::kFloat:
      out_ += '"' + python_float(key.as_double()) + '"';
      break;
    default:
      rt_.error("tojson: keys must be str, int, float, bool or None, not {}", type_name(key));
  }
}

void JsonWriter::write_list(const std::vector<Value>& items, int level) {
  out_ += '[';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_ += style_.comma;
    new_line(level + 1);
    write(items[i], level + 1);
  }
  if (!items.empty()) new_line(level);
  out_ += ']';
}

void JsonWriter::write_dict(const Value& value, int level) {
  std::vector<const std::pair<Value, Value>*> members;
  for (const auto& member : value.dict_data().items) members.push_back(&member);
  if (style_.sort_keys) {
    std::stable_sort(members.begin(), members.end(), [this](const auto* a, const auto* b) {
      return less(rt_, a->first, b->first);
    });
  }
  out_ += '{';
  bool first = true;
  for (const auto* member : members) {
    if (!first) out_ += style_.comma;
    first = false;
    new_line(level + 1);
    write_key(member->first);
    out_ += style_.colon;
    write(member->second, level + 1);
  }
  if (!first) new_line(level);
  out_ += '}';
}

void JsonWriter::write(const Value& value, int level) {
  const DepthGuard guard(rt_);
  rt_.step();
  rt_.check_growing(out_.size());
  switch (value.kind()) {
    case Kind::kNone:
      out_ += "null";
      break;
    case Kind::kBool:
      out_ += value.as_bool() ? "true" : "false";
      break;
    case Kind::kInt:
      out_ += integer_text(value.as_integer());
      break;
    case Kind::kFloat:
      out_ += python_float(value.as_double());
      break;
    case Kind::kString:
      write_string(value.as_text());
      break;
    case Kind::kList:
    case Kind::kTuple:
      write_list(value.items(), level);
      break;
    case Kind::kDict:
      write_dict(value, level);
      break;
    default:
      rt_.error("tojson: object of type {} is not JSON serializable", type_name(value));
  }
}

}  // namespace

std::string integer_text(Int value) { return fmt::format("{}", value); }

std::string to_repr(Runtime& rt, const Value& value) {
  std::string out;
  repr_to(rt, out, value);
  rt.produce(out.size());
  return out;
}

std::string to_text(Runtime& rt, const Value& value) {
  if (value.is_string()) return value.as_text();
  if (value.is_undefined()) return {};
  return to_repr(rt, value);
}

std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style) {
  JsonWriter writer(rt, style);
  writer.write(value, 0);
  std::string out = writer.take();
  rt.produce(out.size());
  return out;
}

}  // namespace headgate::jinja

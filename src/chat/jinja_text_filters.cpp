// Filters on text.
#include <map>

#include "base/utf8.h"
#include "chat/jinja_bind.h"
#include "chat/jinja_filters.h"
#include "chat/jinja_format.h"
#include "chat/jinja_methods.h"
#include "chat/jinja_text.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

template <std::string (*F)(std::string_view)>
Value mapped(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "filter", arguments, {});
  const Value text = soft_text(rt, value);
  std::string out = F(text.as_text());
  rt.produce(out.size());
  return Value::string(std::move(out), text.string_data().safe);
}

// Unlike str.title: words begin after white space, hyphens and opening brackets only.
std::string title_words(std::string_view text) {
  std::string out;
  size_t i = 0;
  const auto is_break = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  while (i < text.size()) {
    const DecodedCodePoint first = decode_utf8(text, i);
    const bool breaks = is_break(first.code_point);
    const size_t head = i + static_cast<size_t>(first.bytes);
    size_t end = head;
    while (end < text.size()) {
      const DecodedCodePoint d = decode_utf8(text, end);
      if (is_break(d.code_point) != breaks) break;
      end += static_cast<size_t>(d.bytes);
    }
    out += to_upper(text.substr(i, head - i));
    out += to_lower(text.substr(head, end - head));
    i = end;
  }
  return out;
}

Value trim(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "trim", arguments, {"chars"});
  const Value text = soft_text(rt, value);
  rt.scan(text.as_text().size());
  const std::string* characters = bound.has_value(0) ? &bound.text(0) : nullptr;
  return Value::string(std::string(strip_text(text.as_text(), Side::kBoth, characters)),
                       text.string_data().safe);
}

Value replace(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "replace", arguments, {"old", "new", "count"}, 2);
  const int64_t limit = bound.has_value(2) ? clamp_integer(bound.integer(2, -1)) : -1;
  return Value::string(replace_text(rt, to_text(rt, value), to_text(rt, bound.get(0)),
                                    to_text(rt, bound.get(1)), limit));
}

Value string(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "string", arguments, {});
  return soft_text(rt, value);
}

Value escape(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "escape", arguments, {});
  if (value.is_string() && value.string_data().safe) return value;
  return Value::string(escape_html(rt, to_text(rt, value)), true);
}

Value force_escape(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "forceescape", arguments, {});
  return Value::string(escape_html(rt, to_text(rt, value)), true);
}

Value safe(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "safe", arguments, {});
  return Value::string(to_text(rt, value), true);
}

Value center(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "center", arguments, {"width"});
  return Value::string(pad_text(rt, soft_text(rt, value).as_text(),
                                clamp_integer(bound.integer(0, 80)), Align::kCenter, " "));
}

Value indent(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "indent", arguments, {"width", "first", "blank"});
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  if (!value.is_string()) rt.error("indent: '{}' is not a str", type_name(value));
  const bool by_text = bound.has(0) && bound.get(0).is_string();
  const std::string margin = by_text ? bound.text(0) : repeat_text(rt, " ", bound.integer(0, 4));
  const bool blank = bound.truth(2, false);
  const std::string text = value.as_text() + "\n";
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) out += '\n';
    if (first ? bound.truth(1, false) : blank || !line.empty()) out += margin;
    out += line;
    first = false;
    rt.check_growing(out.size());
  }
  rt.produce(out.size());
  return Value::string(std::move(out), value.string_data().safe);
}

Value truncate(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  const Int limit = bound.integer(0, 255);
  const Value end = Value::string(bound.text(2, "..."));
  const Int leeway = bound.has_value(3) ? bound.integer(3, 5) : 5;
  const Int kept = limit - end.string_data().length;
  if (kept < 0) rt.error("truncate: expected length >= {}", end.string_data().length);
  if (leeway < 0) rt.error("truncate: expected leeway >= 0");
  if (length(rt, value) <= limit + leeway) return value;
  if (!value.is_string()) rt.error("truncate: '{}' is not a str", type_name(value));
  const StringData& text = value.string_data();
  std::string head = text.text.substr(0, byte_offset(text, clamp_integer(kept)));
  if (!bound.truth(1, false)) {
    const size_t space = head.rfind(' ');
    if (space != std::string::npos) head.resize(space);
  }
  rt.produce(head.size());
  return Value::string(head + end.as_text());
}

Value word_count(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "wordcount", arguments, {});
  const Value text = soft_text(rt, value);
  int64_t words = 0;
  bool in_word = false;
  rt.scan(text.as_text().size() * 4);
  for (size_t i = 0; i < text.as_text().size();) {
    const DecodedCodePoint d = decode_utf8(text.as_text(), i);
    const bool part = d.code_point == '_' || is_alnum(d.code_point);
    words += part && !in_word;
    in_word = part;
    i += static_cast<size_t>(d.bytes);
  }
  return Value::integer(words);
}

Value url_encode(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "urlencode", arguments, {});
  if (value.is_string() || !is_iterable(value)) {
    return Value::string(quote_url(rt, to_text(rt, value), false));
  }
  const Value pairs =
      value.is(Kind::kDict) ? find_container_method(Kind::kDict, "items")(rt, value, {}) : value;
  std::vector<std::string> parts;
  for (const Value& pair : iterate(rt, pairs)) {
    const std::vector<Value> both = iterate(rt, pair);
    if (both.size() != 2) rt.error("urlencode: expected pairs of key and value");
    parts.push_back(quote_url(rt, to_text(rt, both[0]), true) + "=" +
                    quote_url(rt, to_text(rt, both[1]), true));
  }
  return Value::string(join_text(rt, "&", parts));
}

Value format(Runtime& rt, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keyword.empty()) {
    rt.error("format: can't handle positional and keyword arguments at the same time");
  }
  Value with;
  if (!arguments.keyword.empty()) {
    auto dict = std::make_shared<DictData>();
    for (const auto& [name, item] : arguments.keyword) dict->set(rt, Value::string(name), item);
    with = Value::dict(std::move(dict));
  } else {
    with = Value::tuple(rt, arguments.positional);
  }
  return Value::string(format_percent(rt, soft_text(rt, value).as_text(), with));
}

Value to_json_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  if (bound.has_value(1)) {
    style.multi_line = true;
    style.comma = ",";
    style.indent = bound.get(1).is_string() ? bound.get(1).as_text()
                                            : repeat_text(rt, " ", bound.integer(1, 0));
  }
  if (bound.has_value(2)) {
    const std::vector<Value> both = iterate(rt, bound.get(2));
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string()) {
      rt.error("tojson: separators must be two texts");
    }
    style.comma = both[0].as_text();
    style.colon = both[1].as_text();
  }
  style.sort_keys = bound.truth(3, false);
  return Value::string(to_json(rt, value, style));
}

Value unsupported(Runtime& rt, const Value&, const Arguments&) {
  rt.error("the filters pprint, random, striptags, urlize, wordwrap and xmlattr are not supported");
}

}  // namespace

Value soft_text(Runtime& rt, const Value& value) {
  return value.is_string() ? value : Value::string(to_text(rt, value));
}

Filter find_text_filter(std::string_view name) {
  static const std::map<std::string_view, Filter> kFilters = {
      {"capitalize", mapped<capitalize_text>},
      {"center", center},
      {"e", escape},
      {"escape", escape},
      {"forceescape", force_escape},
      {"format", format},
      {"indent", indent},
      {"lower", mapped<to_lower>},
      {"pprint", unsupported},
      {"random", unsupported},
      {"replace", replace},
      {"safe", safe},
      {"string", string},
      {"striptags", unsupported},
      {"title", mapped<title_words>},
      {"tojson", to_json_filter},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", mapped<to_upper>},
      {"urlencode", url_encode},
      {"urlize", unsupported},
      {"wordcount", word_count},
      {"wordwrap", unsupported},
      {"xmlattr", unsupported},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace headgate::jinja

// Tool calls as XML-like tags.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "chat/tool_call_reader.h"

namespace headgate {
namespace {

constexpr std::string_view kFunctionTag = "<function=";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr size_t kMaxName = 256;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

const json::value* member(const json::value* value, std::string_view key) {
  const json::object* object = value != nullptr ? value->if_object() : nullptr;
  return object != nullptr ? object->if_contains(key) : nullptr;
}

bool names_type(const json::value* type, std::string_view name) {
  if (type == nullptr) return false;
  if (type->is_string()) return view(type->get_string()) == name;
  if (!type->is_array()) return false;
  return std::any_of(type->get_array().begin(), type->get_array().end(),
                     [&](const json::value& item) { return names_type(&item, name); });
}

// Whether the schema of a parameter allows this type.
bool allows(const json::value* schema, std::string_view name) {
  if (names_type(member(schema, "type"), name)) return true;
  for (const char* key : {"anyOf", "oneOf"}) {
    const json::value* choices = member(schema, key);
    if (choices == nullptr || !choices->is_array()) continue;
    for (const json::value& choice : choices->get_array()) {
      if (names_type(member(&choice, "type"), name)) return true;
    }
  }
  return false;
}

// A reference may lead to any type: its value is read as JSON where it is JSON.
bool has_type(const json::value* schema) {
  return member(schema, "type") != nullptr || member(schema, "anyOf") != nullptr ||
         member(schema, "oneOf") != nullptr || member(schema, "$ref") != nullptr;
}

class CoderReader : public ToolCallReader {
 public:
  explicit CoderReader(const json::array& tools) : tools_(tools) {}
  State read(std::string_view text, size_t* used) override;

 private:
  enum class Place { kFunction, kName, kBody, kKey, kValue };
  enum class Found { kYes, kNo, kMaybe };

  static Found starts_with(std::string_view text, std::string_view tag);
  State step(std::string_view text, size_t* used);
  State read_body(std::string_view text, size_t* used);
  State read_value(std::string_view text, size_t* used);
  void find_schema();
  void add_argument(std::string_view raw);
  std::string value_text(std::string_view raw) const;

  const json::array& tools_;
  const json::value* properties_ = nullptr;
  Place place_ = Place::kFunction;
  std::string key_;
  size_t searched_ = 0;  // bytes of the value without an end tag
  bool any_ = false;
};

CoderReader::Found CoderReader::starts_with(std::string_view text, std::string_view tag) {
  const size_t shared = std::min(text.size(), tag.size());
  if (text.substr(0, shared) != tag.substr(0, shared)) return Found::kNo;
  return shared == tag.size() ? Found::kYes : Found::kMaybe;
}

void CoderReader::find_schema() {
  for (const json::value& tool : tools_) {
    const json::value* function = member(&tool, "function");
    if (function == nullptr) function = &tool;
    const json::value* name = member(function, "name");
    if (name != nullptr && name->is_string() && view(name->get_string()) == *name_) {
      properties_ = member(member(function, "parameters"), "properties");
    }
  }
}

// The value of a parameter as JSON text.
std::string CoderReader::value_text(std::string_view raw) const {
  const json::value* schema = member(properties_, key_);
  const bool is_text = !has_type(schema) || allows(schema, "string");
  std::string_view literal = trim(raw);
  if (is_text && !(literal == "null" && allows(schema, "null"))) {
    return dump_json(json::value(json::string(raw)));
  }
  // The spellings of Python are seen as well.
  if (allows(schema, "boolean") && (literal == "True" || literal == "False")) {
    literal = literal == "True" ? "true" : "false";
  }
  if (literal == "None") literal = "null";
  try {
    return dump_json_python(parse_json(literal, "parameter"));
  } catch (const Error&) {
    return dump_json(json::value(json::string(raw)));
  }
}

void CoderReader::add_argument(std::string_view raw) {
  // The newlines behind the opening and before the closing tag belong to the tags.
  if (!raw.empty() && raw.front() == '\n') raw.remove_prefix(1);
  if (!raw.empty() && raw.back() == '\n') raw.remove_suffix(1);
  arguments_ += any_ ? ", " : "";
  arguments_ += dump_json(json::value(json::string(key_))) + ": " + value_text(raw);
  any_ = true;
}

ToolCallReader::State CoderReader::read_body(std::string_view text, size_t* used) {
  const Found parameter = starts_with(text, kParameter);
  const Found end = starts_with(text, kFunctionEnd);
  if (parameter == Found::kYes) {
    *used = kParameter.size();
    place_ = Place::kKey;
    return State::kMore;
  }
  if (end == Found::kYes) {
    *used = kFunctionEnd.size();
    arguments_ += '}';
    return State::kDone;
  }
  return parameter == Found::kMaybe || end == Found::kMaybe ? State::kMore : State::kBroken;
}

ToolCallReader::State CoderReader::read_value(std::string_view text, size_t* used) {
  // A closing tag may be forgotten: the next parameter or the end of the function ends it, too.
  static constexpr std::array<std::string_view, 3> kEnds = {kParameterEnd, kFunctionEnd,
                                                            "\n<parameter="};
  size_t end = std::string_view::npos;
  std::string_view tag;
  for (const std::string_view candidate : kEnds) {
    const size_t found = text.find(candidate, searched_);
    if (found < end) {
      end = found;
      tag = candidate;
    }
  }
  if (end == std::string_view::npos) {
    // Continue behind the part that cannot hold the beginning of a tag.
    const size_t longest = std::max({kEnds[0].size(), kEnds[1].size(), kEnds[2].size()});
    searched_ = text.size() >= longest ? text.size() - longest + 1 : 0;
    return State::kMore;
  }
  searched_ = 0;
  add_argument(text.substr(0, end));
  *used = end + (tag == kParameterEnd ? tag.size() : 0);
  place_ = Place::kBody;
  return State::kMore;
}

ToolCallReader::State CoderReader::step(std::string_view text, size_t* used) {
  if (place_ == Place::kValue) return read_value(text, used);
  if (place_ == Place::kName || place_ == Place::kKey) {
    const size_t end = text.find('>');
    if (end == std::string_view::npos) {
      return text.size() > kMaxName ? State::kBroken : State::kMore;
    }
    const std::string_view name = trim(text.substr(0, end));
    if (name.empty() || end > kMaxName) return State::kBroken;
    *used = end + 1;
    if (place_ == Place::kName) {
      name_ = name;
      arguments_ = "{";
      find_schema();
    } else {
      key_ = name;
    }
    place_ = place_ == Place::kName ? Place::kBody : Place::kValue;
    return State::kMore;
  }
  if (is_space(text.front())) {
    *used = 1;
    return State::kMore;
  }
  if (place_ == Place::kBody) return read_body(text, used);
  const Found found = starts_with(text, kFunctionTag);
  if (found == Found::kNo) return State::kBroken;
  if (found == Found::kYes) {
    *used = kFunctionTag.size();
    place_ = Place::kName;
  }
  return State::kMore;
}

ToolCallReader::State CoderReader::read(std::string_view text, size_t* used) {
  *used = 0;
  while (!text.empty()) {
    size_t step_used = 0;
    const Place before = place_;
    const State state = step(text, &step_used);
    *used += step_used;
    text.remove_prefix(step_used);
    if (state != State::kMore) return state;
    if (step_used == 0 && place_ == before) break;  // needs more text
  }
  return State::kMore;
}

}  // namespace

std::unique_ptr<ToolCallReader> make_coder_reader(const json::array& declared_tools) {
  return std::make_unique<CoderReader>(declared_tools);
}

}  // namespace headgate

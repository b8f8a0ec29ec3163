// Reading of inputs; every parser here names its source in errors.
#include "cli/input.h"

#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "cli/terminal.h"

namespace headgate {

std::string read_file_or_stdin(const std::string& file) {
  return file == "-" ? read_stdin() : read_text_file(file);
}

std::string read_text_input(const std::optional<std::string>& argument,
                            const std::optional<std::string>& file, std::string_view what) {
  if (argument && file)
    fail(ErrorCode::kInvalidArgument, "{}: given as an argument and as a file, expected one", what);
  if (argument) return *argument;
  if (file) return read_file_or_stdin(*file);
  if (is_terminal(Stream::kInput)) {
    fail(ErrorCode::kInvalidArgument,
         "{}: none given; write it as an argument, name a file with -f, or pipe it in", what);
  }
  return read_stdin();
}

std::vector<int32_t> parse_ids(std::string_view text, std::string_view source) {
  const json::value parsed = parse_json(text, source);
  const json::value* list = &parsed;
  if (parsed.is_object()) list = parsed.get_object().if_contains("ids");
  if (list == nullptr || !list->is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: found {}, expected an array of token ids", source,
         list == nullptr ? "an object without \"ids\"" : "no array");
  }
  std::vector<int32_t> ids;
  ids.reserve(list->get_array().size());
  for (const json::value& item : list->get_array()) {
    if (!item.is_int64() || item.get_int64() < 0 ||
        item.get_int64() > std::numeric_limits<int32_t>::max()) {
      fail(ErrorCode::kInvalidFile, "{}: item {}: expected a token id, 0 or more", source,
           ids.size());
    }
    ids.push_back(static_cast<int32_t>(item.get_int64()));
  }
  return ids;
}

std::vector<int32_t> read_ids(const std::string& file) {
  return parse_ids(read_file_or_stdin(file), file == "-" ? "standard input" : file);
}

std::string ids_to_json(const std::vector<int32_t>& ids) {
  std::string out = "[";
  for (int32_t id : ids) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(id);
  }
  return out + "]";
}

std::pair<int32_t, float> parse_logit_bias(const std::string& text) {
  const size_t equals = text.find('=');
  char* end = nullptr;
  if (equals != std::string::npos && equals > 0) {
    const std::string left = text.substr(0, equals), right = text.substr(equals + 1);
    const long long id = std::strtoll(left.c_str(), &end, 10);
    const bool id_ok = *end == '\0' && id >= 0 && id <= std::numeric_limits<int32_t>::max();
    const float bias = std::strtof(right.c_str(), &end);
    if (id_ok && !right.empty() && *end == '\0') return {static_cast<int32_t>(id), bias};
  }
  fail(ErrorCode::kInvalidArgument, "--logit-bias: found {}, expected ID=VALUE", text);
}

json::array parse_tools(std::string_view text, std::string_view source) {
  json::value parsed = parse_json(text, source);
  const json::value* list = &parsed;
  if (parsed.is_object() && parsed.get_object().contains("tools"))
    list = parsed.get_object().if_contains("tools");
  if (!list->is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: expected an array of tools", source);
  }
  json::array tools;
  for (const json::value& item : list->get_array()) {
    const json::object* tool = item.if_object();
    const bool wrapped = tool != nullptr && tool->contains("function");
    if (tool == nullptr || (!wrapped && !tool->contains("name"))) {
      fail(ErrorCode::kInvalidFile,
           "{}: tool {}: expected an object with \"function\" or a function with \"name\"", source,
           tools.size());
    }
    if (wrapped) {
      tools.push_back(item);
    } else {
      tools.push_back(json::object{{"type", "function"}, {"function", item}});
    }
  }
  return tools;
}

json::object parse_json_object(std::string_view text, std::string_view source) {
  json::value parsed = parse_json(text, source);
  if (!parsed.is_object())
    fail(ErrorCode::kInvalidFile, "{}: expected a JSON object, {{\"key\": value}}", source);
  return std::move(parsed.get_object());
}

int64_t parse_size(const char* option, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  double unit = 1;
  switch (*end) {
    case 'k':
    case 'K':
      unit = 1e3;
      break;
    case 'M':
      unit = 1e6;
      break;
    case 'G':
      unit = 1e9;
      break;
    case 'T':
      unit = 1e12;
      break;
    default:
      break;
  }
  if (unit > 1) ++end;
  if (*end == 'B') ++end;
  const double bytes = number * unit;
  if (text.empty() || *end != '\0' || !(bytes >= 1 && bytes < 9e18))
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected a size such as 500M", option, text);
  return static_cast<int64_t>(bytes);
}

}  // namespace headgate

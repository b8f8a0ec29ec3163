// Tool calls as JSON objects.
#include <utility>

#include "base/error.h"
#include "chat/tool_call_reader.h"

namespace headgate {
namespace {

class HermesReader : public ToolCallReader {
 public:
  State read(std::string_view text, size_t* used) override;

 private:
  enum class Member { kNone, kName, kArguments, kOther };

  bool take(char c);
  bool end_member();
  std::optional<std::string> decode(const std::string& quoted) const;

  JsonScanner scanner_;
  Member member_ = Member::kNone;
  bool in_key_ = false;
  std::string key_;    // with its quotes
  std::string value_;  // of the member being read, unless it is streamed
  bool has_arguments_ = false;
  bool is_text_ = false;  // arguments come as a JSON string
};

std::optional<std::string> HermesReader::decode(const std::string& quoted) const {
  try {
    const json::value value = parse_json(quoted, "tool call");
    if (!value.is_string()) return std::nullopt;
    return std::string(value.get_string().data(), value.get_string().size());
  } catch (const Error&) {
    return std::nullopt;  // for instance half a surrogate pair
  }
}

// A member of the outermost object is complete. False when it makes the call invalid.
bool HermesReader::end_member() {
  const Member member = std::exchange(member_, Member::kNone);
  if (member == Member::kName) {
    name_ = decode(value_);
    return name_.has_value();
  }
  if (member == Member::kArguments) {
    has_arguments_ = true;
    if (is_text_) {
      const std::optional<std::string> text = decode(value_);
      if (!text) return false;
      arguments_ = *text;
      return true;
    }
    return arguments_[0] == '{';
  }
  return true;
}

// One character inside of the outermost object, before the scanner has seen it.
bool HermesReader::take(char c) {
  if (member_ == Member::kNone) {
    if (in_key_) {
      key_ += c;
    } else if (scanner_.in_key() && c == '"') {
      in_key_ = true;
      key_ = c;
    } else if (c == ':' && !key_.empty()) {
      const std::optional<std::string> key = decode(key_);
      if (!key) return false;
      member_ = *key == "name"        ? Member::kName
                : *key == "arguments" ? Member::kArguments
                                      : Member::kOther;
      key_.clear();
      value_.clear();
      const bool repeated =
          (member_ == Member::kName && name_) || (member_ == Member::kArguments && has_arguments_);
      return !repeated;
    }
    return true;
  }
  const bool at_end = scanner_.depth() == 1 && !scanner_.in_string() && (c == ',' || c == '}');
  if (at_end) return end_member();
  if (member_ == Member::kName) value_ += c;
  if (member_ == Member::kArguments) {
    // White space around the value is no part of it.
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (is_space && scanner_.depth() == 1 && !scanner_.in_string()) return true;
    if (arguments_.empty() && value_.empty()) is_text_ = c == '"';
    (is_text_ ? value_ : arguments_) += c;
  }
  return true;
}

ToolCallReader::State HermesReader::read(std::string_view text, size_t* used) {
  *used = 0;
  for (const char c : text) {
    ++*used;
    const int depth_before = scanner_.depth();
    if (depth_before == 0 && !scanner_.started()) {
      const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (!is_space && c != '{') return State::kBroken;
    } else if (!take(c)) {
      return State::kBroken;
    }
    const JsonScanner::State state = scanner_.push(c);
    if (in_key_ && !scanner_.in_key()) in_key_ = false;
    if (state == JsonScanner::State::kError) return State::kBroken;
    if (state == JsonScanner::State::kDone) {
      if (!name_) return State::kBroken;
      if (!has_arguments_) arguments_ = "{}";
      return State::kDone;
    }
  }
  return State::kMore;
}

}  // namespace

std::unique_ptr<ToolCallReader> make_hermes_reader() { return std::make_unique<HermesReader>(); }

}  // namespace headgate

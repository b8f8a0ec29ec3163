// The automaton of JSON values.
#include "chat/json_scanner.h"

#include <cctype>
#include <cstring>

namespace headgate {
namespace {

constexpr size_t kMaxDepth = 200;
constexpr size_t kMaxWord = 2000;

bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
         c == '.';
}

bool is_number(const std::string& text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  if (i < text.size() && text[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

}  // namespace

bool JsonScanner::word_is_complete() const {
  for (const char* word : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
    if (word_ == word) return true;
  }
  return is_number(word_);
}

JsonScanner::State JsonScanner::begin_value(char c) {
  if (c == '{' || c == '[') {
    if (open_.size() >= kMaxDepth) return State::kError;
    open_.push_back(c);
    in_key_ = c == '{';
    place_ = c == '{' ? Place::kKeyOrEnd : Place::kValueOrEnd;
    return State::kMore;
  }
  if (c == '"') {
    place_ = Place::kString;
    return State::kMore;
  }
  if (!is_digit(c) && std::strchr("-tfnNI", c) == nullptr) return State::kError;
  word_.assign(1, c);
  place_ = Place::kWord;
  return State::kMore;
}

JsonScanner::State JsonScanner::end_value() {
  place_ = open_.empty() ? Place::kEnd : Place::kCommaOrEnd;
  return open_.empty() ? State::kDone : State::kMore;
}

JsonScanner::State JsonScanner::close(char bracket) {
  const char expected = bracket == '}' ? '{' : '[';
  if (open_.empty() || open_.back() != expected) return State::kError;
  open_.pop_back();
  in_key_ = false;
  return end_value();
}

JsonScanner::State JsonScanner::in_text(char c) {
  if (place_ == Place::kEscape) {
    if (c == 'u') {
      place_ = Place::kHex;
      hex_digits_ = 0;
      return State::kMore;
    }
    place_ = Place::kString;
    return c != '\0' && std::strchr("\"\\/bfnrt", c) != nullptr ? State::kMore : State::kError;
  }
  if (place_ == Place::kHex) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return State::kError;
    if (++hex_digits_ == 4) place_ = Place::kString;
    return State::kMore;
  }
  if (c == '\\') {
    place_ = Place::kEscape;
  } else if (static_cast<unsigned char>(c) < 0x20) {
    return State::kError;
  } else if (c == '"') {
    if (!in_key_) return end_value();
    in_key_ = false;
    place_ = Place::kColon;
  }
  return State::kMore;
}

JsonScanner::State JsonScanner::push(char c) {
  if (place_ == Place::kString || place_ == Place::kEscape || place_ == Place::kHex) {
    return in_text(c);
  }
  if (place_ == Place::kWord) {
    if (is_word_character(c)) {
      word_ += c;
      return word_.size() > kMaxWord ? State::kError : State::kMore;
    }
    if (!word_is_complete()) return State::kError;
    if (open_.empty()) {
      place_ = Place::kEnd;
      return State::kBefore;
    }
    place_ = Place::kCommaOrEnd;
  }
  if (is_json_space(c)) return State::kMore;
  switch (place_) {
    case Place::kValueOrEnd:
      if (c == ']') return close(c);
      return begin_value(c);
    case Place::kValue:
      return begin_value(c);
    case Place::kKeyOrEnd:
      if (c == '}') return close(c);
      [[fallthrough]];
    case Place::kKey:
      in_key_ = true;
      place_ = Place::kString;
      return c == '"' ? State::kMore : State::kError;
    case Place::kColon:
      place_ = Place::kValue;
      return c == ':' ? State::kMore : State::kError;
    case Place::kCommaOrEnd:
      if (c == ',') {
        in_key_ = open_.back() == '{';
        place_ = in_key_ ? Place::kKey : Place::kValue;
        return State::kMore;
      }
      return c == '}' || c == ']' ? close(c) : State::kError;
    default:
      return State::kError;
  }
}

bool JsonScanner::may_end() const {
  return place_ == Place::kEnd || (place_ == Place::kWord && open_.empty() && word_is_complete());
}

}  // namespace headgate

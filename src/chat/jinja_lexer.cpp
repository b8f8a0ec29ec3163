// The template lexer: text with tags in it, then tokens inside the tags.
#include "chat/jinja_lexer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/jinja_text.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) {
  return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// \r\n and \r become \n; one newline at the end of the source is dropped.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : text_(normalize(source)), name_(name) {}

  std::vector<Token> run();

 private:
  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}:{}: {}", name_, line_,
         fmt::format(format, std::forward<Args>(args)...));
  }
  bool done() const { return at_ >= text_.size(); }
  bool looking_at(std::string_view what, size_t at) const {
    return text_.compare(at, what.size(), what) == 0;
  }
  // Moves to `to`, counting lines.
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  size_t skip_space(size_t at) const;
  void add(TokenKind kind, std::string text = {}) {
    Token token;
    token.kind = kind;
    token.text = std::move(text);
    token.line = line_;
    tokens_.push_back(std::move(token));
  }

  void add_data(size_t begin, size_t end, char sign, bool strips_line);
  bool lex_raw_begin();
  void lex_raw_body();
  void lex_comment();
  void lex_tag(bool is_block);
  bool lex_tag_end(bool is_block);
  void lex_number();
  void lex_name();
  void lex_string();
  void lex_operator();
  std::string unescape(std::string_view raw);
  char32_t unescape_hex(std::string_view raw, size_t* at, size_t digits);

  std::string text_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag ended with a newline, or there was none yet
  std::vector<char> brackets_;
  std::vector<Token> tokens_;
};

size_t Lexer::skip_space(size_t at) const {
  while (at < text_.size()) {
    const DecodedCodePoint d = decode_utf8(text_, at);
    if (!is_space(d.code_point)) break;
    at += static_cast<size_t>(d.bytes);
  }
  return at;
}

// Adds the text before a tag. `sign` is the tag's '-', '+' or 0.
void Lexer::add_data(size_t begin, size_t end, char sign, bool strips_line) {
  std::string_view data = std::string_view(text_).substr(begin, end - begin);
  if (sign == '-') {
    data = strip_text(data, Side::kRight, nullptr);
  } else if (sign != '+' && strips_line) {
    const size_t newline = data.rfind('\n');
    const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool at_line_start = line_begin > 0 || line_starting_;
    const std::string_view rest = data.substr(line_begin);
    if (at_line_start && strip_text(rest, Side::kBoth, nullptr).empty()) {
      data = data.substr(0, line_begin);
    }
  }
  if (!data.empty()) add(TokenKind::kData, std::string(data));
}

// {% raw %} in any spelling; leaves at_ behind it.
bool Lexer::lex_raw_begin() {
  size_t i = at_ + 2;
  if (i < text_.size() && (text_[i] == '-' || text_[i] == '+')) ++i;
  i = skip_space(i);
  if (!looking_at("raw", i)) return false;
  i = skip_space(i + 3);
  if (looking_at("-%}", i)) {
    advance(skip_space(i + 3));
  } else if (looking_at("%}", i)) {
    advance(i + 2);
  } else {
    return false;
  }
  line_starting_ = at_ > 0 && text_[at_ - 1] == '\n';
  return true;
}

void Lexer::lex_raw_body() {
  const size_t begin = at_;
  if (done()) return;
  for (size_t tag = text_.find("{%", at_); tag != std::string::npos;
       tag = text_.find("{%", tag + 1)) {
    size_t i = tag + 2;
    const char sign = i < text_.size() && (text_[i] == '-' || text_[i] == '+') ? text_[i] : '\0';
    i = skip_space(i + (sign != 0 ? 1 : 0));
    if (!looking_at("endraw", i)) continue;
    i = skip_space(i + 6);
    size_t end = 0;
    if (looking_at("+%}", i)) {
      end = i + 3;
    } else if (looking_at("-%}", i)) {
      end = skip_space(i + 3);
    } else if (looking_at("%}", i)) {
      end = i + 2;
      if (end < text_.size() && text_[end] == '\n') ++end;
    } else {
      continue;
    }
    add_data(begin, tag, sign, true);
    advance(end);
    line_starting_ = text_[end - 1] == '\n';
    return;
  }
  error("Missing end of raw directive");
}

void Lexer::lex_comment() {
  if (done()) return;
  size_t end = text_.find("#}", at_);
  if (end == std::string::npos) error("Missing end of comment tag");
  const char sign = end > at_ ? text_[end - 1] : '\0';
  end += 2;
  if (sign == '-') {
    end = skip_space(end);
  } else if (sign != '+' && end < text_.size() && text_[end] == '\n') {
    ++end;
  }
  advance(end);
  line_starting_ = text_[end - 1] == '\n';
}

// The end of the tag, when one is here and all brackets are closed.
bool Lexer::lex_tag_end(bool is_block) {
  if (!brackets_.empty()) return false;
  size_t end = at_;
  const std::string_view mark = is_block ? "%}" : "}}";
  if (text_[at_] == '-' && looking_at(mark, at_ + 1)) {
    end = skip_space(at_ + 3);
  } else if (is_block && text_[at_] == '+' && looking_at(mark, at_ + 1)) {
    end = at_ + 3;
  } else if (looking_at(mark, at_)) {
    end = at_ + 2;
    if (is_block && end < text_.size() && text_[end] == '\n') ++end;
  } else {
    return false;
  }
  add(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd);
  advance(end);
  line_starting_ = text_[end - 1] == '\n';
  return true;
}

void Lexer::lex_tag(bool is_block) {
  brackets_.clear();
  while (!done()) {
    if (lex_tag_end(is_block)) return;
    const DecodedCodePoint d = decode_utf8(text_, at_);
    const char c = text_[at_];
    if (is_space(d.code_point)) {
      advance(skip_space(at_));
    } else if (is_ascii_digit(c)) {
      lex_number();
    } else if (c == '_' || is_alnum(d.code_point)) {
      lex_name();
    } else if (c == '\'' || c == '"') {
      lex_string();
    } else {
      lex_operator();
    }
  }
}

void Lexer::lex_number() {
  const size_t begin = at_;
  // Digits with single underscores between them.
  const auto digits = [&](size_t i, auto is_digit) {
    size_t end = i;
    while (end < text_.size()) {
      const bool joined = text_[end] == '_' && end > i && end + 1 < text_.size();
      if (is_digit(text_[end])) {
        ++end;
      } else if (joined && is_digit(text_[end + 1])) {
        end += 2;
      } else {
        break;
      }
    }
    return end;
  };
  const auto parse = [&](size_t end, bool is_float) {
    std::string plain = text_.substr(begin, end - begin);
    plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, plain);
    Token& token = tokens_.back();
    const bool valid =
        is_float ? parse_float(plain, &token.number) : parse_integer(plain, 0, &token.integer);
    if (!valid) error("number {} does not fit", plain);
    at_ = end;
  };
  const size_t whole = digits(begin, is_ascii_digit);
  size_t end = whole;
  bool is_float = false;
  if (begin == 0 || text_[begin - 1] != '.') {
    if (end + 1 < text_.size() && text_[end] == '.' && is_ascii_digit(text_[end + 1])) {
      end = digits(end + 1, is_ascii_digit);
      is_float = true;
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_ascii_digit(text_[exponent])) {
        end = digits(exponent, is_ascii_digit);
        is_float = true;
      }
    }
  }
  if (is_float) return parse(end, true);
  if (text_[begin] == '0' && begin + 1 < text_.size()) {
    const char mark = static_cast<char>(text_[begin + 1] | 0x20);
    // Binary, octal and hexadecimal: an underscore may follow the mark.
    const auto in_base = [&](auto is_digit) {
      size_t from = begin + 2;
      if (from + 1 < text_.size() && text_[from] == '_' && is_digit(text_[from + 1])) ++from;
      return std::make_pair(from, digits(from, is_digit));
    };
    std::pair<size_t, size_t> found{0, 0};
    if (mark == 'x') found = in_base(is_hex_digit);
    if (mark == 'o') found = in_base([](char c) { return c >= '0' && c <= '7'; });
    if (mark == 'b') found = in_base([](char c) { return c == '0' || c == '1'; });
    if (found.second > found.first) return parse(found.second, false);
    // A zero is followed by zeros only; "07" is two numbers.
    return parse(digits(begin, [](char c) { return c == '0'; }), false);
  }
  parse(whole, false);
}

void Lexer::lex_name() {
  size_t end = at_;
  while (end < text_.size()) {
    const DecodedCodePoint d = decode_utf8(text_, end);
    if (d.code_point != '_' && !is_alnum(d.code_point)) break;
    end += static_cast<size_t>(d.bytes);
  }
  const char32_t first = decode_utf8(text_, at_).code_point;
  if (first != '_' && !is_alpha(first)) error("Invalid character in identifier");
  add(TokenKind::kName, text_.substr(at_, end - at_));
  at_ = end;
}

void Lexer::lex_string() {
  const char quote = text_[at_];
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) error("unexpected char {} (a text without its end)", quote);
  std::string value = unescape(std::string_view(text_).substr(at_ + 1, end - at_ - 1));
  add(TokenKind::kString, std::move(value));
  advance(end + 1);
}

char32_t Lexer::unescape_hex(std::string_view raw, size_t* at, size_t digits) {
  uint32_t value = 0;
  for (size_t n = 0; n < digits; ++n, ++*at) {
    if (*at >= raw.size() || !is_hex_digit(raw[*at])) error("truncated escape in a text");
    const char c = raw[*at];
    value = value * 16 + static_cast<uint32_t>(is_ascii_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    error("the escape of U+{:04X} is no character", value);
  }
  return value;
}

std::string Lexer::unescape(std::string_view raw) {
  std::string out;
  for (size_t i = 0; i < raw.size();) {
    if (raw[i] != '\\') {
      out += raw[i++];
      continue;
    }
    if (i + 1 >= raw.size()) error("a text ends with a backslash");
    const char c = raw[i + 1];
    i += 2;
    static constexpr std::string_view kNames = "\\'\"abfnrtv";
    static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const size_t simple = kNames.find(c);
    if (simple != std::string_view::npos) {
      out += kValues[simple];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(out, unescape_hex(raw, &i, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c >= '0' && c <= '7') {
      uint32_t value = static_cast<uint32_t>(c - '0');
      for (int n = 0; n < 2 && i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++n) {
        value = value * 8 + static_cast<uint32_t>(raw[i++] - '0');
      }
      append_utf8(out, value);
    } else if (c == 'N') {
      error("escapes by character name are not supported");
    } else if (c != '\n') {
      // Unknown escapes keep their backslash; one before a newline joins the lines.
      out += '\\';
      --i;
      const DecodedCodePoint d = decode_utf8(raw, i);
      out.append(raw.substr(i, static_cast<size_t>(d.bytes)));
      i += static_cast<size_t>(d.bytes);
    }
  }
  return out;
}

void Lexer::lex_operator() {
  static constexpr std::array<std::string_view, 27> kOperators = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]",
      "(",  ")",  "{",  "}",  ">",  "<",  "=", ".", ":", "|", ",", ";", ""};
  const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                   [&](std::string_view op) { return looking_at(op, at_); });
  if (found->empty()) {
    const auto bytes = static_cast<size_t>(decode_utf8(text_, at_).bytes);
    error("unexpected char '{}'", text_.substr(at_, bytes));
  }
  const char c = found->front();
  if (c == '(' || c == '[' || c == '{') brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty()) error("unexpected '{}'", c);
    if (brackets_.back() != c) error("unexpected '{}', expected '{}'", c, brackets_.back());
    brackets_.pop_back();
  }
  add(TokenKind::kOperator, std::string(*found));
  at_ += found->size();
}

std::vector<Token> Lexer::run() {
  while (!done()) {
    const size_t begin = at_;
    size_t tag = text_.find('{', at_);
    while (tag != std::string::npos && tag + 1 < text_.size() && text_[tag + 1] != '{' &&
           text_[tag + 1] != '%' && text_[tag + 1] != '#') {
      tag = text_.find('{', tag + 1);
    }
    if (tag == std::string::npos || tag + 1 >= text_.size()) {
      add(TokenKind::kData, text_.substr(begin));
      advance(text_.size());
      break;
    }
    const char what = text_[tag + 1];
    const bool has_sign =
        tag + 2 < text_.size() && (text_[tag + 2] == '-' || text_[tag + 2] == '+');
    add_data(begin, tag, has_sign ? text_[tag + 2] : '\0', what != '{');
    advance(tag);
    if (what == '%' && lex_raw_begin()) {
      lex_raw_body();
      continue;
    }
    advance(tag + (has_sign ? 3 : 2));
    line_starting_ = false;
    if (what == '#') {
      lex_comment();
    } else {
      add(what == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin);
      lex_tag(what == '%');
    }
  }
  add(TokenKind::kEnd);
  return std::move(tokens_);
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& name) {
  return Lexer(source, name).run();
}

}  // namespace headgate::jinja

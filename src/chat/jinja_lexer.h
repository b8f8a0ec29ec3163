// Template source -> tokens, with Jinja's white-space control already applied to the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja_value.h"

namespace headgate::jinja {

enum class TokenKind {
  kData,           // text between tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // text is unescaped
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  Int integer = 0;
  double number = 0;
  int line = 1;
};

// Settings: trim_blocks, lstrip_blocks, no trailing newline. `name` stands in errors.
// Throws kInvalidFile: "name:line: ...". The last token is kEnd.
std::vector<Token> tokenize(std::string_view source, const std::string& name);

}  // namespace headgate::jinja

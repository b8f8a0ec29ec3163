// Errors as API clients see them: a status, and the error object of OpenAI or Anthropic.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "server/http/message.h"

namespace headgate {

enum class ApiStyle { kOpenAi, kAnthropic };

// A request that gets an error for an answer. `param` names the field at fault, `code` is a word
// that programs may test.
class ApiError : public Error {
 public:
  ApiError(int status, std::string code, const std::string& message, std::string param = "");

  int status() const { return status_; }
  const std::string& api_code() const { return api_code_; }
  const std::string& param() const { return param_; }
  double retry_after_seconds() const { return retry_after_seconds_; }
  // Adds a Retry-After header.
  ApiError& retry_after(double seconds);

 private:
  int status_;
  std::string api_code_, param_;
  double retry_after_seconds_ = -1;
};

// Throws a 400 about one field of the request.
template <typename... Args>
[[noreturn]] void refuse_field(std::string_view param, fmt::format_string<Args...> format,
                               Args&&... args) {
  throw ApiError(400, "invalid_value", fmt::format(format, std::forward<Args>(args)...),
                 std::string(param));
}

// What an exception means to the client. Messages of internal errors are not shown: they go to the
// log, under the request's id.
ApiError api_error_of(const std::exception& error);

// {"error": {"message", "type", "param", "code"}}, or Anthropic's {"type": "error", "error": ...}.
json::object error_object(const ApiError& error, ApiStyle style);
HttpResponse error_response(const ApiError& error, ApiStyle style);

}  // namespace headgate

// The one table from kinds of errors to statuses and words.
#include "server/api_error.h"

#include <cmath>
#include <new>
#include <utility>

#include "base/utf8.h"
#include "engine/engine.h"

namespace headgate {
namespace {

std::string_view openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

ApiError api_error_of_code(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidFile:
      return {400, "invalid_request", error.what()};
    case ErrorCode::kUnsupported:
      return {400, "unsupported", error.what()};
    case ErrorCode::kNotFound:
      return {404, "not_found", error.what()};
    case ErrorCode::kResourceExhausted:
      return ApiError(503, "resource_exhausted", error.what()).retry_after(1);
    case ErrorCode::kCancelled:
      return {499, "cancelled", error.what()};
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return {500, "internal_error", "the server failed to answer this request; its log says why"};
}

}  // namespace

ApiError::ApiError(int status, std::string code, const std::string& message, std::string param)
    : Error(ErrorCode::kInvalidArgument, message),
      status_(status),
      api_code_(std::move(code)),
      param_(std::move(param)) {}

ApiError& ApiError::retry_after(double seconds) {
  retry_after_seconds_ = seconds;
  return *this;
}

ApiError api_error_of(const std::exception& error) {
  if (const auto* own = dynamic_cast<const ApiError*>(&error)) return *own;
  if (const auto* load = dynamic_cast<const Overloaded*>(&error)) {
    if (load->draining())
      return ApiError(503, "shutting_down", "the server is shutting down").retry_after(5);
    return ApiError(429, "overloaded", load->what()).retry_after(load->retry_after_seconds());
  }
  if (const auto* plain = dynamic_cast<const Error*>(&error)) return api_error_of_code(*plain);
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return ApiError(503, "out_of_memory", "not enough memory for this request").retry_after(2);
  return {500, "internal_error", "the server failed to answer this request; its log says why"};
}

json::object error_object(const ApiError& error, ApiStyle style) {
  // A message may quote what a client or a model wrote, cut anywhere.
  const std::string message = replace_invalid_utf8(error.what());
  if (style == ApiStyle::kAnthropic) {
    return {{"type", "error"},
            {"error", json::object{{"type", std::string(anthropic_type(error.status()))},
                                   {"message", message}}}};
  }
  return {{"error", json::object{{"message", message},
                                 {"type", std::string(openai_type(error.status()))},
                                 {"param", text_or_null(error.param())},
                                 {"code", text_or_null(error.api_code())}}}};
}

HttpResponse error_response(const ApiError& error, ApiStyle style) {
  HttpResponse response;
  response.status = error.status();
  response.body = dump_json(error_object(error, style));
  if (error.retry_after_seconds() >= 0) {
    const double seconds = std::max(error.retry_after_seconds(), 0.05);
    response.headers.emplace_back("retry-after", fmt::format("{:.0f}", std::ceil(seconds)));
    response.headers.emplace_back("retry-after-ms", fmt::format("{:.0f}", seconds * 1000));
  }
  if (error.status() == 401) response.headers.emplace_back("www-authenticate", "Bearer");
  // What failed once for a reason of its own fails again: clients must not repeat the work.
  if (error.status() >= 500 && error.status() != 503)
    response.headers.emplace_back("x-should-retry", "false");
  return response;
}

}  // namespace headgate

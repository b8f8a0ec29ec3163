// Fuzzes the reader of HTTP requests: however a request is cut, it is read the same, and paths stay
// inside.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "server/http/request_parser.h"

namespace {

using headgate::HttpLimits;
using headgate::HttpRequest;
using headgate::RequestParser;

struct Outcome {
  RequestParser::Status status = RequestParser::Status::kNeedMore;
  HttpRequest request;
  size_t used = 0;
};

Outcome parse(std::string_view bytes, size_t piece) {
  HttpLimits limits;
  limits.header_bytes = 4096;
  limits.body_bytes = 4096;
  RequestParser parser(limits);
  Outcome out;
  std::string input;
  for (size_t at = 0; at < bytes.size();) {
    input += bytes.substr(at, piece);
    at = std::min(at + piece, bytes.size());
    do {
      size_t used = 0;
      out.status = parser.feed(input, &used);
      if (used > input.size()) std::abort();
      input.erase(0, used);
      out.used += used;
    } while (out.status == RequestParser::Status::kHead);
    if (out.status != RequestParser::Status::kNeedMore) break;
  }
  out.request = parser.request();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(text, size + 1);
  const Outcome pieces = parse(text, 1 + size % 7);
  const bool done = whole.status == RequestParser::Status::kDone;
  if (done != (pieces.status == RequestParser::Status::kDone)) std::abort();
  if (!done) return 0;
  if (whole.used != pieces.used || whole.request.body != pieces.request.body) std::abort();
  if (whole.request.path != pieces.request.path) std::abort();
  const std::string model = headgate::query_value(whole.request.query, "model");
  if (!headgate::is_valid_utf8(model)) std::abort();
  const std::string& path = whole.request.path;
  if (path.empty() || path[0] != '/') std::abort();
  if ((path + "/").find("/../") != std::string::npos || path.find('\0') != std::string::npos)
    std::abort();
  return 0;
}

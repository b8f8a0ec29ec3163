// The only file that includes Boost.Beast: its parser, with stricter rules around it.
#include "server/http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {

namespace http = boost::beast::http;

namespace {

constexpr size_t kLeastChunkEnd = 5;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool has_dot_steps(std::string_view path) {
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view step = path.substr(at + 1, end - at - 1);
    if (step == "." || step == "..") return true;
    at = end;
  }
  return false;
}

}  // namespace

bool decode_path(std::string_view target, std::string* path, std::string* query) {
  const size_t mark = target.find('?');
  const std::string_view raw = target.substr(0, mark);
  *query = mark == std::string_view::npos ? std::string() : std::string(target.substr(mark + 1));
  if (raw.empty() || raw[0] != '/') return false;
  path->clear();
  for (size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '%') {
      const int high = i + 2 < raw.size() ? hex_digit(raw[i + 1]) : -1;
      const int low = high >= 0 ? hex_digit(raw[i + 2]) : -1;
      if (low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      // A slash that hides in an escape would be a step for one program and a name for another.
      if (c == '/') return false;
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' || c == '#') return false;
    *path += c;
  }
  return is_valid_utf8(*path) && !has_dot_steps(*path);
}

struct RequestParser::Data {
  http::request_parser<http::string_body> parser;
  HttpRequest request;
  Failure failure;
  bool head_done = false;
  int64_t head_bytes = 0;  // read so far
  int64_t head_limit = 0, body_limit = 0;

  Status fail_with(int status, std::string message) {
    failure = {status, std::move(message)};
    return Status::kFailed;
  }

  Status fail_with(const boost::system::error_code& error) {
    if (error == http::error::header_limit)
      return fail_with(431, "the request's headers are too large");
    if (error == http::error::body_limit) {
      return fail_with(
          413, fmt::format("the request's body is too large: at most {} bytes", body_limit));
    }
    if (error == http::error::bad_version) return fail_with(400, "the request is not HTTP/1.1");
    return fail_with(400, "malformed HTTP request: " + error.message());
  }

  // Copies the head out of Beast's message and refuses what is ambiguous.
  Status read_head();
};

RequestParser::Status RequestParser::Data::read_head() {
  const auto& message = parser.get();
  request.method = std::string(view(message.method_string()));
  for (const auto& field : message)
    request.headers.emplace_back(lower(view(field.name_string())),
                                 std::string(view(field.value())));
  const int64_t transfers = request.header_count("transfer-encoding");
  const int64_t lengths = request.header_count("content-length");
  if (transfers > 0 && lengths > 0)
    return fail_with(400, "Content-Length and Transfer-Encoding exclude each other");
  // Beast takes "5, 5" for 5, as the standard allows; others may not.
  if (request.header("content-length").find_first_not_of("0123456789") != std::string_view::npos)
    return fail_with(400, "Content-Length is no number");
  if (lengths > 1) return fail_with(400, "Content-Length appears twice");
  if (transfers > 1 || (transfers == 1 && lower(request.header("transfer-encoding")) != "chunked"))
    return fail_with(501, "Transfer-Encoding: only \"chunked\" is known");
  if (transfers > 0 && message.version() < 11)
    return fail_with(400, "Transfer-Encoding needs HTTP/1.1");
  const int64_t hosts = request.header_count("host");
  if (hosts > 1 || (hosts == 0 && message.version() >= 11))
    return fail_with(400, "exactly one Host header is needed");
  if (!decode_path(view(message.target()), &request.path, &request.query))
    return fail_with(400, "malformed request target");
  return Status::kHead;
}

RequestParser::RequestParser(const HttpLimits& limits) : data_(std::make_unique<Data>()) {
  // Beast counts a few bytes more or less depending on how the head is cut: its own limit only ends
  // what comes far too long in one piece.
  data_->head_limit = limits.header_bytes;
  data_->parser.header_limit(static_cast<uint32_t>(2 * limits.header_bytes));
  data_->parser.body_limit(static_cast<uint64_t>(limits.body_bytes));
  data_->body_limit = limits.body_bytes;
  data_->parser.eager(false);
}

RequestParser::~RequestParser() = default;

RequestParser::Status RequestParser::feed(std::string_view bytes, size_t* used) {
  Data& d = *data_;
  *used = 0;
  if (!d.failure.message.empty()) return Status::kFailed;
  while (!d.parser.is_done()) {
    const size_t left = bytes.size() - *used;
    // Beast asserts that a last chunk that comes in pieces has five bytes by now; "0\r\n\r\n" is
    // the least that still has to come in any case.
    const bool chunks = d.head_done && d.parser.chunked();
    if (left < (chunks ? kLeastChunkEnd : 1)) return Status::kNeedMore;
    boost::system::error_code error;
    const size_t taken = d.parser.put(boost::asio::const_buffer(bytes.data() + *used, left), error);
    *used += taken;
    if (!d.head_done) {
      d.head_bytes += static_cast<int64_t>(taken);
      // Beast leaves half lines to the caller: they come again with more behind them.
      const bool unfinished = error == http::error::need_more || !d.parser.is_header_done();
      const auto waiting = unfinished ? static_cast<int64_t>(bytes.size() - *used) : 0;
      if (d.head_bytes + waiting > d.head_limit) return d.fail_with(http::error::header_limit);
    }
    if (error == http::error::need_more) return Status::kNeedMore;
    if (error) return d.fail_with(error);
    if (d.parser.is_header_done() && !d.head_done) {
      d.head_done = true;
      d.parser.eager(true);
      return d.read_head();
    }
  }
  d.request.body = std::move(d.parser.get().body());
  return Status::kDone;
}

HttpRequest& RequestParser::request() { return data_->request; }
const RequestParser::Failure& RequestParser::failure() const { return data_->failure; }
bool RequestParser::keep_alive() const { return data_->parser.get().keep_alive(); }
bool RequestParser::is_http_1_0() const { return data_->parser.get().version() < 11; }

bool RequestParser::expects_continue() const {
  return lower(data_->request.header("expect")) == "100-continue";
}

int64_t RequestParser::body_bytes() const {
  const auto announced = data_->parser.content_length();
  if (announced) return static_cast<int64_t>(*announced);
  return static_cast<int64_t>(data_->parser.get().body().size());
}

}  // namespace headgate

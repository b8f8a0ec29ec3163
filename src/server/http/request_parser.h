// Bytes from a socket to one HTTP/1.1 request, refusing everything that two programs could read in
// two ways.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace headgate {

// Reads one request; a new one is needed for the next. Not thread-safe. Never throws for what a
// client sent.
class RequestParser {
 public:
  enum class Status {
    kNeedMore,  // not complete; bytes that were not used come again, with more behind them
    kHead,      // request() has everything but its body; feed() goes on with the body
    kDone,      // request() is complete; bytes that were not used belong to the next one
    kFailed     // failure() says why, the connection cannot go on
  };
  struct Failure {
    int status = 400;
    std::string message;
  };

  explicit RequestParser(const HttpLimits& limits);
  ~RequestParser();

  // Takes what it can from the front of `bytes`; `used` says how much that was.
  Status feed(std::string_view bytes, size_t* used);

  HttpRequest& request();
  const Failure& failure() const;
  bool keep_alive() const;        // valid from kHead on
  bool is_http_1_0() const;       // the answer must not be chunked
  bool expects_continue() const;  // the client waits for "100 Continue" before its body
  int64_t body_bytes() const;     // announced, or read so far

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// The percent-decoded path of a request target. False when it is no path ("http://...", "*"), has a
// broken escape, a control character, a zero byte, a backslash, or steps such as "..".
bool decode_path(std::string_view target, std::string* path, std::string* query);

}  // namespace headgate

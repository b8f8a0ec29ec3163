// Requests are read as they are meant, in any pieces, and what could be read in two ways is
// refused.
#include "server/http/request_parser.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

struct Parsed {
  RequestParser::Status status = RequestParser::Status::kNeedMore;
  HttpRequest request;
  int failure = 0;
  size_t used = 0;
};

Parsed parse(const std::string& bytes, size_t piece = 1 << 20, HttpLimits limits = {}) {
  RequestParser parser(limits);
  Parsed out;
  std::string input;
  for (size_t at = 0; at < bytes.size() || !input.empty();) {
    input += bytes.substr(at, piece);
    at = std::min(at + piece, bytes.size());
    while (true) {
      size_t used = 0;
      out.status = parser.feed(input, &used);
      out.used += used;
      input.erase(0, used);
      if (out.status != RequestParser::Status::kHead) break;
    }
    if (out.status != RequestParser::Status::kNeedMore || at == bytes.size()) break;
  }
  out.request = parser.request();
  out.failure = out.status == RequestParser::Status::kFailed ? parser.failure().status : 0;
  return out;
}

constexpr const char* kHost = "Host: a\r\n";

TEST(RequestParser, ReadsTheSameInPiecesOfAnySize) {
  const std::string text =
      "POST /v1/models/a%20b?x=1 HTTP/1.1\r\nHost: a\r\nX-Thing:  value \r\nContent-Length: "
      "5\r\n\r\nhelloGET /";
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{1000}}) {
    const Parsed parsed = parse(text, piece);
    ASSERT_EQ(parsed.status, RequestParser::Status::kDone) << piece;
    EXPECT_EQ(parsed.request.method, "POST");
    EXPECT_EQ(parsed.request.path, "/v1/models/a b");
    EXPECT_EQ(parsed.request.query, "x=1");
    EXPECT_EQ(parsed.request.header("x-thing"), "value");
    EXPECT_EQ(parsed.request.body, "hello");
    EXPECT_EQ(parsed.used, text.size() - 5) << "the next request's bytes are left alone";
  }
}

TEST(RequestParser, PutsChunksTogether) {
  const Parsed parsed = parse(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
      3);
  ASSERT_EQ(parsed.status, RequestParser::Status::kDone);
  EXPECT_EQ(parsed.request.body, "abcde");
}

TEST(RequestParser, TakesALastChunkByteByByte) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string body : {"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "0\r\nX: 1\r\n\r\n"}) {
    for (const size_t piece : {size_t{1}, size_t{3}, size_t{4}}) {
      const Parsed parsed = parse(head + body + "GET", piece);
      EXPECT_EQ(parsed.status, RequestParser::Status::kDone) << body << piece;
      EXPECT_EQ(parsed.used, head.size() + body.size());
    }
  }
}

TEST(RequestParser, RefusesWhatTwoProgramsCouldReadDifferently) {
  const std::string bodies = "0\r\n\r\n";
  for (const std::string& headers : std::vector<std::string>{
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
           "Content-Length: 5\r\nContent-Length: 5\r\n",
           "Content-Length: 5\r\nContent-Length: 6\r\n",
           "Content-Length: 5, 5\r\n",
           "Content-Length: +5\r\n",
           "Content-Length: -1\r\n",
           "Content-Length: 0x5\r\n",
           "Content-Length: 99999999999999999999\r\n",
           "Transfer-Encoding: identity\r\n",
           "Transfer-Encoding: chunked, identity\r\n",
           "Transfer-Encoding: xchunked\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding : chunked\r\n",
           "X: a\rb\r\n",
           "X\r\n",
           ": empty\r\n",
           "X y: z\r\n",
       }) {
    const Parsed parsed =
        parse("POST / HTTP/1.1\r\n" + std::string(kHost) + headers + "\r\n" + bodies);
    EXPECT_EQ(parsed.status, RequestParser::Status::kFailed) << headers;
    EXPECT_TRUE(parsed.failure == 400 || parsed.failure == 501 || parsed.failure == 413)
        << headers << parsed.failure;
  }
}

TEST(RequestParser, RefusesBrokenFirstLines) {
  for (const std::string& line : std::vector<std::string>{
           "GET / HTTP/2.0", "GET / HTTP/1.1 x", "GET  / HTTP/1.1", "GET /", "/ HTTP/1.1",
           "G\x01T / HTTP/1.1", "GET http://a/ HTTP/1.1", "GET * HTTP/1.1", "GET /%zz HTTP/1.1",
           "GET /%00 HTTP/1.1", "GET /a%2fb HTTP/1.1", "GET /../etc/passwd HTTP/1.1",
           "GET /a/%2e%2e/b HTTP/1.1", "GET /.. HTTP/1.1", "GET /a\\b HTTP/1.1",
           "GET /%5c..%5c HTTP/1.1", "GET /%c3%28 HTTP/1.1", "\x16\x03\x01\x02"}) {
    EXPECT_EQ(parse(line + "\r\n" + kHost + "\r\n").status, RequestParser::Status::kFailed) << line;
  }
}

TEST(RequestParser, WantsOneHost) {
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n\r\n").failure, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").failure, 400);
  EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n").status, RequestParser::Status::kDone);
}

TEST(RequestParser, StopsAtItsLimits) {
  const std::string long_header = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1 << 20, 'x');
  EXPECT_EQ(parse(long_header, 4096).failure, 431);
  HttpLimits limits;
  limits.body_bytes = 10;
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 1000, limits).failure,
            413);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello "
                  "world\r\n0\r\n\r\n",
                  1000, limits)
                .failure,
            413);
}

}  // namespace
}  // namespace headgate

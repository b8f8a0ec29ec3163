// Connections obey their limits and deadlines, and streams reach their clients whole.
#include "server/http/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/error.h"
#include "server/test_client.h"

namespace headgate {
namespace {

// Answers "/echo" with the body, streams at "/stream", and keeps the exchange of "/hold".
class TestHandler : public HttpHandler {
 public:
  std::optional<HttpResponse> admit(HttpRequest& head) override {
    if (head.path != "/refused") return std::nullopt;
    return refusal(401, "no");
  }
  void handle(std::shared_ptr<Exchange> exchange) override {
    const std::string& path = exchange->request().path;
    if (path == "/hold") {
      exchange->on_gone([this] { ++gone; });
      const std::lock_guard lock(mutex);
      held.push_back(std::move(exchange));
      return;
    }
    HttpResponse response;
    if (path == "/stream") {
      response.content_type = "text/event-stream";
      exchange->begin_stream(response);
      for (int i = 0; i < 3; ++i) exchange->write("data: " + std::to_string(i) + "\n\n");
      exchange->finish();
      return;
    }
    response.body = path + ":" + exchange->request().body;
    exchange->respond(response);
  }
  HttpResponse refusal(int status, const std::string& message) override {
    HttpResponse response;
    response.status = status;
    response.body = message;
    return response;
  }
  void finish_head(const HttpRequest&, HttpResponse& response) override {
    response.headers.emplace_back("x-evil", "a\r\nset-cookie: b");
  }
  void answered(const HttpRequest&, const Answered& answer) override {
    if (!answer.complete) ++incomplete;
  }

  std::shared_ptr<Exchange> wait_for_held(size_t index) {
    for (int i = 0; i < 2000; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (held.size() > index) return held[index];
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return nullptr;
  }

  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> held;
  std::atomic<int> gone{0}, incomplete{0};
};

class HttpServerTest : public testing::Test {
 protected:
  void start(HttpLimits limits = {}) {
    HttpServerOptions options;
    options.limits = limits;
    server_ = std::make_unique<HttpServer>(options, handler_);
    server_->start();
  }
  int port() const { return server_->port(); }
  bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 2500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  TestHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
  start();
  TestConnection connection(port());
  connection.send(request_text("POST", "/a", "1") + request_text("POST", "/stream", "2") +
                  request_text("GET", "/c"));
  EXPECT_EQ(connection.read_answer().body, "/a:1");
  EXPECT_EQ(connection.read_answer().body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  EXPECT_EQ(connection.read_answer().body, "/c:");
}

TEST_F(HttpServerTest, ValuesOfHeadersCannotBeginAnotherHeader) {
  start();
  EXPECT_EQ(ask(port(), "GET", "/a").header("x-evil"), "aset-cookie: b");
  EXPECT_EQ(ask(port(), "GET", "/a").header("set-cookie"), "");
}

TEST_F(HttpServerTest, HeadHasNoBodyAndHttp10GetsNoChunks) {
  start();
  TestConnection head(port());
  head.send(request_text("HEAD", "/a") + request_text("GET", "/b"));
  EXPECT_EQ(head.read_answer(/*head_only=*/true).header("content-length"), "3");
  EXPECT_EQ(head.read_answer().body, "/b:");
  TestConnection old(port());
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  const TestAnswer answer = old.read_answer();
  EXPECT_EQ(answer.header("transfer-encoding"), "");
  EXPECT_EQ(answer.body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

TEST_F(HttpServerTest, RefusesBeforeTheBodyIsRead) {
  start();
  TestConnection connection(port());
  connection.send(
      "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(connection.read_answer().status, 401);
  EXPECT_TRUE(connection.ends());
}

TEST_F(HttpServerTest, SaysContinueToClientsThatWaitForIt) {
  start();
  TestConnection connection(port());
  connection.send(
      "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.read_answer(/*head_only=*/true).status, 100);
  connection.send("hi");
  EXPECT_EQ(connection.read_answer().body, "/a:hi");
}

TEST_F(HttpServerTest, ClientsThatSendTooSlowlyAreLetGo) {
  HttpLimits limits;
  limits.header_seconds = 0.3;
  limits.body_grace_seconds = 0.3;
  limits.idle_seconds = 0.3;
  start(limits);
  TestConnection silent(port()), half(port()), body(port()), idle(port());
  half.send("GET / HT");
  body.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
  idle.send(request_text("GET", "/a"));
  EXPECT_EQ(idle.read_answer().status, 200);
  EXPECT_TRUE(silent.ends());
  EXPECT_EQ(half.read_answer().status, 408);
  EXPECT_EQ(body.read_answer().status, 408);
  EXPECT_TRUE(idle.ends());
}

TEST_F(HttpServerTest, TakesOnlySoManyConnections) {
  HttpLimits limits;
  limits.connections_per_loopback = 3;
  start(limits);
  std::vector<std::unique_ptr<TestConnection>> held;
  for (int i = 0; i < 3; ++i) held.push_back(std::make_unique<TestConnection>(port()));
  ASSERT_TRUE(eventually([&] { return server_->counts().connections == 3; }));
  TestConnection refused(port());
  EXPECT_TRUE(refused.ends());
  held.clear();
  ASSERT_TRUE(eventually([&] { return server_->counts().connections == 0; }));
  EXPECT_EQ(ask(port(), "GET", "/a").status, 200);
  EXPECT_EQ(server_->counts().refused, 1);
}

TEST_F(HttpServerTest, NoticesClientsThatHangUp) {
  start();
  {
    TestConnection connection(port());
    connection.send(request_text("GET", "/hold"));
    ASSERT_TRUE(handler_.wait_for_held(0));
  }
  EXPECT_TRUE(eventually([&] { return handler_.gone == 1; }));
  EXPECT_FALSE(handler_.held[0]->write("x"));
  EXPECT_TRUE(eventually([&] { return handler_.incomplete == 1; }));
}

TEST_F(HttpServerTest, ASlowReaderIsCutAndHoldsNobody) {
  HttpLimits limits;
  limits.stream_buffer_bytes = 64 << 10;
  start(limits);
  TestConnection slow(port(), /*receive_buffer=*/4096);
  slow.send(request_text("GET", "/hold"));
  const auto exchange = handler_.wait_for_held(0);
  ASSERT_TRUE(exchange);
  exchange->begin_stream({});
  const std::string piece(16 << 10, 'x');
  int written = 0;
  while (written < 1000 && exchange->write(piece)) {
    ++written;
    // Time for the socket to take what it can: only what nobody reads may pile up.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LT(written, 1000) << "written without an end";
  EXPECT_EQ(ask(port(), "GET", "/a").status, 200);
  EXPECT_TRUE(eventually([&] { return handler_.gone == 1; }));
}

TEST_F(HttpServerTest, AStreamWrittenFromManyThreadsArrivesWholeAndInOrder) {
  start();
  TestConnection connection(port());
  connection.send(request_text("GET", "/hold"));
  const auto exchange = handler_.wait_for_held(0);
  ASSERT_TRUE(exchange);
  exchange->begin_stream({});
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    const std::string piece = std::to_string(i) + ",";
    expected += piece;
    std::thread([&] { EXPECT_TRUE(exchange->write(piece)); }).join();
  }
  exchange->finish();
  EXPECT_EQ(connection.read_answer().body, expected);
}

TEST_F(HttpServerTest, SilentStreamsCarryComments) {
  HttpLimits limits;
  limits.keep_alive_seconds = 0.1;
  start(limits);
  TestConnection connection(port());
  connection.send(request_text("GET", "/hold"));
  const auto exchange = handler_.wait_for_held(0);
  ASSERT_TRUE(exchange);
  HttpResponse head;
  head.content_type = "text/event-stream";
  exchange->begin_stream(head);
  EXPECT_TRUE(connection.read_until(": keep-alive"));
  exchange->finish();
}

TEST_F(HttpServerTest, StopsWithAnswersUnderWay) {
  start();
  TestConnection connection(port());
  connection.send(request_text("GET", "/hold"));
  ASSERT_TRUE(handler_.wait_for_held(0));
  server_->stop();
  EXPECT_TRUE(connection.ends());
  EXPECT_EQ(handler_.gone, 1);
  handler_.held[0]->respond({});
}

TEST(HttpServerOptions, AreChecked) {
  TestHandler handler;
  HttpServerOptions options;
  options.host = "example.org";
  EXPECT_THROW(HttpServer(options, handler), Error);
  options.host = "127.0.0.1";
  options.port = 70000;
  EXPECT_THROW(HttpServer(options, handler), Error);
  options.port = 0;
  options.tls_certificate = "/nowhere.pem";
  EXPECT_THROW(HttpServer(options, handler), Error);
  options.tls_key = "/nowhere.key";
  EXPECT_THROW(HttpServer(options, handler), Error);
}

}  // namespace
}  // namespace headgate

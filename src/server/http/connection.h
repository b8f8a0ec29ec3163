// One client's connection: reads requests, hands them over, sends the answers, keeps deadlines.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http/byte_stream.h"
#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "server/http/request_parser.h"

namespace headgate {

// What all connections of a server share. Thread rule: the I/O thread, but `post`.
struct ConnectionHost {
  HttpLimits limits;
  HttpHandler* handler = nullptr;
  std::function<void(std::function<void()>)> post;  // runs a task on the I/O thread
  bool draining = false;
  int64_t bodies_bytes = 0;  // held by all connections
};

// Thread rule: the I/O thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(std::unique_ptr<ByteStream> stream, std::string peer, bool secure,
             ConnectionHost& host);
  ~Connection();

  void start();
  // Looks at the deadlines; called about twice a second.
  void check(Clock::time_point now);
  void close();
  // Calls `action` once, when the connection has closed.
  void on_closed(std::function<void(const std::shared_ptr<Connection>&)> action);
  bool closed() const { return state_ == State::kClosed; }
  // Nothing is being read or answered.
  bool idle() const { return state_ == State::kIdle; }
  const std::string& peer() const { return peer_; }

 private:
  enum class State { kHandshake, kIdle, kHead, kBody, kAnswer, kLinger, kClosed };

  void next_request();
  void read_more();
  void on_read(bool ok, size_t bytes);
  void parse();
  bool on_head();  // false: the request was refused
  void on_request();
  void refuse(HttpResponse response);
  void flush();
  void send_head(HttpResponse& response, bool stream);
  void report(bool complete);
  const HttpRequest& current_request();
  void send_body(std::string_view bytes);
  void write_more();
  void on_written(bool ok, size_t bytes);
  void answer_done();
  void linger();
  void release_body();
  bool is_late(Clock::time_point now) const;
  void keep_alive(Clock::time_point now);

  std::unique_ptr<ByteStream> stream_;
  std::string peer_;
  bool secure_;
  ConnectionHost& host_;
  std::function<void(const std::shared_ptr<Connection>&)> closed_action_;
  State state_ = State::kHandshake;
  std::unique_ptr<RequestParser> parser_;
  std::shared_ptr<Exchange> exchange_;

  std::string input_;  // read and not used yet
  char read_buffer_[16384];
  bool reading_ = false;
  std::string output_;   // being written
  std::string waiting_;  // to be written next
  size_t written_ = 0;   // of output_
  bool writing_ = false;

  int status_ = 0;          // of the answer, once its head was sent
  bool head_only_ = false;  // the request was HEAD
  bool keep_open_ = false;  // after this answer
  bool chunked_ = false;
  bool streaming_ = false;
  bool event_stream_ = false;
  bool finished_ = false;       // the whole answer is in output_ and waiting_
  int64_t charged_bytes_ = 0;   // of host_.bodies_bytes
  Clock::time_point since_;     // when the state began
  Clock::time_point progress_;  // last time that something was sent
};

}  // namespace headgate

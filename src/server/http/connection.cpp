// The life of a connection as a state machine; no function here waits.
#include "server/http/connection.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace headgate {
namespace {

constexpr size_t kPipelinedBytes = 64 << 10;  // of further requests while one is answered
constexpr size_t kWriteBytes = 256 << 10;
constexpr double kLingerSeconds = 2;

double seconds_between(Connection::Clock::time_point from, Connection::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// A value that came from outside cannot begin another header.
std::string one_line(std::string_view value) {
  std::string out;
  for (const char c : value)
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  return out;
}

}  // namespace

Connection::Connection(std::unique_ptr<ByteStream> stream, std::string peer, bool secure,
                       ConnectionHost& host)
    : stream_(std::move(stream)),
      peer_(std::move(peer)),
      secure_(secure),
      host_(host),
      since_(Clock::now()),
      progress_(since_) {}

Connection::~Connection() { release_body(); }

void Connection::start() {
  const auto self = shared_from_this();
  stream_->handshake([self](bool ok) {
    if (self->closed()) return;
    if (!ok) return self->close();
    self->next_request();
    self->state_ = State::kHead;  // a new connection owes its first request soon
  });
}

void Connection::close() {
  if (closed()) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  stream_->close();
  release_body();
  if (exchange_ && status_ == 0) status_ = 499;  // gone before there was an answer
  report(/*complete=*/false);
  if (exchange_) {
    exchange_->set_wake(nullptr);
    exchange_->mark_gone();
    exchange_.reset();
  }
  if (closed_action_) closed_action_(self);
}

void Connection::on_closed(std::function<void(const std::shared_ptr<Connection>&)> action) {
  closed_action_ = std::move(action);
}

void Connection::release_body() {
  host_.bodies_bytes -= charged_bytes_;
  charged_bytes_ = 0;
}

// Ready for the next request, part of which may have been read already.
void Connection::next_request() {
  parser_ = std::make_unique<RequestParser>(host_.limits);
  exchange_.reset();
  release_body();
  streaming_ = event_stream_ = finished_ = chunked_ = head_only_ = false;
  since_ = Clock::now();
  state_ = State::kIdle;
  if (input_.empty()) {
    read_more();
  } else {
    parse();
  }
}

void Connection::read_more() {
  if (reading_ || closed()) return;
  reading_ = true;
  const auto self = shared_from_this();
  stream_->read_some(read_buffer_, sizeof read_buffer_,
                     [self](bool ok, size_t bytes) { self->on_read(ok, bytes); });
}

void Connection::on_read(bool ok, size_t bytes) {
  reading_ = false;
  if (closed()) return;
  if (!ok || bytes == 0) return close();  // also: a client that hung up before its answer came
  if (state_ == State::kLinger) return read_more();
  input_.append(read_buffer_, bytes);
  if (state_ == State::kAnswer) {
    if (input_.size() < kPipelinedBytes) read_more();
    return;
  }
  parse();
}

void Connection::parse() {
  if (state_ == State::kIdle && !input_.empty()) {
    state_ = State::kHead;
    since_ = Clock::now();
  }
  size_t offset = 0;
  while (state_ == State::kHead || state_ == State::kBody) {
    size_t used = 0;
    const auto status = parser_->feed(std::string_view(input_).substr(offset), &used);
    offset += used;
    if (status == RequestParser::Status::kNeedMore) break;
    if (status == RequestParser::Status::kFailed) {
      const RequestParser::Failure& failure = parser_->failure();
      return refuse(host_.handler->refusal(failure.status, failure.message));
    }
    if (status == RequestParser::Status::kHead) {
      if (!on_head()) return;
      continue;
    }
    input_.erase(0, offset);
    return on_request();
  }
  input_.erase(0, offset);
  read_more();
}

bool Connection::on_head() {
  HttpRequest& request = parser_->request();
  request.peer = peer_;
  request.secure = secure_;
  keep_open_ = parser_->keep_alive() && !host_.draining;
  chunked_ = !parser_->is_http_1_0();
  head_only_ = request.method == "HEAD";
  state_ = State::kBody;
  since_ = Clock::now();
  std::optional<HttpResponse> refusal = host_.handler->admit(request);
  const int64_t announced = parser_->body_bytes();
  if (!refusal && announced > host_.limits.body_bytes) {
    refusal = host_.handler->refusal(
        413, fmt::format("the request's body is too large: {} bytes, at most {}", announced,
                         host_.limits.body_bytes));
  }
  // A body of unknown length counts as it may become.
  const bool open_length = request.has_header("transfer-encoding");
  const int64_t charge = open_length ? host_.limits.body_bytes / 8 : announced;
  if (!refusal && host_.bodies_bytes + charge > host_.limits.bodies_bytes) {
    refusal = host_.handler->refusal(503, "too many large requests at once, try again soon");
    refusal->headers.emplace_back("retry-after", "1");
  }
  if (!refusal && request.has_header("expect") && !parser_->expects_continue())
    refusal = host_.handler->refusal(417, "Expect: only 100-continue is known");
  if (refusal) {
    refuse(std::move(*refusal));
    return false;
  }
  charged_bytes_ = charge;
  host_.bodies_bytes += charge;
  if (parser_->expects_continue() && !parser_->is_http_1_0())
    send_body("HTTP/1.1 100 Continue\r\n\r\n");
  return true;
}

void Connection::on_request() {
  state_ = State::kAnswer;
  progress_ = Clock::now();
  exchange_ =
      std::make_shared<Exchange>(std::move(parser_->request()), host_.limits.stream_buffer_bytes);
  const std::weak_ptr<Connection> weak = weak_from_this();
  ConnectionHost* host = &host_;
  exchange_->set_wake([weak, host] {
    host->post([weak] {
      if (const auto self = weak.lock()) self->flush();
    });
  });
  // Reading goes on while the answer is made: that is how a client that hangs up is noticed.
  if (input_.size() < kPipelinedBytes) read_more();
  host_.handler->handle(exchange_);
}

// Answers before or instead of a handler; nothing after this request can be trusted.
void Connection::refuse(HttpResponse response) {
  state_ = State::kAnswer;
  progress_ = Clock::now();
  keep_open_ = false;
  response.close = true;
  send_head(response, /*stream=*/false);
  if (!head_only_) waiting_ += response.body;
  finished_ = true;
  write_more();
}

// Moves what the handler has written on to the socket.
void Connection::flush() {
  if (closed() || !exchange_ || state_ != State::kAnswer) return;
  Exchange::Pending pending = exchange_->take();
  if (pending.aborted) return close();
  const size_t before = waiting_.size();
  if (pending.head) {
    progress_ = writing_ ? progress_ : Clock::now();
    send_head(pending.response, pending.stream);
    streaming_ = pending.stream;
    event_stream_ = streaming_ && pending.response.content_type.rfind("text/event-stream", 0) == 0;
    if (!pending.stream && !head_only_) waiting_ += pending.response.body;
  }
  if (!pending.bytes.empty() && !head_only_) send_body(pending.bytes);
  if (pending.finished) {
    if (streaming_ && chunked_ && !head_only_) waiting_ += "0\r\n\r\n";
    finished_ = true;
  }
  exchange_->add_in_flight(static_cast<int64_t>(waiting_.size() - before));
  write_more();
}

const HttpRequest& Connection::current_request() {
  return exchange_ ? exchange_->request() : parser_->request();
}

// Tells the handler how the answer ended, once.
void Connection::report(bool complete) {
  if (status_ == 0) return;
  Answered answer;
  answer.status = std::exchange(status_, 0);
  answer.seconds = seconds_between(since_, Clock::now());
  answer.complete = complete;
  if (exchange_) answer.notes = exchange_->notes();
  host_.handler->answered(current_request(), answer);
}

void Connection::send_head(HttpResponse& response, bool stream) {
  host_.handler->finish_head(current_request(), response);
  status_ = response.status;
  if (response.close || host_.draining) keep_open_ = false;
  if (stream && !chunked_) keep_open_ = false;  // HTTP/1.0: the end of the connection ends the body
  std::string& out = waiting_;
  out += fmt::format("HTTP/1.1 {} {}\r\n", response.status, status_text(response.status));
  if (!response.content_type.empty())
    out += fmt::format("content-type: {}\r\n", one_line(response.content_type));
  for (const auto& field : response.headers)
    out += fmt::format("{}: {}\r\n", one_line(field.first), one_line(field.second));
  if (!stream) {
    out += fmt::format("content-length: {}\r\n", response.body.size());
  } else if (chunked_) {
    out += "transfer-encoding: chunked\r\n";
  }
  out += keep_open_ ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
}

// Bytes of a body, framed where the answer is a stream.
void Connection::send_body(std::string_view bytes) {
  if (!streaming_ || !chunked_) {
    waiting_ += bytes;
    return write_more();
  }
  waiting_ += fmt::format("{:x}\r\n", bytes.size());
  waiting_ += bytes;
  waiting_ += "\r\n";
}

void Connection::write_more() {
  if (writing_ || closed()) return;
  if (written_ == output_.size()) {
    output_.clear();
    written_ = 0;
    output_.swap(waiting_);
  }
  if (output_.empty()) {
    if (finished_) answer_done();
    return;
  }
  writing_ = true;
  const auto self = shared_from_this();
  const std::string_view next = std::string_view(output_).substr(written_, kWriteBytes);
  stream_->write_some(next, [self](bool ok, size_t bytes) { self->on_written(ok, bytes); });
}

void Connection::on_written(bool ok, size_t bytes) {
  writing_ = false;
  if (closed()) return;
  if (!ok) return close();
  written_ += bytes;
  progress_ = Clock::now();
  if (exchange_) exchange_->add_in_flight(-static_cast<int64_t>(bytes));
  write_more();
}

void Connection::answer_done() {
  finished_ = false;
  report(/*complete=*/true);
  if (exchange_) exchange_->set_wake(nullptr);
  if (!keep_open_ || host_.draining) return linger();
  next_request();
}

// Closing a socket with unread input would make the kernel throw the answer away: so end writing,
// and read for a moment longer.
void Connection::linger() {
  state_ = State::kLinger;
  since_ = Clock::now();
  exchange_.reset();
  release_body();
  stream_->end_writing();
  if (host_.draining && input_.empty()) return close();
  input_.clear();
  read_more();
}

bool Connection::is_late(Clock::time_point now) const {
  const double seconds = seconds_between(since_, now);
  const HttpLimits& limits = host_.limits;
  switch (state_) {
    case State::kHandshake:
    case State::kHead:
      return seconds > limits.header_seconds;
    case State::kIdle:
      return seconds > limits.idle_seconds;
    case State::kBody: {
      // body_bytes() of an announced body is its length: time for all of it, and no more.
      const double bytes = static_cast<double>(parser_->body_bytes());
      return seconds > limits.body_grace_seconds + bytes / static_cast<double>(limits.body_rate);
    }
    case State::kAnswer:
      return writing_ && seconds_between(progress_, now) > limits.write_stall_seconds;
    case State::kLinger:
      return seconds > kLingerSeconds;
    case State::kClosed:
      return false;
  }
  return false;
}

void Connection::check(Clock::time_point now) {
  if (host_.draining && state_ == State::kIdle) return close();
  if (!is_late(now)) return keep_alive(now);
  const bool owes_request = state_ == State::kBody || (state_ == State::kHead && !input_.empty());
  if (owes_request) {
    refuse(host_.handler->refusal(408, "the request took too long to arrive"));
  } else {
    close();
  }
}

// Proxies cut silent streams: a comment, which clients skip, shows that the answer is on its way.
void Connection::keep_alive(Clock::time_point now) {
  if (state_ != State::kAnswer || !event_stream_ || finished_ || writing_ || head_only_) return;
  if (seconds_between(progress_, now) < host_.limits.keep_alive_seconds) return;
  const size_t before = waiting_.size();
  send_body(": keep-alive\n\n");
  if (exchange_) exchange_->add_in_flight(static_cast<int64_t>(waiting_.size() - before));
  write_more();
}

}  // namespace headgate

// One request and the answer to it, given whole or as a stream, from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace headgate {

// The link between the connection, which reads and writes the socket, and whoever answers. It
// outlives the connection where the answerer still holds it: writes then do nothing.
// Thread rule: every member may be called from any thread; request() is constant once the handler
// has it. An answer is either one respond(), or begin_stream(), writes and finish() in this order.
class Exchange {
 public:
  Exchange(HttpRequest request, int64_t buffer_limit);

  const HttpRequest& request() const { return request_; }

  void respond(HttpResponse response);
  // Sends the head; the body follows in pieces until finish().
  void begin_stream(HttpResponse head);
  // False when the client is gone, or reads so slowly that it was given up: stop working for it.
  bool write(std::string_view bytes);
  void finish();
  // Gives the answer up: the connection ends without a proper end of the stream.
  void abort();

  bool gone() const { return gone_.load(std::memory_order_relaxed); }
  bool answered() const;  // respond() or begin_stream() happened
  // Calls `action` once when the client goes before the answer is complete, at once where that has
  // happened already. Called on the connection's thread: be quick.
  void on_gone(std::function<void()> action);

  // Figures for the log line of this request.
  void note(std::string_view name, int64_t value);
  std::vector<std::pair<std::string, int64_t>> notes() const;

  // --- for the connection ---
  struct Pending {
    std::string bytes;  // body bytes to send, not framed
    bool head = false;  // `response` is to be sent first
    bool finished = false;
    bool aborted = false;
    HttpResponse response;
    bool stream = false;
  };
  // What came since the last call.
  Pending take();
  // `wake` is called whenever take() has something new; unset when the connection ends.
  void set_wake(std::function<void()> wake);
  // The client is gone; runs the actions of on_gone().
  void mark_gone();
  // Bytes handed to the connection and not yet sent.
  void add_in_flight(int64_t bytes) { in_flight_.fetch_add(bytes); }

 private:
  void wake_up();

  HttpRequest request_;
  int64_t buffer_limit_;
  std::atomic<bool> gone_{false};
  std::atomic<int64_t> in_flight_{0};
  mutable std::mutex mutex_;
  Pending pending_;
  bool answered_ = false;
  bool finished_ = false;
  bool wake_sent_ = false;
  std::function<void()> wake_;
  std::vector<std::function<void()>> gone_actions_;
  std::vector<std::pair<std::string, int64_t>> notes_;
};

}  // namespace headgate

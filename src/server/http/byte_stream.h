// A connected socket, plain or under TLS, as connections see it: no Asio type in sight.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace headgate {

// Thread rule: the I/O thread only; so are the calls of `done`. At most one read and one write at a
// time, and their memory must live until `done`. After close() no `done` reports success.
class ByteStream {
 public:
  using Done = std::function<void(bool ok, size_t bytes)>;
  virtual ~ByteStream() = default;

  // Does what must come before the first byte (TLS); plain sockets are ready at once.
  virtual void handshake(std::function<void(bool ok)> done) = 0;
  virtual void read_some(char* data, size_t size, Done done) = 0;
  virtual void write_some(std::string_view data, Done done) = 0;
  // Says that nothing more will be written.
  virtual void end_writing() = 0;
  virtual void close() = 0;
};

}  // namespace headgate

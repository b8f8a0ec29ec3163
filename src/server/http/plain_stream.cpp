// Plain TCP sockets, and the one place where Asio itself is compiled.
#include <boost/asio/impl/src.hpp>
#include <utility>

#include "server/http/asio_streams.h"

namespace headgate {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}

  void handshake(std::function<void(bool)> done) override { done(true); }

  void read_some(char* data, size_t size, Done done) override {
    socket_.async_read_some(
        boost::asio::buffer(data, size),
        [done = std::move(done)](error_code error, size_t bytes) { done(!error, bytes); });
  }

  void write_some(std::string_view data, Done done) override {
    socket_.async_write_some(
        boost::asio::buffer(data.data(), data.size()),
        [done = std::move(done)](error_code error, size_t bytes) { done(!error, bytes); });
  }

  void end_writing() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
};

}  // namespace

std::unique_ptr<ByteStream> make_plain_stream(tcp::socket socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace headgate

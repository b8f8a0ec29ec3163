// Sockets under TLS by OpenSSL.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <utility>

#include "base/error.h"
#include "server/http/asio_streams.h"

namespace headgate {

namespace ssl = boost::asio::ssl;

namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

class TlsStream : public ByteStream {
  using Stream = ssl::stream<tcp::socket>;

 public:
  TlsStream(tcp::socket socket, std::shared_ptr<ssl::context> context)
      : context_(std::move(context)),
        stream_(std::make_shared<Stream>(std::move(socket), *context_)) {}

  void handshake(std::function<void(bool)> done) override {
    stream_->async_handshake(ssl::stream_base::server,
                             [done = std::move(done)](error_code error) { done(!error); });
  }

  void read_some(char* data, size_t size, Done done) override {
    stream_->async_read_some(
        boost::asio::buffer(data, size),
        [done = std::move(done)](error_code error, size_t bytes) { done(!error, bytes); });
  }

  void write_some(std::string_view data, Done done) override {
    stream_->async_write_some(
        boost::asio::buffer(data.data(), data.size()),
        [done = std::move(done)](error_code error, size_t bytes) { done(!error, bytes); });
  }

  // close_notify is one small record: it fits the socket's buffer or the client is gone anyway, so
  // it goes out without waiting for the peer's own.
  void end_writing() override {
    stream_->async_shutdown([stream = stream_, context = context_](error_code) {});
  }

  void close() override {
    error_code ignored;
    stream_->next_layer().close(ignored);
  }

 private:
  std::shared_ptr<ssl::context> context_;
  std::shared_ptr<Stream> stream_;  // shared with a shutdown that outlives the connection
};

class Context : public TlsContext {
 public:
  explicit Context(std::shared_ptr<ssl::context> context) : context_(std::move(context)) {}

  std::unique_ptr<ByteStream> make_stream(tcp::socket socket) override {
    return std::make_unique<TlsStream>(std::move(socket), context_);
  }

 private:
  std::shared_ptr<ssl::context> context_;
};

}  // namespace

std::shared_ptr<TlsContext> load_tls(const std::string& certificate, const std::string& key) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                       ssl::context::no_sslv3 | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // Renegotiation lets a client make the server work for nothing.
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  error_code error;
  context->use_certificate_chain_file(certificate, error);
  if (error)
    fail(ErrorCode::kInvalidFile, "{}: no usable certificate: {}", certificate, error.message());
  context->use_private_key_file(key, ssl::context::pem, error);
  if (error) fail(ErrorCode::kInvalidFile, "{}: no usable private key: {}", key, error.message());
  if (SSL_CTX_check_private_key(context->native_handle()) != 1)
    fail(ErrorCode::kInvalidFile, "{}: the key does not belong to the certificate {}", key,
         certificate);
  const X509* leaf = SSL_CTX_get0_certificate(context->native_handle());
  if (leaf != nullptr && X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
    fail(ErrorCode::kInvalidFile, "{}: the certificate has expired: get a new one", certificate);
  return std::make_shared<Context>(std::move(context));
}

}  // namespace headgate

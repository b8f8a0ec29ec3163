// Asio's sockets behind ByteStream, plain and under TLS.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "server/http/byte_stream.h"

namespace headgate {

std::unique_ptr<ByteStream> make_plain_stream(boost::asio::ip::tcp::socket socket);

// A certificate with its key. Thread rule: as OpenSSL's SSL_CTX, shared by any number of streams.
class TlsContext {
 public:
  virtual ~TlsContext() = default;
  virtual std::unique_ptr<ByteStream> make_stream(boost::asio::ip::tcp::socket socket) = 0;
};

// TLS 1.2 and later. Throws kInvalidFile for PEM files that cannot be used, and for a certificate
// that has expired.
std::shared_ptr<TlsContext> load_tls(const std::string& certificate, const std::string& key);

}  // namespace headgate

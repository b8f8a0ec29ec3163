// The accepting socket, the I/O thread and the set of connections.
#include "server/http/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "server/http/asio_streams.h"
#include "server/http/connection.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kTick = std::chrono::milliseconds(500);

tcp::endpoint endpoint_of(const HttpServerOptions& options) {
  if (options.port < 0 || options.port > 65535)
    fail(ErrorCode::kInvalidArgument, "port: found {}, expected 0 to 65535", options.port);
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  error_code error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (error) {
    fail(ErrorCode::kInvalidArgument,
         "host: found {}, expected an address such as 127.0.0.1, 0.0.0.0, ::1 or ::", options.host);
  }
  return {address, static_cast<uint16_t>(options.port)};
}

}  // namespace

struct HttpServer::Data {
  HttpServerOptions options;
  ConnectionHost host;  // before `io`, whose last handlers still hold connections
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer timer{io};
  asio::steady_timer accept_pause{io};
  std::mutex tls_mutex;
  std::shared_ptr<TlsContext> tls;
  std::thread thread;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::unordered_map<std::string, int64_t> per_address;
  std::vector<std::function<void()>> tick_actions;
  std::atomic<int64_t> open{0}, accepted{0}, refused{0};
  int bound_port = 0;

  void listen();
  void accept_next();
  void on_accept(error_code error, tcp::socket socket);
  void add(tcp::socket socket, const std::string& peer);
  void tick();
  void forget(const std::shared_ptr<Connection>& connection);
};

void HttpServer::Data::listen() {
  const tcp::endpoint endpoint = endpoint_of(options);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  // "::" takes both kinds of addresses.
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot listen on {} port {}: {}", options.host, options.port,
         error.message());
  }
  bound_port = acceptor.local_endpoint().port();
}

void HttpServer::Data::accept_next() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    on_accept(error, std::move(socket));
  });
}

void HttpServer::Data::on_accept(error_code error, tcp::socket socket) {
  if (error) {
    // Out of file descriptors, usually: accepting again at once would only spin.
    accept_pause.expires_after(std::chrono::milliseconds(100));
    accept_pause.async_wait([this](error_code stopped) {
      if (!stopped && acceptor.is_open()) accept_next();
    });
    return;
  }
  ++accepted;
  error_code ignored;
  const tcp::endpoint remote = socket.remote_endpoint(ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  asio::ip::address address = remote.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  const std::string peer = address.to_string();
  const HttpLimits& limits = options.limits;
  const int64_t of_address =
      address.is_loopback() ? limits.connections_per_loopback : limits.connections_per_address;
  const auto found = per_address.find(peer);
  const int64_t open_here = found == per_address.end() ? 0 : found->second;
  if (open.load() >= limits.connections || open_here >= of_address) {
    ++refused;  // closed without a word: answering costs more than it is worth in a flood
    socket.close(ignored);
  } else {
    add(std::move(socket), peer);
  }
  accept_next();
}

void HttpServer::Data::add(tcp::socket socket, const std::string& peer) {
  std::shared_ptr<TlsContext> context;
  {
    const std::lock_guard lock(tls_mutex);
    context = tls;
  }
  std::unique_ptr<ByteStream> stream =
      context ? context->make_stream(std::move(socket)) : make_plain_stream(std::move(socket));
  auto connection = std::make_shared<Connection>(std::move(stream), peer, context != nullptr, host);
  connections.insert(connection);
  ++per_address[peer];
  ++open;
  connection->on_closed([this](const std::shared_ptr<Connection>& closed) { forget(closed); });
  connection->start();
}

void HttpServer::Data::forget(const std::shared_ptr<Connection>& connection) {
  if (connections.erase(connection) == 0) return;
  --open;
  const auto entry = per_address.find(connection->peer());
  if (entry != per_address.end() && --entry->second == 0) per_address.erase(entry);
}

void HttpServer::Data::tick() {
  timer.expires_after(kTick);
  timer.async_wait([this](error_code error) {
    if (!error) tick();
  });
  const auto now = Connection::Clock::now();
  // check() may close a connection, which takes it out of the set.
  const std::vector<std::shared_ptr<Connection>> all(connections.begin(), connections.end());
  for (const auto& connection : all) connection->check(now);
  for (const auto& action : tick_actions) action();
}

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler& handler)
    : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.options = options;
  d.host.limits = options.limits;
  d.host.handler = &handler;
  d.host.post = [&d](std::function<void()> task) { asio::post(d.io, std::move(task)); };
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    fail(ErrorCode::kInvalidArgument,
         "TLS needs both a certificate and its key: found one of them");
  }
  if (!options.tls_certificate.empty()) d.tls = load_tls(options.tls_certificate, options.tls_key);
  d.listen();
}

HttpServer::~HttpServer() { stop(); }

void HttpServer::start() {
  Data& d = *data_;
  d.accept_next();
  d.tick();
  d.thread = std::thread([&d] { d.io.run(); });
}

void HttpServer::drain() {
  Data& d = *data_;
  asio::post(d.io, [&d] {
    error_code ignored;
    d.acceptor.close(ignored);
    d.host.draining = true;
    const std::vector<std::shared_ptr<Connection>> all(d.connections.begin(), d.connections.end());
    for (const auto& connection : all)
      if (connection->idle()) connection->close();
  });
}

void HttpServer::stop() {
  Data& d = *data_;
  if (!d.thread.joinable()) return;
  asio::post(d.io, [&d] {
    error_code ignored;
    d.acceptor.close(ignored);
    d.timer.cancel();
    d.accept_pause.cancel();
    const std::vector<std::shared_ptr<Connection>> all(d.connections.begin(), d.connections.end());
    for (const auto& connection : all) connection->close();
    d.io.stop();
  });
  d.thread.join();
  // Handlers of operations that were under way hold connections.
  d.connections.clear();
}

void HttpServer::reload_tls() {
  Data& d = *data_;
  if (d.options.tls_certificate.empty()) return;
  auto fresh = load_tls(d.options.tls_certificate, d.options.tls_key);
  const std::lock_guard lock(d.tls_mutex);
  d.tls = std::move(fresh);
}

void HttpServer::set_limits(const HttpLimits& limits) {
  Data& d = *data_;
  asio::post(d.io, [&d, limits] { d.host.limits = d.options.limits = limits; });
}

int HttpServer::port() const { return data_->bound_port; }

HttpServerCounts HttpServer::counts() const {
  return {data_->open.load(), data_->accepted.load(), data_->refused.load()};
}

void HttpServer::on_tick(std::function<void()> action) {
  data_->tick_actions.push_back(std::move(action));
}

void HttpServer::post(std::function<void()> task) { asio::post(data_->io, std::move(task)); }

}  // namespace headgate

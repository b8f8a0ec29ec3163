// A small blocking HTTP client over plain sockets, so that tests send exactly the bytes they mean.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

namespace headgate {

struct TestAnswer {
  int status = 0;  // 0: the connection ended without an answer
  std::string head, body;
  // Value of a header (lower case), or an empty text.
  std::string header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class TestConnection {
 public:
  explicit TestConnection(int port, int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestConnection() { hang_up(); }
  TestConnection(const TestConnection&) = delete;
  TestConnection& operator=(const TestConnection&) = delete;

  bool connected() const { return connected_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  // More bytes into `input`; false when the connection ended or `seconds` are over.
  bool read_more(double seconds = 20) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(seconds * 1000)) <= 0) return false;
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    input.append(buffer, static_cast<size_t>(got));
    return true;
  }

  bool read_until(const std::string& mark, double seconds = 20) {
    while (input.find(mark) == std::string::npos)
      if (!read_more(seconds)) return false;
    return true;
  }

  // The end of the connection comes, whatever comes before it.
  bool ends(double seconds = 20) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (read_more(seconds))
      if (std::chrono::steady_clock::now() > deadline) return false;
    char byte;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
  }

  // One answer; a chunked body is put together.
  TestAnswer read_answer(bool head_only = false) {
    TestAnswer answer;
    if (!read_until("\r\n\r\n")) return answer;
    const size_t end = input.find("\r\n\r\n") + 4;
    answer.head = input.substr(0, end);
    input.erase(0, end);
    answer.status = std::stoi(answer.head.substr(9, 3));
    if (head_only || answer.status == 304 || answer.status == 204) return answer;
    if (answer.header("transfer-encoding") == "chunked") {
      read_chunks(answer);
    } else if (!answer.header("content-length").empty()) {
      const size_t length = std::stoul(answer.header("content-length"));
      while (input.size() < length && read_more()) {
      }
      answer.body = input.substr(0, length);
      input.erase(0, length);
    } else {
      while (read_more()) {
      }
      answer.body.swap(input);
    }
    return answer;
  }

  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  std::string input;  // read and not used yet

 private:
  void read_chunks(TestAnswer& answer) {
    while (read_until("\r\n")) {
      const size_t line = input.find("\r\n");
      const size_t size = std::stoul(input.substr(0, line), nullptr, 16);
      while (input.size() < line + 2 + size + 2)
        if (!read_more()) return;
      answer.body += input.substr(line + 2, size);
      input.erase(0, line + 2 + size + 2);
      if (size == 0) return;
    }
  }

  int fd_;
  bool connected_ = false;
};

inline std::string request_text(const std::string& method, const std::string& path,
                                const std::string& body = "", const std::string& headers = "") {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
  if (!body.empty())
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

inline TestAnswer ask(int port, const std::string& method, const std::string& path,
                      const std::string& body = "", const std::string& headers = "") {
  TestConnection connection(port);
  connection.send(request_text(method, path, body, headers));
  return connection.read_answer(method == "HEAD");
}

}  // namespace headgate

// One epoll loop over all connections.
#include "tests/server/load/load_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/error.h"
#include "base/random.h"
#include "tests/server/load/answer_reader.h"

namespace headgate {
namespace {

constexpr double kPauseAfterShed = 0.02;  // seconds
constexpr int64_t kMostGaps = 2000000;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Where a request is broken off.
struct Breach {
  size_t after_sent = SIZE_MAX;      // bytes of the request
  size_t after_received = SIZE_MAX;  // of the answer
  double at = 1e300;                 // time
  bool resets = false;               // or closes
};

// A connection and the request on it.
struct Slot {
  int fd = -1;
  bool busy = false;
  bool reused = false;  // the connection has served a request before
  size_t load_case = 0;
  size_t sent = 0, received = 0;
  double begun = 0, heard = 0, free_at = 0;
  std::optional<AnswerReader> reader;
  Breach breach;
};

class Load {
 public:
  Load(const std::vector<LoadCase>& cases, const LoadOptions& options)
      : cases_(cases), options_(options), slots_(static_cast<size_t>(options.streams)) {
    epoll_ = ::epoll_create1(0);
    if (epoll_ < 0) fail(ErrorCode::kIo, "epoll: cannot be made");
    for (const LoadCase& one : cases) {
      requests_.push_back(fmt::format(
          "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}"
          "Content-Length: {}\r\n\r\n{}",
          options.path, options.key.empty() ? "" : "Authorization: Bearer " + options.key + "\r\n",
          one.body.size(), one.body));
    }
  }
  ~Load() {
    for (Slot& slot : slots_) close(slot, false);
    ::close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  LoadReport run();

 private:
  void begin_some();
  bool begin(Slot& slot);
  bool connect(Slot& slot);
  void close(Slot& slot, bool reset);
  void watch(Slot& slot, uint32_t events, int operation);
  void on_events(Slot& slot, uint32_t events);
  void send_more(Slot& slot);
  void read_more(Slot& slot);
  void end(Slot& slot);
  void problem(const Slot& slot, const std::string& what);
  void check_times();
  bool breaks_off(Slot& slot);
  Breach choose_breach(size_t request_bytes);
  bool may_begin() const {
    return now() < begun_ + options_.seconds &&
           (options_.requests < 0 || report_.begun < options_.requests);
  }

  const std::vector<LoadCase>& cases_;
  const LoadOptions& options_;
  std::vector<std::string> requests_;
  std::vector<Slot> slots_;
  int epoll_ = -1;
  double begun_ = 0, due_ = 0;
  int64_t busy_ = 0;
  uint64_t random_ = 0;
  LoadReport report_;
};

Breach Load::choose_breach(size_t request_bytes) {
  Breach breach;
  if (!options_.aborts) return breach;
  const uint64_t bits = random_bits(options_.seed, 7, random_++);
  breach.resets = bits % 16 != 0;  // a close that is no reset keeps its port for a minute
  const uint64_t where = (bits >> 8) % 4, far = bits >> 16;
  if (where == 0) breach.after_sent = far % request_bytes;
  if (where == 1) breach.after_sent = request_bytes;
  if (where == 2) breach.after_received = 1 + far % 4000;
  if (where == 3) breach.at = now() + 0.03 * static_cast<double>(far % 1000) / 1000;
  return breach;
}

void Load::watch(Slot& slot, uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(&slot - slots_.data());
  ::epoll_ctl(epoll_, operation, slot.fd, &event);
}

bool Load::connect(Slot& slot) {
  slot.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (slot.fd < 0) fail(ErrorCode::kIo, "socket: cannot be made: error {}", errno);
  const int on = 1;
  ::setsockopt(slot.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(options_.port));
  ::inet_pton(AF_INET, options_.address.c_str(), &to.sin_addr);
  if (::connect(slot.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
      errno != EINPROGRESS) {
    ++report_.unconnected;
    ::close(slot.fd);
    slot.fd = -1;
    return false;
  }
  watch(slot, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
  return true;
}

void Load::close(Slot& slot, bool reset) {
  if (slot.fd < 0) return;
  if (reset) {
    const linger now_and_hard{1, 0};
    ::setsockopt(slot.fd, SOL_SOCKET, SO_LINGER, &now_and_hard, sizeof now_and_hard);
  }
  ::close(slot.fd);
  slot.fd = -1;
}

bool Load::begin(Slot& slot) {
  slot.load_case = static_cast<size_t>(report_.begun) % cases_.size();
  slot.sent = slot.received = 0;
  slot.begun = slot.heard = now();
  slot.reader.emplace();
  slot.breach = choose_breach(requests_[slot.load_case].size());
  slot.reused = slot.fd >= 0;
  if (slot.reused) {
    watch(slot, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  } else if (!connect(slot)) {
    slot.free_at = now() + kPauseAfterShed;
    return false;
  }
  slot.busy = true;
  ++busy_;
  ++report_.begun;
  return true;
}

void Load::begin_some() {
  const double time = now();
  if (options_.rate > 0) {
    for (; due_ <= time && may_begin(); due_ += 1 / options_.rate) {
      const auto free =
          std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return !s.busy; });
      if (free == slots_.end()) {
        ++report_.not_begun;
      } else {
        (void)begin(*free);
      }
    }
    return;
  }
  for (Slot& slot : slots_) {
    if (!slot.busy && slot.free_at <= time && may_begin()) (void)begin(slot);
  }
}

void Load::problem(const Slot& slot, const std::string& what) {
  if (report_.first_problem.empty())
    report_.first_problem = fmt::format("case {}: {}", slot.load_case, what);
}

// The request on this slot is over, well or not.
void Load::end(Slot& slot) {
  const AnswerReader& reader = *slot.reader;
  const LoadCase& one = cases_[slot.load_case];
  slot.busy = false;
  --busy_;
  if (reader.ended_well()) {
    const int64_t tokens = reader.tokens() >= 0 ? reader.tokens() : reader.events_with_text();
    ++report_.completed;
    report_.tokens += tokens;
    if (reader.first_text() >= 0)
      report_.first_seconds.push_back(static_cast<float>(reader.first_text() - slot.begun));
    if (static_cast<int64_t>(report_.gap_seconds.size()) < kMostGaps)
      report_.gap_seconds.insert(report_.gap_seconds.end(), reader.gaps().begin(),
                                 reader.gaps().end());
    if (one.checks &&
        (reader.text() != one.expected || (one.tokens >= 0 && tokens != one.tokens))) {
      ++report_.wrong;
      problem(slot, fmt::format("found {} tokens '{}', expected {} '{}'", tokens, reader.text(),
                                one.tokens, one.expected));
    }
  } else if (reader.complete() && (reader.status() == 429 || reader.status() == 503)) {
    ++report_.shed;
    if (!reader.has_retry_after()) ++report_.shed_without_retry_after;
    report_.shed_seconds.push_back(static_cast<float>(now() - slot.begun));
    slot.free_at = now() + kPauseAfterShed;
  } else if (reader.complete() && reader.status() != 200) {
    ++report_.refused;
    problem(slot, fmt::format("status {}: {}", reader.status(), reader.body()));
  } else {
    ++report_.incomplete;
    problem(slot, fmt::format("status {}, {} bytes, then nothing: {}", reader.status(),
                              slot.received, reader.body()));
  }
  if (!reader.complete() || !reader.keeps_alive()) close(slot, false);
}

bool Load::breaks_off(Slot& slot) {
  const Breach& breach = slot.breach;
  if (slot.sent < breach.after_sent && slot.received < breach.after_received && now() < breach.at)
    return false;
  close(slot, breach.resets);
  slot.busy = false;
  --busy_;
  ++report_.aborted;
  return true;
}

void Load::send_more(Slot& slot) {
  const std::string& request = requests_[slot.load_case];
  const size_t most = std::min(request.size(), slot.breach.after_sent);
  while (slot.sent < most) {
    const ssize_t count =
        ::send(slot.fd, request.data() + slot.sent, most - slot.sent, MSG_NOSIGNAL);
    if (count <= 0) return;  // not now, or never: then reading says so
    slot.sent += static_cast<size_t>(count);
  }
  watch(slot, EPOLLIN, EPOLL_CTL_MOD);
}

void Load::read_more(Slot& slot) {
  char buffer[65536];
  const ssize_t count = ::recv(slot.fd, buffer, sizeof buffer, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0 && slot.reused && slot.received == 0) {
    // The server let go of the connection just when the request came: another one, as clients do.
    close(slot, false);
    slot.reused = false;
    slot.sent = 0;
    if (!connect(slot)) end(slot);
    return;
  }
  if (count <= 0) {
    if (slot.received == 0 && count < 0 && slot.sent == 0) ++report_.unconnected;
    slot.reader->end_of_connection();
    return end(slot);
  }
  slot.received += static_cast<size_t>(count);
  slot.heard = now();
  try {
    slot.reader->add({buffer, static_cast<size_t>(count)}, slot.heard);
  } catch (const std::exception& error) {
    problem(slot, error.what());
    return end(slot);
  }
  if (slot.reader->complete()) end(slot);
}

void Load::on_events(Slot& slot, uint32_t events) {
  if (!slot.busy) return close(slot, false);  // the server let go of an idle connection
  if ((events & EPOLLOUT) != 0) send_more(slot);
  if (breaks_off(slot)) return;
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
  read_more(slot);
  if (slot.busy) (void)breaks_off(slot);
}

void Load::check_times() {
  const double time = now();
  for (Slot& slot : slots_) {
    if (!slot.busy) continue;
    if (time - slot.heard > options_.patience) {
      end(slot);
    } else {
      (void)breaks_off(slot);
    }
  }
}

LoadReport Load::run() {
  begun_ = due_ = now();
  epoll_event events[256];
  double checked = begun_;
  while (busy_ > 0 || may_begin()) {
    begin_some();
    const int count = ::epoll_wait(epoll_, events, 256, 1);
    for (int i = 0; i < count; ++i) on_events(slots_[events[i].data.u64], events[i].events);
    if (now() - checked < 0.002) continue;
    checked = now();
    check_times();
  }
  report_.seconds = now() - begun_;
  return std::move(report_);
}

}  // namespace

LoadReport run_load(const std::vector<LoadCase>& cases, const LoadOptions& options) {
  HEADGATE_CHECK(!cases.empty() && options.streams > 0);
  return Load(cases, options).run();
}

}  // namespace headgate

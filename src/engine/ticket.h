// A request on its way through the engine.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "engine/request.h"

namespace headgate {

using EngineClock = std::chrono::steady_clock;

inline double seconds_between(EngineClock::time_point from, EngineClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// What a share key has had; see FairShares.
struct ShareAccount {
  int64_t requests = 0;
  double served = 0;  // tokens
};

// Shared by the thread that submitted it (the flag) and the engine's (everything).
struct Ticket {
  Ticket(uint64_t number, Request asked, std::shared_ptr<RequestSink> receiver)
      : id(number),
        request(std::move(asked)),
        sink(std::move(receiver)),
        submitted(EngineClock::now()),
        open_choices(request.choices) {}

  bool expired(EngineClock::time_point now) const {
    return request.deadline.has_value() && *request.deadline <= now;
  }

  const uint64_t id;
  const Request request;
  std::shared_ptr<RequestSink> sink;
  const EngineClock::time_point submitted;
  std::atomic<bool> cancelled{false};

  // Engine's thread only.
  int32_t open_choices;  // without their finished() yet
  bool started = false;
  ShareAccount* account = nullptr;  // while FairShares knows it
  double fair_tag = 0;
};

}  // namespace headgate

// Who is next: what each share key has had, and an order of requests within it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/sequence.h"

namespace headgate {

// Keeps count of the tokens computed for every share key with work. A key that comes back starts
// level with the least served of the others: idling saves nothing up. Within a key, a request's tag
// is what the key had been served when it came plus its own prompt: short prompts pass long ones,
// and long ones are not passed for ever. Source of the idea: start-time fair queueing (Goyal et al.
// 1997).
class FairShares {
 public:
  void add(Ticket& ticket);     // came
  void remove(Ticket& ticket);  // ended
  static void serve(const Ticket& ticket, int64_t tokens);

  // Whether `a` goes before `b`: priority, key, tag, arrival.
  static bool before(const Sequence& a, const Sequence& b);

 private:
  std::map<std::string, ShareAccount> shares_;  // of keys with requests
};

}  // namespace headgate

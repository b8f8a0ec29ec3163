// Accounts of service by share key.
#include "engine/fair_shares.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace headgate {

void FairShares::add(Ticket& ticket) {
  const auto [at, fresh] = shares_.try_emplace(ticket.request.share_key);
  if (fresh) {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [key, share] : shares_) {
      if (share.requests > 0) least = std::min(least, share.served);
    }
    at->second.served = shares_.size() > 1 ? least : 0;
  }
  ++at->second.requests;
  ticket.account = &at->second;
  ticket.fair_tag = at->second.served + static_cast<double>(ticket.request.prompt.size());
}

void FairShares::remove(Ticket& ticket) {
  HEADGATE_CHECK(ticket.account != nullptr);
  if (--ticket.account->requests == 0) shares_.erase(ticket.request.share_key);
  ticket.account = nullptr;
}

void FairShares::serve(const Ticket& ticket, int64_t tokens) {
  if (ticket.account != nullptr) ticket.account->served += static_cast<double>(tokens);
}

bool FairShares::before(const Sequence& a, const Sequence& b) {
  if (a.request().priority != b.request().priority)
    return a.request().priority > b.request().priority;
  const double served_a = a.ticket->account->served, served_b = b.ticket->account->served;
  if (served_a != served_b) return served_a < served_b;
  if (a.ticket->fair_tag != b.ticket->fair_tag) return a.ticket->fair_tag < b.ticket->fair_tag;
  return a.outranks(b);
}

}  // namespace headgate

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
  ticket.fair_tag = at->second.served + static_cast<double>(ticket.request.prompt.size());
}

void FairShares::remove(const Ticket& ticket) {
  const auto at = shares_.find(ticket.request.share_key);
  HEADGATE_CHECK(at != shares_.end());
  if (--at->second.requests == 0) shares_.erase(at);
}

void FairShares::serve(const Ticket& ticket, int64_t tokens) {
  const auto at = shares_.find(ticket.request.share_key);
  HEADGATE_CHECK(at != shares_.end());
  at->second.served += static_cast<double>(tokens);
}

double FairShares::served(const Ticket& ticket) const {
  return shares_.at(ticket.request.share_key).served;
}

bool FairShares::before(const Sequence& a, const Sequence& b) const {
  if (a.request().priority != b.request().priority)
    return a.request().priority > b.request().priority;
  const double served_a = served(*a.ticket), served_b = served(*b.ticket);
  if (served_a != served_b) return served_a < served_b;
  if (a.ticket->fair_tag != b.ticket->fair_tag) return a.ticket->fair_tag < b.ticket->fair_tag;
  return a.outranks(b);
}

}  // namespace headgate

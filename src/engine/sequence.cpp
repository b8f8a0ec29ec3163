// Making sequences and ranking them.
#include "engine/sequence.h"

#include <utility>

namespace headgate {
namespace {

SamplingParams params_of_choice(const Request& request, int32_t choice) {
  SamplingParams params = request.sampling;
  params.seed += static_cast<uint64_t>(choice);
  return params;
}

}  // namespace

Sequence::Sequence(std::shared_ptr<Ticket> request_ticket, int32_t choice_index,
                   int64_t text_tokens)
    : ticket(std::move(request_ticket)),
      choice(choice_index),
      sampler(params_of_choice(ticket->request, choice_index), text_tokens),
      tokens(ticket->request.prompt),
      prompt_tokens(static_cast<int64_t>(tokens.size())) {
  sampler.add_prompt(tokens);
  if (request().constraint != nullptr) sampler.constrain(request().constraint->start());
  result.prompt_tokens = prompt_tokens;
}

bool Sequence::outranks(const Sequence& other) const {
  if (request().priority != other.request().priority)
    return request().priority > other.request().priority;
  if (ticket->id != other.ticket->id) return ticket->id < other.ticket->id;
  return choice < other.choice;
}

}  // namespace headgate

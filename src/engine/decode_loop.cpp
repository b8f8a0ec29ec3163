// Decoding with verified drafts; without drafts every round is one plain step.
#include "engine/decode_loop.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

DecodeLoop::DecodeLoop(Session::Data& session, const GenerationRequest& request,
                       GenerationResult& out)
    : session_(session),
      request_(request),
      out_(out),
      sampler_(request.sampling, session.text_tokens) {
  sampler_.add_prompt(request.prompt);
  if (request.constraint != nullptr) sampler_.constrain(request.constraint->start());
  if (session.drafting) session.drafts.begin(request.prompt);
  out_.drafts.drafted.assign(kMostDrafts, 0);
  out_.drafts.accepted.assign(kMostDrafts, 0);
}

void DecodeLoop::run() {
  const auto start = Clock::now();
  bool going = request_.max_tokens != 0;
  if (!going) out_.reason = FinishReason::kLength;
  if (going) going = may_continue() && emit(0);
  while (going && may_continue()) going = verify(draft());
  out_.decode_seconds = seconds_since(start);
}

bool DecodeLoop::may_continue() {
  if (request_.cancel == nullptr || !request_.cancel->load()) return true;
  out_.reason = FinishReason::kCancelled;
  return false;
}

bool DecodeLoop::emit(int64_t row) {
  const View logits = session_.last_logits();
  const SampledToken sampled = sampler_.sample({logits.row(row), static_cast<size_t>(logits.cols)});
  const auto& stops = request_.stop_tokens;
  if (std::find(stops.begin(), stops.end(), sampled.token) != stops.end()) return false;
  out_.tokens.push_back(sampled.token);
  if (session_.drafting) session_.drafts.add_token(sampled.token);
  if (request_.on_token && !request_.on_token(sampled)) return false;
  // Only the end could follow: no step is needed to hear it.
  if (sampler_.constraint() != nullptr && sampler_.constraint()->is_complete()) return false;
  const auto generated = static_cast<int64_t>(out_.tokens.size());
  if (out_.prompt_tokens + generated >= session_.room()) {
    out_.reason = FinishReason::kContext;
    return false;
  }
  if (generated != request_.max_tokens) return true;
  out_.reason = FinishReason::kLength;
  return false;
}

std::vector<int32_t> DecodeLoop::draft() {
  if (!session_.drafting) return {};
  const auto generated = static_cast<int64_t>(out_.tokens.size());
  int64_t limit = session_.room() - out_.prompt_tokens - generated - 1;
  if (request_.max_tokens >= 0) limit = std::min(limit, request_.max_tokens - generated - 1);
  limit = std::min(limit, session_.state.shape().recurrent_layers > 0
                              ? session_.state.shape().deferred_rows - 1
                              : kMostDrafts);
  if (limit <= 0) return {};

  SequenceDrafts::Plan plan = session_.drafts.plan(limit, session_.costs, out_.drafts);
  if (plan.from_module == 0) {
    if (session_.module != nullptr)
      session_.drafts.rest(session_.module->keeps_up(1, session_.costs.step_seconds(1)));
    return std::move(plan.drafts);
  }
  DraftModule::Chain chain{session_.drafts.drafter(), &sampler_, plan.from_module};
  const auto start = Clock::now();
  const double seconds = session_.module->draft({&chain, 1});
  session_.costs.record_drafts(static_cast<int64_t>(chain.drafts.size()), seconds);
  out_.drafts.draft_seconds += seconds_since(start);
  return std::move(chain.drafts);
}

bool DecodeLoop::verify(const std::vector<int32_t>& drafts) {
  const auto count = static_cast<int64_t>(drafts.size());
  const auto before = static_cast<int64_t>(session_.held.size());
  std::vector<int32_t> tokens{out_.tokens.back()};
  tokens.insert(tokens.end(), drafts.begin(), drafts.end());
  const auto start = Clock::now();
  session_.step(tokens, LogitRows::kAll, /*deferred=*/count > 0);
  session_.costs.record_step(count + 1, seconds_since(start));
  ++out_.drafts.steps;

  int64_t accepted = 0;
  bool going = emit(0);
  while (going && accepted < count && out_.tokens.back() == drafts[static_cast<size_t>(accepted)]) {
    ++accepted;
    going = emit(accepted);
  }
  if (count == 0) return going;
  session_.keep_rows(before + 1 + accepted);
  session_.drafts.record(count, accepted, /*ended=*/!going, out_.drafts);
  return going;
}

}  // namespace headgate

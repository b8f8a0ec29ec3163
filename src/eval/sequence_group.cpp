// Timed steps over several sequences, and what their routing costs.
#include "eval/sequence_group.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Tokens [from, from + count) of the text of one sequence.
std::vector<int32_t> random_text(const Model& model, size_t sequence, int64_t from, int64_t count) {
  const auto vocabulary = static_cast<double>(model.config().vocabulary);
  std::vector<int32_t> text(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double u = random_uniform(1, 2 + sequence, static_cast<uint64_t>(from + i));
    text[static_cast<size_t>(i)] = static_cast<int32_t>(u * vocabulary);
  }
  return text;
}

SequenceState required(std::optional<SequenceState> state) {
  if (!state) fail(ErrorCode::kResourceExhausted, "bench: no room for the state of a sequence");
  return std::move(*state);
}

}  // namespace

SequenceGroup::SequenceGroup(const Model& model, StatePool& pool, int64_t sequences, int64_t chunk)
    : model_(&model), chunk_(chunk) {
  HEADGATE_CHECK(sequences > 0 && chunk > 0);
  for (int64_t i = 0; i < sequences; ++i) states_.push_back(required(pool.create()));
}

SequenceGroup::SequenceGroup(const Model& model, int64_t chunk, std::vector<SequenceState> states)
    : model_(&model), chunk_(chunk), states_(std::move(states)) {}

SequenceGroup SequenceGroup::fork() const {
  std::vector<SequenceState> states;
  for (const SequenceState& state : states_) states.push_back(required(state.fork()));
  return {*model_, chunk_, std::move(states)};
}

void SequenceGroup::reserve(int64_t tokens) {
  for (SequenceState& state : states_) {
    if (!state.reserve(tokens))
      fail(ErrorCode::kResourceExhausted, "bench: no room for {} more tokens", tokens);
  }
}

double SequenceGroup::prefill(int64_t tokens) {
  double seconds = 0;
  for (size_t s = 0; s < states_.size(); ++s) {
    SequenceState& state = states_[s];
    const std::vector<int32_t> text = random_text(*model_, s, state.position(), tokens);
    const Clock::time_point start = Clock::now();
    for (int64_t done = 0; done < tokens; done += chunk_) {
      const int64_t now = std::min(chunk_, tokens - done);
      if (!state.reserve(now))
        fail(ErrorCode::kResourceExhausted, "bench: no room for {} more tokens", now);
      const BatchItem item{
          &state, std::span(text).subspan(static_cast<size_t>(done), static_cast<size_t>(now)),
          done + now == tokens ? LogitRows::kLast : LogitRows::kNone};
      model_->forward({&item, 1}, result_);
    }
    seconds += seconds_since(start);
  }
  return seconds;
}

double SequenceGroup::decode(int64_t tokens) {
  const int64_t from = position();
  std::vector<std::vector<int32_t>> texts;
  for (size_t s = 0; s < states_.size(); ++s)
    texts.push_back(random_text(*model_, s, from, tokens));
  std::vector<BatchItem> items(states_.size());
  const Clock::time_point start = Clock::now();
  for (int64_t i = 0; i < tokens; ++i) {
    reserve(1);
    for (size_t s = 0; s < states_.size(); ++s)
      items[s] = {&states_[s], std::span(texts[s]).subspan(static_cast<size_t>(i), 1),
                  LogitRows::kLast};
    model_->forward(items, result_);
  }
  return seconds_since(start);
}

double SequenceGroup::distinct_experts() const {
  SequenceGroup copy = fork();
  copy.reserve(1);
  std::vector<std::vector<int32_t>> texts;
  for (size_t s = 0; s < copy.states_.size(); ++s)
    texts.push_back(random_text(*model_, s, position(), 1));
  std::vector<BatchItem> items;
  for (size_t s = 0; s < copy.states_.size(); ++s)
    items.push_back({&copy.states_[s], texts[s], LogitRows::kNone});
  int64_t layers = 0, experts = 0;
  model_->forward(items, copy.result_, [&](std::string_view name, View value) {
    if (!name.ends_with("topk_index")) return;
    std::set<float> ids;
    for (int64_t t = 0; t < value.rows; ++t) ids.insert(value.row(t), value.row(t) + value.cols);
    ++layers;
    experts += static_cast<int64_t>(ids.size());
  });
  return layers == 0 ? 0 : static_cast<double>(experts) / static_cast<double>(layers);
}

int64_t group_bytes(const StateShape& shape, int64_t sequences, int64_t tokens) {
  const int64_t pages = tokens / shape.kv.page_tokens + 2;
  return sequences * (pages * shape.page_bytes() + shape.recurrent_bytes());
}

}  // namespace headgate

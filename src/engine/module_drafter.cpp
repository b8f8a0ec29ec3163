// Feeding pairs to the drafting module, and chains of drafts.
#include "engine/module_drafter.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kWorthAStep = 64;  // pairs

StatePool make_pool(const Model& model, DType kv_dtype, int64_t context, int64_t page_tokens) {
  const StateShape shape = model.mtp_state_shape(kv_dtype, page_tokens);
  const int64_t pages = (context + kWorthAStep) / page_tokens + 2;
  return StatePool(shape, pages * shape.page_bytes());
}

SequenceState make_state(StatePool& pool) {
  std::optional<SequenceState> made = pool.create();
  HEADGATE_CHECK(made.has_value());  // attention only: an empty sequence takes nothing
  return std::move(*made);
}

}  // namespace

ModuleDrafter::ModuleDrafter(const Model& model, DType kv_dtype, int64_t context,
                             int64_t page_tokens)
    : model_(model),
      pool_(make_pool(model, kv_dtype, context, page_tokens)),
      state_(make_state(pool_)) {}

int64_t ModuleDrafter::pairs() const {
  const auto rows = static_cast<int64_t>(hidden_.size()) / model_.config().hidden_size;
  return std::min(rows, static_cast<int64_t>(tokens_.size()));
}

void ModuleDrafter::add_hidden(View hidden) {
  HEADGATE_CHECK(hidden.cols == model_.config().hidden_size);
  for (int64_t row = 0; row < hidden.rows; ++row)
    hidden_.insert(hidden_.end(), hidden.row(row), hidden.row(row) + hidden.cols);
}

void ModuleDrafter::add_tokens(std::span<const int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void ModuleDrafter::feed(int64_t count, LogitRows logits) {
  const int64_t size = model_.config().hidden_size;
  if (!state_.reserve(count)) {
    fail(ErrorCode::kResourceExhausted,
         "cache of the drafting module: no room for {} more tokens after {}", count,
         state_.position());
  }
  model_.mtp_forward(state_, std::span(tokens_).first(static_cast<size_t>(count)),
                     {hidden_.data(), count, size}, logits, result_);
  tokens_.erase(tokens_.begin(), tokens_.begin() + count);
  hidden_.erase(hidden_.begin(), hidden_.begin() + count * size);
}

void ModuleDrafter::catch_up() {
  if (const int64_t count = pairs(); count >= kWorthAStep) feed(count, LogitRows::kNone);
}

void ModuleDrafter::rewind(int64_t position, std::span<const float> last_hidden) {
  const int64_t wanted = std::max<int64_t>(position - 1, 0);  // pairs whose token is still known
  const auto size = static_cast<size_t>(model_.config().hidden_size);
  const auto waiting = static_cast<size_t>(std::max<int64_t>(wanted - state_.position(), 0));
  HEADGATE_CHECK(static_cast<int64_t>(waiting) <= pairs());
  state_.rewind(wanted);
  tokens_.resize(waiting);
  hidden_.resize(waiting * size);
  if (position == 0) return;
  if (last_hidden.empty()) {
    hidden_.resize(hidden_.size() + size, 0.0f);
  } else {
    HEADGATE_CHECK(last_hidden.size() == size);
    hidden_.insert(hidden_.end(), last_hidden.begin(), last_hidden.end());
  }
}

bool ModuleDrafter::ready() const {
  return !tokens_.empty() &&
         hidden_.size() == tokens_.size() * static_cast<size_t>(model_.config().hidden_size);
}

std::vector<int32_t> ModuleDrafter::draft(int64_t count, Sampler& sampler) {
  HEADGATE_CHECK(ready());
  std::vector<int32_t> drafts;
  feed(pairs(), LogitRows::kLast);
  const int64_t verified = state_.position();
  while (true) {
    try {
      drafts.push_back(sampler.draft(result_.logits));
    } catch (const Error&) {
      break;  // a constraint allows nothing after the drafts so far: the text ends there
    }
    if (static_cast<int64_t>(drafts.size()) == count) break;
    if (!state_.reserve(1)) break;  // the context is nearly full: shorter chains
    const int64_t size = model_.config().hidden_size;
    const auto rows = static_cast<int64_t>(result_.hidden.size()) / size;
    const View last{result_.hidden.data() + (rows - 1) * size, 1, size};
    model_.mtp_forward(state_, std::span(drafts).last(1), last, LogitRows::kLast, result_);
  }
  sampler.uncount(static_cast<int64_t>(drafts.size()));
  state_.rewind(verified);
  return drafts;
}

}  // namespace headgate

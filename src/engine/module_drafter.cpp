// Feeding pairs to the drafting module, and chains of drafts.
#include "engine/module_drafter.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kPageTokens = 256;
constexpr size_t kMostGroups = 512;  // of rare tokens that a text has
// Ids right below the end of the text's: tokens that end turns and open tool calls stand there.
constexpr int64_t kLastIds = 32;
// Share of the time of plain steps that following a text may take while nothing is drafted.
constexpr double kUnnoticed = 0.005;
constexpr double kNewest = 0.2;  // weight of the latest measurement

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

SequenceState make_state(StatePool& pool) {
  std::optional<SequenceState> made = pool.create();
  HEADGATE_CHECK(made.has_value());  // attention only: an empty sequence takes nothing
  return std::move(*made);
}

// Leaves the k largest.
void keep_largest(std::span<float> logits, int64_t k) {
  if (k <= 0 || k >= static_cast<int64_t>(logits.size())) return;
  std::vector<float> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float least = sorted[static_cast<size_t>(k - 1)];
  for (float& logit : logits) {
    if (logit < least) logit = -std::numeric_limits<float>::infinity();
  }
}

}  // namespace

DraftModule::DraftModule(const Model& model, int64_t text_tokens, DType kv_dtype,
                         int64_t budget_bytes, const DraftOptions& options)
    : model_(model),
      text_tokens_(text_tokens),
      options_(options),
      pool_(model.mtp_state_shape(kv_dtype, kPageTokens), budget_bytes) {
  // A part is worth its trouble where it leaves most of the head out.
  constexpr int64_t kGroup = VocabularyPart::kGroup;
  const int64_t leading = options.vocabulary / kGroup * kGroup;
  if (leading > 0 && 2 * leading <= model.config().vocabulary) part_.leading = leading;
}

bool DraftModule::keeps_up(int64_t sequences, double step_seconds) const {
  return pair_seconds_ * static_cast<double>(sequences) <= kUnnoticed * step_seconds;
}

void DraftModule::forward(std::span<const MtpItem> items, LogitRows logits) {
  ++passes_;
  if (logits != LogitRows::kNone) return model_.mtp_forward(items, logits, result_, &part_);
  const auto start = Clock::now();
  model_.mtp_forward(items, logits, result_);
  int64_t pairs = 0;
  for (const MtpItem& item : items) pairs += item.hidden.rows;
  if (pairs < ModuleDrafter::kWorthAPass) return;
  const double each = seconds_since(start) / static_cast<double>(pairs);
  pair_seconds_ = pair_seconds_ == 0 ? each : pair_seconds_ + kNewest * (each - pair_seconds_);
}

bool DraftModule::reserve(SequenceState& state, int64_t pairs) {
  while (!state.reserve(pairs)) {
    if (!make_room_ || !make_room_()) return false;
  }
  return true;
}

void DraftModule::choose_tokens(std::span<const Chain> chains) {
  if (part_.leading == 0) return;
  std::vector<int32_t>& groups = part_.groups;
  groups.clear();
  for (const Chain& chain : chains) {
    const std::vector<int32_t>& own = chain.drafter->groups_;
    groups.insert(groups.end(), own.begin(), own.end());
  }
  constexpr int64_t kGroup = VocabularyPart::kGroup;
  for (int64_t id = text_tokens_ - kLastIds; id < text_tokens_; ++id) {
    if (id >= part_.leading && (id / kGroup + 1) * kGroup <= model_.config().vocabulary)
      groups.push_back(static_cast<int32_t>(id / kGroup));
  }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
}

int64_t DraftModule::token_at(int64_t column) const {
  if (part_.leading == 0 || column < part_.leading) return column;
  constexpr int64_t kGroup = VocabularyPart::kGroup;
  const int64_t at = column - part_.leading;
  return part_.groups[static_cast<size_t>(at / kGroup)] * kGroup + at % kGroup;
}

std::span<const float> DraftModule::spread(std::span<const float> logits) {
  if (part_.leading == 0 && options_.top_k == 0) return logits;
  row_.assign(static_cast<size_t>(model_.config().vocabulary),
              -std::numeric_limits<float>::infinity());
  for (size_t column = 0; column < logits.size(); ++column)
    row_[static_cast<size_t>(token_at(static_cast<int64_t>(column)))] = logits[column];
  keep_largest(std::span(row_).first(static_cast<size_t>(text_tokens_)), options_.top_k);
  return row_;
}

bool DraftModule::draw(Chain& chain, int64_t row) {
  const auto width = static_cast<size_t>(result_.vocabulary);
  const std::span<const float> logits =
      std::span<const float>(result_.logits).subspan(static_cast<size_t>(row) * width, width);
  if (chain.sampler->is_plain_greedy()) {
    // The likeliest token is found where the logits lie; ids ascend with columns.
    int64_t end = static_cast<int64_t>(width);
    while (end > 0 && token_at(end - 1) >= text_tokens_) --end;
    chain.drafts.push_back(static_cast<int32_t>(token_at(argmax(logits, end))));
    chain.sampler->count(chain.drafts.back());
    return true;
  }
  try {
    chain.drafts.push_back(chain.sampler->draft(spread(logits)));
  } catch (const Error&) {
    return false;  // a constraint allows nothing after the drafts so far: the text ends there
  }
  return true;
}

double DraftModule::draft(std::span<Chain> chains) {
  const auto start = Clock::now();
  choose_tokens(chains);
  items_.clear();
  std::vector<Chain*> going;
  std::vector<int64_t> verified;
  int64_t rested = 0;  // pairs that would have been fed before
  for (Chain& chain : chains) {
    ModuleDrafter& d = *chain.drafter;
    HEADGATE_CHECK(chain.count > 0 && d.ready());
    const int64_t pairs = d.pairs();
    if (!reserve(d.state_, pairs)) {
      d.skip(pairs);
      continue;
    }
    if (pairs > kMostDrafts + 1) rested += pairs - 1;
    items_.push_back(
        {&d.state_, d.tokens_, {d.hidden_.data(), pairs, hidden_size()}, d.stretched_});
    going.push_back(&chain);
  }
  const std::vector<Chain*> drafting = going;
  for (bool first = true; !going.empty(); first = false) {
    forward(items_, LogitRows::kLast);
    std::vector<Chain*> next;
    std::vector<MtpItem> items;
    for (size_t i = 0; i < going.size(); ++i) {
      Chain& chain = *going[i];
      ModuleDrafter& d = *chain.drafter;
      const auto row = static_cast<int64_t>(i);
      if (first) {
        d.drop_pairs(items_[i].hidden.rows);
        verified.push_back(d.state_.position());
      }
      // A context or budget that is nearly full makes shorter chains.
      if (!draw(chain, row) || static_cast<int64_t>(chain.drafts.size()) == chain.count ||
          !reserve(d.state_, 1))
        continue;
      next.push_back(&chain);
      items.push_back({&d.state_,
                       std::span<const int32_t>(chain.drafts).last(1),
                       {result_.hidden.data() + row * hidden_size(), 1, hidden_size()},
                       d.stretched_});
    }
    going = std::move(next);
    items_ = std::move(items);
  }
  for (size_t i = 0; i < drafting.size(); ++i) {
    drafting[i]->sampler->uncount(static_cast<int64_t>(drafting[i]->drafts.size()));
    drafting[i]->drafter->state_.rewind(verified[i]);
  }
  const double seconds = seconds_since(start);
  return std::max(seconds - static_cast<double>(rested) * pair_seconds_, seconds / 2);
}

ModuleDrafter::ModuleDrafter(DraftModule& module, bool stretched)
    : module_(module), stretched_(stretched), state_(make_state(module.pool_)) {}

int64_t ModuleDrafter::pairs() const {
  const auto rows = static_cast<int64_t>(hidden_.size()) / module_.hidden_size();
  return std::min(rows, static_cast<int64_t>(tokens_.size()));
}

void ModuleDrafter::note(std::span<const int32_t> tokens) {
  const VocabularyPart& part = module_.part_;
  if (part.leading == 0) return;
  constexpr int64_t kGroup = VocabularyPart::kGroup;
  for (const int32_t token : tokens) {
    const auto group = static_cast<int32_t>(token / kGroup);
    if (token < part.leading || (group + 1) * kGroup > module_.model_.config().vocabulary) continue;
    const auto at = std::lower_bound(groups_.begin(), groups_.end(), group);
    if (at != groups_.end() && *at == group) continue;
    if (groups_.size() == kMostGroups) return;
    groups_.insert(at, group);
  }
}

void ModuleDrafter::add_hidden(View hidden) {
  HEADGATE_CHECK(hidden.cols == module_.hidden_size());
  for (int64_t row = 0; row < hidden.rows; ++row)
    hidden_.insert(hidden_.end(), hidden.row(row), hidden.row(row) + hidden.cols);
  if (hidden.rows == 0) return;
  const float* last = hidden.row(hidden.rows - 1);
  last_hidden_.assign(last, last + hidden.cols);
}

void ModuleDrafter::add_tokens(std::span<const int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void ModuleDrafter::drop_pairs(int64_t count) {
  tokens_.erase(tokens_.begin(), tokens_.begin() + count);
  hidden_.erase(hidden_.begin(), hidden_.begin() + count * module_.hidden_size());
}

void ModuleDrafter::skip(int64_t count) {
  drop_pairs(count);
  skipped_ += state_.position() + count;
  state_.rewind(0);
}

void ModuleDrafter::rest() {
  if (pairs() >= 2 * kRemembered) skip(pairs() - kRemembered);
}

void ModuleDrafter::catch_up(int64_t least) {
  const int64_t count = pairs();
  if (count == 0 || count < least) return;
  if (!module_.reserve(state_, count)) return skip(count);
  const MtpItem item{&state_,
                     std::span(tokens_).first(static_cast<size_t>(count)),
                     {hidden_.data(), count, module_.hidden_size()},
                     stretched_};
  module_.forward({&item, 1}, LogitRows::kNone);
  drop_pairs(count);
}

void ModuleDrafter::rewind(int64_t position, std::span<const float> last_hidden) {
  const int64_t wanted = std::max<int64_t>(position - 1, 0);  // pairs whose token is still known
  const auto size = static_cast<size_t>(module_.hidden_size());
  const int64_t fed = wanted - skipped_, waiting = std::max<int64_t>(fed - state_.position(), 0);
  // What is known lies behind that, or before it with a gap: it starts anew.
  const bool known = fed >= 0 && waiting <= pairs();
  if (!known) skipped_ = wanted;
  state_.rewind(known ? fed : 0);
  tokens_.resize(known ? static_cast<size_t>(waiting) : 0);
  hidden_.resize(tokens_.size() * size);
  last_hidden_.assign(last_hidden.begin(), last_hidden.end());
  if (position == 0) return;
  if (last_hidden.empty()) {
    hidden_.resize(hidden_.size() + size, 0.0f);
  } else {
    HEADGATE_CHECK(last_hidden.size() == size);
    hidden_.insert(hidden_.end(), last_hidden.begin(), last_hidden.end());
  }
}

bool ModuleDrafter::adopt(const Snapshot& pairs, int64_t position,
                          std::span<const float> last_hidden) {
  HEADGATE_CHECK(pairs.position() >= position - 1 && tokens_.empty() && hidden_.empty());
  if (!state_.restore(pairs)) return false;
  rewind(position, last_hidden);
  return true;
}

void ModuleDrafter::begin_as(const ModuleDrafter& other) {
  groups_ = other.groups_;
  std::optional<SequenceState> state = other.state_.fork();
  if (!state) return;
  state_ = std::move(*state);
  skipped_ = other.skipped_;
  hidden_ = other.hidden_;
  tokens_ = other.tokens_;
  last_hidden_ = other.last_hidden_;
}

std::optional<Snapshot> ModuleDrafter::snapshot_at(int64_t pairs) const {
  std::optional<SequenceState> copy = state_.fork();
  if (!copy) return std::nullopt;
  copy->rewind(pairs);
  return std::move(*copy).freeze();
}

bool ModuleDrafter::ready() const {
  return !tokens_.empty() &&
         hidden_.size() == tokens_.size() * static_cast<size_t>(module_.hidden_size());
}

}  // namespace headgate

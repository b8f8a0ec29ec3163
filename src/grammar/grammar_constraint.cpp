// The machine and masks that all sequences of a grammar share, and the places of the sequences.
#include "grammar/grammar_constraint.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "grammar/token_masks.h"

namespace headgate {
namespace {

constexpr int64_t kStateMaskBytes = int64_t{64} << 20;
constexpr int64_t kSetMaskBytes = int64_t{8} << 20;

// Whole masks by set: the same text position of another sequence, or the inside of a string.
class MaskStore {
 public:
  // False where it is not known.
  bool load(int32_t set, std::span<uint64_t> mask) const {
    const auto found = masks_.find(set);
    if (found == masks_.end()) return false;
    const Mask& known = found->second;
    std::fill(mask.begin(), mask.end(), 0);
    if (known.dense.empty()) {
      for (const int32_t token : known.tokens) {
        const auto word = static_cast<size_t>(token / 64);
        if (word < mask.size()) mask[word] |= uint64_t{1} << (token % 64);
      }
    } else {
      std::copy_n(known.dense.begin(), std::min(mask.size(), known.dense.size()), mask.begin());
    }
    return true;
  }

  void keep(int32_t set, std::span<const uint64_t> mask) {
    if (bytes_ > kSetMaskBytes) clear();
    Mask made;
    size_t count = 0;
    for (const uint64_t word : mask) count += static_cast<size_t>(std::popcount(word));
    if (count <= mask.size()) {
      for (size_t i = 0; i < mask.size(); ++i) {
        for (uint64_t word = mask[i]; word != 0; word &= word - 1)
          made.tokens.push_back(static_cast<int32_t>(i) * 64 + std::countr_zero(word));
      }
    } else {
      made.dense.assign(mask.begin(), mask.end());
    }
    bytes_ += static_cast<int64_t>(made.tokens.size() * 4 + made.dense.size() * 8 + 120);
    masks_[set] = std::move(made);
  }

  void clear() {
    masks_.clear();
    bytes_ = 0;
  }
  int64_t bytes() const { return bytes_; }

 private:
  struct Mask {
    std::vector<uint64_t> dense;  // one of the two
    std::vector<int32_t> tokens;
  };
  std::unordered_map<int32_t, Mask> masks_;
  int64_t bytes_ = 0;
};

// A machine with the masks of its sets.
struct Generation {
  explicit Generation(const std::shared_ptr<const Automaton>& automaton) : machine(automaton) {}
  SetMachine machine;
  MaskStore masks;
};

}  // namespace

// Everything behind the lock: it is held for a mask or a token at a time, and sequences of one
// engine never meet there.
class GrammarConstraint::Core {
 public:
  Core(const Grammar& grammar, std::shared_ptr<const TokenTrie> token_trie,
       const GrammarOptions& options)
      : trie(std::move(token_trie)), machine_bytes(options.machine_bytes) {
    const auto start = std::chrono::steady_clock::now();
    WorkBudget budget("grammar");
    automaton = std::make_shared<const Automaton>(grammar, budget);
    masks = std::make_unique<TokenMasks>(automaton, trie);
    newest = std::make_shared<Generation>(automaton);
    if (options.prepare) masks->prepare(newest->machine);
    figures.rules = static_cast<int64_t>(automaton->rules().size());
    figures.states = automaton->states();
    figures.compile_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void fill(Generation& generation, int32_t set, std::span<uint64_t> mask) {
    if (generation.masks.load(set, mask)) return;
    if (masks->bytes() > kStateMaskBytes) masks->clear();
    const auto words = static_cast<size_t>(mask_words(trie->vocabulary()));
    scratch_.assign(words, 0);
    masks->add(generation.machine, set, scratch_);
    if (generation.machine.may_end(set)) {
      for (const int32_t token : trie->end_tokens()) {
        if (token >= 0 && token < trie->vocabulary())
          scratch_[static_cast<size_t>(token / 64)] |= uint64_t{1} << (token % 64);
      }
    }
    generation.masks.keep(set, scratch_);
    std::fill(mask.begin(), mask.end(), 0);
    std::copy_n(scratch_.begin(), std::min(words, mask.size()), mask.begin());
  }

  int32_t step(SetMachine& machine, int32_t set, int32_t token) {
    const std::vector<int32_t>& named = automaton->named_tokens();
    if (std::binary_search(named.begin(), named.end(), token)) {
      const int32_t next = machine.step_token(set, token);
      if (next != SetMachine::kDead) return next;
    }
    const std::string_view bytes = trie->bytes(token);
    if (bytes.empty()) return SetMachine::kDead;
    for (const char c : bytes) {
      set = machine.step(set, static_cast<uint8_t>(c));
      if (set == SetMachine::kDead) break;
    }
    return set;
  }

  // The generation to go on with: a fresh one where the newest has grown too large.
  std::shared_ptr<Generation> current() {
    if (newest->machine.bytes() > machine_bytes) newest = std::make_shared<Generation>(automaton);
    return newest;
  }

  std::mutex mutex;
  std::shared_ptr<const TokenTrie> trie;
  int64_t machine_bytes;
  std::shared_ptr<const Automaton> automaton;
  std::unique_ptr<TokenMasks> masks;
  std::shared_ptr<Generation> newest;
  GrammarFigures figures;

 private:
  std::vector<uint64_t> scratch_;
};

class GrammarConstraint::State : public ConstraintState {
 public:
  explicit State(std::shared_ptr<Core> core)
      : core_(std::move(core)), move_at_(core_->machine_bytes) {
    const std::lock_guard lock(core_->mutex);
    generation_ = core_->current();
    sets_.push_back(generation_->machine.start());
  }
  State(const State&) = default;

  bool fill_mask(std::span<uint64_t> mask) override {
    const std::lock_guard lock(core_->mutex);
    if (ended_ == 0) {
      core_->fill(*generation_, sets_.back(), mask);
    } else {
      std::fill(mask.begin(), mask.end(), 0);
      for (const int32_t token : core_->trie->end_tokens()) {
        const auto word = static_cast<size_t>(token / 64);
        if (token >= 0 && word < mask.size()) mask[word] |= uint64_t{1} << (token % 64);
      }
    }
    return std::any_of(mask.begin(), mask.end(), [](uint64_t word) { return word != 0; });
  }

  bool accept(int32_t token) override {
    const std::lock_guard lock(core_->mutex);
    if (ended_ > 0 || core_->trie->is_end(token)) {
      if (!core_->trie->is_end(token)) return false;
      if (ended_ == 0 && !generation_->machine.may_end(sets_.back())) return false;
      ++ended_;
      return true;
    }
    const int32_t next = core_->step(generation_->machine, sets_.back(), token);
    if (next == SetMachine::kDead) return false;
    sets_.push_back(next);
    if (generation_->machine.bytes() > move_at_) move_on();
    return true;
  }

  bool may_end() const override {
    const std::lock_guard lock(core_->mutex);
    return ended_ > 0 || generation_->machine.may_end(sets_.back());
  }

  bool is_complete() const override {
    const std::lock_guard lock(core_->mutex);
    const SetMachine& machine = generation_->machine;
    return ended_ > 0 || (machine.may_end(sets_.back()) && !machine.goes_on(sets_.back()));
  }

  int64_t accepted() const override { return static_cast<int64_t>(sets_.size()) - 1 + ended_; }

  void rewind(int64_t tokens) override {
    HEADGATE_CHECK(tokens >= 0 && tokens <= accepted());
    const int64_t ends = std::min(ended_, tokens);
    ended_ -= ends;
    sets_.resize(sets_.size() - static_cast<size_t>(tokens - ends));
  }

  std::unique_ptr<ConstraintState> fork() const override { return std::make_unique<State>(*this); }

  std::string explain() const override {
    const std::lock_guard lock(core_->mutex);
    if (ended_ > 0) return "the text has ended";
    SetMachine& machine = generation_->machine;
    std::string out = fmt::format("after {} tokens, expected", sets_.size() - 1);
    const std::vector<uint8_t> bytes = machine.first_bytes(sets_.back());
    if (bytes.size() > 64) {
      out += fmt::format(" one of {} bytes", bytes.size());
    } else if (!bytes.empty()) {
      out += " one of";
      for (const uint8_t byte : bytes)
        out += byte > 0x20 && byte < 0x7f ? fmt::format(" {}", static_cast<char>(byte))
                                          : fmt::format(" 0x{:02x}", byte);
    }
    for (const int32_t token : core_->automaton->named_tokens()) {
      if (machine.step_token(sets_.back(), token) != SetMachine::kDead)
        out += fmt::format(" {}", core_->trie->added_name(token));
    }
    if (machine.may_end(sets_.back())) {
      out += core_->trie->end_tokens().empty() ? " the end, for which no token is known"
                                               : " or the end";
    }
    return out;
  }

 private:
  // Takes the whole history to a machine that has room: what it needs of the old one is little.
  void move_on() {
    const std::shared_ptr<Generation> next = core_->current();
    if (next == generation_) return;
    std::unordered_map<int32_t, int32_t> nodes, sets;
    for (int32_t& set : sets_) {
      const auto [known, is_new] = sets.emplace(set, 0);
      if (is_new) known->second = next->machine.import_set(generation_->machine, set, nodes);
      set = known->second;
    }
    generation_ = next;
    // A history that needs this much by itself must not move with every token.
    move_at_ = std::max(core_->machine_bytes, 2 * generation_->machine.bytes());
  }

  std::shared_ptr<Core> core_;
  std::shared_ptr<Generation> generation_;
  std::vector<int32_t> sets_;  // before the first token, then after each
  int64_t ended_ = 0;          // end tokens accepted
  int64_t move_at_;
};

GrammarConstraint::GrammarConstraint(const Grammar& grammar, std::shared_ptr<const TokenTrie> trie,
                                     const GrammarOptions& options)
    : core_(std::make_shared<Core>(grammar, std::move(trie), options)) {}

GrammarConstraint::~GrammarConstraint() = default;

std::unique_ptr<ConstraintState> GrammarConstraint::start() const {
  return std::make_unique<State>(core_);
}

int64_t GrammarConstraint::memory_bytes() const {
  const std::lock_guard lock(core_->mutex);
  return core_->automaton->memory_bytes() + core_->masks->bytes() + core_->newest->machine.bytes() +
         core_->newest->masks.bytes();
}

GrammarFigures GrammarConstraint::figures() const { return core_->figures; }

bool GrammarConstraint::matches(std::string_view text) const {
  const std::lock_guard lock(core_->mutex);
  SetMachine machine(core_->automaton);
  int32_t set = machine.start();
  for (const char c : text) {
    if (set == SetMachine::kDead) return false;
    set = machine.step(set, static_cast<uint8_t>(c));
  }
  return set != SetMachine::kDead && machine.may_end(set);
}

}  // namespace headgate

// From the rules of a grammar to trimmed automata: heights by Dijkstra's search, then renumbering.
#include "grammar/automaton.h"

#include <algorithm>
#include <limits>
#include <map>
#include <queue>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
constexpr int64_t kMostCounts = int64_t{1} << 30;
constexpr int64_t kMostStates = 400'000;

}  // namespace

// The steps of the constructor.
class Automaton::Builder {
 public:
  Builder(const Grammar& grammar, WorkBudget& budget, Automaton& out)
      : grammar_(grammar), budget_(budget), out_(out) {}

  void run() {
    determinize_rules();
    find_heights();
    if (rule_heights_[static_cast<size_t>(grammar_.root())] == kNever) {
      fail(ErrorCode::kInvalidArgument, "the grammar fits no text at all: rule {} cannot end",
           grammar_.rules()[static_cast<size_t>(grammar_.root())].name);
    }
    number_states();
    find_nullable();
    find_codes();
    number_counts();
    find_classes();
  }

 private:
  struct Item {
    int32_t height, index;
    bool is_rule;
    bool operator>(const Item& other) const { return height > other.height; }
  };

  void determinize_rules() {
    for (const Grammar::Rule& rule : grammar_.rules()) {
      HEADGATE_CHECK(rule.start >= 0 || rule.body >= 0);
      first_.push_back(static_cast<int32_t>(owner_.size()));
      dfas_.emplace_back();
      if (rule.body < 0)
        dfas_.back() = determinize(grammar_.nfa(), rule.start, rule.accept, budget_);
      owner_.resize(owner_.size() + dfas_.back().states.size(),
                    static_cast<int32_t>(dfas_.size()) - 1);
      if (static_cast<int64_t>(owner_.size()) > kMostStates) {
        fail(ErrorCode::kInvalidArgument, "the grammar needs more than {} states", kMostStates);
      }
    }
  }

  const Dfa::State& state(int32_t index) const {
    const auto rule = static_cast<size_t>(owner_[static_cast<size_t>(index)]);
    return dfas_[rule].states[static_cast<size_t>(index - first_[rule])];
  }

  // The height of a rule is the least number of calls that are open at once on the way through it;
  // kNever where there is no way.
  void find_heights() {
    const auto states = owner_.size();
    heights_.assign(states, kNever);
    rule_heights_.assign(dfas_.size(), kNever);
    sources_.resize(states);
    callers_.resize(dfas_.size());
    repeats_.resize(dfas_.size());
    for (size_t s = 0; s < states; ++s) add_sources(static_cast<int32_t>(s));
    for (size_t r = 0; r < dfas_.size(); ++r) {
      const Grammar::Rule& rule = grammar_.rules()[r];
      if (rule.body < 0) continue;
      if (rule.min == 0) queue_.push({0, static_cast<int32_t>(r), true});
      repeats_[static_cast<size_t>(rule.body)].push_back(static_cast<int32_t>(r));
    }
    while (!queue_.empty()) {
      const Item item = queue_.top();
      queue_.pop();
      budget_.spend(1);
      int32_t& height = (item.is_rule ? rule_heights_ : heights_)[static_cast<size_t>(item.index)];
      if (height != kNever) continue;
      height = item.height;
      if (item.is_rule) {
        settle_rule(item);
      } else {
        settle_state(item);
      }
    }
  }

  void add_sources(int32_t s) {
    const int32_t first = first_[static_cast<size_t>(owner_[static_cast<size_t>(s)])];
    if (state(s).accepting) queue_.push({0, s, false});
    for (const Dfa::Range& range : state(s).ranges)
      sources_[static_cast<size_t>(first + range.target)].push_back({-1, s});
    for (const Dfa::Call& token : state(s).tokens)
      sources_[static_cast<size_t>(first + token.target)].push_back({-1, s});
    for (const Dfa::Call& call : state(s).calls) {
      sources_[static_cast<size_t>(first + call.target)].push_back({call.rule, s});
      callers_[static_cast<size_t>(call.rule)].push_back({first + call.target, s});
    }
  }

  void settle_state(const Item& item) {
    for (const auto& [rule, source] : sources_[static_cast<size_t>(item.index)]) {
      if (rule < 0) {
        queue_.push({item.height, source, false});
      } else if (rule_heights_[static_cast<size_t>(rule)] != kNever) {
        const int32_t inside = rule_heights_[static_cast<size_t>(rule)] + 1;
        queue_.push({std::max(item.height, inside), source, false});
      }
    }
    const int32_t rule = owner_[static_cast<size_t>(item.index)];
    if (item.index == first_[static_cast<size_t>(rule)]) queue_.push({item.height, rule, true});
  }

  void settle_rule(const Item& item) {
    for (const auto& [target, source] : callers_[static_cast<size_t>(item.index)]) {
      const int32_t behind = heights_[static_cast<size_t>(target)];
      if (behind != kNever) queue_.push({std::max(behind, item.height + 1), source, false});
    }
    for (const int32_t repeat : repeats_[static_cast<size_t>(item.index)])
      queue_.push({item.height + 1, repeat, true});
  }

  // Copies what can be completed.
  void number_states() {
    std::vector<int32_t> numbers(owner_.size(), -1);
    int32_t next = 0;
    for (size_t s = 0; s < owner_.size(); ++s)
      if (heights_[s] != kNever) numbers[s] = next++;
    const auto number = [&](int32_t first, int32_t target) {
      return numbers[static_cast<size_t>(first + target)];
    };
    for (size_t s = 0; s < owner_.size(); ++s) {
      if (numbers[s] < 0) continue;
      const Dfa::State& from = state(static_cast<int32_t>(s));
      const int32_t first = first_[static_cast<size_t>(owner_[s])];
      add_state(owner_[s], heights_[s], from.accepting);
      for (const Dfa::Range& range : from.ranges)
        if (const int32_t to = number(first, range.target); to >= 0)
          out_.ranges_.push_back({range.low, range.high, to});
      for (const Dfa::Call& call : from.calls) {
        const int32_t to = number(first, call.target);
        if (to >= 0 && rule_heights_[static_cast<size_t>(call.rule)] != kNever)
          out_.calls_.push_back({call.rule, to});
      }
      for (const Dfa::Call& token : from.tokens)
        if (const int32_t to = number(first, token.target); to >= 0)
          out_.tokens_.push_back({token.rule, to});
    }
    add_state(0, 0, false);  // the end of the last one
    out_.states_end_ = next;
    for (const Dfa::Call& token : out_.tokens_) out_.named_tokens_.push_back(token.rule);
    std::sort(out_.named_tokens_.begin(), out_.named_tokens_.end());
    out_.named_tokens_.erase(std::unique(out_.named_tokens_.begin(), out_.named_tokens_.end()),
                             out_.named_tokens_.end());
    for (size_t r = 0; r < dfas_.size(); ++r) {
      const Grammar::Rule& rule = grammar_.rules()[r];
      Rule to;
      to.name = rule.name;
      to.height = rule_heights_[r];
      to.body = rule.body;
      to.min = rule.min;
      to.max = rule.max;
      if (rule.body < 0 && to.height != kNever) to.start = numbers[static_cast<size_t>(first_[r])];
      if (rule.body >= 0 && rule_heights_[static_cast<size_t>(rule.body)] == kNever) to.max = 0;
      out_.rules_.push_back(std::move(to));
    }
    out_.root_ = grammar_.root();
  }

  void add_state(int32_t rule, int32_t height, bool accepting) {
    State to;
    to.ranges = static_cast<int32_t>(out_.ranges_.size());
    to.calls = static_cast<int32_t>(out_.calls_.size());
    to.tokens = static_cast<int32_t>(out_.tokens_.size());
    to.rule = rule;
    to.height = height;
    to.accepting = accepting;
    out_.states_.push_back(to);
  }

  // Which rules can be read without reading anything. An empty turn of a repetition is never
  // needed, so one with such a body counts from zero.
  void find_nullable() {
    for (bool changed = true; changed;) {
      changed = false;
      for (Rule& rule : out_.rules_) {
        if (rule.nullable || rule.height == kNever) continue;
        budget_.spend(8);
        const bool now = rule.body >= 0 ? rule.min == 0 || out_.rule(rule.body).nullable
                                        : reads_nothing(rule.start);
        if (!now) continue;
        rule.nullable = changed = true;
        rule.min = 0;
      }
    }
  }

  bool reads_nothing(int32_t start) {
    std::vector<int32_t> open{start}, seen{start};
    while (!open.empty()) {
      const int32_t s = open.back();
      open.pop_back();
      if (out_.state(s).accepting) return true;
      for (const Dfa::Call& call : out_.calls(s)) {
        budget_.spend(1);
        if (!out_.rule(call.rule).nullable) continue;
        if (std::find(seen.begin(), seen.end(), call.target) != seen.end()) continue;
        seen.push_back(call.target);
        open.push_back(call.target);
      }
    }
    return false;
  }

  void find_codes() {
    for (size_t r = 0; r < dfas_.size(); ++r) {
      Rule& rule = out_.rules_[r];
      rule.prefix_code = rule.body < 0 && rule.height != kNever && !dfas_[r].overlapping;
    }
    for (int32_t s = 0; s < out_.states_end_; ++s) {
      Rule& rule = out_.rules_[static_cast<size_t>(out_.state(s).rule)];
      const bool fits = out_.calls(s).empty() && out_.tokens(s).empty() &&
                        (!out_.state(s).accepting || out_.ranges(s).empty());
      if (!fits || (s == rule.start && out_.state(s).accepting)) rule.prefix_code = false;
    }
  }

  void number_counts() {
    int64_t next = out_.states_end_;
    for (const Rule& rule : out_.rules_) {
      out_.virtual_begin_.push_back(static_cast<int32_t>(next));
      if (rule.body >= 0) next += int64_t{1} + (rule.max == kUnbounded ? rule.min : rule.max);
      if (next > kMostCounts) {
        fail(ErrorCode::kInvalidArgument, "the counts of all repetitions together exceed {}",
             kMostCounts);
      }
    }
    out_.virtual_begin_.push_back(static_cast<int32_t>(next));
  }

  void find_classes() {
    std::array<bool, 257> border{};
    for (const Dfa::Range& range : out_.ranges_) {
      border[range.low] = true;
      border[range.high + 1] = true;
    }
    int32_t at = 0;
    for (size_t byte = 0; byte < 256; ++byte) {
      if (byte > 0 && border[byte]) ++at;
      out_.byte_classes_[byte] = static_cast<uint8_t>(at);
    }
    out_.classes_ = at + 1;
  }

  const Grammar& grammar_;
  WorkBudget& budget_;
  Automaton& out_;
  std::vector<Dfa> dfas_;       // by rule; of repetitions empty
  std::vector<int32_t> first_;  // by rule: the number of its start state
  std::vector<int32_t> owner_;  // by state
  std::vector<int32_t> heights_, rule_heights_;
  std::vector<std::vector<std::pair<int32_t, int32_t>>> sources_;  // by state: rule or -1, source
  std::vector<std::vector<std::pair<int32_t, int32_t>>> callers_;  // by rule: target, source
  std::vector<std::vector<int32_t>> repeats_;                      // by rule: who repeats it
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue_;
};

Automaton::Automaton(const Grammar& grammar, WorkBudget& budget) {
  Builder(grammar, budget, *this).run();
}

Automaton::Place Automaton::place(int32_t virtual_state) const {
  const auto next = std::upper_bound(virtual_begin_.begin(), virtual_begin_.end(), virtual_state);
  const auto rule = static_cast<int32_t>(next - virtual_begin_.begin()) - 1;
  return {rule, virtual_state - virtual_begin_[static_cast<size_t>(rule)]};
}

int32_t Automaton::virtual_state(int32_t rule, int32_t count) const {
  const Rule& r = this->rule(rule);
  if (r.max == kUnbounded) count = std::min(count, r.min);
  return virtual_begin_[static_cast<size_t>(rule)] + count;
}

int32_t Automaton::start_of(int32_t index) const {
  return rule(index).body >= 0 ? virtual_state(index, 0) : rule(index).start;
}

std::span<const Dfa::Range> Automaton::ranges(int32_t s) const {
  return std::span(ranges_).subspan(static_cast<size_t>(state(s).ranges),
                                    static_cast<size_t>(state(s + 1).ranges - state(s).ranges));
}

std::span<const Dfa::Call> Automaton::calls(int32_t s) const {
  return std::span(calls_).subspan(static_cast<size_t>(state(s).calls),
                                   static_cast<size_t>(state(s + 1).calls - state(s).calls));
}

std::span<const Dfa::Call> Automaton::tokens(int32_t s) const {
  return std::span(tokens_).subspan(static_cast<size_t>(state(s).tokens),
                                    static_cast<size_t>(state(s + 1).tokens - state(s).tokens));
}

bool Automaton::accepting(int32_t s) const {
  if (!is_virtual(s)) return state(s).accepting;
  const Place at = place(s);
  return at.count >= rule(at.rule).min;
}

bool Automaton::only_accepts(int32_t s) const {
  if (is_virtual(s)) {
    const Place at = place(s);
    return at.count == rule(at.rule).max;
  }
  const State& here = state(s);
  const State& next = state(s + 1);
  return here.accepting && here.ranges == next.ranges && here.calls == next.calls &&
         here.tokens == next.tokens;
}

int32_t Automaton::height(int32_t s) const {
  if (!is_virtual(s)) return state(s).height;
  const Place at = place(s);
  return at.count >= rule(at.rule).min ? 0 : rule(rule(at.rule).body).height + 1;
}

int64_t Automaton::memory_bytes() const {
  return static_cast<int64_t>(states_.size() * sizeof(State) + ranges_.size() * sizeof(Dfa::Range) +
                              (calls_.size() + tokens_.size()) * sizeof(Dfa::Call) +
                              rules_.size() * sizeof(Rule));
}

}  // namespace headgate

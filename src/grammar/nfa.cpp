// Building automata, and the subset construction.
#include "grammar/nfa.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/error.h"

namespace headgate {

void WorkBudget::exhausted() const {
  fail(ErrorCode::kInvalidArgument, "{}: too complex to compile", what_);
}

int32_t Nfa::new_state() {
  heads_.push_back(-1);
  return states() - 1;
}

void Nfa::add(Edge edge, int32_t from) {
  int32_t& head = heads_[static_cast<size_t>(from)];
  edge.next = head;
  head = static_cast<int32_t>(edges_.size());
  edges_.push_back(edge);
}

int32_t Nfa::add_literal(int32_t from, std::string_view text) {
  for (const char c : text) {
    const int32_t to = new_state();
    add_range(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), to);
    from = to;
  }
  return from;
}

void Nfa::add_utf8(int32_t from, const CodePointSet& set, int32_t to) {
  // Equal endings share their states: [80-bf] before `to` exists once.
  std::map<uint64_t, int32_t> endings;
  for (const ByteSequence& sequence : utf8_sequences(set)) {
    int32_t target = to;
    uint64_t key = 0;
    for (int i = sequence.length - 1; i > 0; --i) {
      const ByteSequence::Range range = sequence.bytes[static_cast<size_t>(i)];
      key = key << 16 | uint64_t{range.first} << 8 | range.last;
      const auto [found, is_new] = endings.emplace(key, -1);
      if (is_new) {
        found->second = new_state();
        add_range(found->second, range.first, range.last, target);
      }
      target = found->second;
    }
    add_range(from, sequence.bytes[0].first, sequence.bytes[0].last, target);
  }
}

namespace {

using Subset = std::vector<int32_t>;

struct SubsetHash {
  size_t operator()(const Subset& subset) const {
    uint64_t h = subset.size();
    for (const int32_t state : subset) h = (h ^ static_cast<uint32_t>(state)) * 0x9e3779b97f4a7c15u;
    return static_cast<size_t>(h ^ (h >> 29));
  }
};

class Determinizer {
 public:
  Determinizer(const Nfa& nfa, int32_t accept, WorkBudget& budget)
      : nfa_(nfa), accept_(accept), budget_(budget) {}

  // False when there would be more than `most` subsets.
  bool run(int32_t start, int64_t most) {
    id_of({start});
    for (size_t i = 0; i < subsets_.size(); ++i) {
      if (static_cast<int64_t>(subsets_.size()) > most) return false;
      expand(static_cast<int32_t>(i));
    }
    return true;
  }

  // The automaton as it is, without its epsilon edges.
  void keep_subsets_single(int32_t start) {
    single_ = true;
    dfa_.overlapping = true;
    id_of({start});
    for (size_t i = 0; i < subsets_.size(); ++i) expand(static_cast<int32_t>(i));
  }

  Dfa take() { return std::move(dfa_); }

 private:
  void close(Subset& subset) {
    Subset open = subset;
    subset.clear();
    while (!open.empty()) {
      const int32_t state = open.back();
      open.pop_back();
      if (!marks_.emplace(state, round_).second) {
        if (marks_[state] == round_) continue;
        marks_[state] = round_;
      }
      subset.push_back(state);
      for (int32_t e = nfa_.first_edge(state); e >= 0; e = nfa_.edge(e).next) {
        budget_.spend(1);
        if (nfa_.edge(e).kind == Nfa::Kind::kEpsilon) open.push_back(nfa_.edge(e).target);
      }
    }
    ++round_;
    std::sort(subset.begin(), subset.end());
  }

  int32_t id_of(Subset targets) {
    if (!single_ || targets.size() > 1) {
      std::sort(targets.begin(), targets.end());
      targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
    }
    const auto [found, is_new] =
        ids_.emplace(std::move(targets), static_cast<int32_t>(subsets_.size()));
    if (is_new) {
      subsets_.push_back(found->first);
      dfa_.states.emplace_back();
    }
    return found->second;
  }

  // Each target its own edge where subsets are kept single, else one edge to all of them.
  template <typename Add>
  void emit(const Subset& targets, Add add) {
    if (single_) {
      for (const int32_t target : targets) add(id_of({target}));
    } else {
      add(id_of(targets));
    }
  }

  void expand(int32_t id) {
    Subset subset = subsets_[static_cast<size_t>(id)];
    close(subset);
    std::map<int32_t, Subset> calls, tokens;
    std::vector<Dfa::Range> ranges;
    bool accepting = false;
    for (const int32_t state : subset) {
      accepting |= state == accept_;
      for (int32_t e = nfa_.first_edge(state); e >= 0; e = nfa_.edge(e).next) {
        const Nfa::Edge& edge = nfa_.edge(e);
        if (edge.kind == Nfa::Kind::kRange) ranges.push_back({edge.low, edge.high, edge.target});
        if (edge.kind == Nfa::Kind::kCall)
          calls[static_cast<int32_t>(edge.low)].push_back(edge.target);
        if (edge.kind == Nfa::Kind::kToken)
          tokens[static_cast<int32_t>(edge.low)].push_back(edge.target);
      }
    }
    Dfa::State out;
    out.accepting = accepting;
    add_ranges(ranges, out);
    for (const auto& [rule, targets] : calls)
      emit(targets, [&, r = rule](int32_t target) { out.calls.push_back({r, target}); });
    for (const auto& [token, targets] : tokens)
      emit(targets, [&, t = token](int32_t target) { out.tokens.push_back({t, target}); });
    dfa_.states[static_cast<size_t>(id)] = std::move(out);
  }

  // Cuts overlapping ranges into disjoint ones, each with all its targets.
  void add_ranges(const std::vector<Dfa::Range>& ranges, Dfa::State& out) {
    std::vector<uint32_t> borders;
    for (const Dfa::Range& range : ranges) {
      borders.push_back(range.low);
      borders.push_back(range.high + 1);
    }
    std::sort(borders.begin(), borders.end());
    borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
    std::vector<Subset> targets(borders.size());
    for (const Dfa::Range& range : ranges) {
      auto at = static_cast<size_t>(std::lower_bound(borders.begin(), borders.end(), range.low) -
                                    borders.begin());
      for (; borders[at] <= range.high; ++at) {
        budget_.spend(1);
        targets[at].push_back(range.target);
      }
    }
    for (size_t i = 0; i + 1 < borders.size(); ++i) {
      if (targets[i].empty()) continue;
      emit(targets[i], [&](int32_t target) {
        const bool joins = !single_ && !out.ranges.empty() && out.ranges.back().target == target &&
                           out.ranges.back().high + 1 == borders[i];
        if (joins) {
          out.ranges.back().high = borders[i + 1] - 1;
        } else {
          out.ranges.push_back({borders[i], borders[i + 1] - 1, target});
        }
      });
    }
  }

  const Nfa& nfa_;
  int32_t accept_;
  WorkBudget& budget_;
  bool single_ = false;
  std::unordered_map<Subset, int32_t, SubsetHash> ids_;
  std::vector<Subset> subsets_;
  std::unordered_map<int32_t, int64_t> marks_;
  int64_t round_ = 0;
  Dfa dfa_;
};

}  // namespace

Dfa determinize(const Nfa& nfa, int32_t start, int32_t accept, WorkBudget& budget,
                int64_t most_states) {
  // A tree of many words is large, but no larger than what it is made from.
  const int64_t most =
      most_states < 0 ? -most_states : std::max<int64_t>(most_states, nfa.states());
  Determinizer subsets(nfa, accept, budget);
  if (subsets.run(start, most)) return subsets.take();
  if (most_states < 0) {
    fail(ErrorCode::kInvalidArgument, "a pattern needs more than {} states", -most_states);
  }
  Determinizer single(nfa, accept, budget);
  single.keep_subsets_single(start);
  return single.take();
}

}  // namespace headgate

// How many tokens to draft: measured acceptance against measured cost.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace headgate {

constexpr int64_t kMostDrafts = 7;  // tokens drafted in one round

enum class DraftSource { kModule, kLookup };  // the model's own drafting module; the text so far
constexpr int64_t kDraftSources = 2;

// How the module's drafts are drawn. None of it changes a text.
struct DraftOptions {
  // Draft among the module's k likeliest tokens: 1 always takes the likeliest; 0: all, drawn with
  // the numbers that the text is drawn with.
  int64_t top_k = 0;
  // Draft among so many leading ids (the frequent tokens of a byte-pair vocabulary), those near its
  // end, and what the text has already; 0: all. Small vocabularies are always taken whole.
  int64_t vocabulary = 32768;
  // Draft what followed the same tokens earlier in the text, too.
  bool lookup = true;
};
// Throws kInvalidArgument for values below 0.
void check_draft_options(const DraftOptions& options);

// How long steps and drafts take here and now. Thread rule: one thread.
class StepCosts {
 public:
  void record_step(int64_t rows, double seconds);      // a step of 1..kMostDrafts + 1 rows
  void record_drafts(int64_t passes, double seconds);  // of the module

  double step_seconds(int64_t rows) const;  // measured, or estimated from others; 0: nothing known
  double draft_seconds() const { return draft_.seconds; }  // of one pass of the module
  bool knows_plain_steps() const { return steps_[1].count >= kFirst; }
  bool knows_drafts() const { return draft_.count >= kFirst; }

 private:
  static constexpr int64_t kFirst = 4;  // measurements that count as warming up
  struct Mean {
    double seconds = 0;  // 0: never measured
    int64_t count = 0;
    void add(double value);
  };
  std::array<Mean, kMostDrafts + 2> steps_;  // by rows
  Mean draft_;
};

// Learns while a text is generated, and forgets slowly, how often the draft at each place of a
// chain is kept, given that those before it were. From this and the costs it chooses the depth with
// the most tokens per second. A text does not depend on the choice: drafts change when tokens come,
// never which.
//
// Source of the economics: expected tokens of a round = 1 + sum of products of acceptances
// (Leviathan et al. 2023, arXiv 2211.17192, section 3), over the measured time of the round.
class DraftControl {
 public:
  // `fixed` >= 0 always drafts that many; -1 chooses. `others`: what other texts taught, to begin
  // with; null: optimism.
  explicit DraftControl(int64_t fixed = -1, const DraftControl* others = nullptr);

  struct Choice {
    int64_t depth = 0;
    double tokens_per_second = 0;  // expected; 0 while nothing is known
  };
  // At most `limit` drafts.
  Choice choose(DraftSource source, int64_t limit, const StepCosts& costs);
  // One depth for sequences that are decoded and drafted together, where a pass of the module costs
  // about as much for one of them as for all: this control keeps the turns, `texts` what is known
  // of each. Tokens per second are one sequence's share.
  Choice choose_together(std::span<const DraftControl* const> texts, int64_t limit,
                         const StepCosts& costs);
  bool is_fixed() const { return fixed_ >= 0; }

  void record_round(DraftSource source, int64_t drafted, int64_t accepted);
  void rest();  // a round without drafts of the module

  double acceptance(DraftSource source, int64_t place) const;  // place 0 is the first draft

 private:
  struct Rate {
    double hits = 0, trials = 0;
  };
  // What is assumed before much has been seen: of the first draft, and how a place's acceptance
  // compares with that of the one before it.
  struct Prior {
    double first;
    std::array<double, kMostDrafts> falls;
  };

  std::array<double, kMostDrafts> acceptances(DraftSource source) const;
  // Adds the expected tokens of rounds with 0..kMostDrafts drafts.
  void add_tokens(DraftSource source, std::array<double, kMostDrafts + 1>& tokens) const;
  // Whether to try drafts where they do not seem to pay.
  bool probes(DraftSource source, double tokens);
  Choice best_of(const std::array<double, kMostDrafts + 1>& tokens, DraftSource source,
                 int64_t limit, const StepCosts& costs);

  int64_t fixed_;
  int64_t rounds_ = 0;
  int64_t quiet_rounds_ = 0, probe_every_;      // without drafts, since the last probe
  std::array<double, kDraftSources> probed_{};  // tokens that the last probe promised; 0: no probe
  int64_t rested_ = 0;                          // rounds in a row without drafts of the module
  int64_t kept_ = -1;  // probes kept in a row after a long rest; -1: there was none
  std::array<std::array<Rate, kMostDrafts>, kDraftSources> rates_{};
  std::array<Prior, kDraftSources> priors_;
};

}  // namespace headgate

// Logits equal the reference's at every length, however the prompt is cut and whatever else is in
// the batch.
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

class GoldenLogits : public GoldenTest {};

std::vector<int32_t> some_prompt(const GoldenCase& c) {
  return c.ids("in." + c.keys("in.", ".ids").back() + ".ids");
}

// The expectation may hold the last rows only.
testing::AssertionResult rows_near(const std::vector<float>& got, const std::vector<float>& want,
                                   double limit) {
  if (got.size() < want.size()) return testing::AssertionFailure() << "too few rows";
  return all_near(std::span(got).last(want.size()), want, limit);
}

TEST_P(GoldenLogits, EqualTheReferenceAtEveryLength) {
  const GoldenCase c(GetParam());
  Runner runner(c.model());
  for (const std::string& length : c.keys("in.", ".ids")) {
    const std::vector<int32_t> ids = c.ids("in." + length + ".ids");
    SequenceState state = runner.create();
    EXPECT_TRUE(rows_near(runner.feed(state, ids, 4096), c.floats("out." + length + ".logits"),
                          c.logit_limit()))
        << "length " << length;
    EXPECT_EQ(state.position(), static_cast<int64_t>(ids.size()));
  }
}

TEST_P(GoldenLogits, EqualTheReferenceForEveryChunkAndPageSize) {
  const GoldenCase c(GetParam());
  const std::string length = c.keys("in.", ".ids").back();
  const std::vector<int32_t> ids = c.ids("in." + length + ".ids");
  const std::vector<float> want = c.floats("out." + length + ".logits");
  for (const int64_t page : {5, 64, 256}) {
    Runner runner(c.model(), page);
    for (const int64_t chunk : {1, 3, 7, 63, 64, 65}) {
      SequenceState state = runner.create();
      EXPECT_TRUE(rows_near(runner.feed(state, ids, chunk), want, c.logit_limit()))
          << "chunk " << chunk << " page " << page;
    }
  }
}

TEST_P(GoldenLogits, GreedyTokensAreTheReferences) {
  const GoldenCase c(GetParam());
  Runner runner(c.model());
  for (const std::string& length : c.keys("greedy.", ".tokens")) {
    const std::vector<int32_t> want = c.ids("greedy." + length + ".tokens");
    SequenceState state = runner.create();
    const std::vector<float> logits = runner.last(state, c.ids("greedy." + length + ".prompt"));
    EXPECT_EQ(runner.greedy(state, logits, static_cast<int64_t>(want.size())), want)
        << "prompt " << length;
  }
}

// One sequence's way through a batch: its tokens, and how many it takes in each step.
struct Traveller {
  std::vector<int32_t> ids;
  int64_t stride;
  std::vector<float> logits = {};

  std::span<const int32_t> next(const SequenceState& state) const {
    const auto from = static_cast<size_t>(state.position());
    return std::span(ids).subspan(from, std::min(static_cast<size_t>(stride), ids.size() - from));
  }
};

// Runs the travellers, together or one after the other, in the same pieces.
void travel(const Model& model, std::vector<Traveller>& travellers) {
  Runner runner(model);
  std::vector<SequenceState> states;
  for (size_t i = 0; i < travellers.size(); ++i) states.push_back(runner.create());
  StepResult result;
  while (true) {
    std::vector<BatchItem> items;
    std::vector<Traveller*> who;
    for (size_t i = 0; i < travellers.size(); ++i) {
      const std::span<const int32_t> piece = travellers[i].next(states[i]);
      if (piece.empty()) continue;
      ASSERT_TRUE(states[i].reserve(static_cast<int64_t>(piece.size())));
      items.push_back({&states[i], piece, LogitRows::kAll});
      who.push_back(&travellers[i]);
    }
    if (items.empty()) return;
    model.forward(items, result);
    for (size_t i = 0; i < items.size(); ++i) {
      const auto first = result.logits.begin() + result.first_row[i] * result.vocabulary;
      who[i]->logits.insert(
          who[i]->logits.end(), first,
          first + static_cast<int64_t>(items[i].tokens.size()) * result.vocabulary);
    }
  }
}

TEST_P(GoldenLogits, ARowDoesNotKnowItsNeighbours) {
  const GoldenCase c(GetParam());
  std::vector<Traveller> together;
  int64_t stride = 1;
  for (const std::string& length : c.keys("in.", ".ids")) {
    together.push_back({c.ids("in." + length + ".ids"), stride});
    stride = stride * 3 + 2;  // prefill pieces of 1, 5, 17, ... beside each other
  }
  std::vector<Traveller> alone = together;
  travel(c.model(), together);
  for (Traveller& one : alone) {
    std::vector<Traveller> only{one};
    travel(c.model(), only);
    one.logits = only.front().logits;
  }
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(together[i].logits, alone[i].logits) << "bits changed for sequence " << i;
    EXPECT_TRUE(rows_near(together[i].logits,
                          c.floats("out." + std::to_string(together[i].ids.size()) + ".logits"),
                          c.logit_limit()));
  }
}

TEST_P(GoldenLogits, OnlyTheWantedRowsComeBack) {
  const GoldenCase c(GetParam());
  Runner runner(c.model());
  const std::vector<int32_t> ids = some_prompt(c);
  const auto count = static_cast<int64_t>(ids.size());
  SequenceState all = runner.create(), last = runner.create(), none = runner.create(),
                empty = runner.create();
  for (SequenceState* state : {&all, &last, &none}) ASSERT_TRUE(state->reserve(count));
  const BatchItem items[] = {{&none, ids, LogitRows::kNone},
                             {&last, ids, LogitRows::kLast},
                             {&empty, {}, LogitRows::kLast},
                             {&all, ids, LogitRows::kAll}};
  StepResult result;
  c.model().forward(items, result);
  EXPECT_EQ(result.first_row, (std::vector<int64_t>{0, 0, 1, 1}));
  const auto v = static_cast<size_t>(result.vocabulary);
  ASSERT_EQ(result.logits.size(), (ids.size() + 1) * v);
  const std::span<const float> logits(result.logits);
  EXPECT_TRUE(all_near(logits.first(v), logits.last(v), 0));
}

TEST_P(GoldenLogits, BitsDoNotDependOnThreads) {
  const GoldenCase one(GetParam(), 1), three(GetParam(), 3);
  const std::vector<int32_t> ids = some_prompt(one);
  Runner first(one.model()), second(three.model());
  SequenceState a = first.create(), b = second.create();
  EXPECT_EQ(first.feed(a, ids, 50), second.feed(b, ids, 50));
  for (int64_t layer = 0; layer < a.shape().recurrent_layers; ++layer) {
    const auto n = static_cast<size_t>(a.shape().delta_floats);
    EXPECT_TRUE(all_near({a.delta(layer), n}, {b.delta(layer), n}, 0));
  }
}

TEST_P(GoldenLogits, TokensOutsideTheVocabularyAreRefusedBeforeAnythingChanges) {
  const GoldenCase c(GetParam());
  Runner runner(c.model());
  SequenceState state = runner.create();
  ASSERT_TRUE(state.reserve(2));
  StepResult result;
  for (const auto bad : {-1, static_cast<int>(c.config().vocabulary)}) {
    const std::vector<int32_t> ids{1, bad};
    const BatchItem item{&state, ids, LogitRows::kLast};
    EXPECT_THROW(c.model().forward({&item, 1}, result), Error);
    EXPECT_EQ(state.position(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenLogits, testing::ValuesIn(golden_case_names()),
                         case_test_name);

}  // namespace
}  // namespace headgate

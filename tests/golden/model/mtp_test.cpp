// The multi-token-prediction module: hidden states, chained drafts, and whole speculative runs.
#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

// Of logits, first drafts and later ones.
constexpr double kDraftLimit = 2e-4;

class GoldenMtp : public GoldenTest {};

// A trunk and a drafting module that verify each other's tokens: greedy, one chain of k drafts a
// round.
class Speculator {
 public:
  Speculator(const Model& model, int64_t k)
      : model_(model),
        k_(k),
        pool_(model.state_shape(DType::kF32, 16, k + 1), int64_t{1} << 28),
        mtp_pool_(model.mtp_state_shape(DType::kF32, 16), int64_t{1} << 28),
        trunk_(std::move(*pool_.create())),
        mtp_(std::move(*mtp_pool_.create())) {
    result_.keep_hidden = true;
  }

  struct Round {
    std::vector<int32_t> drafts, target;
    int64_t accepted;
  };

  void prefill(std::span<const int32_t> prompt) {
    run(prompt);
    pending_.assign(prompt.begin() + 1, prompt.end());
    add(argmax(row(static_cast<int64_t>(prompt.size()) - 1)));
  }

  Round round() {
    Round out;
    out.drafts = draft();
    std::vector<int32_t> tokens{output_.back()};
    tokens.insert(tokens.end(), out.drafts.begin(), out.drafts.end());
    const int64_t before = trunk_.position();
    run(tokens, /*deferred=*/true);
    for (int64_t i = 0; i <= k_; ++i) out.target.push_back(argmax(row(i)));
    const auto differ = std::mismatch(out.drafts.begin(), out.drafts.end(), out.target.begin());
    out.accepted = differ.first - out.drafts.begin();
    EXPECT_EQ(trunk_.rewind(before + 1 + out.accepted), before + 1 + out.accepted);
    pending_.clear();
    for (int64_t i = 0; i < out.accepted; ++i) add(out.drafts[static_cast<size_t>(i)]);
    add(out.target[static_cast<size_t>(out.accepted)]);
    return out;
  }

  // Runs the last token, which folds in everything that was set aside.
  void settle() { run(std::span(output_).last(1)); }

  const std::vector<int32_t>& output() const { return output_; }
  const SequenceState& trunk() const { return trunk_; }

 private:
  std::span<const float> row(int64_t i) const {
    return std::span(result_.logits)
        .subspan(static_cast<size_t>(i * result_.vocabulary),
                 static_cast<size_t>(result_.vocabulary));
  }

  void add(int32_t token) {
    output_.push_back(token);
    pending_.push_back(token);
  }

  void run(std::span<const int32_t> tokens, bool deferred = false) {
    ASSERT_TRUE(trunk_.reserve(static_cast<int64_t>(tokens.size())));
    const BatchItem item{&trunk_, tokens, LogitRows::kAll, deferred};
    model_.forward({&item, 1}, result_);
    hidden_ = result_.hidden;
  }

  // The module sees the verified pairs first, then its own guesses, which it forgets again.
  std::vector<int32_t> draft() {
    std::vector<int32_t> drafts;
    const int64_t verified = mtp_.position() + static_cast<int64_t>(pending_.size());
    EXPECT_TRUE(mtp_.reserve(static_cast<int64_t>(pending_.size()) + k_));
    View hidden{hidden_.data(), static_cast<int64_t>(pending_.size()), model_.config().hidden_size};
    std::span<const int32_t> tokens = pending_;
    while (static_cast<int64_t>(drafts.size()) < k_) {
      const MtpItem item{&mtp_, tokens, hidden};
      model_.mtp_forward({&item, 1}, LogitRows::kLast, draft_);
      drafts.push_back(argmax(draft_.logits));
      hidden = View{draft_.hidden.data(), 1, hidden.cols};
      tokens = std::span(drafts).last(1);
    }
    EXPECT_EQ(mtp_.rewind(verified), verified);
    return drafts;
  }

  const Model& model_;
  int64_t k_;
  StatePool pool_, mtp_pool_;
  SequenceState trunk_, mtp_;
  StepResult result_, draft_;
  std::vector<float> hidden_;     // of the verified positions the module has not seen
  std::vector<int32_t> pending_;  // the tokens that follow them
  std::vector<int32_t> output_;
};

TEST_P(GoldenMtp, HiddenStatesAndDraftsEqualTheReferences) {
  const GoldenCase c(GetParam());
  const std::vector<std::string> lengths = c.keys("mtp.", ".hidden");
  if (lengths.empty()) GTEST_SKIP() << "the case has no module";
  ASSERT_TRUE(c.model().has_mtp());
  const int64_t size = c.config().hidden_size;
  for (const std::string& length : lengths) {
    SCOPED_TRACE("length " + length);
    const std::string name = "mtp." + length + ".";
    const std::vector<int32_t> ids = c.ids("in." + length + ".ids");
    Runner runner(c.model());
    SequenceState state = runner.create();
    ASSERT_TRUE(state.reserve(static_cast<int64_t>(ids.size())));
    StepResult trunk;
    trunk.keep_hidden = true;
    const BatchItem item{&state, ids, LogitRows::kLast};
    c.model().forward({&item, 1}, trunk);
    const std::vector<float> trunk_hidden = c.floats(name + "trunk_hidden");
    EXPECT_TRUE(all_near(std::span(trunk.hidden).last(trunk_hidden.size()), trunk_hidden, 5e-4));

    std::vector<int32_t> next(ids.begin() + 1, ids.end());
    next.push_back(argmax(trunk.logits));
    EXPECT_EQ(next.back(), c.ids(name + "next_token").front());
    StatePool pool(c.model().mtp_state_shape(DType::kF32, 16), int64_t{1} << 28);
    SequenceState mtp = std::move(*pool.create());
    ASSERT_TRUE(mtp.reserve(static_cast<int64_t>(ids.size()) + 4));
    StepResult out;
    const MtpItem pairs{&mtp, next, {trunk.hidden.data(), static_cast<int64_t>(ids.size()), size}};
    c.model().mtp_forward({&pairs, 1}, LogitRows::kAll, out);
    EXPECT_TRUE(all_near(out.hidden, c.floats(name + "hidden"), 5e-4));
    const std::vector<float> logits = c.floats(name + "logits");
    EXPECT_TRUE(all_near(std::span(out.logits).last(logits.size()), logits, kDraftLimit));

    const std::vector<float> draft_logits = c.floats(name + "draft_logits");
    const auto v = static_cast<size_t>(out.vocabulary);
    std::vector<int32_t> drafts;
    std::vector<float> last(out.logits.end() - static_cast<std::ptrdiff_t>(v), out.logits.end());
    for (size_t i = 0; i < draft_logits.size() / v; ++i) {
      EXPECT_TRUE(all_near(last, std::span(draft_logits).subspan(i * v, v), kDraftLimit))
          << "draft " << i;
      drafts.push_back(argmax(last));
      const View hidden{out.hidden.data() + out.hidden.size() - static_cast<size_t>(size), 1, size};
      const MtpItem draft{&mtp, std::span(drafts).last(1), hidden};
      c.model().mtp_forward({&draft, 1}, LogitRows::kLast, out);
      last = out.logits;
    }
    EXPECT_EQ(drafts, c.ids(name + "draft_tokens"));
  }
}

TEST_P(GoldenMtp, PairsInPiecesEqualPairsAtOnce) {
  const GoldenCase c(GetParam());
  if (!c.model().has_mtp()) GTEST_SKIP() << "the case has no module";
  const std::string length = c.keys("mtp.", ".hidden").back();
  const std::vector<int32_t> ids = c.ids("in." + length + ".ids");
  const auto count = static_cast<int64_t>(ids.size());
  Runner runner(c.model());
  SequenceState state = runner.create();
  ASSERT_TRUE(state.reserve(count));
  StepResult trunk;
  trunk.keep_hidden = true;
  const BatchItem item{&state, ids, LogitRows::kLast};
  c.model().forward({&item, 1}, trunk);
  std::vector<int32_t> next(ids.begin() + 1, ids.end());
  next.push_back(argmax(trunk.logits));
  const View hidden{trunk.hidden.data(), count, c.config().hidden_size};
  StatePool pool(c.model().mtp_state_shape(DType::kF32, 16), int64_t{1} << 28);
  SequenceState mtp = std::move(*pool.create());
  std::vector<float> all;
  StepResult out;
  for (int64_t from = 0; from < count; from += 7) {
    const int64_t piece = std::min<int64_t>(7, count - from);
    ASSERT_TRUE(mtp.reserve(piece));
    const MtpItem pairs{
        &mtp, std::span(next).subspan(static_cast<size_t>(from), static_cast<size_t>(piece)),
        hidden.row_range(from, piece)};
    c.model().mtp_forward({&pairs, 1}, LogitRows::kAll, out);
    all.insert(all.end(), out.hidden.begin(), out.hidden.end());
  }
  EXPECT_TRUE(all_near(all, c.floats("mtp." + length + ".hidden"), 5e-4));
}

// Pairs of several texts, in one pass or each alone, every row or the last only, over all tokens or
// some of them: the same bits.
TEST_P(GoldenMtp, APassOverManyTextsHasTheBitsOfEachAlone) {
  const GoldenCase c(GetParam());
  if (!c.model().has_mtp()) GTEST_SKIP() << "the case has no module";
  const int64_t size = c.config().hidden_size, vocabulary = c.config().vocabulary;
  StatePool pool(c.model().mtp_state_shape(DType::kF32, 16), int64_t{1} << 28);
  std::vector<SequenceState> together, alone;
  std::vector<std::vector<float>> hidden;
  std::vector<std::vector<int32_t>> tokens;
  for (uint64_t text = 0; text < 4; ++text) {
    together.push_back(std::move(*pool.create()));
    alone.push_back(std::move(*pool.create()));
    const auto rows = static_cast<int64_t>(1 + 5 * text);
    hidden.emplace_back();
    tokens.emplace_back();
    for (int64_t i = 0; i < rows * size; ++i)
      hidden.back().push_back(random_normal(text, 1, static_cast<uint64_t>(i)));
    for (int64_t i = 0; i < rows; ++i)
      tokens.back().push_back(static_cast<int32_t>(random_bits(text, 2, static_cast<uint64_t>(i)) %
                                                   static_cast<uint64_t>(vocabulary)));
  }
  const VocabularyPart part{16, {static_cast<int32_t>(vocabulary / 16 - 1)}};
  for (int pass = 0; pass < 2; ++pass) {  // the second reads what the first has written
    std::vector<MtpItem> items;
    for (size_t i = 0; i < together.size(); ++i) {
      const auto rows = static_cast<int64_t>(tokens[i].size());
      ASSERT_TRUE(together[i].reserve(rows) && alone[i].reserve(rows));
      items.push_back({&together[i], tokens[i], {hidden[i].data(), rows, size}});
    }
    StepResult some, all;
    c.model().mtp_forward(items, LogitRows::kLast, some, &part);
    for (size_t i = 0; i < items.size(); ++i) {
      MtpItem item = items[i];
      item.state = &alone[i];
      c.model().mtp_forward({&item, 1}, LogitRows::kAll, all);
      const float* row = all.logits.data() + (item.hidden.rows - 1) * vocabulary;
      std::vector<float> want(row, row + part.leading);
      want.insert(want.end(), row + part.groups[0] * 16, row + part.groups[0] * 16 + 16);
      const float* got = some.logits.data() + static_cast<int64_t>(i) * part.size();
      EXPECT_TRUE(std::equal(want.begin(), want.end(), got)) << "text " << i << ", pass " << pass;
      EXPECT_TRUE(std::equal(all.hidden.end() - size, all.hidden.end(),
                             some.hidden.begin() + static_cast<std::ptrdiff_t>(i) * size));
    }
  }
}

template <typename T>
std::vector<T> numbers(const json::value& list) {
  std::vector<T> out;
  for (const json::value& item : list.as_array()) out.push_back(item.to_number<T>());
  return out;
}

TEST_P(GoldenMtp, SpeculativeRunsEqualTheReferencesRoundByRound) {
  const std::string file = golden_case_path(GetParam()) + "/speculative.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "the case has no speculative runs";
  const GoldenCase c(GetParam());
  const json::value runs = parse_json(read_text_file(file), file);
  for (const json::value& run : runs.as_array()) {
    const auto k = run.at("k").to_number<int64_t>();
    const std::vector<int32_t> prompt = numbers<int32_t>(run.at("prompt"));
    SCOPED_TRACE("prompt " + std::to_string(prompt.size()) + " k " + std::to_string(k));
    Speculator speculator(c.model(), k);
    speculator.prefill(prompt);
    int64_t number = 0;
    for (const json::value& step : run.at("steps").as_array()) {
      const Speculator::Round got = speculator.round();
      ASSERT_EQ(got.drafts, numbers<int32_t>(step.at("drafts"))) << "round " << number;
      ASSERT_EQ(got.target, numbers<int32_t>(step.at("target"))) << "round " << number;
      ASSERT_EQ(got.accepted, step.at("accepted").to_number<int64_t>()) << "round " << number++;
    }
    EXPECT_EQ(speculator.output(), numbers<int32_t>(run.at("output")));

    // The trunk has forgotten every rejected draft: its states are those of plain decoding.
    speculator.settle();
    Runner runner(c.model());
    SequenceState plain = runner.create();
    std::vector<int32_t> tokens = prompt;
    tokens.insert(tokens.end(), speculator.output().begin(), speculator.output().end());
    (void)runner.last(plain, tokens);
    ASSERT_EQ(speculator.trunk().position(), plain.position());
    for (int64_t layer = 0; layer < plain.shape().recurrent_layers; ++layer) {
      const auto n = static_cast<size_t>(plain.shape().delta_floats);
      EXPECT_TRUE(all_near({speculator.trunk().delta(layer), n}, {plain.delta(layer), n}, 5e-5));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenMtp, testing::ValuesIn(golden_case_names()), case_test_name);

}  // namespace
}  // namespace headgate

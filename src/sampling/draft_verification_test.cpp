// Draft verification against given cases, and the distribution of what it emits.
#include "sampling/draft_verification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"

namespace headgate {
namespace {

using Row = std::vector<double>;

Row row_of(const json::value& value) {
  Row row;
  for (const json::value& v : value.as_array()) row.push_back(v.to_number<double>());
  return row;
}

std::vector<Row> rows_of(const json::value& value) {
  std::vector<Row> rows;
  for (const json::value& v : value.as_array()) rows.push_back(row_of(v));
  return rows;
}

bool is_point_mass(const Row& row, int32_t token) { return row[static_cast<size_t>(token)] == 1.0; }

// Every case as given, and once more with its one-hot rows left out as greedy drafts.
TEST(DraftVerification, AgreesWithGivenCases) {
  const std::string path = HEADGATE_SOURCE_DIR "/tests/golden/kernels/rejection.json";
  const json::value cases = parse_json(read_text_file(path), path);
  int accepted = 0, greedy = 0;
  for (const json::value& c : cases.as_array()) {
    const std::vector<Row> p = rows_of(c.at("p")), q = rows_of(c.at("q"));
    const Row uniforms = row_of(c.at("u")), next = row_of(c.at("next_probs"));
    for (const bool as_points : {false, true}) {
      std::vector<DraftedToken> drafts;
      for (size_t i = 0; i < q.size(); ++i) {
        const auto token = c.at("drafts").at(i).to_number<int32_t>();
        const bool point = as_points && is_point_mass(q[i], token);
        greedy += point ? 1 : 0;
        drafts.push_back({token, point ? std::span<const double>() : q[i], p[i]});
      }
      const VerifiedDrafts got = verify_drafts(drafts, p.back(), uniforms);
      EXPECT_EQ(got.accepted, c.at("accepted").to_number<int64_t>());
      ASSERT_EQ(got.next.size(), next.size());
      for (size_t i = 0; i < next.size(); ++i) EXPECT_NEAR(got.next[i], next[i], 1e-15);
      accepted += static_cast<int>(got.accepted);
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(greedy, 0);
}

TEST(DraftVerification, RejectsWhatCannotHaveBeenDrafted) {
  EXPECT_FALSE(accept_draft(0.5, 0.0, 0.0));
  EXPECT_FALSE(accept_draft(0.0, 0.5, 0.0));
  EXPECT_TRUE(accept_draft(0.5, 0.5, 0.999999));
  EXPECT_FALSE(accept_draft(0.25, 0.5, 0.5));
}

TEST(DraftVerification, FallsBackToTheTargetWhenNothingIsLeft) {
  const Row target = {0.25, 0.75}, draft = {0.25, 0.75};
  EXPECT_EQ(residual_distribution({1, draft, target}), target);
  const Row certain = {0.0, 1.0};
  EXPECT_EQ(residual_distribution({1, {}, certain}), certain);
}

TEST(DraftVerification, RefusesShapesThatDoNotFit) {
  const Row two = {0.5, 0.5}, three = {0.2, 0.3, 0.5}, uniform = {0.1};
  const std::vector<DraftedToken> outside = {{2, {}, two}}, longer = {{1, three, two}};
  EXPECT_THROW(verify_drafts(outside, two, uniform), Error);
  EXPECT_THROW(verify_drafts(longer, two, uniform), Error);
  EXPECT_THROW(verify_drafts({}, two, uniform), Error);
  EXPECT_THROW(draw(Row{0.0, 0.0}, 0.5), Error);
}

// Pairs of tokens of rounds of two drafts: chi-square against the target's own joint distribution.
double chi_square_of_pairs(bool greedy, int rounds) {
  constexpr int kTokens = 4;
  const Row first = {0.1, 0.2, 0.3, 0.4};
  const std::vector<Row> second = {
      {0.7, 0.1, 0.1, 0.1}, {0.25, 0.25, 0.25, 0.25}, {0.0, 0.5, 0.0, 0.5}, {0.05, 0.15, 0.6, 0.2}};
  const Row draft = {0.4, 0.3, 0.2, 0.1};
  std::vector<double> counts(kTokens * kTokens, 0.0);
  for (int round = 0; round < rounds; ++round) {
    const auto uniform = [&](uint64_t n) {
      return random_uniform(7, static_cast<uint64_t>(round), n);
    };
    const int32_t d1 = greedy ? 3 : draw(draft, uniform(0)),
                  d2 = greedy ? 0 : draw(draft, uniform(1));
    const std::span<const double> q =
        greedy ? std::span<const double>() : std::span<const double>(draft);
    const Row& after = second[static_cast<size_t>(d1)];
    const std::vector<DraftedToken> drafts = {{d1, q, first}, {d2, q, after}};
    const Row uniforms = {uniform(2), uniform(3)};
    const VerifiedDrafts got = verify_drafts(drafts, first, uniforms);
    const int32_t next = draw(got.next, uniform(4));
    const int32_t one = got.accepted >= 1 ? d1 : next;
    int32_t two = next;
    if (got.accepted == 0) two = draw(second[static_cast<size_t>(one)], uniform(5));
    if (got.accepted == 2) two = d2;
    counts[static_cast<size_t>(one * kTokens + two)] += 1;
  }
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = first[i / kTokens] * second[i / kTokens][i % kTokens] * rounds;
    if (expected == 0) {
      EXPECT_EQ(counts[i], 0);
    } else {
      sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
  }
  return sum;
}

// 14 cells that can occur, 13 degrees of freedom: 34.5 is exceeded once in a thousand seeds; the
// seed is fixed.
TEST(DraftVerification, EmitsWhatPlainSamplingWould) {
  EXPECT_LT(chi_square_of_pairs(false, 100000), 34.5);
  EXPECT_LT(chi_square_of_pairs(true, 100000), 34.5);
}

}  // namespace
}  // namespace headgate

// Speculative sampling by rejection, in double precision.
#include "sampling/draft_verification.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

void check_shapes(const DraftedToken& drafted) {
  const auto vocabulary = static_cast<int64_t>(drafted.target.size());
  if (drafted.token < 0 || drafted.token >= vocabulary)
    fail(ErrorCode::kInvalidArgument, "drafted token: {}, expected 0..{}", drafted.token,
         vocabulary - 1);
  if (!drafted.draft.empty() && drafted.draft.size() != drafted.target.size())
    fail(ErrorCode::kInvalidArgument, "draft distribution: {} probabilities, expected {}",
         drafted.draft.size(), drafted.target.size());
}

double drafted_with(const DraftedToken& drafted) {
  return drafted.draft.empty() ? 1.0 : drafted.draft[static_cast<size_t>(drafted.token)];
}

}  // namespace

bool accept_draft(double target, double draft, double uniform) {
  return draft > 0 && uniform * draft < target;
}

std::vector<double> residual_distribution(const DraftedToken& rejected) {
  check_shapes(rejected);
  std::vector<double> left(rejected.target.begin(), rejected.target.end());
  if (rejected.draft.empty()) {
    left[static_cast<size_t>(rejected.token)] = 0;
  } else {
    for (size_t i = 0; i < left.size(); ++i) left[i] = std::max(left[i] - rejected.draft[i], 0.0);
  }
  double mass = 0;
  for (const double p : left) mass += p;
  if (mass <= 0) return {rejected.target.begin(), rejected.target.end()};
  for (double& p : left) p /= mass;
  return left;
}

VerifiedDrafts verify_drafts(std::span<const DraftedToken> drafts, std::span<const double> bonus,
                             std::span<const double> uniforms) {
  if (uniforms.size() != drafts.size())
    fail(ErrorCode::kInvalidArgument, "uniforms: {}, expected one for each of {} drafts",
         uniforms.size(), drafts.size());
  for (size_t i = 0; i < drafts.size(); ++i) {
    const DraftedToken& drafted = drafts[i];
    check_shapes(drafted);
    const double target = drafted.target[static_cast<size_t>(drafted.token)];
    if (!accept_draft(target, drafted_with(drafted), uniforms[i]))
      return {static_cast<int64_t>(i), residual_distribution(drafted)};
  }
  return {static_cast<int64_t>(drafts.size()), {bonus.begin(), bonus.end()}};
}

int32_t draw(std::span<const double> probabilities, double uniform) {
  int32_t drawn = -1;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] <= 0) continue;
    drawn = static_cast<int32_t>(i);
    uniform -= probabilities[i];
    if (uniform < 0) break;
  }
  if (drawn < 0)
    fail(ErrorCode::kInvalidArgument, "distribution to draw from: no positive probability");
  return drawn;
}

}  // namespace headgate

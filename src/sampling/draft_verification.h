// Exact rejection sampling of drafted tokens: what speculation may keep without changing the text's
// distribution.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headgate {

// One drafted token and what is needed to judge it.
struct DraftedToken {
  int32_t token = 0;
  // The distribution the token was drawn from, [vocabulary]; empty for a greedy draft (a point mass
  // at `token`).
  std::span<const double> draft;
  // What plain sampling would draw this position from given the drafts before it, [vocabulary]:
  // after penalties, temperature and filters (Sampler::distribution).
  std::span<const double> target;
};

// Whether a token drafted with probability `draft` is kept where plain sampling gives it
// probability `target`: with probability min(1, target / draft). `uniform` in [0, 1). A token that
// could not have been drafted is not kept. Source: Leviathan, Kalman, Matias 2023 (arXiv
// 2211.17192), algorithm 1.
bool accept_draft(double target, double draft, double uniform);

// The distribution of the token that replaces a rejected draft: max(target - draft, 0), normalised;
// the target itself where rounding leaves nothing. Throws kInvalidArgument for rows of different
// lengths or a token outside them.
std::vector<double> residual_distribution(const DraftedToken& rejected);

// A round of drafts after judgement.
struct VerifiedDrafts {
  int64_t accepted = 0;      // leading drafts to keep
  std::vector<double> next;  // [vocabulary]: draw the token after them from this
};

// Judges drafts in order, draft j with uniforms[j], up to the first rejection. `bonus` is the
// target distribution after the last draft. Kept drafts and the token drawn from `next` are
// distributed as plain sampling would have them. Throws kInvalidArgument where the shapes do not
// fit each other.
VerifiedDrafts verify_drafts(std::span<const DraftedToken> drafts, std::span<const double> bonus,
                             std::span<const double> uniforms);

// Index drawn from a distribution by inversion; what rounding leaves over falls to the last index
// that can be drawn.
int32_t draw(std::span<const double> probabilities, double uniform);

}  // namespace headgate

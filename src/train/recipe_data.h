// The batches of a recipe: a pure function of seed, step and rank.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/row_source.h"
#include "train/recipe.h"
#include "train/trainer.h"

namespace headgate {

// Keeps no position: batches(step) is the same whenever it is asked for. Thread rule: one thread.
class RecipeData {
 public:
  // Opens the shards. Throws kNotFound, kInvalidFile, kInvalidArgument. The tokenizer must outlive
  // the object.
  RecipeData(const Recipe& recipe, const Tokenizer& tokenizer);
  ~RecipeData();

  // Micro-batches of step `step` (0 is the first) for rank `rank` of `ranks`; the ranks' batches
  // together are those of one rank alone, whatever their number. `ranks` divides the phase's rows.
  std::vector<TrainBatch> batches(int64_t step, int64_t rank = 0, int64_t ranks = 1);
  // The first rows of the held-out shards, in batches of the phase's micro rows; empty without any.
  std::vector<TrainBatch> evaluation(int64_t step);

 private:
  struct Phase;
  Phase& open_phase(int64_t step);

  const Recipe& recipe_;
  const Tokenizer& tokenizer_;
  std::unique_ptr<Phase> open_;
};

// Rows as one batch.
TrainBatch make_batch(const std::vector<TokenRow>& rows);

}  // namespace headgate

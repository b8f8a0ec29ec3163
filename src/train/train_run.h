// A whole run: phases one after another, checkpoints, log, plots, and the exported model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "text/tokenizer.h"
#include "train/recipe.h"
#include "train/run_log.h"

namespace headgate {

// What is shown while a run goes on.
struct TrainProgress {
  const LogRecord* record = nullptr;  // of the step just done
  const RecipePhase* phase = nullptr;
  int64_t total_steps = 0;
  double seconds = 0;           // of all runs of the relay together
  double seconds_left = 0;      // at the speed of the last steps
  double flops_per_second = 0;  // useful ones, at the speed of the last steps
  int64_t parameters = 0;
};

struct TrainRunOptions {
  std::string output;   // folder of checkpoints, log, plots and the exported model
  bool resume = false;  // go on from the newest checkpoint where there is one
  int threads = 0;
  int64_t stop_at_step = -1;  // end (with a checkpoint) when so many steps are done; -1: never
  // After every step; false saves a checkpoint and ends the run.
  std::function<bool(const TrainProgress&)> on_step;
};

struct TrainRunReport {
  int64_t first_step = 0;  // where this run began
  int64_t steps = 0;       // done in all
  int64_t total_steps = 0;
  int64_t tokens = 0;       // seen in all
  double seconds = 0;       // of this run
  int64_t tokens_here = 0;  // of this run
  double last_loss = 0;
  std::string exported;  // folder of the model
  bool finished() const { return steps >= total_steps; }
};

// Trains, or goes on training. The weights after step n depend on recipe and data only, not on how
// often the run was stopped, nor on threads. Leaves in `output`: checkpoints/, log.jsonl, *.svg and
// model/ (weights, config.json, generation_config.json, tokenizer and template: what transformers
// and headgate load). Throws kInvalidArgument when `output` holds checkpoints and `resume` is
// false, or when the model's vocabulary is smaller than the tokenizer's.
TrainRunReport run_training(const Recipe& recipe, const TrainRunOptions& options);

// The weights of the newest checkpoint of `output` as a model folder, without training. Returns it.
std::string export_run(const Recipe& recipe, const TrainRunOptions& options);

// The recipe's model with the token ids of the tokenizer and the stated context length.
TrainConfig train_config_of(const Recipe& recipe, const Tokenizer& tokenizer);

}  // namespace headgate

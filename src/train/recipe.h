// A training run as a TOML file describes it: model, data, phases, checkpoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/train_config.h"

namespace headgate {

// Where rows come from.
struct RecipeSource {
  std::string name;
  std::vector<std::string> files;  // token shards; empty: the skill generator
  double weight = 1;               // of every target of the source
  // Of the generator: share of the tokens by family (empty: the default mix), longest haystack,
  // share of samples with reasoning (below 0: each family's own), a text to hide needles in.
  std::vector<std::pair<std::string, double>> families;
  int64_t needle_words = 260;
  double thinking = -1;
  std::string passages;
};

// A stretch of steps with one row length, one mix and one course of the rate.
struct RecipePhase {
  std::string name;
  int64_t steps = 0;
  int64_t row_length = 1024;
  int64_t rows = 4;        // of a step
  int64_t micro_rows = 0;  // rows at once; 0: all of a step
  double rate = 1e-3;      // at the start
  bool decay = false;      // linear to final_share of the rate over the phase
  double final_share = 0;
  int64_t mtp_steps = -1;   // drafts trained in this phase; below 0: those of [loss]
  std::vector<double> mix;  // share of the tokens by source, in the order of Recipe::sources
};

struct Recipe {
  std::string path;  // of the file, for messages
  std::string name = "model";
  uint64_t seed = 0;         // of the weights and of the data
  std::string tokenizer;     // folder
  TrainConfig train;         // without the schedule, which the phases make
  std::string init;          // folder or GGUF of the first weights; empty: made of the seed
  int64_t warmup_steps = 0;  // of the first phase
  std::vector<RecipeSource> sources;
  std::vector<RecipePhase> phases;
  double save_minutes = 10;  // 0: by steps only
  int64_t save_steps = 0;    // 0: by time only
  int64_t keep = 2;
  int64_t evaluate_steps = 0;  // 0: never
  int64_t evaluate_rows = 16;
  std::vector<std::string> evaluate_files;  // held-out shards
  std::string gguf_type = "q8_0";
  int64_t context = 32768;  // stated in tokenizer_config.json and config.json

  int64_t total_steps() const;
  // The phase of step `step` and the number of steps before the phase.
  std::pair<const RecipePhase*, int64_t> phase_of(int64_t step) const;
  // The course of the rate in that phase.
  ScheduleConfig schedule_of(int64_t step) const;
  int64_t mtp_steps_of(int64_t step) const;
};

// Reads a recipe. Paths in it are relative to the file's folder. Throws kInvalidFile with file and
// line for what is not TOML, for unknown keys, wrong types and values out of range.
Recipe read_recipe(const std::string& path);
Recipe parse_recipe(std::string_view text, const std::string& path);

}  // namespace headgate

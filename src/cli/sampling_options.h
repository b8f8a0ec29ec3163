// The sampling flags of `run` and the settings of `chat`: overrides of the model's own defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/args.h"
#include "sampling/sampler.h"

namespace headgate {

struct SamplingOptions {
  std::optional<double> temperature, top_p, min_p, typical_p;
  std::optional<double> repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k;
  std::optional<uint64_t> seed;  // unset: another one each time
  std::optional<int64_t> logprobs;
  std::vector<std::string> logit_bias;  // "ID=VALUE"
  std::vector<std::string> stop;
  int64_t max_tokens = -1;
};

void add_sampling_options(Command& command, SamplingOptions& options);

// `defaults` with what the options set. A seed is drawn when none is given. Throws
// kInvalidArgument.
SamplingParams sampling_params(const SamplingParams& defaults, const SamplingOptions& options);

// Sets one option by its name ("temp", "top-k", "seed", "max-tokens", ...) from text; "default"
// unsets it. Throws kInvalidArgument naming the known ones.
void set_sampling_option(SamplingOptions& options, std::string_view name, std::string_view value);

// "temperature 0.7, top-k 20, top-p 0.8".
std::string describe_sampling(const SamplingParams& params);

}  // namespace headgate

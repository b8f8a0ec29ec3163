// Sampling options from flags and from `/set`.
#include "cli/sampling_options.h"

#include <fmt/core.h>

#include <cstdlib>
#include <limits>
#include <random>

#include "base/error.h"
#include "cli/input.h"

namespace headgate {
namespace {

float to_float(double value) { return static_cast<float>(value); }

int32_t to_int32(const char* name, int64_t value) {
  if (value < 0 || value > std::numeric_limits<int32_t>::max())
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected 0 or more", name, value);
  return static_cast<int32_t>(value);
}

double parse_number(std::string_view name, std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0')
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected a number", name, text);
  return value;
}

int64_t parse_integer(std::string_view name, std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const int64_t value = std::strtoll(copy.c_str(), &end, 10);
  if (copy.empty() || *end != '\0')
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected a whole number", name, text);
  return value;
}

struct NumberField {
  std::string_view name;
  std::optional<double> SamplingOptions::*field;
};

constexpr NumberField kNumbers[] = {
    {"temp", &SamplingOptions::temperature},
    {"temperature", &SamplingOptions::temperature},
    {"top-p", &SamplingOptions::top_p},
    {"min-p", &SamplingOptions::min_p},
    {"typical-p", &SamplingOptions::typical_p},
    {"repeat-penalty", &SamplingOptions::repeat_penalty},
    {"presence-penalty", &SamplingOptions::presence_penalty},
    {"frequency-penalty", &SamplingOptions::frequency_penalty},
};

}  // namespace

void add_sampling_options(Command& command, SamplingOptions& o) {
  command.group("Sampling (defaults: the model's own)")
      .option("-n,--n,--max-tokens", o.max_tokens, "Tokens to write at most; -1: as many as fit")
      .option("--temp", o.temperature, "Temperature; 0: always the likeliest token")
      .option("--top-k", o.top_k, "Only the K likeliest tokens; 0: all")
      .option("--top-p", o.top_p, "Only the likeliest tokens that reach this probability together")
      .option("--min-p", o.min_p, "Only tokens with this share of the likeliest one's probability")
      .option("--typical-p", o.typical_p, "Only locally typical tokens of this mass; 1: off")
      .option("--repeat-penalty", o.repeat_penalty, "Against tokens of prompt and answer; 1: off")
      .option("--presence-penalty", o.presence_penalty, "Against tokens of the answer, once each")
      .option("--frequency-penalty", o.frequency_penalty, "Against tokens of the answer, each time")
      .option("--logit-bias", o.logit_bias, "Add VALUE to the logit of a token; repeatable")
      .takes("ID=VALUE")
      .option("--seed", o.seed, "Same seed, same text; without it another one each time")
      .option("--stop", o.stop, "End the answer before this text; repeatable")
      .option("--logprobs", o.logprobs, "With --json: log-probabilities of the N likeliest tokens");
}

SamplingParams sampling_params(const SamplingParams& defaults, const SamplingOptions& o) {
  SamplingParams params = defaults;
  if (o.temperature) params.temperature = to_float(*o.temperature);
  if (o.top_k) params.top_k = to_int32("top-k", *o.top_k);
  if (o.top_p) params.top_p = to_float(*o.top_p);
  if (o.min_p) params.min_p = to_float(*o.min_p);
  if (o.typical_p) params.typical_p = to_float(*o.typical_p);
  if (o.repeat_penalty) params.repetition_penalty = to_float(*o.repeat_penalty);
  if (o.presence_penalty) params.presence_penalty = to_float(*o.presence_penalty);
  if (o.frequency_penalty) params.frequency_penalty = to_float(*o.frequency_penalty);
  if (o.logprobs) params.top_logprobs = to_int32("logprobs", *o.logprobs);
  for (const std::string& bias : o.logit_bias) params.logit_bias.push_back(parse_logit_bias(bias));
  // 32 bits are enough to differ, and short enough to type again.
  params.seed = o.seed ? *o.seed : std::random_device{}();
  return params;
}

void set_sampling_option(SamplingOptions& options, std::string_view name, std::string_view value) {
  const bool unset = value == "default";
  for (const NumberField& number : kNumbers) {
    if (number.name != name) continue;
    options.*number.field = unset ? std::nullopt : std::optional(parse_number(name, value));
    return;
  }
  if (name == "top-k") {
    options.top_k = unset ? std::nullopt : std::optional(parse_integer(name, value));
  } else if (name == "seed") {
    options.seed =
        unset ? std::nullopt : std::optional(static_cast<uint64_t>(parse_integer(name, value)));
  } else if (name == "max-tokens") {
    options.max_tokens = unset ? -1 : parse_integer(name, value);
  } else if (name == "stop") {
    options.stop.clear();
    if (!unset) options.stop.emplace_back(value);
  } else {
    fail(ErrorCode::kInvalidArgument,
         "no setting {}: expected temp, top-k, top-p, min-p, typical-p, repeat-penalty, "
         "presence-penalty, frequency-penalty, seed, max-tokens or stop",
         name);
  }
}

std::string describe_sampling(const SamplingParams& p) {
  if (p.temperature == 0) return "greedy";
  std::string out = fmt::format("temperature {:g}", p.temperature);
  if (p.top_k > 0) out += fmt::format(", top-k {}", p.top_k);
  if (p.top_p < 1) out += fmt::format(", top-p {:g}", p.top_p);
  if (p.min_p > 0) out += fmt::format(", min-p {:g}", p.min_p);
  if (p.typical_p < 1) out += fmt::format(", typical-p {:g}", p.typical_p);
  if (p.repetition_penalty != 1) out += fmt::format(", repeat-penalty {:g}", p.repetition_penalty);
  if (p.presence_penalty != 0) out += fmt::format(", presence-penalty {:g}", p.presence_penalty);
  if (p.frequency_penalty != 0) out += fmt::format(", frequency-penalty {:g}", p.frequency_penalty);
  return out;
}

}  // namespace headgate

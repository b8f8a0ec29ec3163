// Fields that all endpoints that generate have in common, and reading them into an engine request.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/fields.h"
#include "server/generation.h"
#include "server/service.h"

namespace headgate {

// Bounds of lists and counts; small, as every unit costs the others something.
constexpr int64_t kMostChoices = 16;
constexpr int64_t kMostStops = 16;
constexpr int64_t kMostBiases = 1024;
constexpr int64_t kMostBadWords = 64;
constexpr int64_t kMostTools = 256;
constexpr int64_t kMostLogprobs = 20;
constexpr int64_t kMostMessages = 16384;
constexpr int64_t kTextBytes = int64_t{32} << 20;

// The rules of what read_sampling(), wants_usage() and need_model() read.
std::span<const FieldRule> sampling_rules();
// Several groups of rules as one.
std::vector<FieldRule> join_rules(std::initializer_list<std::span<const FieldRule>> groups);

// Sampling, stops, choices and cache fields into `plan`; max_tokens is not among them.
// The call has its model.
void read_sampling(const Fields& fields, const Call& call, GenerationPlan& plan);

// Who shares cached prefixes with this call: its tenant, and of these equal `cache_salt`s.
std::string cache_salt_of(const Fields& fields, const Call& call);

// stream_options.include_usage.
bool wants_usage(const Fields& fields);

// The model that the request names, for as long as the call is held; to be called before anything
// else is done, since it may be called again: throws ModelAway where the model must be loaded
// first, 404 for a name that does not exist here.
const ServedModel& need_model(const Fields& fields, Service& service, Call& call);

// Bounds the answer: `asked` tokens (-1: the server's default), or what the context leaves of them.
// Throws 400 context_length_exceeded, naming both numbers, when the prompt and one token do not
// fit.
void check_context(const Service& service, const Call& call, int64_t prompt_tokens, int64_t asked,
                   GenerationPlan& plan);

// Token texts and bytes of log-probabilities.
json::object chat_logprob(const ServedModel& model, const SampledToken& token);

}  // namespace headgate

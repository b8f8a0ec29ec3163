// Common fields of requests that generate.
#include "server/openai/generation_fields.h"

#include <charconv>
#include <cmath>
#include <random>

#include "base/error.h"
#include "server/model_host.h"

namespace headgate {
namespace {

constexpr FieldRule kSampling[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model; see GET /v1/models"},
    {"temperature", FieldKind::kNumber, 0, 2, "0: always the likeliest token"},
    {"top_p", FieldKind::kNumber, 0, 1, "Only the likeliest tokens that reach this mass"},
    {"top_k", FieldKind::kInteger, -1, 2147483647, "Only the K likeliest tokens; 0 or -1: all"},
    {"min_p", FieldKind::kNumber, 0, 1,
     "Only tokens with this share of the best one's probability"},
    {"typical_p", FieldKind::kNumber, 0, 1, "Only locally typical tokens of this mass; 1: off"},
    {"repetition_penalty", FieldKind::kNumber, 0.01, 100,
     "Against tokens of prompt and answer; 1: off"},
    {"presence_penalty", FieldKind::kNumber, -2, 2, "Against tokens of the answer, once each"},
    {"frequency_penalty", FieldKind::kNumber, -2, 2, "Against tokens of the answer, each time"},
    {"logit_bias", FieldKind::kObject, 0, kMostBiases,
     "Token id to what its logit gains; -100 bans it"},
    {"seed", FieldKind::kInteger, -9.3e18, 1.85e19, "Same seed, same answer"},
    {"stop", FieldKind::kTexts, 0, kMostStops, "Texts that end the answer"},
    {"stop_token_ids", FieldKind::kList, 0, 64, "Tokens that end the answer"},
    {"ignore_eos", FieldKind::kBoolean, 0, 0, "Go on until max_tokens"},
    {"min_tokens", FieldKind::kInteger, 0, 1 << 30, "No end before so many tokens"},
    {"bad_words", FieldKind::kTexts, 0, kMostBadWords, "Texts that never occur in the answer"},
    {"allowed_token_ids", FieldKind::kList, 1, 1 << 20, "The only tokens that may come"},
    {"thinking_budget", FieldKind::kInteger, -1, 1 << 30,
     "Thinking ends after so many tokens; -1: when it likes"},
    {"thinking_token_budget", FieldKind::kInteger, -1, 1 << 30, "vLLM's name of thinking_budget"},
    {"include_stop_str_in_output", FieldKind::kBoolean, 0, 0, "Keep the stop string"},
    {"skip_special_tokens", FieldKind::kBoolean, 0, 0,
     "Leave special tokens out of the text (default)"},
    {"n", FieldKind::kInteger, 1, kMostChoices, "Answers to the one prompt"},
    {"stream", FieldKind::kBoolean, 0, 0, "Send the answer as it grows, as server-sent events"},
    {"stream_options", FieldKind::kObject, 0, 16, "include_usage: a last event with token counts"},
    {"return_progress", FieldKind::kBoolean, 0, 0, "Stream how far the prompt has been read"},
    {"priority", FieldKind::kInteger, -100, 100, "Larger goes first"},
    {"cache_salt", FieldKind::kText, 0, 256, "Cached prefixes are shared under equal salts only"},
    {"yarn", FieldKind::kBoolean, 0, 0,
     "Stretch the context (needs --yarn); by default if prompt and answer do not fit without"},
    {"user", FieldKind::kText, 0, 4096, "Accepted and not used"},
};

constexpr FieldRule kStreamOptions[] = {
    {"include_usage", FieldKind::kBoolean, 0, 0, ""},
    {"include_obfuscation", FieldKind::kBoolean, 0, 0, ""},
    {"continuous_usage_stats", FieldKind::kBoolean, 0, 0, ""},
};

std::vector<std::pair<int32_t, float>> read_bias(const Fields& fields, int64_t vocabulary) {
  std::vector<std::pair<int32_t, float>> out;
  const json::object* object = fields.object("logit_bias");
  if (object == nullptr) return out;
  for (const auto& member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    int32_t token = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), token);
    if (parsed.ec != std::errc() || parsed.ptr != key.data() + key.size() || token < 0 ||
        token >= vocabulary) {
      refuse_field("logit_bias", "logit_bias: found \"{}\", expected token ids from 0 to {}",
                   key.substr(0, 40), vocabulary - 1);
    }
    const json::value& value = member.value();
    const double bias = value.is_number() ? value.to_number<double>() : NAN;
    if (!(bias >= -100 && bias <= 100))
      refuse_field("logit_bias", "logit_bias: expected numbers from -100 to 100 for token {}",
                   token);
    // OpenAI's -100 is a ban.
    out.emplace_back(token, bias == -100 ? -INFINITY : static_cast<float>(bias));
  }
  return out;
}

std::vector<int32_t> read_ids(const Fields& fields, std::string_view name, int64_t vocabulary) {
  std::vector<int32_t> out;
  const json::array* ids = fields.list(name);
  if (ids == nullptr) return out;
  for (const json::value& id : *ids) {
    const int64_t* number = id.if_int64();
    if (number == nullptr || *number < 0 || *number >= vocabulary)
      refuse_field(fields.path(name), "{}: expected token ids from 0 to {}", name, vocabulary - 1);
    out.push_back(static_cast<int32_t>(*number));
  }
  return out;
}

void read_limits(const Fields& fields, int64_t vocabulary, AnswerLimits& limits) {
  limits.min_tokens = fields.integer("min_tokens").value_or(0);
  limits.bad_words = fields.texts("bad_words");
  for (const std::string& word : limits.bad_words) {
    if (word.empty() || word.size() > 128)
      refuse_field("bad_words", "bad_words: expected texts of 1 to 128 bytes");
  }
  limits.allowed_tokens = read_ids(fields, "allowed_token_ids", vocabulary);
  const auto budget = fields.integer("thinking_budget");
  limits.thinking_tokens = budget ? *budget : fields.integer("thinking_token_budget").value_or(-1);
}

void read_stops(const Fields& fields, const ServedModel& model, GenerationPlan& plan) {
  for (std::string& text : fields.texts("stop")) {
    if (text.empty())
      refuse_field("stop", "stop: found an empty text, expected at least one character");
    if (text.size() > 1024)
      refuse_field("stop", "stop: found {} bytes, expected at most 1024", text.size());
    plan.stop.push_back(std::move(text));
  }
  if (!fields.boolean("ignore_eos").value_or(false)) plan.request.stop_tokens = model.stop_tokens;
  const int64_t vocabulary = model.engine->model().config().vocabulary;
  for (const int32_t id : read_ids(fields, "stop_token_ids", vocabulary))
    plan.request.stop_tokens.push_back(id);
}

void set_number(const Fields& fields, std::string_view name, float& target) {
  if (const auto number = fields.number(name)) target = static_cast<float>(*number);
}

}  // namespace

std::span<const FieldRule> sampling_rules() { return kSampling; }

std::vector<FieldRule> join_rules(std::initializer_list<std::span<const FieldRule>> groups) {
  std::vector<FieldRule> out;
  for (const std::span<const FieldRule> group : groups)
    out.insert(out.end(), group.begin(), group.end());
  return out;
}

void read_sampling(const Fields& fields, const Call& call, GenerationPlan& plan) {
  const ServedModel& model = *call.model;
  SamplingParams& p = plan.request.sampling;
  p = model.sampling_defaults;
  set_number(fields, "temperature", p.temperature);
  set_number(fields, "top_p", p.top_p);
  set_number(fields, "min_p", p.min_p);
  set_number(fields, "typical_p", p.typical_p);
  set_number(fields, "repetition_penalty", p.repetition_penalty);
  set_number(fields, "presence_penalty", p.presence_penalty);
  set_number(fields, "frequency_penalty", p.frequency_penalty);
  if (const auto k = fields.integer("top_k"))
    p.top_k = static_cast<int32_t>(std::max<int64_t>(*k, 0));
  const int64_t vocabulary = model.engine->model().config().vocabulary;
  p.logit_bias = read_bias(fields, vocabulary);
  const auto seed = fields.integer("seed");
  p.seed = seed ? static_cast<uint64_t>(*seed) : std::random_device{}();
  read_stops(fields, model, plan);
  read_limits(fields, vocabulary, plan.limits);
  plan.include_stop_text = fields.boolean("include_stop_str_in_output").value_or(false);
  plan.skip_special = fields.boolean("skip_special_tokens").value_or(true);
  plan.report_progress = fields.boolean("return_progress").value_or(false);
  plan.request.choices = static_cast<int32_t>(fields.integer("n").value_or(1));
  plan.request.priority = static_cast<int32_t>(fields.integer("priority").value_or(0));
  plan.request.stretched = fields.boolean("yarn");
  plan.request.cache_salt = cache_salt_of(fields, call);
}

// Tenants never share prefixes, whatever salts they choose.
std::string cache_salt_of(const Fields& fields, const Call& call) {
  return call.caller.tenant() + "\n" + fields.text("cache_salt").value_or("");
}

bool wants_usage(const Fields& fields) {
  const json::object* options = fields.object("stream_options");
  if (options == nullptr) return false;
  if (!fields.boolean("stream").value_or(false))
    refuse_field("stream_options", "stream_options: only allowed when stream is true");
  return Fields(*options, kStreamOptions, "stream_options.")
      .boolean("include_usage")
      .value_or(false);
}

const ServedModel& need_model(const Fields& fields, Service& service, Call& call) {
  if (!call.model) {
    const std::string name = fields.text("model").value_or("");
    call.model = service.host->take(name);
    if (!call.model) throw ModelAway(name);
  }
  return *call.model;
}

void check_context(const Service& service, const Call& call, int64_t prompt_tokens, int64_t asked,
                   GenerationPlan& plan) {
  const int64_t context = call.model->engine->context();
  if (prompt_tokens >= context && asked != 0) {
    // In words that other packages look for when they tell this error from others.
    throw ApiError(400, "context_length_exceeded",
                   fmt::format("this model's maximum context length is {} tokens: the prompt has "
                               "{} tokens, which does not fit with at least one token of answer",
                               context, prompt_tokens),
                   "messages");
  }
  int64_t room = asked;
  if (room < 0 && service.limits.default_max_tokens > 0)
    room = std::min(service.limits.default_max_tokens.load(), context - prompt_tokens);
  plan.request.max_tokens = room;
  if (room >= 0 && plan.limits.min_tokens > room) {
    refuse_field("min_tokens", "min_tokens: found {}, at most {} tokens may come",
                 plan.limits.min_tokens, room);
  }
}

namespace {

json::object one_logprob(const ServedModel& model, int32_t id, float logprob) {
  const std::string_view bytes = model.tokenizer->token_bytes(id);
  json::array numbers;
  for (const char byte : bytes)
    numbers.push_back(static_cast<int64_t>(static_cast<unsigned char>(byte)));
  return {{"token", model.tokenizer->token_text(id)},
          // JSON has no infinity: what is impossible is only very unlikely.
          {"logprob", std::max(static_cast<double>(logprob), -9999.0)},
          {"bytes", std::move(numbers)}};
}

}  // namespace

json::object chat_logprob(const ServedModel& model, const SampledToken& token) {
  json::object out = one_logprob(model, token.token, token.logprob);
  json::array top;
  for (const TokenLogprob& other : token.top_logprobs)
    top.push_back(one_logprob(model, other.token, other.logprob));
  out["top_logprobs"] = std::move(top);
  return out;
}

}  // namespace headgate

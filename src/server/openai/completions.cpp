// Plain completions, with echo and log-probabilities of the prompt as evaluation programs need
// them.
#include "server/openai/completions.h"

#include <utility>

#include "base/error.h"
#include "server/generation.h"
#include "server/openai/chat_completions.h"
#include "server/openai/generation_fields.h"
#include "server/openai/output_rules.h"
#include "server/openai/prompts.h"

namespace headgate {
namespace {

constexpr int64_t kMostPrompts = 256;

constexpr FieldRule kCompletion[] = {
    {"prompt", FieldKind::kAny, 0, 0, "A text, token ids, or an array of either"},
    {"max_tokens", FieldKind::kInteger, 0, 1 << 30, "Tokens of the answer at most; default 16"},
    {"logprobs", FieldKind::kInteger, 0, kMostLogprobs,
     "Log-probabilities, with so many likeliest tokens"},
    {"echo", FieldKind::kBoolean, 0, 0, "Begin the answer with the prompt"},
    {"return_token_ids", FieldKind::kBoolean, 0, 0,
     "Add prompt_token_ids and token_ids to every choice, as vLLM does"},
    {"best_of", FieldKind::kInteger, 1, kMostChoices, "Only n itself is possible"},
    {"suffix", FieldKind::kText, 0, 0, "Not supported by these models: must be empty"},
};

// The answers to all prompts of one request, which run side by side.
class CompletionGroup : public std::enable_shared_from_this<CompletionGroup> {
 public:
  CompletionGroup(const Call& call, Prompts prompts, int32_t choices)
      : model_(call.model),
        exchange_(call.exchange),
        prompts_(std::move(prompts)),
        choices_(choices),
        unfinished_(prompts_.size()),
        items_(prompts_.size() * static_cast<size_t>(choices)) {}

  bool stream = false, echo = false, with_usage = false, with_ids = false;
  int64_t logprobs = -1;

  void accepted();
  void scored(size_t prompt, int64_t first, std::span<const SampledToken> tokens);
  void token(size_t prompt, int32_t choice, const SampledToken& token,
             std::span<const OutputEvent> events);
  void choice_done(size_t prompt, int32_t choice, const ChoiceState& state,
                   std::span<const OutputEvent> events);
  void done(const GenerationUsage& usage);
  void failed(const ApiError& error);
  size_t prompt_count() const { return prompts_.size(); }
  const std::vector<int32_t>& prompt(size_t index) const { return prompts_[index]; }

 private:
  // What one choice has to report; in the columns of OpenAI's old format.
  struct Item {
    std::string text;
    std::vector<SampledToken> sampled;  // not sent yet
    json::array ids;                    // not sent yet
    bool prompt_ids_sent = false;
    int64_t offset = 0;  // of the next token's text
    std::string finish_reason;
    bool echoed = false;
  };

  Item& item(size_t prompt, int32_t choice) {
    return items_[prompt * static_cast<size_t>(choices_) + static_cast<size_t>(choice)];
  }
  json::object envelope() const;
  json::value take_logprobs(size_t prompt, Item& item, bool with_prompt);
  void append_column(json::object& columns, Item& item, const SampledToken* token,
                     int32_t id) const;
  void add_ids(size_t prompt, Item& item, json::object& out) const;
  void send(size_t prompt, int32_t choice, const std::string& text);
  void respond();

  ModelLease model_;
  std::shared_ptr<Exchange> exchange_;
  Prompts prompts_;
  int32_t choices_;
  std::mutex mutex_;  // prompts run on different workers
  size_t unfinished_;
  bool begun_ = false, failed_ = false;
  std::vector<Item> items_;
  std::vector<std::vector<SampledToken>> scores_ =
      std::vector<std::vector<SampledToken>>(prompts_.size());
  GenerationUsage usage_;
  std::string id_ = make_object_id("cmpl-");
  int64_t created_ = unix_seconds();
};

class CompletionListener : public GenerationListener {
 public:
  CompletionListener(std::shared_ptr<CompletionGroup> group, size_t prompt)
      : group_(std::move(group)), prompt_(prompt) {}
  void accepted() override { group_->accepted(); }
  void scored(int64_t first, std::span<const SampledToken> tokens) override {
    group_->scored(prompt_, first, tokens);
  }
  void token(int32_t choice, const SampledToken& token,
             std::span<const OutputEvent> events) override {
    group_->token(prompt_, choice, token, events);
  }
  void choice_done(int32_t choice, const ChoiceState& state,
                   std::span<const OutputEvent> events) override {
    group_->choice_done(prompt_, choice, state, events);
  }
  void done(std::span<const ChoiceState>, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    group_->done(usage);
  }
  void failed(const ApiError& error) override { group_->failed(error); }

 private:
  std::shared_ptr<CompletionGroup> group_;
  size_t prompt_;
};

json::object CompletionGroup::envelope() const {
  return {{"id", id_},
          {"object", "text_completion"},
          {"created", created_},
          {"model", model_->name},
          {"system_fingerprint", model_->fingerprint}};
}

void CompletionGroup::accepted() {
  const std::lock_guard lock(mutex_);
  if (begun_ || failed_) return;
  begun_ = true;
  if (stream) exchange_->begin_stream(event_stream_head());
}

void CompletionGroup::scored(size_t prompt, int64_t, std::span<const SampledToken> tokens) {
  const std::lock_guard lock(mutex_);
  scores_[prompt].insert(scores_[prompt].end(), tokens.begin(), tokens.end());
}

// One row of tokens, token_logprobs, top_logprobs and text_offset. Without `token` nothing precedes
// it: its log-probability is null, as evaluation programs expect.
void CompletionGroup::append_column(json::object& columns, Item& item, const SampledToken* token,
                                    int32_t id) const {
  const std::string text = model_->tokenizer->token_text(id);
  columns["tokens"].get_array().emplace_back(text);
  columns["text_offset"].get_array().emplace_back(item.offset);
  item.offset += static_cast<int64_t>(text.size());
  json::array& logprob_column = columns["token_logprobs"].get_array();
  json::array& top_column = columns["top_logprobs"].get_array();
  if (token == nullptr) {
    logprob_column.emplace_back(nullptr);
    top_column.emplace_back(nullptr);
    return;
  }
  logprob_column.emplace_back(std::max(static_cast<double>(token->logprob), -9999.0));
  json::object top;
  for (const TokenLogprob& other : token->top_logprobs) {
    // Two tokens may have the same text: the likelier one stands for both.
    const std::string key = model_->tokenizer->token_text(other.token);
    if (!top.contains(key)) top[key] = std::max(static_cast<double>(other.logprob), -9999.0);
  }
  top_column.emplace_back(std::move(top));
}

json::value CompletionGroup::take_logprobs(size_t prompt, Item& item, bool with_prompt) {
  if (logprobs < 0) return nullptr;
  json::object columns = {{"tokens", json::array()},
                          {"token_logprobs", json::array()},
                          {"top_logprobs", json::array()},
                          {"text_offset", json::array()}};
  if (with_prompt) {
    const std::vector<int32_t>& ids = prompts_[prompt];
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool known = i > 0 && i - 1 < scores_[prompt].size();
      append_column(columns, item, known ? &scores_[prompt][i - 1] : nullptr, ids[i]);
    }
  }
  for (const SampledToken& token : item.sampled) append_column(columns, item, &token, token.token);
  item.sampled.clear();
  return columns;
}

void CompletionGroup::add_ids(size_t prompt, Item& item, json::object& out) const {
  if (!with_ids) return;
  const std::vector<int32_t>& ids = prompts_[prompt];
  out["prompt_token_ids"] = std::exchange(item.prompt_ids_sent, true)
                                ? json::value(nullptr)
                                : json::value(json::array(ids.begin(), ids.end()));
  out["token_ids"] = std::exchange(item.ids, {});
}

void CompletionGroup::send(size_t prompt, int32_t choice, const std::string& text) {
  Item& entry = item(prompt, choice);
  const bool first = echo && !entry.echoed;
  entry.echoed = true;
  json::object chunk = envelope();
  const std::string shown = first ? model_->tokenizer->decode(prompts_[prompt]) + text : text;
  json::object out = {{"index", static_cast<int64_t>(prompt) * choices_ + choice},
                      {"text", shown},
                      {"logprobs", take_logprobs(prompt, entry, first)},
                      {"finish_reason", nullptr}};
  if (!entry.finish_reason.empty()) out["finish_reason"] = entry.finish_reason;
  add_ids(prompt, entry, out);
  chunk["choices"] = json::array{std::move(out)};
  if (with_usage) chunk["usage"] = nullptr;
  exchange_->write(sse_data(chunk));
}

void CompletionGroup::token(size_t prompt, int32_t choice, const SampledToken& token,
                            std::span<const OutputEvent> events) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  Item& entry = item(prompt, choice);
  if (logprobs >= 0) entry.sampled.push_back(token);
  if (with_ids) entry.ids.emplace_back(token.token);
  std::string text;
  for (const OutputEvent& event : events) text += event.text;
  entry.text += text;
  if (stream && !text.empty()) send(prompt, choice, text);
}

void CompletionGroup::choice_done(size_t prompt, int32_t choice, const ChoiceState& state,
                                  std::span<const OutputEvent> events) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  Item& entry = item(prompt, choice);
  std::string text;
  for (const OutputEvent& event : events) text += event.text;
  entry.text += text;
  entry.finish_reason = state.finish_reason;
  if (stream) send(prompt, choice, text);
}

void CompletionGroup::done(const GenerationUsage& usage) {
  const std::lock_guard lock(mutex_);
  usage_.prompt_tokens += usage.prompt_tokens;
  usage_.cached_tokens += usage.cached_tokens;
  usage_.completion_tokens += usage.completion_tokens;
  usage_.accepted_drafts += usage.accepted_drafts;
  usage_.rejected_drafts += usage.rejected_drafts;
  usage_.prefill_seconds = std::max(usage_.prefill_seconds, usage.prefill_seconds);
  usage_.decode_seconds = std::max(usage_.decode_seconds, usage.decode_seconds);
  if (--unfinished_ > 0 || failed_) return;
  if (!stream) return respond();
  if (with_usage) {
    json::object chunk = envelope();
    chunk["choices"] = json::array();
    chunk["usage"] = usage_json(usage_);
    exchange_->write(sse_data(chunk));
  }
  exchange_->write("data: [DONE]\n\n");
  exchange_->finish();
}

void CompletionGroup::respond() {
  json::array list;
  for (size_t p = 0; p < prompts_.size(); ++p) {
    for (int32_t c = 0; c < choices_; ++c) {
      Item& entry = item(p, c);
      const std::string text =
          echo ? model_->tokenizer->decode(prompts_[p]) + entry.text : entry.text;
      json::object out = {{"index", list.size()},
                          {"text", text},
                          {"logprobs", take_logprobs(p, entry, echo)},
                          {"finish_reason", entry.finish_reason}};
      add_ids(p, entry, out);
      list.push_back(std::move(out));
    }
  }
  json::object out = envelope();
  out["choices"] = std::move(list);
  out["usage"] = usage_json(usage_);
  out["timings"] = timings_json(usage_);
  HttpResponse response;
  response.body = dump_json(out);
  exchange_->respond(std::move(response));
}

void CompletionGroup::failed(const ApiError& error) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  failed_ = true;
  if (stream && begun_) return end_stream_with_error(*exchange_, error, ApiStyle::kOpenAi);
  exchange_->respond(error_response(error, ApiStyle::kOpenAi));
}

void check_unsupported(const Fields& fields) {
  const auto best_of = fields.integer("best_of");
  if (best_of && *best_of != fields.integer("n").value_or(1))
    throw ApiError(400, "unsupported", "best_of: only the value of n is possible", "best_of");
}

}  // namespace

std::span<const FieldRule> completion_rules() {
  static const std::vector<FieldRule> rules =
      join_rules({sampling_rules(), kCompletion, output_form_rules()});
  return rules;
}

void completions(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, completion_rules());
  const ServedModel& model = need_model(fields, service, call);
  check_unsupported(fields);
  GenerationPlan plan;
  read_sampling(fields, call, plan);
  const bool echo = fields.boolean("echo").value_or(false);
  const auto logprobs = fields.integer("logprobs");
  if (logprobs) plan.request.sampling.top_logprobs = static_cast<int32_t>(*logprobs);
  if (logprobs && echo) plan.request.prompt_logprobs = static_cast<int32_t>(*logprobs);
  const int64_t asked = fields.integer("max_tokens").value_or(16);
  if (asked == 0 && !echo) refuse_field("max_tokens", "max_tokens: 0 needs echo");
  apply_output_form(read_output_form(fields, {}), ChatInput(), model, plan);

  auto group = std::make_shared<CompletionGroup>(
      call, read_prompts(fields.require("prompt"), model, "prompt", kMostPrompts),
      plan.request.choices);
  group->stream = fields.boolean("stream").value_or(false);
  group->with_usage = wants_usage(fields);
  group->echo = echo;
  group->with_ids = fields.boolean("return_token_ids").value_or(false);
  group->logprobs = logprobs.value_or(-1);
  const size_t count = group->prompt_count();
  for (size_t i = 0; i < count; ++i)
    check_context(service, call, static_cast<int64_t>(group->prompt(i).size()), asked, plan);
  for (size_t i = 0; i < count; ++i) {
    GenerationPlan own = plan;
    own.request.prompt = group->prompt(i);
    start_generation(service, call, std::move(own), std::make_unique<CompletionListener>(group, i));
  }
}

}  // namespace headgate

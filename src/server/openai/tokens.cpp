// Texts and conversations to token ids and back, in the formats of vLLM and llama.cpp.
#include "server/openai/tokens.h"

#include "base/error.h"
#include "server/openai/chat_input.h"
#include "server/openai/generation_fields.h"
#include "server/service.h"

namespace headgate {
namespace {

constexpr FieldRule kText[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"prompt", FieldKind::kText, 0, kTextBytes, "The text (vLLM's name)"},
    {"content", FieldKind::kText, 0, kTextBytes, "The text (llama.cpp's name)"},
    {"add_special_tokens", FieldKind::kBoolean, 0, 0, "Accepted: these tokenizers add none"},
    {"add_special", FieldKind::kBoolean, 0, 0, "Accepted: these tokenizers add none"},
    {"parse_special", FieldKind::kBoolean, 0, 0, "Recognise special tokens in the text (default)"},
    {"return_token_strs", FieldKind::kBoolean, 0, 0, "Add the text of each token"},
    {"with_pieces", FieldKind::kBoolean, 0, 0, "tokens become objects with id and piece"},
};

constexpr FieldRule kTokens[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"tokens", FieldKind::kList, 0, 1 << 24, "Token ids"},
};

constexpr FieldRule kModel[] = {{"model", FieldKind::kText, 1, 512, "Name of the model"}};

void respond_json(Call& call, const json::value& value) {
  HttpResponse response;
  response.body = dump_json(value);
  call.exchange->respond(std::move(response));
}

std::vector<int32_t> ids_of_request(const Fields& fields, const ServedModel& model) {
  if (fields.has("messages")) return render_chat(read_chat_input(fields, model), model).ids;
  const auto prompt = fields.text("prompt");
  const auto text = prompt ? prompt : fields.text("content");
  if (!text) fields.require("prompt");
  EncodeOptions options;
  options.parse_special = fields.boolean("parse_special").value_or(true);
  return model.tokenizer->encode(*text, options);
}

}  // namespace

std::span<const FieldRule> tokenize_rules() {
  static const std::vector<FieldRule> rules = join_rules({kText, chat_input_rules()});
  return rules;
}

std::span<const FieldRule> detokenize_rules() { return kTokens; }

std::span<const FieldRule> apply_template_rules() {
  static const std::vector<FieldRule> rules = join_rules({kModel, chat_input_rules()});
  return rules;
}

void tokenize(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, tokenize_rules());
  const ServedModel& model = need_model(fields, service, call);
  const std::vector<int32_t> ids = ids_of_request(fields, model);
  const bool pieces = fields.boolean("with_pieces").value_or(false);
  json::array tokens, texts;
  for (const int32_t id : ids) {
    if (pieces) {
      tokens.push_back(json::object{{"id", id}, {"piece", model.tokenizer->token_text(id)}});
    } else {
      tokens.emplace_back(id);
    }
    if (fields.boolean("return_token_strs").value_or(false))
      texts.emplace_back(model.tokenizer->token_text(id));
  }
  json::object out = {{"count", ids.size()},
                      {"max_model_len", model.engine->context()},
                      {"tokens", std::move(tokens)},
                      {"token_strs", nullptr}};
  if (!texts.empty()) out["token_strs"] = std::move(texts);
  respond_json(call, out);
}

void detokenize(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, detokenize_rules());
  const ServedModel& model = need_model(fields, service, call);
  fields.require("tokens");
  std::vector<int32_t> ids;
  for (const json::value& item : *fields.list("tokens")) {
    const int64_t* id = item.if_int64();
    if (id == nullptr || *id < 0 || *id >= model.tokenizer->vocab_size()) {
      refuse_field("tokens", "tokens: expected token ids from 0 to {}",
                   model.tokenizer->vocab_size() - 1);
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  const std::string text = model.tokenizer->decode(ids);
  respond_json(call, json::object{{"prompt", text}, {"content", text}});
}

// lm-eval asks for this where it is told to use the server's own tokenizer.
void tokenizer_info(Service& service, Call& call) {
  json::object named;
  if (const std::string name = query_value(call.request().query, "model"); !name.empty())
    named["model"] = name;
  const ServedModel& model = need_model(Fields(named, kModel), service, call);
  const Tokenizer& tokenizer = *model.tokenizer;
  const auto text_of = [&](const std::optional<int32_t>& id) {
    return id ? json::value(tokenizer.token_text(*id)) : json::value(nullptr);
  };
  const auto number_of = [](const std::optional<int32_t>& id) {
    json::value out;  // null
    if (id) out = *id;
    return out;
  };
  const std::vector<int32_t>& ends = tokenizer.eos_ids();
  std::optional<int32_t> eos;
  if (!ends.empty()) eos = ends.front();
  json::object out = {{"tokenizer_class", "Qwen2Tokenizer"},
                      {"vocab_size", tokenizer.vocab_size()},
                      {"model_max_length", model.engine->context()},
                      {"add_bos_token", false},
                      {"bos_token", text_of(tokenizer.bos_id())},
                      {"bos_token_id", number_of(tokenizer.bos_id())},
                      {"eos_token", text_of(eos)},
                      {"eos_token_id", number_of(eos)},
                      {"pad_token", text_of(tokenizer.pad_id())}};
  out["chat_template"] = model.chat_template != nullptr ? json::value(model.chat_template->source())
                                                        : json::value(nullptr);
  respond_json(call, out);
}

void apply_template(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, apply_template_rules());
  const ServedModel& model = need_model(fields, service, call);
  const RenderedChat rendered = render_chat(read_chat_input(fields, model), model);
  respond_json(call, json::object{{"prompt", rendered.text}, {"tokens", rendered.ids.size()}});
}

}  // namespace headgate

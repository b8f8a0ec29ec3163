// The form of answers.
#include "server/openai/output_rules.h"

#include "base/error.h"
#include "chat/answer_grammar.h"
#include "chat/answer_limits.h"
#include "grammar/constraint_cache.h"
#include "grammar/gbnf.h"
#include "grammar/grammar_constraint.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"

namespace headgate {
namespace {

constexpr FieldRule kOutputForm[] = {
    {"response_format", FieldKind::kObject, 1, 8, "text, json_object or json_schema"},
    {"structured_outputs", FieldKind::kObject, 1, 8, "json, regex, choice or grammar, as in vLLM"},
    {"parallel_tool_calls", FieldKind::kBoolean, 0, 0,
     "Whether several tools may be called at once"},
};

const json::value* member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

}  // namespace

std::span<const FieldRule> output_form_rules() { return kOutputForm; }

void read_format(const json::object& format, const std::string& path, OutputForm& form) {
  const json::value* type = member(format, "type");
  if (type == nullptr || !type->is_string()) refuse_field(path + ".type", "{}.type: missing", path);
  const std::string_view word = text_view(type->get_string());
  if (word == "text") return;
  if (word == "json_object") {
    form.kind = OutputForm::Kind::kJsonObject;
    return;
  }
  if (word != "json_schema") {
    refuse_field(path + ".type", "{}.type: found \"{}\", expected text, json_object or json_schema",
                 path, word.substr(0, 40));
  }
  const json::value* inner = member(format, "json_schema");
  const json::object& holder =
      inner != nullptr && inner->is_object() ? inner->get_object() : format;
  const json::value* schema = member(holder, "schema");
  if (schema == nullptr || !(schema->is_object() || schema->is_bool()))
    refuse_field(path + ".json_schema.schema", "{}.json_schema.schema: missing", path);
  form.kind = OutputForm::Kind::kJsonSchema;
  form.schema = *schema;
}

OutputForm read_output_form(const Fields& fields, const json::array& tools) {
  OutputForm form;
  if (const json::object* format = fields.object("response_format"))
    read_format(*format, "response_format", form);
  if (const json::object* wanted = fields.object("structured_outputs")) {
    if (form.kind != OutputForm::Kind::kText)
      refuse_field("structured_outputs", "structured_outputs: excludes response_format");
    read_structured_outputs(*wanted, form);
  }
  form.tool_choice = read_tool_choice(fields, tools);
  form.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
  return form;
}

namespace {

constexpr size_t kGrammarBytes = 256 << 10;

std::string choices_grammar(const json::value& choices) {
  if (!choices.is_array() || choices.get_array().empty() || choices.get_array().size() > 1024)
    refuse_field("structured_outputs.choice",
                 "structured_outputs.choice: expected 1 to 1024 texts");
  std::string out = "root ::= ";
  for (size_t i = 0; i < choices.get_array().size(); ++i) {
    const json::value& choice = choices.get_array()[i];
    if (!choice.is_string())
      refuse_field("structured_outputs.choice", "structured_outputs.choice: expected texts");
    out += i == 0 ? "\"" : " | \"";
    for (const char c : text_view(choice.get_string())) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out += std::string("\\") + c;
      } else if (byte < 0x20) {
        out += fmt::format("\\x{:02x}", byte);
      } else {
        out += c;
      }
    }
    out += '"';
  }
  return out + "\n";
}

}  // namespace

void read_structured_outputs(const json::object& wanted, OutputForm& form) {
  if (wanted.size() != 1)
    refuse_field("structured_outputs",
                 "structured_outputs: expected exactly one of json, regex, choice and grammar");
  const std::string kind(wanted.begin()->key().data(), wanted.begin()->key().size());
  const json::value& value = wanted.begin()->value();
  if (kind == "json") {
    form.kind = OutputForm::Kind::kJsonSchema;
    form.schema = value.is_string()
                      ? parse_json(text_view(value.get_string()), "structured_outputs.json")
                      : value;
  } else if (kind == "choice") {
    form.kind = OutputForm::Kind::kGrammar;
    form.pattern = choices_grammar(value);
  } else if (kind == "regex" || kind == "grammar") {
    if (!value.is_string())
      refuse_field("structured_outputs." + kind, "structured_outputs.{}: expected a string", kind);
    form.kind = kind == "regex" ? OutputForm::Kind::kRegex : OutputForm::Kind::kGrammar;
    form.pattern = std::string(text_view(value.get_string()));
  } else {
    refuse_field("structured_outputs." + kind.substr(0, 40),
                 "structured_outputs: expected json, regex, choice or grammar");
  }
}

namespace {

// What a form means as a grammar of the answer itself.
Grammar content_grammar(const OutputForm& form, const TokenTrie& trie) {
  switch (form.kind) {
    case OutputForm::Kind::kJsonSchema:
      return json_schema_grammar(form.schema);
    case OutputForm::Kind::kRegex:
      return regex_grammar(form.pattern);
    case OutputForm::Kind::kGrammar:
      return gbnf_grammar(form.pattern, &trie, "grammar");
    default:
      return json_object_grammar();
  }
}

// Under which a compiled grammar is kept: all that it depends on.
std::string cache_key(const OutputForm& form, const ChatInput& input,
                      OutputParserOptions::Reasoning reasoning, bool tools) {
  std::string key =
      fmt::format("{} {} {} ", static_cast<int>(form.kind), static_cast<int>(reasoning), tools);
  if (tools) {
    return key +
           fmt::format("{} {} {} ", static_cast<int>(form.tool_choice.kind),
                       form.parallel_tool_calls, form.tool_choice.name) +
           dump_json(input.tools);
  }
  return key + form.pattern +
         (form.kind == OutputForm::Kind::kJsonSchema ? dump_json(form.schema) : "");
}

std::shared_ptr<const TokenConstraint> compiled(const OutputForm& form, const ChatInput& input,
                                                const ServedModel& model,
                                                const GenerationPlan& plan) {
  const auto reasoning =
      plan.parser ? plan.parser->before_a_form() : OutputParserOptions::Reasoning::kNone;
  const bool tools = form.kind == OutputForm::Kind::kText && !input.tools.empty() && plan.parser &&
                     plan.parser->tools != ToolStyle::kNone;
  if (form.kind == OutputForm::Kind::kText && !tools) return nullptr;
  const std::string key = cache_key(form, input, reasoning, tools);
  if (key.size() > kGrammarBytes) {
    refuse_field("response_format", "the schema or grammar has {} bytes, at most {} are possible",
                 key.size(), kGrammarBytes);
  }
  const TokenTrie& trie = *model.trie;
  // Tenants do not share: who waits for a compilation would learn what others use.
  return model.constraints->get(plan.request.cache_salt + "\n" + key, [&] {
    Grammar grammar;
    if (tools) {
      ToolGrammarOptions options;
      options.style = plan.parser->tools;
      options.required = form.tool_choice.kind == ToolChoice::Kind::kRequired ||
                         form.tool_choice.kind == ToolChoice::Kind::kNamed;
      options.name = form.tool_choice.name;
      options.parallel = form.parallel_tool_calls;
      grammar = tool_grammar(input.tools, trie, options);
    } else {
      grammar = content_grammar(form, trie);
    }
    allow_reasoning(grammar, trie, reasoning);
    return std::make_shared<const GrammarConstraint>(grammar, model.trie);
  });
}

}  // namespace

namespace {

// Lengths, words and tokens go around the form, or stand alone.
void add_limits(const ServedModel& model, GenerationPlan& plan) {
  AnswerLimits& limits = plan.limits;
  if (plan.parser) limits.reasoning = plan.parser->reasoning;
  limits.end_tokens = plan.request.stop_tokens;
  if (!limits.limits_anything()) return;
  try {
    plan.request.constraint = limit_answer(plan.request.constraint, limits, model.trie);
  } catch (const Error& error) {
    throw ApiError(400, "invalid_value", error.what(), "bad_words");
  }
}

}  // namespace

void apply_output_form(const OutputForm& form, const ChatInput& input, const ServedModel& model,
                       GenerationPlan& plan) {
  const bool must_call = form.tool_choice.kind == ToolChoice::Kind::kRequired ||
                         form.tool_choice.kind == ToolChoice::Kind::kNamed;
  if (must_call && form.kind != OutputForm::Kind::kText)
    refuse_field("tool_choice", "tool_choice: a forced call excludes response_format");
  if (must_call && (!plan.parser || plan.parser->tools == ToolStyle::kNone))
    throw ApiError(400, "unsupported", "tool_choice: this model's template knows no tools",
                   "tool_choice");
  try {
    plan.request.constraint = compiled(form, input, model, plan);
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    const char* param = form.kind == OutputForm::Kind::kText ? "tools" : "response_format";
    throw ApiError(400, "invalid_schema", error.what(), param);
  }
  add_limits(model, plan);
}

}  // namespace headgate

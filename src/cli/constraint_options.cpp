// From files and words to a compiled constraint.
#include "cli/constraint_options.h"

#include "base/error.h"
#include "chat/answer_grammar.h"
#include "cli/input.h"
#include "cli/terminal.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"

namespace headgate {
namespace {

JsonSchemaOptions schema_options(const ConstraintText& text) {
  JsonSchemaOptions options;
  options.spacing = text.spacing == "any"      ? JsonSpacing::kAny
                    : text.spacing == "python" ? JsonSpacing::kPython
                                               : JsonSpacing::kCompact;
  return options;
}

Grammar compile(const ConstraintText& text, const TokenTrie* tokens, ToolStyle style,
                std::vector<std::string>& notes) {
  switch (text.kind) {
    case ConstraintText::Kind::kJsonSchema:
      return json_schema_grammar(text.value, schema_options(text), &notes);
    case ConstraintText::Kind::kGrammar:
      return gbnf_grammar(text.text, tokens, text.source);
    case ConstraintText::Kind::kRegex:
      return regex_grammar(text.text);
    case ConstraintText::Kind::kTools:
      break;
  }
  ToolGrammarOptions options;
  options.style = style;
  options.required = text.text != "auto";
  if (text.text != "auto" && text.text != "required") options.name = text.text;
  return tool_grammar(text.value.as_array(), *tokens, options, &notes);
}

}  // namespace

void add_constraint_options(Command& command, ConstraintOptions& o) {
  command.group("Form of the answer")
      .option("--json-schema", o.json_schema, "The answer is JSON that is valid under this schema")
      .takes("FILE")
      .choice("--json-spacing", o.spacing, {"compact", "python", "any"},
              "White space of that JSON: none, as Python writes it, or as the model likes")
      .option("--grammar", o.grammar, "The answer fits this grammar (EBNF as in llama.cpp)")
      .takes("FILE")
      .option("--regex", o.regex, "The answer fits this regular expression as a whole")
      .takes("RE")
      .option(
          "--tool-choice", o.tool_choice,
          "With --tools: auto, required, or the name of the only tool; calls are then forced to "
          "fit the declared tools")
      .takes("CHOICE");
}

std::optional<ConstraintText> read_constraint(const ConstraintOptions& o,
                                              const json::array& tools) {
  const int asked =
      (o.json_schema ? 1 : 0) + (o.grammar ? 1 : 0) + (o.regex ? 1 : 0) + (o.tool_choice ? 1 : 0);
  if (asked > 1) {
    fail(ErrorCode::kInvalidArgument,
         "--json-schema, --grammar, --regex, --tool-choice: expected one of them");
  }
  if (o.tool_choice && tools.empty())
    fail(ErrorCode::kInvalidArgument, "--tool-choice: expected --tools with it");
  ConstraintText out;
  out.spacing = o.spacing;
  std::vector<std::string> notes;
  if (o.json_schema) {
    out.kind = ConstraintText::Kind::kJsonSchema;
    out.source = *o.json_schema;
    JsonLimits limits;
    limits.depth = 2000;  // the compiler has its own, smaller one
    out.value = parse_json(read_file_or_stdin(*o.json_schema), *o.json_schema, limits);
    (void)compile(out, nullptr, ToolStyle::kNone, notes);
  } else if (o.grammar) {
    out.kind = ConstraintText::Kind::kGrammar;
    out.source = *o.grammar;
    out.text = read_file_or_stdin(*o.grammar);
  } else if (o.regex) {
    out.kind = ConstraintText::Kind::kRegex;
    out.text = *o.regex;
    (void)compile(out, nullptr, ToolStyle::kNone, notes);
  } else if (o.tool_choice) {
    out.kind = ConstraintText::Kind::kTools;
    out.text = *o.tool_choice;
    out.value = tools;
  } else {
    return std::nullopt;
  }
  return out;
}

std::shared_ptr<const TokenConstraint> make_constraint(const ConstraintText& text,
                                                       const Tokenizer& tokenizer,
                                                       std::vector<int32_t> end_tokens,
                                                       ToolStyle style,
                                                       OutputParserOptions::Reasoning reasoning) {
  const auto trie = std::make_shared<const TokenTrie>(tokenizer, std::move(end_tokens));
  std::vector<std::string> notes;
  Grammar grammar = compile(text, trie.get(), style, notes);
  for (const std::string& note : notes) report_note(note);
  allow_reasoning(grammar, *trie, reasoning);
  return std::make_shared<const GrammarConstraint>(grammar, trie);
}

}  // namespace headgate

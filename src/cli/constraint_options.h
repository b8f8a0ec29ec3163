// The options of `run` that say what form an answer must have.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "chat/output_parser.h"
#include "cli/args.h"
#include "grammar/grammar_constraint.h"

namespace headgate {

struct ConstraintOptions {
  std::optional<std::string> json_schema, grammar, regex, tool_choice;
  std::string spacing = "compact";
};

void add_constraint_options(Command& command, ConstraintOptions& options);

// What was asked for, read from its files.
struct ConstraintText {
  enum class Kind { kJsonSchema, kGrammar, kRegex, kTools };
  Kind kind;
  std::string text;    // of a grammar or regular expression; the tool choice
  std::string source;  // the file's name
  json::value value;   // the schema; the tools
  std::string spacing;
};

// Nothing where no form is asked for. Schemas and regular expressions are compiled once to find
// errors before a model is loaded. Throws kInvalidArgument for several forms at once, kNotFound.
std::optional<ConstraintText> read_constraint(const ConstraintOptions& options,
                                              const json::array& tools);

// Compiled for a model. `notes` are told to the user. `reasoning`: may come before the form.
std::shared_ptr<const TokenConstraint> make_constraint(const ConstraintText& text,
                                                       const Tokenizer& tokenizer,
                                                       std::vector<int32_t> end_tokens,
                                                       ToolStyle style,
                                                       OutputParserOptions::Reasoning reasoning);

}  // namespace headgate

// JSON schemas as grammars: exactly the texts, in one order and spelling, of values that a schema
// allows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/json_rules.h"

namespace headgate {

struct JsonSchemaOptions {
  JsonSpacing spacing = JsonSpacing::kCompact;
  // Properties that a schema does not name, where it lists some and says nothing about others.
  // JSON schema allows them; a model that is asked for an object of this shape should not invent
  // them.
  bool unnamed_properties = false;
};

// Every text of the grammar is a JSON value that is valid under the schema (drafts 4 to 2020-12).
// Not every valid value has a text: properties come in the order of their declaration, numbers are
// written without needless digits, `oneOf` is read as `anyOf`. A keyword that would change what is
// valid and cannot be obeyed is refused (kInvalidArgument with its JSON pointer), and so is a
// schema that nothing fits. docs/constrained.md lists the keywords. `notes`, where not null, is
// told what was understood in a way that a user might not expect.
Grammar json_schema_grammar(const json::value& schema, const JsonSchemaOptions& options = {},
                            std::vector<std::string>* notes = nullptr);

// Adds the schema's value to a grammar under construction: returns its rule. `rules` must belong to
// `grammar`; `source` names the schema in errors. `part`, where not null, is a schema inside of
// `schema` whose value is meant; references still lead into the whole.
int32_t add_json_schema(Grammar& grammar, JsonRules& rules, const json::value& schema,
                        const JsonSchemaOptions& options, std::string_view source,
                        std::vector<std::string>* notes = nullptr,
                        const json::value* part = nullptr);

// Any JSON object: the response format "json_object".
Grammar json_object_grammar(const JsonSchemaOptions& options = {});

}  // namespace headgate

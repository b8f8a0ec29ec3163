// Grammars of answers: Hermes calls are JSON in tags, Coder calls are XML with raw texts.
#include "chat/answer_grammar.h"

#include <algorithm>

#include "base/error.h"
#include "chat/text_without.h"
#include "grammar/json_schema.h"

namespace headgate {
namespace {

constexpr std::string_view kCallTag = "<tool_call>";
constexpr std::string_view kCallEndTag = "</tool_call>";
constexpr std::string_view kThinkTag = "<think>";
constexpr std::string_view kThinkEndTag = "</think>";

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

const json::value* member(const json::value* value, std::string_view key) {
  const json::object* object = value != nullptr ? value->if_object() : nullptr;
  return object != nullptr ? object->if_contains(key) : nullptr;
}

bool names_type(const json::value* type, std::string_view name) {
  if (type == nullptr) return false;
  if (type->is_string()) return view(type->get_string()) == name;
  return type->is_array() && std::any_of(type->get_array().begin(), type->get_array().end(),
                                         [&](const json::value& item) {
                                           return item.is_string() &&
                                                  view(item.get_string()) == name;
                                         });
}

struct Tool {
  std::string name;
  const json::value* parameters;  // null: none declared
  bool strict;
};

class Builder {
 public:
  Builder(const TokenTrie& tokens, std::vector<std::string>* notes)
      : tokens_(tokens), notes_(notes), rules_(grammar_, JsonSpacing::kPython) {}

  Grammar build(const std::vector<Tool>& tools, const ToolGrammarOptions& options) {
    Nfa& nfa = grammar_.nfa();
    const int32_t root = grammar_.add_rule("answer");
    const int32_t call = grammar_.add_rule("tool-call");
    const int32_t start = grammar_.state(), end = grammar_.state();
    // The tag is read in front of the rule: free text ends with it.
    const int32_t tagged =
        options.required ? tag(start, kCallTag) : text_until(start, kCallTag, end);
    int32_t behind = grammar_.call(tagged, call);
    nfa.add_epsilon(behind, end);
    if (options.parallel) {
      const int32_t next = tag(grammar_.literal(behind, "\n"), kCallTag);
      nfa.add_epsilon(next, tagged);
    }
    grammar_.define(root, start, end);
    define_call(call, tools, options.style);
    grammar_.set_root(root);
    return std::move(grammar_);
  }

 private:
  int32_t tag(int32_t from, std::string_view text) {
    const int32_t id = tokens_.find_added(text);
    if (id < 0) return grammar_.literal(from, text);
    const int32_t to = grammar_.state();
    grammar_.nfa().add_token(from, id, to);
    return to;
  }

  // Any bytes but the text of the tag, then the tag; the text may end everywhere before it.
  int32_t text_until(int32_t from, std::string_view text, int32_t end) {
    Nfa& nfa = grammar_.nfa();
    const int32_t free = grammar_.state();
    nfa.add_epsilon(from, free);
    nfa.add_epsilon(free, end);
    if (tokens_.find_added(text) >= 0) {
      nfa.add_range(free, 0, 255, free);
      return tag(free, text);
    }
    // One state for each beginning of the tag: no tag has a beginning that is also its end, so that
    // only its first byte can begin another.
    std::vector<int32_t> states{free};
    for (size_t i = 1; i < text.size(); ++i) states.push_back(grammar_.state());
    const int32_t whole = grammar_.state();
    const auto first = static_cast<uint8_t>(text[0]);
    for (size_t i = 0; i < text.size(); ++i) {
      const auto next = static_cast<uint8_t>(text[i]);
      const int32_t onward = i + 1 < text.size() ? states[i + 1] : whole;
      if (i > 0) nfa.add_epsilon(states[i], end);
      for (int byte = 0; byte < 256; ++byte) {
        const auto b = static_cast<uint8_t>(byte);
        nfa.add_range(states[i], b, b,
                      b == next                       ? onward
                      : b == first && text.size() > 1 ? states[1]
                                                      : free);
      }
    }
    return whole;
  }

  void define_call(int32_t rule, const std::vector<Tool>& tools, ToolStyle style) {
    const int32_t start = grammar_.state(), end = grammar_.state();
    for (const Tool& tool : tools) {
      const int32_t behind =
          style == ToolStyle::kHermesJson ? hermes(start, tool) : coder(start, tool);
      grammar_.nfa().add_epsilon(tag(grammar_.literal(behind, "\n"), kCallEndTag), end);
    }
    grammar_.define(rule, start, end);
  }

  // Whether the schema can be obeyed; says so where not.
  bool obeyable(const Tool& tool, const json::value& schema, const json::value* part) {
    try {
      Grammar trial;
      JsonRules rules(trial, JsonSpacing::kPython);
      trial.set_root(add_json_schema(trial, rules, schema, {}, source(tool), nullptr, part));
      return true;
    } catch (const Error& error) {
      if (tool.strict) throw;
      if (notes_ != nullptr) notes_->push_back(fmt::format("{}: any value is taken", error.what()));
      return false;
    }
  }

  static std::string source(const Tool& tool) {
    return fmt::format("tool {}: parameters", tool.name);
  }

  int32_t hermes(int32_t from, const Tool& tool) {
    const std::string head = fmt::format("\n{{\"name\": {}, \"arguments\": ",
                                         dump_json(json::value(json::string(tool.name))));
    const int32_t at = grammar_.literal(from, head);
    int32_t behind = -1;
    if (tool.parameters == nullptr) {
      behind = grammar_.literal(at, "{}");
    } else if (obeyable(tool, *tool.parameters, nullptr)) {
      behind = grammar_.call(
          at, add_json_schema(grammar_, rules_, *tool.parameters, {}, source(tool), notes_));
    } else {
      behind = grammar_.call(at, rules_.object());
    }
    return grammar_.literal(behind, "}");
  }

  int32_t coder(int32_t from, const Tool& tool) {
    Nfa& nfa = grammar_.nfa();
    int32_t at = grammar_.literal(from, fmt::format("\n<function={}>\n", tool.name));
    const json::value* properties = member(tool.parameters, "properties");
    const json::value* required = member(tool.parameters, "required");
    if (properties != nullptr && properties->is_object()) {
      for (const auto& entry : properties->get_object()) {
        const bool needed =
            required != nullptr && required->is_array() &&
            std::any_of(required->get_array().begin(), required->get_array().end(),
                        [&](const json::value& name) {
                          return name.is_string() && name.get_string() == entry.key();
                        });
        const int32_t begin =
            grammar_.literal(at, fmt::format("<parameter={}>\n", std::string_view(entry.key())));
        const int32_t value = coder_value(begin, tool, entry.value());
        const int32_t to = grammar_.literal(value, "\n</parameter>\n");
        if (!needed) nfa.add_epsilon(at, to);
        at = to;
      }
    }
    return grammar_.literal(at, "</function>");
  }

  // Strings are written as they are, other values as JSON (see coder_reader.cpp).
  int32_t coder_value(int32_t from, const Tool& tool, const json::value& schema) {
    const bool named = member(&schema, "type") != nullptr || member(&schema, "anyOf") != nullptr ||
                       member(&schema, "oneOf") != nullptr || member(&schema, "$ref") != nullptr;
    bool text = !named || names_type(member(&schema, "type"), "string");
    for (const char* key : {"anyOf", "oneOf"}) {
      const json::value* choices = member(&schema, key);
      if (choices == nullptr || !choices->is_array()) continue;
      for (const json::value& choice : choices->get_array())
        text = text || names_type(member(&choice, "type"), "string");
    }
    const json::value* words = member(&schema, "enum");
    const bool listed = words != nullptr && words->is_array() &&
                        std::all_of(words->get_array().begin(), words->get_array().end(),
                                    [](const json::value& word) { return word.is_string(); });
    if (text && listed) {
      const int32_t to = grammar_.state();
      for (const json::value& word : words->get_array())
        grammar_.nfa().add_epsilon(grammar_.literal(from, view(word.get_string())), to);
      return to;
    }
    if (text) return raw_text(from);
    if (obeyable(tool, *tool.parameters, &schema)) {
      return grammar_.call(from, add_json_schema(grammar_, rules_, *tool.parameters, {},
                                                 source(tool), notes_, &schema));
    }
    return grammar_.call(from, rules_.value());
  }

  // Any text in which a reader sees no end of it; "\n</parameter>" follows.
  int32_t raw_text(int32_t from) {
    if (raw_ < 0) {
      raw_ = grammar_.add_rule("parameter-text");
      const std::vector<std::string> marks{"</parameter>", "</function>", "<parameter="};
      const int32_t start = grammar_.state();
      const int32_t end = add_text_without(grammar_, start, marks);
      grammar_.define(raw_, start, end);
    }
    return grammar_.call(from, raw_);
  }

  const TokenTrie& tokens_;
  std::vector<std::string>* notes_;
  Grammar grammar_;
  JsonRules rules_;
  int32_t raw_ = -1;
};

std::vector<Tool> read_tools(const json::array& tools, const std::string& wanted) {
  std::vector<Tool> out;
  for (const json::value& tool : tools) {
    const json::value* function = member(&tool, "function");
    if (function == nullptr) function = &tool;
    const json::value* name = member(function, "name");
    if (name == nullptr || !name->is_string()) {
      fail(ErrorCode::kInvalidArgument, "tools: a tool without a name");
    }
    const json::value* strict = member(function, "strict");
    const json::value* parameters = member(function, "parameters");
    const bool declared = parameters != nullptr && parameters->is_object();
    Tool read{std::string(view(name->get_string())), declared ? parameters : nullptr,
              strict != nullptr && strict->is_bool() && strict->get_bool()};
    if (wanted.empty() || read.name == wanted) out.push_back(std::move(read));
  }
  if (out.empty()) {
    fail(ErrorCode::kInvalidArgument, "tools: found no tool {}, expected one of those declared",
         wanted);
  }
  return out;
}

}  // namespace

Grammar tool_grammar(const json::array& tools, const TokenTrie& tokens,
                     const ToolGrammarOptions& options, std::vector<std::string>* notes) {
  if (options.style == ToolStyle::kNone) {
    fail(ErrorCode::kInvalidArgument, "tools: the model's chat template has no tool calls");
  }
  return Builder(tokens, notes).build(read_tools(tools, options.name), options);
}

void allow_reasoning(Grammar& grammar, const TokenTrie& tokens,
                     OutputParserOptions::Reasoning reasoning) {
  using Reasoning = OutputParserOptions::Reasoning;
  if (reasoning == Reasoning::kNone) return;
  Nfa& nfa = grammar.nfa();
  const auto tag = [&](int32_t from, std::string_view text) {
    const int32_t id = tokens.find_added(text);
    if (id < 0) return grammar.literal(from, text);
    const int32_t to = grammar.state();
    nfa.add_token(from, id, to);
    return to;
  };
  const int32_t root = grammar.add_rule("answer-with-reasoning");
  const int32_t start = grammar.state(), answer = grammar.state();
  int32_t inside = start;
  if (reasoning == Reasoning::kMayOpen) {
    nfa.add_epsilon(start, answer);
    inside = tag(start, kThinkTag);
  }
  const int32_t free = grammar.state();
  nfa.add_epsilon(inside, free);
  nfa.add_range(free, 0, 255, free);
  int32_t behind = tag(free, kThinkEndTag);
  for (int i = 0; i < 3; ++i) {
    nfa.add_epsilon(behind, answer);
    behind = grammar.literal(behind, "\n");
  }
  grammar.define(root, start, grammar.call(answer, grammar.root()));
  grammar.set_root(root);
}

}  // namespace headgate

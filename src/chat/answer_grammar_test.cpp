// Tests of answers that call tools: drawn at random under the grammar, read by the parser.
#include "chat/answer_grammar.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "grammar/grammar_constraint.h"
#include "text/byte_level.h"

namespace headgate {
namespace {

constexpr const char* kTools = R"([
  {"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{
     "city":{"type":"string","maxLength":12},"unit":{"type":"string","enum":["celsius","fahrenheit"]},
     "days":{"type":"integer","minimum":1,"maximum":14}},"required":["city","days"]}}},
  {"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}},
  {"type":"function","function":{"name":"plot","parameters":{"type":"object","properties":{
     "points":{"type":"array","items":{"$ref":"#/$defs/p"},"maxItems":3}},"required":["points"],
     "$defs":{"p":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"]}}}}}])";

// All bytes, the tags (or none of them), the end.
std::shared_ptr<const TokenTrie> vocabulary(bool tags) {
  TokenizerParts parts;
  parts.source = "test";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    parts.tokens.push_back(spell_bytes({&c, 1}));
  }
  int32_t id = 256;
  std::vector<const char*> added{"<|im_end|>"};
  if (tags) added.insert(added.end(), {"<think>", "</think>", "<tool_call>", "</tool_call>"});
  for (const char* name : added) {
    AddedToken token;
    token.id = id++;
    token.content = name;
    token.special = token.id == 256;
    parts.added.push_back(token);
  }
  return std::make_shared<const TokenTrie>(Tokenizer::from_parts(parts), std::vector<int32_t>{256});
}

struct Answer {
  OutputSummary summary;
  bool whole = false;
};

// Letters are likelier than other bytes, tags and the end likelier still.
Answer draw(const Grammar& grammar, const TokenTrie& trie, const OutputParserOptions& options,
            uint64_t seed) {
  const GrammarConstraint constraint(
      grammar, std::shared_ptr<const TokenTrie>(std::shared_ptr<void>(), &trie), {});
  std::unique_ptr<ConstraintState> state = constraint.start();
  OutputParser parser(options);
  Answer out;
  std::vector<uint64_t> mask(static_cast<size_t>(mask_words(trie.vocabulary())));
  for (uint64_t step = 0; step < 1500 && !out.whole; ++step) {
    if (!state->fill_mask(mask)) break;
    int32_t best = -1;
    double most = -1;
    for (int32_t token = 0; token < trie.vocabulary(); ++token) {
      if ((mask[static_cast<size_t>(token / 64)] >> (token % 64) & 1) == 0) continue;
      const bool printable = (token >= 'a' && token <= 'z') || token == '"' || token == '<';
      const double weight = token >= 256 ? 4 : printable ? 1.5 : 1;
      const double drawn = weight * random_uniform(seed, step, static_cast<uint64_t>(token));
      if (drawn > most) most = drawn, best = token;
    }
    if (!state->accept(best)) break;
    if (trie.is_end(best)) {
      out.whole = true;
    } else if (best > 256) {
      parser.push(trie.added_name(best), PieceRole::kMarkup);
    } else {
      parser.push(trie.bytes(best), PieceRole::kText);
    }
  }
  parser.finish(out.whole ? "stop" : "length");
  out.summary = parser.summary();
  return out;
}

void check_call(const ToolCall& call) {
  const json::value arguments = parse_json(call.arguments, "arguments");
  const json::object& object = arguments.as_object();
  if (call.name == "get_weather") {
    EXPECT_TRUE(object.at("city").is_string());
    EXPECT_GE(object.at("days").as_int64(), 1);
    EXPECT_LE(object.at("days").as_int64(), 14);
    if (object.contains("unit")) {
      const json::string& unit = object.at("unit").as_string();
      EXPECT_TRUE(unit == "celsius" || unit == "fahrenheit");
    }
  } else if (call.name == "plot") {
    for (const json::value& point : object.at("points").as_array())
      EXPECT_TRUE(point.as_object().at("x").is_number());
  } else {
    EXPECT_EQ(call.name, "now");
    EXPECT_TRUE(object.empty());
  }
}

TEST(ToolGrammar, EveryForcedCallIsReadBackAndFitsItsTool) {
  const json::array tools = parse_json(kTools, "tools").as_array();
  const auto trie = vocabulary(true);
  for (const ToolStyle style : {ToolStyle::kHermesJson, ToolStyle::kCoderXml}) {
    ToolGrammarOptions options;
    options.style = style;
    options.required = true;
    const Grammar grammar = tool_grammar(tools, *trie, options);
    OutputParserOptions parsing;
    parsing.tools = style;
    parsing.declared_tools = tools;
    int whole = 0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const Answer answer = draw(grammar, *trie, parsing, seed);
      for (const ToolCall& call : answer.summary.tool_calls) check_call(call);
      if (!answer.whole) continue;
      ++whole;
      EXPECT_FALSE(answer.summary.tool_calls.empty());
      EXPECT_FALSE(answer.summary.incomplete.has_value());
      EXPECT_FALSE(answer.summary.content.has_value());
    }
    EXPECT_GT(whole, 3);
  }
}

TEST(ToolGrammar, CallsOnlyTheNamedToolAndOnlyOnce) {
  const json::array tools = parse_json(kTools, "tools").as_array();
  const auto trie = vocabulary(false);
  ToolGrammarOptions options;
  options.required = true;
  options.name = "now";
  options.parallel = false;
  const GrammarConstraint constraint(tool_grammar(tools, *trie, options), trie);
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(constraint.matches(call));
  EXPECT_FALSE(constraint.matches(call + "\n" + call));
  EXPECT_FALSE(constraint.matches("text " + call));
  EXPECT_FALSE(constraint.matches(""));
}

TEST(ToolGrammar, LeavesTextFreeUpToTheTag) {
  const json::array tools = parse_json(kTools, "tools").as_array();
  const auto trie = vocabulary(false);
  const GrammarConstraint constraint(tool_grammar(tools, *trie, {}), trie);
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  for (const std::string& text : {std::string(), std::string("a < b, <tool and <<tool_cal"),
                                  "Let me see.\n" + call, call + "\n" + call, "<<tool_call" + call})
    EXPECT_TRUE(constraint.matches(text)) << text;
  for (const char* text :
       {"<tool_call>", "<tool_call>\n{\"name\": \"never\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}}\n</tool_call>"})
    EXPECT_FALSE(constraint.matches(text)) << text;
  EXPECT_FALSE(constraint.matches(call + " and more"));
}

TEST(ToolGrammar, LeavesReasoningFree) {
  const json::array tools = parse_json(kTools, "tools").as_array();
  const auto trie = vocabulary(false);
  ToolGrammarOptions options;
  options.required = true;
  options.name = "now";
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  Grammar open = tool_grammar(tools, *trie, options);
  allow_reasoning(open, *trie, OutputParserOptions::Reasoning::kOpen);
  const GrammarConstraint reasoning(open, trie);
  EXPECT_TRUE(reasoning.matches("hm <tool_call> {\n</think>\n\n" + call));
  EXPECT_FALSE(reasoning.matches(call));
  Grammar may = tool_grammar(tools, *trie, options);
  allow_reasoning(may, *trie, OutputParserOptions::Reasoning::kMayOpen);
  const GrammarConstraint either(may, trie);
  EXPECT_TRUE(either.matches("<think>\nhm</think>" + call));
  EXPECT_TRUE(either.matches(call));
  EXPECT_FALSE(either.matches("hm</think>" + call));
}

TEST(ToolGrammar, TakesAnyObjectWhereASchemaCannotBeObeyedUnlessStrict) {
  const auto tools_of = [](const char* strict) {
    return parse_json(fmt::format(R"([{{"type":"function","function":{{"name":"f","strict":{},
        "parameters":{{"type":"object","properties":{{"a":{{"type":"array","uniqueItems":true}}}}}}}}}}])",
                                  strict),
                      "tools")
        .as_array();
  };
  const auto trie = vocabulary(true);
  std::vector<std::string> notes;
  (void)tool_grammar(tools_of("false"), *trie, {}, &notes);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("uniqueItems"), std::string::npos);
  EXPECT_THROW((void)tool_grammar(tools_of("true"), *trie, {}), Error);
  ToolGrammarOptions options;
  options.name = "g";
  EXPECT_THROW((void)tool_grammar(tools_of("false"), *trie, options), Error);
  EXPECT_THROW((void)tool_grammar({}, *trie, {}), Error);
}

}  // namespace
}  // namespace headgate

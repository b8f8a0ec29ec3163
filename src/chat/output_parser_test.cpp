// Tests of output parsing: golden cases, both tool styles, and independence of how text is cut.
#include "chat/output_parser.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/file.h"
#include "chat/stop_strings.h"

namespace headgate {
namespace {

using Reasoning = OutputParserOptions::Reasoning;

// Everything the events and the summary say, as JSON; events must add up to the summary.
std::string outcome(OutputParser& parser, const std::vector<OutputEvent>& events) {
  const OutputSummary& summary = parser.summary();
  std::string content, reasoning;
  std::vector<ToolCall> begun;
  std::vector<bool> ended;
  for (const OutputEvent& event : events) {
    switch (event.kind) {
      case OutputEvent::Kind::kContent:
        content += event.text;
        break;
      case OutputEvent::Kind::kReasoning:
        reasoning += event.text;
        break;
      case OutputEvent::Kind::kToolBegin:
        EXPECT_EQ(event.call, static_cast<int>(begun.size()));
        begun.push_back({event.id, event.name, ""});
        ended.push_back(false);
        break;
      case OutputEvent::Kind::kToolArguments:
        begun.at(static_cast<size_t>(event.call)).arguments += event.text;
        break;
      case OutputEvent::Kind::kToolEnd:
        ended.at(static_cast<size_t>(event.call)) = true;
        break;
    }
  }
  EXPECT_EQ(content, summary.content.value_or(""));
  EXPECT_EQ(reasoning, summary.reasoning_content.value_or(""));
  json::array calls;
  for (size_t i = 0; i < summary.tool_calls.size(); ++i) {
    EXPECT_TRUE(ended.at(i));
    EXPECT_EQ(begun.at(i).name, summary.tool_calls[i].name);
    EXPECT_EQ(begun.at(i).id, summary.tool_calls[i].id);
    EXPECT_EQ(begun.at(i).arguments, summary.tool_calls[i].arguments);
    calls.push_back({json::value(summary.tool_calls[i].name),
                     parse_json(summary.tool_calls[i].arguments, "arguments")});
  }
  const auto text = [](const std::optional<std::string>& t) {
    return t ? json::value(*t) : json::value();
  };
  json::object out;
  out["content"] = text(summary.content);
  out["reasoning"] = text(summary.reasoning_content);
  out["tool_calls"] = calls;
  out["incomplete"] = text(summary.incomplete);
  out["finish"] = summary.finish_reason;
  return dump_json(out);
}

struct Split {
  uint32_t seed = 0;  // 0: one piece
};

std::string parse(const OutputParserOptions& options, const std::string& text, Split split = {},
                  std::string_view reason = "stop") {
  OutputParser parser(options);
  std::mt19937 random(split.seed);
  std::vector<OutputEvent> events;
  const auto add = [&](std::vector<OutputEvent> more) {
    events.insert(events.end(), more.begin(), more.end());
  };
  for (size_t i = 0; i < text.size();) {
    const size_t bytes = split.seed == 0 ? text.size() : 1 + random() % 7;
    add(parser.push(std::string_view(text).substr(i, bytes)));
    i += bytes;
  }
  add(parser.finish(reason));
  return outcome(parser, events);
}

OutputParserOptions hermes(Reasoning reasoning = Reasoning::kNone) {
  OutputParserOptions options;
  options.reasoning = reasoning;
  options.tools = ToolStyle::kHermesJson;
  return options;
}

OutputParserOptions coder() {
  OutputParserOptions options;
  options.tools = ToolStyle::kCoderXml;
  options.declared_tools =
      parse_json(R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {
        "s": {"type": "string"}, "i": {"type": "integer"}, "o": {"type": "object"}, "b": {"type": "boolean"},
        "n": {"type": ["string", "null"]}, "a": {"anyOf": [{"type": "array"}, {"type": "null"}]}}}}}])",
                 "tools")
          .as_array();
  return options;
}

TEST(OutputParser, GivesTheGoldenFields) {
  const json::value cases = parse_json(
      read_text_file(std::string(HEADGATE_SOURCE_DIR) + "/tests/golden/chat/chat_parse.json"),
      "golden");
  ASSERT_GE(cases.as_array().size(), 12u);
  for (const json::value& item : cases.as_array()) {
    const json::object& c = item.as_object();
    const std::string text(c.at("text").as_string().c_str());
    const bool thinks = c.at("variant").as_string() == "thinking";
    json::object expected;
    expected["content"] = c.at("content");
    expected["reasoning"] = c.at("reasoning");
    expected["tool_calls"] = c.at("tool_calls");
    expected["incomplete"] = c.contains("incomplete") ? c.at("incomplete") : json::value();
    expected["finish"] = c.at("tool_calls").as_array().empty() ? "stop" : "tool_calls";
    for (uint32_t seed = 0; seed < 20; ++seed) {
      EXPECT_EQ(parse(hermes(thinks ? Reasoning::kOpen : Reasoning::kNone), text, {seed}),
                dump_json(expected))
          << text;
    }
  }
}

TEST(OutputParser, DoesNotDependOnTheCuts) {
  const char* texts[] = {
      "a\n\n<tool_call>\n{\"arguments\": {\"x\": \"}\\\"</tool_call>\"}, \"name\": "
      "\"f\"}\n</tool_call>tail",
      "<think>\n\nwhy\n\n</think>\n\n\nbecause\n<tool_call>{\"name\": \"f\"}</tool_call>",
      "<thin</thin<tool_cal<tool_call",
      "\n\n<think>x</think>",
      "x\n<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>y",
      "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
      "<tool_call>\n<function=f>\n<parameter=s>\na\nb <x> "
      "</parameter>\n<parameter=i>\n5\n</parameter>\n"
      "</function>\n</tool_call>\n<tool_call><function=g></function></tool_call>",
      "text <function=f><parameter=s>no close\n<parameter=b>True</parameter></function>",
      "<tool_call><function=f><parameter=s>cut",
      "Grüße 🙂\n\n\n",
      // A value that is empty because its closing tag is missing.
      "<function=f><parameter=i></function>x<function=f>\n",
  };
  for (const char* text : texts) {
    for (const Reasoning reasoning : {Reasoning::kNone, Reasoning::kMayOpen, Reasoning::kOpen}) {
      for (const ToolStyle style :
           {ToolStyle::kNone, ToolStyle::kHermesJson, ToolStyle::kCoderXml}) {
        OutputParserOptions options = coder();
        options.reasoning = reasoning;
        options.tools = style;
        const std::string whole = parse(options, text);
        for (uint32_t seed = 1; seed < 200; ++seed) {
          ASSERT_EQ(parse(options, text, {seed}), whole) << text << " seed " << seed;
        }
      }
    }
  }
}

TEST(OutputParser, ReadsCoderCallsByTheirSchema) {
  EXPECT_EQ(
      parse(
          coder(),
          "Let me.\n<tool_call>\n<function=f>\n<parameter=s>\n12\n</parameter>\n<parameter=i>\n12\n"
          "</parameter>\n<parameter=o>{\"k\": [1, 2.0]}</parameter>\n<parameter=b>True</parameter>"
          "<parameter=n>null</parameter><parameter=a>null</parameter><parameter=zz>7</parameter>\n"
          "</function>\n</tool_call>"),
      R"({"content":"Let me.","reasoning":null,"tool_calls":[["f",{"s":"12","i":12,"o":{"k":[1,2.0]},)"
      R"("b":true,"n":null,"a":null,"zz":"7"}]],"incomplete":null,"finish":"tool_calls"})");
}

TEST(OutputParser, KeepsTextThatIsNoTag) {
  EXPECT_EQ(
      parse(hermes(), "if a <tool_calls> b\n"),
      R"({"content":"if a <tool_calls> b\n","reasoning":null,"tool_calls":[],"incomplete":null,"finish":"stop"})");
}

TEST(OutputParser, ReportsNoTruncatedCall) {
  EXPECT_EQ(
      parse(hermes(),
            R"(<tool_call>{"name": "f", "arguments": {}}</tool_call><tool_call>{"name": "g)", {},
            "length"),
      R"({"content":null,"reasoning":null,"tool_calls":[["f",{}]],"incomplete":"{\"name\": \"g","finish":"length"})");
}

TEST(OutputParser, StopsAtAMalformedCall) {
  for (const char* call : {"{]", "[1]", "{\"name\": 5, \"arguments\": {}}", "{\"arguments\": {}}",
                           "{\"name\": \"f\", \"arguments\": 5}", "{\"name\": \"f\" \"arguments\"}",
                           "{\"name\": \"f\", \"name\": \"g\", \"arguments\": {}}", "{'name': 1}",
                           "{\"name\": \"\\ud800\"}"}) {
    OutputParser parser(hermes());
    parser.push(std::string("hi<tool_call>") + call + "</tool_call>");
    parser.finish("stop");
    EXPECT_TRUE(parser.summary().tool_calls.empty()) << call;
    EXPECT_TRUE(parser.summary().incomplete.has_value()) << call;
    EXPECT_EQ(parser.summary().finish_reason, "stop");
  }
}

TEST(OutputParser, StreamsArgumentsWhileTheyComeIn) {
  OutputParser parser(hermes());
  parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\"");
  const std::vector<OutputEvent> events = parser.push(": 1");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, OutputEvent::Kind::kToolArguments);
  EXPECT_EQ(events[0].text, ": 1");
}

TEST(OutputParser, TrustsTokensMoreThanText) {
  OutputParser quoted(hermes(Reasoning::kOpen));
  quoted.push("</think> and <tool_call> are tags", PieceRole::kText);
  quoted.push("</think>", PieceRole::kMarkup);
  quoted.push("\n\nSo <tool_", PieceRole::kText);
  quoted.push("call> it is", PieceRole::kText);
  quoted.push("\n", PieceRole::kText);
  quoted.push("<tool_call>", PieceRole::kMarkup);
  quoted.push("\n{\"name\": \"f\", \"arguments\": {\"x\": \"", PieceRole::kText);
  quoted.push("</tool_call>", PieceRole::kMarkup);
  quoted.push("\"}}\n", PieceRole::kText);
  quoted.push("</tool_call>", PieceRole::kMarkup);
  quoted.finish("stop");
  const OutputSummary& summary = quoted.summary();
  EXPECT_EQ(summary.reasoning_content, "</think> and <tool_call> are tags");
  EXPECT_EQ(summary.content, "So <tool_call> it is");
  ASSERT_EQ(summary.tool_calls.size(), 1u);
  EXPECT_EQ(summary.tool_calls[0].arguments, "{\"x\": \"</tool_call>\"}");
}

TEST(OutputParser, HoldsBackOnlyWhatMayBeATag) {
  OutputParser parser(hermes());
  EXPECT_EQ(parser.push("abc <tool")[0].text, "abc ");
  EXPECT_TRUE(parser.push("_ca").empty());
  EXPECT_EQ(parser.push("x")[0].text, "<tool_cax");
}

std::string stop_all(const std::vector<std::string>& patterns, const std::string& text,
                     uint32_t seed) {
  StopStrings stop(patterns);
  std::mt19937 random(seed);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t bytes = seed == 0 ? text.size() : 1 + random() % 5;
    out += stop.push(std::string_view(text).substr(i, bytes)).text;
    i += bytes;
  }
  return out + stop.finish() + (stop.stopped() ? "!" : "");
}

TEST(StopStrings, CutAtTheFirstThatCompletes) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(stop_all({"END", "\n\n"}, "one\ntwo\n\nEND", seed), "one\ntwo!");
    EXPECT_EQ(stop_all({"aab"}, "aaaaab", seed), "aaa!");
    EXPECT_EQ(stop_all({"xyz", ""}, "xyxy", seed), "xyxy");
    EXPECT_EQ(stop_all({"b", "abb"}, "ab", seed), "a!");
    EXPECT_EQ(stop_all({"bc", "abc"}, "xabc", seed), "x!");
    EXPECT_EQ(stop_all({"é🙂"}, "aéé🙂b", seed), "aé!");
    EXPECT_EQ(stop_all({}, "text", seed), "text");
  }
}

TEST(StopStrings, HoldBackOnlyABeginning) {
  StopStrings stop({"STOP"});
  EXPECT_EQ(stop.push("a ST").text, "a ");
  EXPECT_EQ(stop.push("x").text, "STx");
  const StopStrings::Piece piece = stop.push("STOP here");
  EXPECT_EQ(piece.stopped, 0u);
  EXPECT_EQ(stop.push("more").text, "");
}

}  // namespace
}  // namespace headgate

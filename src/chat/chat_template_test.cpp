// Tests of messages and chat templates, among them the golden prompts of tests/golden/chat.
#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/file.h"
#include "chat/message.h"

namespace headgate {
namespace {

std::string golden(const std::string& name) {
  return read_text_file(std::string(HEADGATE_SOURCE_DIR) + "/tests/golden/chat/" + name);
}

json::array conversation(std::string_view text) {
  return read_messages(parse_json(text, "test"), "messages");
}

RenderInput input_of(std::string_view messages) {
  RenderInput input;
  input.messages = conversation(messages);
  return input;
}

TEST(ChatTemplate, RendersEveryGoldenConversation) {
  const ChatTemplate instruct(golden("instruct.jinja"), "instruct.jinja");
  const ChatTemplate thinking(golden("thinking.jinja"), "thinking.jinja");
  const json::value cases = parse_json(golden("chat_render.json"), "chat_render.json");
  ASSERT_EQ(cases.as_array().size(), 40u);
  for (const json::value& item : cases.as_array()) {
    const json::object& c = item.as_object();
    RenderInput input;
    input.messages = read_messages(c.at("messages"), "messages");
    if (c.at("tools").is_array()) input.tools = c.at("tools").as_array();
    input.add_generation_prompt = c.at("add_generation_prompt").as_bool();
    const bool thinks = c.at("variant").as_string() == "thinking";
    EXPECT_EQ((thinks ? thinking : instruct).render(input), c.at("prompt").as_string().c_str())
        << c.at("id").as_string().c_str();
  }
}

TEST(ChatTemplate, BuiltInTemplatesAreTheGoldenOnes) {
  EXPECT_EQ(ChatTemplate::built_in_source(false), golden("instruct.jinja"));
  EXPECT_EQ(ChatTemplate::built_in_source(true), golden("thinking.jinja"));
}

TEST(ChatTemplate, TakesNamedTemplates) {
  const json::value config = parse_json(
      R"([{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}])",
      "t");
  const ChatTemplate chat = ChatTemplate::from_config(config, "t");
  RenderInput input = input_of(R"([{"role": "user", "content": "x"}])");
  EXPECT_EQ(chat.render(input), "plain");
  input.tools.push_back(json::object());
  EXPECT_EQ(chat.render(input), "tools");
  EXPECT_THROW(ChatTemplate::from_config(parse_json("[]", "t"), "t"), Error);
  EXPECT_THROW(ChatTemplate::from_config(parse_json("3", "t"), "t"), Error);
}

TEST(ChatTemplate, PassesKwargsTokensAndNoTools) {
  const ChatTemplate chat("{{ bos_token }}{{ tools is none }}{{ enable_thinking }}{{ pad_token }}",
                          "t");
  RenderInput input = input_of("[]");
  input.special_tokens["bos_token"] = "<s>";
  input.template_kwargs["enable_thinking"] = false;
  EXPECT_EQ(chat.render(input), "<s>TrueFalse");
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  const char* messages =
      R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "Sure, "}])";
  RenderInput input = input_of(messages);
  input.continue_final_message = true;
  const ChatTemplate kept(
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}|{% endfor %}{% if "
      "add_generation_prompt "
      "%}!{% endif %}",
      "t");
  EXPECT_EQ(kept.render(input), "[user]q|[assistant]Sure, ");
  const ChatTemplate trimmed(
      "{% for m in messages %}[{{ m.role }}]{{ m.content|trim }}|{% endfor %}", "t");
  EXPECT_EQ(trimmed.render(input), "[user]q|[assistant]Sure,");
  const ChatTemplate dropped("{{ messages|length }}", "t");
  EXPECT_THROW(dropped.render(input), Error);
}

TEST(ChatTemplate, GivesReasoningUnderEachOfItsNames) {
  const ChatTemplate chat("{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}", "t");
  EXPECT_EQ(chat.render(input_of(R"([{"role": "assistant", "content": "a", "reasoning": "r"}])")),
            "r|r");
}

TEST(ChatTemplate, ParsesArgumentsForXmlTemplates) {
  const ChatTemplate chat(
      "{% for k, v in messages[0].tool_calls[0].function.arguments|items %}<parameter={{ k }}>{{ v "
      "}}{% endfor %}<function=",
      "t");
  EXPECT_EQ(chat.tool_style(), ToolStyle::kCoderXml);
  Message message;
  message.role = "assistant";
  message.tool_calls.push_back({"c1", "f", R"({"a": 1, "b": "x"})"});
  RenderInput input;
  input.messages = messages_to_json({message});
  EXPECT_EQ(chat.render(input), "<parameter=a>1<parameter=b>x<function=");
}

TEST(ChatTemplate, KnowsToolStyleAndThinking) {
  EXPECT_EQ(ChatTemplate("x", "t").tool_style(), ToolStyle::kNone);
  EXPECT_EQ(ChatTemplate("<tool_call>", "t").tool_style(), ToolStyle::kHermesJson);
  EXPECT_TRUE(ChatTemplate("<think>", "t").knows_thinking());
  EXPECT_TRUE(opens_think("<|im_start|>assistant\n<think>\n"));
  EXPECT_TRUE(opens_think("<|im_start|>assistant\n<think>\nI was"));
  EXPECT_FALSE(opens_think("<|im_start|>assistant\n"));
  EXPECT_FALSE(opens_think("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(opens_think("<|im_start|>user\n<think> hm<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(ChatTemplate, LeavesThinkToTheModelWhereItDoesNotWriteItself) {
  constexpr std::string_view kPrompt = "<|im_start|>assistant\n";
  // As Qwen3-Next's hybrids, Qwen3's first models, and one that knows nothing of it.
  const ChatTemplate writes("{% if enable_thinking %}<|im_start|>assistant\n<think>\n{% endif %}",
                            "t");
  EXPECT_FALSE(writes.leaves_think_to_model(kPrompt));
  const ChatTemplate leaves("{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}", "t");
  EXPECT_TRUE(leaves.leaves_think_to_model(kPrompt));
  EXPECT_FALSE(leaves.leaves_think_to_model("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(ChatTemplate("x", "t").leaves_think_to_model(kPrompt));
  // A template that refuses the trial may still be used.
  const ChatTemplate refuses("{% if messages %}{{ raise_exception('no') }}{% endif %}<think>", "t");
  EXPECT_TRUE(refuses.leaves_think_to_model(kPrompt));
}

TEST(Messages, FlattenTextParts) {
  const json::array messages = conversation(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "x": 1}])");
  EXPECT_EQ(dump_json(messages[0]), R"({"role":"user","content":"ab","x":1})");
}

TEST(Messages, RefuseWhatIsNoConversation) {
  for (const char* text :
       {"{}", "[1]", "[{}]", R"([{"role": 1}])", R"([{"role": "user", "content": 5}])",
        R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])",
        R"([{"role": "user", "content": [5]}])", R"([{"role": "assistant", "tool_calls": 5}])"}) {
    EXPECT_THROW(conversation(text), Error) << text;
  }
}

}  // namespace
}  // namespace headgate

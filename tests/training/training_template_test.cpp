// Holds the text that training makes of a conversation to what its chat template renders.
#include <gtest/gtest.h>

#include "chat/chat_template.h"
#include "data/skills.h"

namespace headgate {
namespace {

json::array messages_of(const Conversation& conversation, size_t count) {
  json::array out;
  for (size_t i = 0; i < count; ++i) {
    const Turn& turn = conversation.turns[i];
    json::object message = {{"role", turn.role}, {"content", turn.content}};
    if (!turn.reasoning.empty()) message["reasoning_content"] = turn.reasoning;
    if (!turn.calls.empty()) {
      json::array calls;
      for (const TrainingCall& call : turn.calls)
        calls.push_back(json::object{
            {"type", "function"},
            {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}});
      message["tool_calls"] = std::move(calls);
    }
    out.push_back(std::move(message));
  }
  return out;
}

RenderInput input_of(const Conversation& conversation, size_t turns, bool prompt) {
  RenderInput input;
  input.messages = messages_of(conversation, turns);
  input.tools = conversation.tools;
  input.add_generation_prompt = prompt;
  input.template_kwargs["enable_thinking"] = conversation.thinking;
  return input;
}

TEST(TrainingTemplate, RendersWhatTrainingReads) {
  const ChatTemplate chat_template(training_chat_template(), "training template");
  const Passages none;
  for (const SkillFamily& family : skill_families())
    for (double thinking : {0.0, 1.0})
      for (uint64_t i = 0; i < 40; ++i) {
        SkillOptions options;
        options.thinking = thinking;
        const Conversation conversation = make_skill_sample(family, options, none, i).conversation;
        std::string text;
        for (const Segment& segment : conversation_segments(conversation)) text += segment.text;
        const size_t turns = conversation.turns.size();
        EXPECT_EQ(text, chat_template.render(input_of(conversation, turns, false))) << family.name;
        EXPECT_EQ(conversation_prompt(conversation),
                  chat_template.render(input_of(conversation, turns - 1, true)))
            << family.name;
      }
}

TEST(TrainingTemplate, RendersSystemMessagesBesideToolsAndSeveralResults) {
  const ChatTemplate chat_template(training_chat_template(), "training template");
  const json::value entry = parse_json(
      R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"},
      {"role": "assistant", "content": "I look.", "tool_calls": [
        {"name": "f", "arguments": {"a": [1, 2.5, null, true], "b": "ü\n"}}, {"name": "g", "arguments": {}}]},
      {"role": "tool", "content": "one"}, {"role": "tool", "content": "two"},
      {"role": "assistant", "content": "done"}], "tools": [{"name": "f", "description": "F"}]})",
      "test");
  const Conversation conversation = conversation_from_json(entry.as_object(), "test");
  std::string text;
  for (const Segment& segment : conversation_segments(conversation)) text += segment.text;
  EXPECT_EQ(text, chat_template.render(input_of(conversation, conversation.turns.size(), false)));
}

}  // namespace
}  // namespace headgate

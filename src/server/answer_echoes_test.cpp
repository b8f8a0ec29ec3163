// Tests of answers that come back: what is equivalent is found, and no text ever becomes another.
#include "server/answer_echoes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "chat/checkpoint_text.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer instance = load_tokenizer(
      open_checkpoint(HEADGATE_SOURCE_DIR "/models/headgate-nano/headgate-nano-q8_0.gguf"));
  return instance;
}

constexpr const char* kLead = "<|im_start|>assistant\n";

json::array parsed(const std::string& text) { return parse_json(text, "test").as_array(); }

SampledAnswer weather() {
  SampledAnswer answer;
  answer.content = "I look.";
  answer.reasoning = "A tool knows.";
  answer.calls = {{"call_1", "get_weather", R"({"city":  "Paris", "days": [1, 2.5, null]})"}};
  answer.lead = kLead;
  answer.text = "I look.";
  answer.tokens = tokenizer().encode(answer.text);
  return answer;
}

const char* const kAsk = R"([{"role": "user", "content": "Weather?"}])";

AnswerPlace place_after(const json::array& messages, const std::string& salt) {
  return {salt, repair_echoes(messages, AnswerEchoes(), salt, false).digest, kLead};
}

json::array echoed(const std::string& answer) {
  json::array messages = parsed(kAsk);
  messages.push_back(parse_json(answer, "test"));
  return messages;
}

TEST(AnswerEchoes, EquivalentAnswersGetTheirWordsBack) {
  AnswerEchoes echoes;
  echoes.remember(place_after(parsed(kAsk), "ada"), weather());
  for (
      const char* answer :
      {R"({"role": "assistant", "content": " I look.\n", "tool_calls": [{"id": "x", "type": "function",
            "function": {"name": "get_weather", "arguments": "{\"days\":[1,2.5,null],\"city\":\"Paris\"}"}}]})",
       R"({"role": "assistant", "content": "I look.", "tool_calls": [{"id": "call_1", "type": "function",
            "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": [1, 2.5, null]}}}]})"}) {
    const RepairedChat chat = repair_echoes(echoed(answer), echoes, "ada", false);
    ASSERT_EQ(chat.echoes.size(), 1u) << answer;
    const json::object& message = chat.messages[1].as_object();
    EXPECT_EQ(message.at("content"), "I look.");
    EXPECT_EQ(message.at("reasoning_content"), "A tool knows.");
    EXPECT_EQ(chat.messages[1].at_pointer("/tool_calls/0/function/arguments"),
              R"({"city":  "Paris", "days": [1, 2.5, null]})");
    EXPECT_EQ(chat.messages[0], parsed(kAsk)[0]);
    EXPECT_TRUE(repair_echoes(echoed(answer), echoes, "bob", false).echoes.empty());
    EXPECT_TRUE(repair_echoes(echoed(answer), echoes, "ada", true).echoes.empty());
    json::array elsewhere = echoed(answer);
    elsewhere[0].as_object()["content"] = "Weather ?";
    EXPECT_TRUE(repair_echoes(elsewhere, echoes, "ada", false).echoes.empty());
  }
}

TEST(AnswerEchoes, WhatSaysSomethingElseStaysAsItIs) {
  AnswerEchoes echoes;
  echoes.remember(place_after(parsed(kAsk), ""), weather());
  for (
      const char* answer :
      {R"({"role": "assistant", "content": "I  look.", "tool_calls": [{"function": {"name": "get_weather",
            "arguments": "{\"city\": \"Paris\", \"days\": [1, 2.5, null]}"}}]})",
       R"({"role": "assistant", "content": "I look."})",
       R"({"role": "user", "content": "I look."})",
       R"({"role": "assistant", "content": "I look.", "tool_calls": [{"function": {"name": "get_weather",
            "arguments": "{\"city\": \"paris\", \"days\": [1, 2.5, null]}"}}]})",
       R"({"role": "assistant", "content": "I look.", "tool_calls": [{"function": {"name": "get_weather",
            "arguments": "{\"city\": \"Paris\", \"days\": [2.5, 1, null]}"}}]})",
       R"({"role": "assistant", "content": "I look.7:11:get_weather41:{\"city\":\"Paris\",\"days\":[1,2.5E0,null,],}"})"}) {
    const json::array messages = echoed(answer);
    const RepairedChat chat = repair_echoes(messages, echoes, "", false);
    EXPECT_TRUE(chat.echoes.empty()) << answer;
    EXPECT_EQ(chat.messages, messages);
  }
  // Reasoning that is there is the client's.
  const json::array mine = echoed(
      R"({"role": "assistant", "content": "I look.", "reasoning_content": "mine", "tool_calls": [{"function":
          {"name": "get_weather", "arguments": "{\"city\": \"Paris\", \"days\": [1, 2.5, null]}"}}]})");
  const RepairedChat chat = repair_echoes(mine, echoes, "", false);
  ASSERT_EQ(chat.echoes.size(), 1u);
  EXPECT_EQ(chat.messages[1].at("reasoning_content"), "mine");
}

struct Dice {
  uint64_t seed, index = 0;
  int64_t operator()(int64_t below) {
    return static_cast<int64_t>(random_bits(seed, 3, index++) % static_cast<uint64_t>(below));
  }
};

json::value any_json(Dice& draw, int depth) {
  switch (draw(depth > 3 ? 5 : 7)) {
    case 0:
      return draw(1000) - 500;
    case 1:
      return static_cast<double>(draw(1000)) / 8 + 0.0625;
    case 2:
      return draw(2) == 0;
    case 3:
      return nullptr;
    case 4:
      return json::string(std::string(static_cast<size_t>(draw(4)), 'a') + " \"\n\xc3\xa9");
    case 5: {
      json::array out;
      for (int64_t i = draw(4); i > 0; --i) out.push_back(any_json(draw, depth + 1));
      return out;
    }
    default: {
      json::object out;
      for (int64_t i = draw(4); i > 0; --i)
        out["k" + std::to_string(draw(20))] = any_json(draw, depth + 1);
      return out;
    }
  }
}

// The same JSON with other white space and its keys in another order.
std::string rewritten(const json::value& value, Dice& draw) {
  const auto space = [&] { return std::string(static_cast<size_t>(draw(3)), " \n\t"[draw(3)]); };
  std::string out = space();
  if (const json::array* array = value.if_array()) {
    out += '[';
    for (size_t i = 0; i < array->size(); ++i)
      out += (i > 0 ? "," : "") + rewritten((*array)[i], draw);
    out += space() + ']';
  } else if (const json::object* object = value.if_object()) {
    std::vector<const json::key_value_pair*> members;
    for (const auto& each : *object) members.push_back(&each);
    for (size_t i = members.size(); i > 1; --i)
      std::swap(members[i - 1], members[static_cast<size_t>(draw(static_cast<int64_t>(i)))]);
    out += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      out += (i > 0 ? "," : "") + space() + dump_json(json::string(members[i]->key())) + space() +
             ":" + rewritten(members[i]->value(), draw);
    }
    out += space() + '}';
  } else {
    out += dump_json(value);
  }
  return out + space();
}

TEST(AnswerEchoes, RewrittenArgumentsAreEqualAndChangedOnesAreNot) {
  int changed = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Dice draw{seed};
    const json::value first = any_json(draw, 0), second = any_json(draw, 0);
    const auto digest = [&](const std::string& arguments) {
      Message message;
      message.role = "assistant";
      message.tool_calls = {{"", "f", arguments}};
      return digest_with({}, message_to_json(message));
    };
    const Digest plain = digest(dump_json(first));
    EXPECT_EQ(digest(rewritten(first, draw)), plain) << dump_json(first);
    EXPECT_EQ(digest(dump_json_python(first)), plain);
    if (first == second) continue;
    EXPECT_NE(digest(rewritten(second, draw)), plain) << dump_json(first) << dump_json(second);
    ++changed;
  }
  EXPECT_GT(changed, 300);
}

TEST(AnswerEchoes, MemoryIsBoundedAndTheGreedyPay) {
  const int64_t most = 100000;
  AnswerEchoes echoes(most);
  const auto remember = [&](const std::string& salt, int i) {
    SampledAnswer answer = weather();
    answer.content = std::to_string(i);
    echoes.remember(place_after(parsed(kAsk), salt), std::move(answer));
  };
  const auto finds = [&](const std::string& salt, int i) {
    Message message;
    message.role = "assistant";
    message.content = std::to_string(i);
    message.tool_calls = weather().calls;
    return echoes.find(salt, digest_with(place_after(parsed(kAsk), salt).before,
                                         message_to_json(message))) != nullptr;
  };
  for (int i = 0; i < 10; ++i) remember("modest", i);
  for (int i = 0; i < 1000; ++i) {
    remember("greedy", i);
    ASSERT_LE(echoes.bytes(), most);
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(finds("modest", i));
  EXPECT_TRUE(finds("greedy", 999));
  EXPECT_FALSE(finds("greedy", 0));
  EXPECT_GT(echoes.bytes(), most * 9 / 10);
  for (int i = 0; i < 20; ++i) remember("greedy", 999);  // once is enough
  EXPECT_TRUE(finds("greedy", 998));
}

// Answers of random tokens, which no encoder would have chosen.
TEST(AnswerEchoes, OtherTokensOfTheSameText) {
  int64_t replaced = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Dice draw{seed};
    std::string text;
    std::vector<std::shared_ptr<const SampledAnswer>> echoes;
    std::vector<std::vector<int32_t>> kept;
    for (int turn = 0; turn < 3; ++turn) {
      SampledAnswer answer;
      while (answer.tokens.size() < 12) {
        const auto id = static_cast<int32_t>(draw(tokenizer().vocab_size()));
        const std::string_view bytes = tokenizer().token_bytes(id);
        const bool ascii = std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 0; });
        if (tokenizer().is_added(id) || bytes.empty() || !ascii) continue;
        answer.tokens.push_back(id);
        answer.text += bytes;
      }
      answer.lead = kLead;
      text += std::string("<|im_start|>user\nHi") + std::to_string(turn) + "<|im_end|>\n" + kLead;
      const bool ends = draw(4) != 0, whole = draw(4) != 0;
      text += answer.text + (whole ? "" : "!") + (ends ? "<|im_end|>\n" : "");
      if (ends && whole) kept.push_back(answer.tokens);
      echoes.push_back(std::make_shared<const SampledAnswer>(std::move(answer)));
    }
    const std::vector<int32_t> ids = encode_with_echoes(tokenizer(), text, echoes);
    EXPECT_EQ(tokenizer().decode(ids), text);
    auto from = ids.begin();
    for (const std::vector<int32_t>& tokens : kept) {
      from = std::search(from, ids.end(), tokens.begin(), tokens.end());
      ASSERT_NE(from, ids.end());
    }
    replaced += ids != tokenizer().encode(text) ? 1 : 0;
    EXPECT_EQ(encode_with_echoes(tokenizer(), text, {}), tokenizer().encode(text));
  }
  EXPECT_GT(replaced, 50);
}

}  // namespace
}  // namespace headgate

// Tests of the skill generator: reproducible, divided, and right about its own answers.
#include "data/skills.h"

#include <gtest/gtest.h>

#include <set>
#include <unordered_set>

#include "base/error.h"

namespace headgate {
namespace {

SkillOptions options_of(SkillSplit split, uint64_t seed = 7) {
  SkillOptions options;
  options.seed = seed;
  options.split = split;
  return options;
}

std::string text_of(const SkillSample& sample) {
  std::string out;
  for (const Segment& segment : conversation_segments(sample.conversation))
    out += (segment.target ? "[" : "(") + segment.text + "|";
  return out;
}

TEST(Skills, ASampleIsAFunctionOfSeedFamilyAndIndex) {
  const Passages none;
  for (const SkillFamily& family : skill_families()) {
    const SkillOptions options = options_of(SkillSplit::kTraining);
    const std::string first = text_of(make_skill_sample(family, options, none, 3));
    EXPECT_EQ(first, text_of(make_skill_sample(family, options, none, 3))) << family.name;
    EXPECT_NE(first, text_of(make_skill_sample(family, options, none, 4))) << family.name;
    EXPECT_NE(first,
              text_of(make_skill_sample(family, options_of(SkillSplit::kTraining, 8), none, 3)))
        << family.name;
  }
}

TEST(Skills, PromptsOfTheEvaluationNeverOccurInTraining) {
  const Passages none;
  for (const SkillFamily& family : skill_families()) {
    std::unordered_set<std::string> trained;
    for (uint64_t i = 0; i < 300; ++i)
      trained.insert(make_skill_sample(family, options_of(SkillSplit::kTraining), none, i).key);
    for (SkillSplit split :
         {SkillSplit::kFreshPrompts, SkillSplit::kNewWords, SkillSplit::kNewTemplates})
      for (uint64_t i = 0; i < 30; ++i) {
        const SkillSample sample = make_skill_sample(family, options_of(split), none, i);
        EXPECT_TRUE(is_held_out_key(sample.key));
        EXPECT_EQ(trained.count(sample.key), 0u) << family.name << ": " << sample.key;
      }
    for (const std::string& key : trained) EXPECT_FALSE(is_held_out_key(key));
  }
}

TEST(Skills, TrainingNeverUsesWordsKeptForTheEvaluation) {
  std::set<std::string> kept;
  for (size_t pool = 0; pool < kWordPools; ++pool) {
    const WordLists& lists = word_lists(static_cast<WordPool>(pool));
    std::string word;
    for (char c : std::string(lists.evaluation) + " ") {
      if (c != ' ') {
        word += c;
      } else if (!word.empty()) {
        EXPECT_EQ((" " + std::string(lists.training) + " ").find(" " + word + " "),
                  std::string::npos)
            << word;
        kept.insert(std::exchange(word, {}));
      }
    }
  }
  ASSERT_GT(kept.size(), 80u);
  const Passages none;
  // Stories and facts are plain prose: a word such as "market" may come up there.
  for (const char* name : {"extract", "needle", "listop", "jslookup", "wordprob"})
    for (uint64_t i = 0; i < 300; ++i) {
      const SkillSample sample =
          make_skill_sample(find_skill_family(name), options_of(SkillSplit::kTraining), none, i);
      for (const Turn& turn : sample.conversation.turns) {
        std::string word;
        for (char c : turn.content + " ") {
          if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
            word += c;
            continue;
          }
          EXPECT_EQ(kept.count(word), 0u) << word << " in " << turn.content;
          word.clear();
        }
      }
    }
}

TEST(Skills, TheAnswerStandsInTheReply) {
  const Passages none;
  for (const char* name : {"arith", "wordprob", "vartrack", "track", "listop", "needle", "jslookup",
                           "extract", "reading"})
    for (uint64_t i = 0; i < 100; ++i) {
      const SkillSample sample = make_skill_sample(find_skill_family(name),
                                                   options_of(SkillSplit::kNewTemplates), none, i);
      const std::string& reply = sample.conversation.turns.back().content;
      const std::string lower =
          name == std::string("reading") ? sample.answer.substr(1) : sample.answer;
      EXPECT_NE(reply.find(lower), std::string::npos) << sample.answer << " / " << reply;
      EXPECT_EQ(reply.find('{'), name == std::string("extract") ? 0 : reply.find('{'));
    }
}

TEST(Skills, NoSlotIsLeftOpen) {
  const Passages none;
  for (const SkillFamily& family : skill_families())
    for (SkillSplit split : {SkillSplit::kTraining, SkillSplit::kNewTemplates})
      for (uint64_t i = 0; i < 60; ++i) {
        const SkillSample sample = make_skill_sample(family, options_of(split), none, i);
        for (const Turn& turn : sample.conversation.turns)
          for (const char* slot : {"{a}", "{b}", "{n}", "{t}", "{x}", "{w}", "{v}", "{name}",
                                   "{city}", "{q}", "{h}", "{m}", "{item}", "{r}", "{text}"})
            EXPECT_EQ(turn.content.find(slot), std::string::npos) << turn.content;
        EXPECT_EQ(sample.conversation.turns.back().role, "assistant");
      }
}

TEST(Skills, WrittenOutSumsAreRight) {
  SkillOptions options = options_of(SkillSplit::kTraining);
  options.thinking = 1;
  const Passages none;
  for (uint64_t i = 0; i < 300; ++i) {
    const SkillSample sample = make_skill_sample(find_skill_family("arith"), options, none, i);
    const std::string& key = sample.key;
    const size_t sign = key.find_first_of("+-*/");
    const long a = std::stol(key.substr(0, sign)), b = std::stol(key.substr(sign + 1));
    const long expected = key[sign] == '+'   ? a + b
                          : key[sign] == '-' ? a - b
                          : key[sign] == '*' ? a * b
                                             : a / b;
    EXPECT_EQ(sample.answer, std::to_string(expected)) << key;
    const std::string& steps = sample.conversation.turns.back().reasoning;
    EXPECT_NE(steps.find("=" + sample.answer + "."), std::string::npos) << steps;
  }
}

TEST(Skills, PassagesOfAGivenTextAreDivided) {
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += "Paragraph" + std::to_string(i) + std::string(40, 'x') + std::string(170, ' ') + "\n\n";
  for (size_t at = text.find("  "); at != std::string::npos; at = text.find("  ", at))
    text.replace(at, 2, " y");
  const Passages passages(text);
  std::set<std::string> training, evaluation;
  for (uint64_t i = 0; i < 100; ++i) {
    Dice dice(1, 2, i);
    training.insert(passages.words(dice, false, 1)[0]);
    evaluation.insert(passages.words(dice, true, 1)[0]);
  }
  EXPECT_GT(training.size(), 20u);
  EXPECT_GT(evaluation.size(), 3u);
  for (const std::string& word : evaluation) EXPECT_EQ(training.count(word), 0u);
}

TEST(Skills, UnknownFamiliesAreNamedWithTheKnownOnes) {
  try {
    find_skill_family("poems");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("arith"), std::string::npos);
  }
}

TEST(Conversation, OnlyWhatTheAssistantWritesIsATarget) {
  Conversation conversation;
  conversation.thinking = true;
  conversation.turns = {{"user", "Hi", "", {}, true},
                        {"assistant", "Hello", "", {}, true},
                        {"user", "2+2?", "", {}, true},
                        {"assistant", "4", "Easy.", {}, true}};
  std::string targets, all;
  for (const Segment& segment : conversation_segments(conversation)) {
    all += segment.text;
    if (segment.target) targets += segment.text;
  }
  EXPECT_EQ(all,
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
            "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\nEasy.\n</think>\n\n4"
            "<|im_end|>\n");
  EXPECT_EQ(targets, "Easy.\n</think>\n\n4<|im_end|>");
  EXPECT_EQ(conversation_prompt(conversation),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
            "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(Conversation, LinesThatAreNoConversationsAreNamed) {
  for (const char* text :
       {"{}", "{\"messages\": 3}", "{\"messages\": []}", "{\"messages\": [3]}",
        "{\"messages\": [{\"role\": \"king\"}]}",
        "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{}]}]}",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [1]}"}) {
    try {
      conversation_from_json(parse_json(text, "line").as_object(), "chat.jsonl:3");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidFile);
      EXPECT_NE(std::string(error.what()).find("chat.jsonl:3"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace headgate

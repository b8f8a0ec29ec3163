// Tests of the rules by which answers count as right.
#include "eval/skills.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(SkillAnswers, ExactAnswersMayHaveReasoningAndWhiteSpaceAroundThem) {
  EXPECT_TRUE(
      is_right_answer(AnswerCheck::kExact, "Ben", "<think>\nI look.\n</think>\n\nBen<|im_end|>"));
  EXPECT_TRUE(is_right_answer(AnswerCheck::kExact, "Ben", " Ben\n"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kExact, "Ben", "Ben."));
}

TEST(SkillAnswers, TheLastNumberCounts) {
  EXPECT_TRUE(is_right_answer(AnswerCheck::kLastNumber, "92", "4+8=12, write 2. 64 + 28 = 92"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kLastNumber, "92", "92 = 64 + 28"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kLastNumber, "2", "64 + 28 = 92"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kLastNumber, "5", "3 - 8 = -5"));
  EXPECT_TRUE(is_right_answer(AnswerCheck::kLastNumber, "5", "7-5"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kLastNumber, "5", "none"));
}

TEST(SkillAnswers, NeedlesAreWhatStandsAtTheEnd) {
  EXPECT_TRUE(is_right_answer(AnswerCheck::kEnding, "123", "The magic number for cat is 123."));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kEnding, "123", "The magic number for cat is 4123."));
}

TEST(SkillAnswers, WordsMustBeWhole) {
  EXPECT_TRUE(is_right_answer(AnswerCheck::kContains, "hall", "Tom is in the hall."));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kContains, "hall", "Tom is in the hallway."));
}

TEST(SkillAnswers, JsonIsComparedAsValues) {
  EXPECT_TRUE(
      is_right_answer(AnswerCheck::kJson, "{\"a\": 1, \"b\": \"x\"}", "{\"b\":\"x\",\"a\":1}"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kJson, "{\"a\": 1}", "{\"a\": \"1\"}"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kJson, "{\"a\": 1}", "{\"a\": 1"));
}

TEST(SkillAnswers, AToolCallNeedsNameAndArguments) {
  const std::string expected = "{\"name\": \"f\", \"arguments\": {\"x\": 2}}";
  EXPECT_TRUE(
      is_right_answer(AnswerCheck::kToolCall, expected,
                      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 2}}\n</tool_call>"));
  EXPECT_FALSE(is_right_answer(AnswerCheck::kToolCall, expected, expected));
  EXPECT_FALSE(
      is_right_answer(AnswerCheck::kToolCall, expected,
                      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 3}}\n</tool_call>"));
  const std::string twice = "<tool_call>\n" + expected + "\n</tool_call>\n";
  EXPECT_FALSE(is_right_answer(AnswerCheck::kToolCall, expected, twice + twice));
}

TEST(SkillResult, TheUncertaintyIsThatOfWilson) {
  SkillResult result;
  result.cases = 200;
  result.right = 100;
  EXPECT_NEAR(result.uncertainty(), 0.0687, 1e-3);
  result.right = 200;
  EXPECT_GT(result.uncertainty(), 0.005);
}

}  // namespace
}  // namespace headgate

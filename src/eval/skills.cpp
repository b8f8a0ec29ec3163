// Skill families asked of a model.
#include "eval/skills.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"

namespace headgate {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  while (!text.empty() && kSpace.find(text.front()) != std::string_view::npos)
    text.remove_prefix(1);
  while (!text.empty() && kSpace.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return text;
}

// What stands behind the reasoning, without the tokens that end an answer.
std::string_view answer_part(std::string_view text) {
  constexpr std::string_view kClose = "</think>";
  if (const size_t at = text.rfind(kClose); at != std::string_view::npos)
    text.remove_prefix(at + kClose.size());
  for (std::string_view end : {"<|im_end|>", "<|endoftext|>"})
    if (const size_t at = text.find(end); at != std::string_view::npos) text = text.substr(0, at);
  return trimmed(text);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

std::string_view last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  // "7-5" is a difference, "= -5" a negative number.
  if (begin > 0 && begin < end && text[begin - 1] == '-' && (begin == 1 || text[begin - 2] == ' '))
    --begin;
  return text.substr(begin, end - begin);
}

bool contains_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end])))
      return true;
  }
  return false;
}

std::optional<json::value> json_of(std::string_view text) {
  try {
    return parse_json(text, "answer");
  } catch (const Error&) {
    return std::nullopt;  // an answer that is no JSON is a wrong answer, not an error
  }
}

bool same_json(std::string_view expected, std::string_view found) {
  const std::optional<json::value> a = json_of(expected), b = json_of(found);
  return a && b && *a == *b;
}

bool is_right_call(std::string_view expected, std::string_view text) {
  constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>";
  const size_t open = text.find(kOpen), close = text.rfind(kClose);
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return false;
  const size_t begin = open + kOpen.size();
  return same_json(expected, trimmed(text.substr(begin, close - begin)));
}

void add_counts(const std::vector<int64_t>& counts, std::vector<int64_t>& sums) {
  sums.resize(std::max(sums.size(), counts.size()), 0);
  for (size_t i = 0; i < counts.size(); ++i) sums[i] += counts[i];
}

json::object turn_json(const Turn& turn) {
  return {{"role", turn.role}, {"content", turn.content}};
}

}  // namespace

std::vector<int32_t> skill_prompt(const Conversation& conversation, bool thinking,
                                  const Tokenizer& tokenizer, const ChatTemplate& chat_template) {
  RenderInput input;
  for (size_t i = 0; i + 1 < conversation.turns.size(); ++i)
    input.messages.push_back(turn_json(conversation.turns[i]));
  input.tools = conversation.tools;
  input.template_kwargs["enable_thinking"] = thinking;
  return tokenizer.encode(chat_template.render(input));
}

double SkillResult::uncertainty() const {
  if (cases == 0) return 1;
  constexpr double kZ = 1.959964;
  const auto n = static_cast<double>(cases);
  const double p = accuracy();
  return kZ / (1 + kZ * kZ / n) * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
}

bool is_right_answer(AnswerCheck check, std::string_view expected, std::string_view text) {
  std::string_view answer = answer_part(text);
  switch (check) {
    case AnswerCheck::kExact:
      return answer == trimmed(expected);
    case AnswerCheck::kLastNumber:
      return last_number(answer) == expected;
    case AnswerCheck::kEnding: {
      while (answer.ends_with('.')) answer.remove_suffix(1);
      return answer.ends_with(" is " + std::string(expected)) || answer == expected;
    }
    case AnswerCheck::kContains:
      return contains_word(answer, expected);
    case AnswerCheck::kJson:
      return same_json(expected, answer);
    case AnswerCheck::kToolCall:
      return is_right_call(expected, answer);
    case AnswerCheck::kNone:
      return true;
  }
  return false;
}

SkillResult test_skill(Session& session, const Tokenizer& tokenizer,
                       const ChatTemplate& chat_template, const std::vector<int32_t>& stop_tokens,
                       const SkillFamily& family, bool thinking, const SkillTestOptions& options) {
  static const Passages kNoPassages;
  SkillOptions skills = options.skills;
  skills.thinking = thinking ? 1 : 0;
  SkillResult result;
  result.family = std::string(family.name);
  result.thinking = thinking;
  for (int64_t i = 0; i < options.cases; ++i) {
    const SkillSample sample =
        make_skill_sample(family, skills, options.passages ? *options.passages : kNoPassages,
                          static_cast<uint64_t>(i));
    GenerationRequest request;
    request.prompt = skill_prompt(sample.conversation, thinking, tokenizer, chat_template);
    request.sampling.temperature = 0;
    request.max_tokens = options.max_tokens;
    request.stop_tokens = stop_tokens;
    request.cancel = options.cancel;
    const GenerationResult generated = session.generate(request);
    if (generated.reason == FinishReason::kCancelled)
      fail(ErrorCode::kCancelled, "skills: stopped in {}", family.name);
    const std::string text = tokenizer.decode(generated.tokens);
    ++result.cases;
    result.prompt_tokens += generated.prompt_tokens;
    result.answer_tokens += static_cast<int64_t>(generated.tokens.size());
    result.prefill_seconds += generated.prefill_seconds;
    result.decode_seconds += generated.decode_seconds;
    add_counts(generated.drafts.drafted, result.drafted);
    add_counts(generated.drafts.accepted, result.accepted);
    if (is_right_answer(sample.check, sample.answer, text)) {
      ++result.right;
    } else if (static_cast<int64_t>(result.wrong.size()) < options.examples) {
      const Conversation& c = sample.conversation;
      result.wrong.push_back({c.turns[c.turns.size() - 2].content, sample.answer, text});
    }
    if (options.progress) options.progress(i + 1);
  }
  return result;
}

}  // namespace headgate

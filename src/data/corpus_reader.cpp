// Text files and JSONL files as documents.
#include "data/corpus_reader.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "data/dice.h"

namespace headgate {
namespace {

// {"question", "answer"} with the result behind "####", as GSM8K has them: the steps are reasoning
// in half of the conversations, chosen by the question, and part of the answer in the others.
std::optional<Conversation> worked_problem(const json::object& object) {
  const json::value *question = object.if_contains("question"),
                    *answer = object.if_contains("answer");
  if (question == nullptr || !question->is_string() || answer == nullptr || !answer->is_string())
    return std::nullopt;
  const std::string_view text(answer->as_string());
  const size_t mark = text.find("####");
  if (mark == std::string_view::npos) return std::nullopt;
  std::string steps;
  // What stands in << >> is for a calculator.
  for (size_t at = 0; at < mark; ++at) {
    if (text.substr(at, 2) == "<<") {
      const size_t end = text.find(">>", at);
      if (end == std::string_view::npos || end > mark) return std::nullopt;
      at = end + 1;
    } else {
      steps += text[at];
    }
  }
  while (!steps.empty() && (steps.back() == '\n' || steps.back() == ' ')) steps.pop_back();
  std::string_view result = text.substr(mark + 4);
  while (!result.empty() && result.front() == ' ') result.remove_prefix(1);
  while (!result.empty() && (result.back() == ' ' || result.back() == '\n'))
    result.remove_suffix(1);
  Conversation out;
  out.thinking = text_hash(question->as_string()) % 2 == 0;
  const std::string last = "The answer is " + std::string(result) + ".";
  out.turns.push_back(Turn{"user", std::string(question->as_string()), {}, {}, true});
  out.turns.push_back(out.thinking ? Turn{"assistant", last, steps, {}, true}
                                   : Turn{"assistant", steps + "\n" + last, {}, {}, true});
  return out;
}

void read_line(std::string_view line, const std::string& source, const CorpusSink& sink) {
  const json::value entry = parse_json(line, source);
  if (!entry.is_object()) fail(ErrorCode::kInvalidFile, "{}: expected a JSON object", source);
  const json::object& object = entry.as_object();
  if (object.contains("messages")) {
    if (!sink.on_conversation)
      fail(ErrorCode::kInvalidFile, "{}: a conversation, expected a text", source);
    sink.on_conversation(conversation_from_json(object, source));
    return;
  }
  if (const std::optional<Conversation> problem = worked_problem(object);
      problem && sink.on_conversation) {
    sink.on_conversation(*problem);
    return;
  }
  const json::value* text = object.if_contains("text");
  if (text == nullptr || !text->is_string())
    fail(ErrorCode::kInvalidFile, "{}: expected \"text\" or \"messages\"", source);
  if (!sink.on_text) fail(ErrorCode::kInvalidFile, "{}: a text, expected \"messages\"", source);
  sink.on_text(text->as_string());
}

}  // namespace

void read_corpus(const std::string& path, const CorpusSink& sink) {
  const MappedFile file(path);
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()),
                             file.bytes().size());
  if (!path.ends_with(".jsonl")) {
    if (!sink.on_text) fail(ErrorCode::kInvalidFile, "{}: a text, expected a .jsonl file", path);
    sink.on_text(all);
    return;
  }
  int64_t number = 0;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    ++number;
    std::string_view line = all.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) read_line(line, fmt::format("{}:{}", path, number), sink);
    at = end + 1;
  }
}

}  // namespace headgate

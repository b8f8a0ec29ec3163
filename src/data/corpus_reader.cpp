// Text files and JSONL files as documents.
#include "data/corpus_reader.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace headgate {
namespace {

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

// Heads, chunks and events.
#include "tests/server/load/answer_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

constexpr size_t kMostHead = 64 << 10;

// The value of a header, or an empty text.
std::string header(std::string_view head, std::string_view name) {
  std::string lower(head);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const size_t at = lower.find("\r\n" + std::string(name) + ":");
  if (at == std::string::npos) return {};
  size_t begin = at + name.size() + 3;
  while (begin < lower.size() && lower[begin] == ' ') ++begin;
  return lower.substr(begin, lower.find("\r\n", begin) - begin);
}

uint64_t number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end == text.data())
    fail(ErrorCode::kInvalidFile, "answer: found length '{}', expected a number", text);
  return value;
}

// The text of the first choice; null: there is none.
const json::string* text_of(const json::object& event) {
  const json::value* choices = event.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return nullptr;
  const json::object* choice = choices->get_array().front().if_object();
  if (choice == nullptr) return nullptr;
  if (const json::value* text = choice->if_contains("text")) return text->if_string();
  const json::value* delta = choice->if_contains("delta");
  if (delta == nullptr || !delta->is_object()) return nullptr;
  const json::value* content = delta->get_object().if_contains("content");
  return content == nullptr ? nullptr : content->if_string();
}

}  // namespace

void AnswerReader::add(std::string_view bytes, double now) {
  input_ += bytes;
  while (step(now)) {
  }
}

void AnswerReader::end_of_connection() {
  keeps_alive_ = false;
  if (phase_ == Phase::kUntilEnd) phase_ = Phase::kComplete;
}

bool AnswerReader::step(double now) {
  switch (phase_) {
    case Phase::kHead:
      return read_head();
    case Phase::kChunkSize:
      return read_chunk_size();
    case Phase::kUntilEnd:
      take(input_, now);
      input_.clear();
      return false;
    case Phase::kComplete:
      return false;
    case Phase::kLength:
    case Phase::kChunk:
      break;
  }
  const size_t count = std::min<size_t>(left_, input_.size());
  take(std::string_view(input_).substr(0, count), now);
  input_.erase(0, count);
  left_ -= count;
  if (left_ > 0) return false;
  if (phase_ == Phase::kLength) {
    phase_ = Phase::kComplete;
    return false;
  }
  if (input_.size() < 2) return false;  // the line's end behind a chunk
  input_.erase(0, 2);
  phase_ = Phase::kChunkSize;
  return true;
}

bool AnswerReader::read_head() {
  const size_t end = input_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (input_.size() > kMostHead) fail(ErrorCode::kInvalidFile, "answer: its head does not end");
    return false;
  }
  const std::string head = input_.substr(0, end + 2);
  input_.erase(0, end + 4);
  if (head.size() < 12 || head.compare(0, 7, "HTTP/1.") != 0)
    fail(ErrorCode::kInvalidFile, "answer: found '{}', expected HTTP/1.1", head.substr(0, 40));
  status_ = static_cast<int>(number(std::string_view(head).substr(9, 3), 10));
  keeps_alive_ = header(head, "connection") != "close";
  has_retry_after_ = !header(head, "retry-after").empty();
  streams_ = header(head, "content-type").find("event-stream") != std::string::npos;
  const std::string length = header(head, "content-length");
  if (header(head, "transfer-encoding") == "chunked") {
    phase_ = Phase::kChunkSize;
  } else if (!length.empty()) {
    left_ = number(length, 10);
    phase_ = Phase::kLength;
  } else {
    phase_ = Phase::kUntilEnd;
  }
  return true;
}

bool AnswerReader::read_chunk_size() {
  const size_t end = input_.find("\r\n");
  if (end == std::string::npos) return false;
  left_ = number(std::string_view(input_).substr(0, end), 16);
  if (left_ == 0) {  // and an empty line behind it
    if (input_.size() < end + 4) return false;
    input_.erase(0, end + 4);
    phase_ = Phase::kComplete;
    return false;
  }
  input_.erase(0, end + 2);
  phase_ = Phase::kChunk;
  return true;
}

void AnswerReader::take(std::string_view bytes, double now) {
  if (!streams_) {
    body_ += bytes;
    return;
  }
  lines_ += bytes;
  size_t begin = 0;
  for (size_t end = 0; (end = lines_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string_view line = std::string_view(lines_).substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.starts_with("data: ")) read_event(line.substr(6), now);
  }
  lines_.erase(0, begin);
}

void AnswerReader::read_event(std::string_view data, double now) {
  if (done_) fail(ErrorCode::kInvalidFile, "answer: found an event behind [DONE]");
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const json::value value = parse_json(data, "event");
  const json::object& event = value.as_object();
  if (event.contains("error")) {
    failed_ = true;
    body_ = data;
  }
  if (const json::value* usage = event.if_contains("usage"); usage && usage->is_object())
    tokens_ = usage->get_object().at("completion_tokens").to_number<int64_t>();
  const json::string* text = text_of(event);
  if (text == nullptr || text->empty()) return;
  text_.append(text->data(), text->size());
  ++events_;
  if (first_ < 0) {
    first_ = now;
  } else {
    gaps_.push_back(static_cast<float>(now - last_));
  }
  last_ = now;
}

}  // namespace headgate

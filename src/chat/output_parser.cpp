// The state machine behind OutputParser.
#include "chat/output_parser.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "chat/tool_call_reader.h"

namespace headgate {
namespace {

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kToolCall = "<tool_call>";
// Qwen3-Coder sometimes forgets <tool_call>.
constexpr std::string_view kBareFunction = "<function=";

// Length of the longest end of `text` that is a beginning of `tag`, but not all of it.
size_t possible_tag(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == tag.substr(0, n)) return n;
  }
  return 0;
}

std::string_view without_leading_newlines(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('\n'), text.size()));
}

}  // namespace

class OutputParser::Machine {
 public:
  explicit Machine(OutputParserOptions options)
      : options_(std::move(options)),
        place_(options_.reasoning == OutputParserOptions::Reasoning::kNone ? Place::kContent
                                                                           : Place::kStart) {}

  std::vector<OutputEvent> push(std::string_view piece, PieceRole role);
  std::vector<OutputEvent> finish(std::string_view reason);
  const OutputSummary& summary() const { return summary_; }

 private:
  enum class Place { kStart, kReasoning, kAnswerStart, kContent, kCall, kBetweenCalls, kBroken };

  void process(bool match_tags);
  // Each takes what it can from pending_; false when it needs more text.
  bool process_start(bool match_tags);
  bool process_reasoning(bool match_tags);
  bool process_content(bool match_tags);
  bool process_call();
  void push_markup(std::string_view tag);
  void begin_call();
  void stream_call();
  void end_call();
  void emit(OutputEvent::Kind kind, std::string text);
  void emit_reasoning(std::string_view text);
  void emit_content(std::string_view text);

  OutputParserOptions options_;
  Place place_;
  std::string pending_;        // not yet processed
  std::string held_newlines_;  // seen, but dropped unless text follows
  std::string reasoning_;
  std::string content_;
  std::vector<OutputEvent> events_;
  OutputSummary summary_;
  // The call being read.
  std::unique_ptr<ToolCallReader> reader_;
  std::string raw_;  // its text so far
  bool announced_ = false;
  size_t streamed_ = 0;  // bytes of its arguments that were sent
  int calls_begun_ = 0;
};

void OutputParser::Machine::emit(OutputEvent::Kind kind, std::string text) {
  if (text.empty()) return;
  OutputEvent event;
  event.kind = kind;
  event.text = std::move(text);
  events_.push_back(std::move(event));
}

void OutputParser::Machine::emit_reasoning(std::string_view text) {
  if (reasoning_.empty()) text = without_leading_newlines(text);
  const size_t end = text.find_last_not_of('\n') + 1;  // 0 when there is none
  if (end == 0) {
    if (!reasoning_.empty()) held_newlines_ += text;
    return;
  }
  std::string out = std::exchange(held_newlines_, {});
  out += text.substr(0, end);
  held_newlines_ = text.substr(end);
  reasoning_ += out;
  emit(OutputEvent::Kind::kReasoning, std::move(out));
}

void OutputParser::Machine::emit_content(std::string_view text) {
  if (text.empty()) return;
  // Newlines before a tool call are dropped; whether one follows is not known yet.
  const size_t end =
      options_.tools == ToolStyle::kNone ? text.size() : text.find_last_not_of('\n') + 1;
  if (end == 0) {
    held_newlines_ += text;
    return;
  }
  std::string out = std::exchange(held_newlines_, {});
  out += text.substr(0, end);
  held_newlines_ = text.substr(end);
  content_ += out;
  emit(OutputEvent::Kind::kContent, std::move(out));
}

bool OutputParser::Machine::process_start(bool match_tags) {
  const bool opened = options_.reasoning == OutputParserOptions::Reasoning::kOpen;
  if (pending_.empty()) return false;
  const std::string_view text = pending_;
  if (match_tags && text.size() < kThink.size() && kThink.substr(0, text.size()) == text) {
    return false;
  }
  const bool has_tag = match_tags && text.substr(0, kThink.size()) == kThink;
  if (has_tag) pending_.erase(0, kThink.size());
  place_ = opened || has_tag ? Place::kReasoning : Place::kContent;
  return true;
}

bool OutputParser::Machine::process_reasoning(bool match_tags) {
  const size_t end = match_tags ? pending_.find(kThinkEnd) : std::string::npos;
  if (end != std::string::npos) {
    emit_reasoning(std::string_view(pending_).substr(0, end));
    held_newlines_.clear();
    pending_.erase(0, end + kThinkEnd.size());
    place_ = Place::kAnswerStart;
    return true;
  }
  const size_t keep = match_tags ? possible_tag(pending_, kThinkEnd) : 0;
  emit_reasoning(std::string_view(pending_).substr(0, pending_.size() - keep));
  pending_.erase(0, pending_.size() - keep);
  return false;
}

// Text of the answer, or between two calls, up to the next opening tag.
bool OutputParser::Machine::process_content(bool match_tags) {
  const bool between = place_ == Place::kBetweenCalls;
  size_t begin = std::string::npos;
  size_t keep = 0;
  size_t consumed = 0;
  if (match_tags && options_.tools != ToolStyle::kNone) {
    begin = pending_.find(kToolCall);
    consumed = kToolCall.size();
    keep = possible_tag(pending_, kToolCall);
    if (options_.tools == ToolStyle::kCoderXml) {
      const size_t bare = pending_.find(kBareFunction);
      if (bare < begin) {
        begin = bare;
        consumed = 0;
      }
      keep = std::max(keep, possible_tag(pending_, kBareFunction));
    }
  }
  const size_t end = begin != std::string::npos ? begin : pending_.size() - keep;
  if (!between) emit_content(std::string_view(pending_).substr(0, end));
  pending_.erase(0, end);
  if (begin == std::string::npos) return false;
  begin_call();
  pending_.erase(0, consumed);
  return true;
}

void OutputParser::Machine::begin_call() {
  held_newlines_.clear();
  reader_ = options_.tools == ToolStyle::kCoderXml ? make_coder_reader(options_.declared_tools)
                                                   : make_hermes_reader();
  raw_.clear();
  announced_ = false;
  streamed_ = 0;
  place_ = Place::kCall;
}

// Sends what has become known of the call.
void OutputParser::Machine::stream_call() {
  if (!reader_->name()) return;
  OutputEvent event;
  event.call = calls_begun_;
  if (!announced_) {
    announced_ = true;
    event.kind = OutputEvent::Kind::kToolBegin;
    event.id = fmt::format("{}{}", options_.call_id_prefix, calls_begun_);
    event.name = *reader_->name();
    events_.push_back(event);
    event.id.clear();
    event.name.clear();
  }
  if (reader_->arguments().size() > streamed_) {
    event.kind = OutputEvent::Kind::kToolArguments;
    event.text = reader_->arguments().substr(streamed_);
    streamed_ = reader_->arguments().size();
    events_.push_back(event);
  }
}

void OutputParser::Machine::end_call() {
  OutputEvent event;
  event.kind = OutputEvent::Kind::kToolEnd;
  event.call = calls_begun_;
  events_.push_back(event);
  summary_.tool_calls.push_back({fmt::format("{}{}", options_.call_id_prefix, calls_begun_),
                                 *reader_->name(), reader_->arguments()});
  ++calls_begun_;
  reader_.reset();
  place_ = Place::kBetweenCalls;
}

bool OutputParser::Machine::process_call() {
  if (pending_.empty()) return false;
  size_t used = 0;
  const ToolCallReader::State state = reader_->read(pending_, &used);
  raw_.append(pending_, 0, used);
  pending_.erase(0, used);
  if (state == ToolCallReader::State::kBroken) {
    place_ = Place::kBroken;
    return true;
  }
  stream_call();
  if (state == ToolCallReader::State::kMore) return false;
  end_call();
  return true;
}

void OutputParser::Machine::process(bool match_tags) {
  for (bool more = true; more;) {
    switch (place_) {
      case Place::kStart:
        more = process_start(match_tags);
        break;
      case Place::kReasoning:
        more = process_reasoning(match_tags);
        break;
      case Place::kAnswerStart:
        pending_ = without_leading_newlines(pending_);
        more = !pending_.empty();
        if (more) place_ = Place::kContent;
        break;
      case Place::kContent:
      case Place::kBetweenCalls:
        more = process_content(match_tags);
        break;
      case Place::kCall:
        more = process_call();
        break;
      case Place::kBroken:
        raw_ += std::exchange(pending_, {});
        more = false;
        break;
    }
  }
}

void OutputParser::Machine::push_markup(std::string_view tag) {
  // What was held back cannot be the beginning of a tag any more.
  process(false);
  const bool begins_reasoning = place_ == Place::kStart && tag == kThink;
  const bool ends_reasoning =
      (place_ == Place::kReasoning ||
       (place_ == Place::kStart && options_.reasoning == OutputParserOptions::Reasoning::kOpen)) &&
      tag == kThinkEnd;
  const bool may_call =
      place_ == Place::kContent || place_ == Place::kAnswerStart ||
      place_ == Place::kBetweenCalls ||
      (place_ == Place::kStart && options_.reasoning == OutputParserOptions::Reasoning::kMayOpen);
  if (begins_reasoning) {
    place_ = Place::kReasoning;
  } else if (ends_reasoning) {
    held_newlines_.clear();
    place_ = Place::kAnswerStart;
  } else if (may_call && options_.tools != ToolStyle::kNone && tag == kToolCall) {
    begin_call();
  } else {
    pending_ += tag;
    process(false);
  }
}

std::vector<OutputEvent> OutputParser::Machine::push(std::string_view piece, PieceRole role) {
  if (role == PieceRole::kMarkup) {
    push_markup(piece);
  } else {
    if (role == PieceRole::kText) process(false);
    pending_ += piece;
    process(role == PieceRole::kUnknown);
  }
  return std::exchange(events_, {});
}

std::vector<OutputEvent> OutputParser::Machine::finish(std::string_view reason) {
  process(false);
  summary_.finish_reason = reason;
  if (place_ == Place::kCall || place_ == Place::kBroken) {
    raw_ += std::exchange(pending_, {});
    const size_t text = raw_.find_first_not_of(" \t\r\n");
    summary_.incomplete = raw_.substr(std::min(text, raw_.size()));
  } else if (place_ == Place::kContent && !held_newlines_.empty()) {
    // No tool call followed: the newlines belong to the answer.
    content_ += held_newlines_;
    emit(OutputEvent::Kind::kContent, std::exchange(held_newlines_, {}));
  }
  if (!summary_.tool_calls.empty() && !(summary_.incomplete && reason == "length")) {
    summary_.finish_reason = "tool_calls";
  }
  if (!content_.empty()) summary_.content = content_;
  if (!reasoning_.empty()) summary_.reasoning_content = reasoning_;
  return std::exchange(events_, {});
}

OutputParser::OutputParser(OutputParserOptions options)
    : machine_(std::make_unique<Machine>(std::move(options))) {}
OutputParser::~OutputParser() = default;
OutputParser::OutputParser(OutputParser&&) noexcept = default;
OutputParser& OutputParser::operator=(OutputParser&&) noexcept = default;

std::vector<OutputEvent> OutputParser::push(std::string_view piece, PieceRole role) {
  return machine_->push(piece, role);
}

std::vector<OutputEvent> OutputParser::finish(std::string_view reason) {
  return machine_->finish(reason);
}

const OutputSummary& OutputParser::summary() const { return machine_->summary(); }

}  // namespace headgate

// Reads one streamed answer of a server as its bytes come, and notes what a load test asks of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

// HTTP/1.1 with a length or in chunks; events of /v1/completions and /v1/chat/completions.
class AnswerReader {
 public:
  // More bytes that came `now` (seconds of any clock). Throws Error for bytes that are no answer.
  void add(std::string_view bytes, double now);
  // The connection ended: so does an answer without a length.
  void end_of_connection();

  bool complete() const { return phase_ == Phase::kComplete; }
  int status() const { return status_; }  // 0: no head yet
  bool keeps_alive() const { return keeps_alive_; }
  bool has_retry_after() const { return has_retry_after_; }
  // All of a stream is here: its text and its last event.
  bool ended_well() const { return complete() && status_ == 200 && done_ && !failed_; }

  const std::string& text() const { return text_; }
  int64_t tokens() const { return tokens_; }  // that the server counts; -1: it did not say
  int64_t events_with_text() const { return events_; }
  double first_text() const { return first_; }              // when it came
  const std::vector<float>& gaps() const { return gaps_; }  // seconds between events with text
  const std::string& body() const { return body_; }         // of an answer that is no stream

 private:
  enum class Phase { kHead, kLength, kChunkSize, kChunk, kUntilEnd, kComplete };

  bool step(double now);  // false: more bytes are wanted
  bool read_head();
  bool read_chunk_size();
  void take(std::string_view bytes, double now);
  void read_event(std::string_view data, double now);

  Phase phase_ = Phase::kHead;
  std::string input_, lines_, text_, body_;
  uint64_t left_ = 0;  // of the body or chunk
  int status_ = 0;
  bool keeps_alive_ = true, has_retry_after_ = false, streams_ = false, done_ = false,
       failed_ = false;
  int64_t tokens_ = -1, events_ = 0;
  double first_ = -1, last_ = -1;
  std::vector<float> gaps_;
};

}  // namespace headgate

// Answers as they were sampled, for clients that send them back written differently.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/json.h"
#include "chat/message.h"
#include "text/tokenizer.h"

namespace headgate {

// What the model wrote after a prompt.
struct SampledAnswer {
  std::string content, reasoning;
  std::vector<ToolCall> calls;  // with arguments as they were written
  std::string lead;             // the end of the prompt's text
  std::string text;             // all that was written, tags included
  std::vector<int32_t> tokens;  // that decode to `text`

  int64_t bytes() const;
};

// Who may take whose answer for an echo, and what it was an answer to.
struct AnswerPlace {
  std::string salt;
  Digest before{};   // of the messages before it
  std::string lead;  // see SampledAnswer
};

// Two messages have one digest when they say the same in the same place: contents of answers apart
// from outer white space, tool calls apart from the spelling of their JSON and their ids, reasoning
// aside; all other messages to the letter. `before` is that of the messages before.
Digest digest_with(const Digest& before, const json::object& message);

// Remembers answers for a while, up to a number of bytes; where it is full, the oldest of the salt
// that has most goes. Thread rule: any thread.
class AnswerEchoes {
 public:
  explicit AnswerEchoes(int64_t most_bytes = int64_t{16} << 20) : most_bytes_(most_bytes) {}

  void remember(const AnswerPlace& place, SampledAnswer answer);
  // The latest answer with this digest; null: none.
  std::shared_ptr<const SampledAnswer> find(const std::string& salt, const Digest& digest) const;

  int64_t bytes() const;

 private:
  struct Kept {
    Digest digest;
    std::shared_ptr<const SampledAnswer> answer;
  };
  struct Owner {
    std::list<Kept> kept;  // latest first
    std::map<Digest, std::list<Kept>::iterator> by_digest;
    int64_t bytes = 0;
  };
  void drop_oldest(Owner& owner);

  int64_t most_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Owner> owners_;
  int64_t bytes_ = 0;
};

struct RepairedChat {
  json::array messages;
  std::vector<std::shared_ptr<const SampledAnswer>> echoes;  // found among them, in order
  Digest digest{};                                           // of all messages
};

// Gives echoed answers back the white space, the spelling of JSON and the reasoning (where a
// message has none) that they were sampled with. `last_is_open`: the last message is an answer's
// beginning, and stays as it is.
RepairedChat repair_echoes(const json::array& messages, const AnswerEchoes& echoes,
                           const std::string& salt, bool last_is_open);

// The ids of a rendered conversation, where answers that stand in it letter for letter, behind what
// led to them and before an end token, have the tokens they were sampled as: other tokens of the
// same text. The ids decode to what those of encode() decode to.
std::vector<int32_t> encode_with_echoes(
    const Tokenizer& tokenizer, std::string_view text,
    std::span<const std::shared_ptr<const SampledAnswer>> echoes);

}  // namespace headgate

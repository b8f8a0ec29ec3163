// The loop that generates: draft, one step of the model over last token and drafts, verify, emit.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/session_data.h"
#include "sampling/sampler.h"

namespace headgate {

// One answer of a session whose prompt has been prefilled.
class DecodeLoop {
 public:
  DecodeLoop(Session::Data& session, const GenerationRequest& request, GenerationResult& out);
  void run();

 private:
  // Draws the token that follows row `row` of the last step's logits and hands it to the caller.
  // False when it ends the answer; the reason is in out_.
  bool emit(int64_t row);
  bool may_continue();
  // Drafts that follow the last token, none when plain decoding is expected to be as fast.
  std::vector<int32_t> draft();
  // Runs the last token and `drafts`; emits the tokens that the model itself gives there, up to the
  // first that is not the draft. False when the answer has ended.
  bool verify(const std::vector<int32_t>& drafts);

  Session::Data& session_;
  const GenerationRequest& request_;
  GenerationResult& out_;
  Sampler sampler_;
};

}  // namespace headgate

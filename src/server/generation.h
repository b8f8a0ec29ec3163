// One generation request on its way through the engine: tokens become text and events on worker
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/answer_limits.h"
#include "chat/answer_stream.h"
#include "engine/engine.h"
#include "server/answer_echoes.h"
#include "server/api_error.h"
#include "server/router.h"
#include "server/service.h"

namespace headgate {

// What is asked of the engine, and how its tokens are read.
struct GenerationPlan {
  Request request;
  // Become part of request.constraint in apply_output_form(), which adds the end tokens.
  AnswerLimits limits;
  std::optional<OutputParserOptions> parser;  // unset: plain text
  std::vector<std::string> stop;
  bool include_stop_text = false;  // the stop string stays in the content
  bool skip_special = true;
  bool report_progress = false;
  bool detached = false;             // runs on when its client goes
  std::optional<AnswerPlace> place;  // answers are remembered as echoes of it
};

// One choice as far as it has come.
struct ChoiceState {
  std::string content, reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<int32_t> tokens;
  std::vector<SampledToken> sampled;  // kept when log-probabilities were asked for
  int64_t reasoning_tokens = 0;
  std::string finish_reason;  // "stop", "length", "tool_calls"; empty while it runs
  std::string stop_text;      // the stop string that ended it
};

struct GenerationUsage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t miss_position = 0;      // the first prompt token that no cached prefix has
  bool from_disk = false;         // the cached state came from disk
  int64_t completion_tokens = 0;  // of all choices
  int64_t reasoning_tokens = 0;
  int64_t accepted_drafts = 0;
  int64_t rejected_drafts = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

// What the prefix cache did for a prompt: a part of every API's usage. docs/prefix-cache.md has the
// fields.
json::object prompt_details_json(const GenerationUsage& usage);
// OpenAI's usage object, and llama.cpp's timings.
json::object usage_json(const GenerationUsage& usage);
json::object timings_json(const GenerationUsage& usage);

// Hears how an answer grows. Calls come one at a time, from worker threads.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  // The engine has taken the request; comes first.
  virtual void accepted() {}
  virtual void started(const GenerationUsage& /*prompt figures*/) {}
  virtual void progress(int64_t /*done*/, int64_t /*total*/, double /*seconds*/) {}
  virtual void scored(int64_t /*first*/, std::span<const SampledToken>) {}
  // `events` may be empty: the token's text is held back for now.
  virtual void token(int32_t /*choice*/, const SampledToken&, std::span<const OutputEvent>) {}
  // The last events of a choice; `state` is final.
  virtual void choice_done(int32_t /*choice*/, const ChoiceState&, std::span<const OutputEvent>) {}
  // All choices are done.
  virtual void done(std::span<const ChoiceState> choices, const GenerationUsage& usage,
                    std::span<const RequestResult> results) = 0;
  // In place of done().
  virtual void failed(const ApiError& error) = 0;
};

// Submits the plan for a call. Throws what Engine::submit throws; afterwards the listener hears
// all. A client that goes away ends the request, unless the plan is detached. Returns the engine's
// name of the request.
RequestId start_generation(Service& service, const Call& call, GenerationPlan plan,
                           std::unique_ptr<GenerationListener> listener);

}  // namespace headgate

// The single-sequence loop: reuse what the state holds, prefill the rest in chunks, decode one
// token a step.
#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace headgate {
namespace {

// A snapshot is kept this many tokens before the end of each prompt. The next turn usually diverges
// inside the generation prompt (a reasoning opener that history drops), and another answer to the
// same prompt needs the logits of its last token again: both are a few tokens of replay from here.
constexpr int64_t kSnapshotDistance = 8;
constexpr int64_t kSnapshots = 4;
constexpr int64_t kPageTokens = 256;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t default_budget(const StateShape& shape, int64_t context) {
  // One page more than the context needs: the last page may be copied before it is written.
  const int64_t pages = (context + shape.kv.page_tokens - 1) / shape.kv.page_tokens + 1;
  return pages * shape.page_bytes() + (1 + kSnapshots) * shape.recurrent_bytes();
}

}  // namespace

DType default_kv_dtype(const ModelConfig& config) {
  const int64_t bytes = config.attention_layers() * 2 * config.attention.kv_heads *
                        config.attention.head_dim * static_cast<int64_t>(sizeof(float));
  return bytes <= 16 << 10 ? DType::kF32 : DType::kBF16;
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

struct Session::Data {
  std::shared_ptr<const Model> model;
  int64_t text_tokens;
  int64_t context;
  int64_t prefill_chunk;
  StatePool pool;
  SequenceState state;
  std::vector<int32_t> held;  // the tokens the state has consumed
  StepResult result;

  Data(std::shared_ptr<const Model> m, int64_t text, int64_t ctx, int64_t chunk,
       const StateShape& shape, int64_t budget)
      : model(std::move(m)),
        text_tokens(text),
        context(ctx),
        prefill_chunk(chunk),
        pool(shape, budget),
        state(create(pool)) {}

  static SequenceState create(StatePool& pool) {
    std::optional<SequenceState> made = pool.create();
    if (!made) {
      fail(ErrorCode::kResourceExhausted, "sequence state: {} bytes, budget of {} bytes",
           pool.shape().recurrent_bytes(), pool.budget_bytes());
    }
    return std::move(*made);
  }

  // Runs `tokens` through the model and returns the logits of the wanted rows in `result`.
  void step(std::span<const int32_t> tokens, LogitRows logits) {
    if (!state.reserve(static_cast<int64_t>(tokens.size()))) {
      fail(ErrorCode::kResourceExhausted,
           "key-value cache: no room for {} more tokens after {}, budget of {} bytes",
           tokens.size(), held.size(), pool.budget_bytes());
    }
    const BatchItem item{&state, tokens, logits};
    model->forward({&item, 1}, result);
    held.insert(held.end(), tokens.begin(), tokens.end());
  }

  View last_logits() const {
    return {result.logits.data(), static_cast<int64_t>(result.logits.size()) / result.vocabulary,
            result.vocabulary};
  }

  // Cuts the state back to a prefix of `prompt` that leaves at least its last token to compute.
  int64_t reuse_prefix(const std::vector<int32_t>& prompt) {
    const auto differ = std::mismatch(held.begin(), held.end(), prompt.begin(), prompt.end()).first;
    const int64_t common =
        std::min<int64_t>(differ - held.begin(), static_cast<int64_t>(prompt.size()) - 1);
    const int64_t kept = common < static_cast<int64_t>(held.size()) ? state.rewind(common) : common;
    held.resize(static_cast<size_t>(kept));
    return kept;
  }

  // Prefills prompt[held.size()..]; false when cancelled between chunks.
  bool prefill(const GenerationRequest& request) {
    const auto total = static_cast<int64_t>(request.prompt.size());
    const int64_t snapshot_at = total - kSnapshotDistance;
    while (static_cast<int64_t>(held.size()) < total) {
      if (request.cancel != nullptr && request.cancel->load()) return false;
      const auto from = static_cast<int64_t>(held.size());
      int64_t to = std::min(total, from + prefill_chunk);
      if (from < snapshot_at && snapshot_at < to) to = snapshot_at;
      step(std::span(request.prompt)
               .subspan(static_cast<size_t>(from), static_cast<size_t>(to - from)),
           to == total ? LogitRows::kLast : LogitRows::kNone);
      // Without budget for a snapshot a later rewind replays more; nothing else is lost.
      if (to == snapshot_at && !state.keep_snapshot())
        log_debug("no budget for a state snapshot at {}", to);
      if (request.on_prefill) request.on_prefill(to, total);
    }
    return true;
  }
};

Session::Session(std::shared_ptr<const Model> model, int64_t text_tokens,
                 const SessionOptions& options) {
  const ModelConfig& config = model->config();
  const int64_t context = options.context > 0 ? options.context : config.context_length;
  if (options.prefill_chunk <= 0) {
    fail(ErrorCode::kInvalidArgument, "prefill chunk: found {}, expected at least 1",
         options.prefill_chunk);
  }
  const StateShape shape = model->state_shape(options.kv_dtype, kPageTokens);
  const int64_t budget =
      options.state_budget_bytes > 0 ? options.state_budget_bytes : default_budget(shape, context);
  data_ = std::make_unique<Data>(std::move(model), text_tokens, context, options.prefill_chunk,
                                 shape, budget);
}

Session::~Session() = default;

GenerationResult Session::generate(const GenerationRequest& request) {
  Data& d = *data_;
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens == 0)
    fail(ErrorCode::kInvalidArgument, "prompt: found no tokens, expected at least 1");
  if (prompt_tokens >= d.context) {
    fail(ErrorCode::kInvalidArgument, "prompt: {} tokens, expected fewer than the context of {}",
         prompt_tokens, d.context);
  }
  check_sampling_params(request.sampling, d.model->config().vocabulary);

  GenerationResult out;
  out.prompt_tokens = prompt_tokens;
  const auto prefill_start = Clock::now();
  out.reused_tokens = d.reuse_prefix(request.prompt);
  const bool prefilled = d.prefill(request);
  out.prefill_seconds = seconds_since(prefill_start);
  if (!prefilled) {
    out.reason = FinishReason::kCancelled;
    return out;
  }

  Sampler sampler(request.sampling, d.text_tokens);
  sampler.add_prompt(request.prompt);
  const auto is_stop = [&](int32_t token) {
    return std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) !=
           request.stop_tokens.end();
  };
  const auto decode_start = Clock::now();
  while (true) {
    if (request.max_tokens >= 0 && static_cast<int64_t>(out.tokens.size()) >= request.max_tokens) {
      out.reason = FinishReason::kLength;
      break;
    }
    if (request.cancel != nullptr && request.cancel->load()) {
      out.reason = FinishReason::kCancelled;
      break;
    }
    const SampledToken sampled =
        sampler.sample({d.last_logits().row(0), static_cast<size_t>(d.result.vocabulary)});
    if (is_stop(sampled.token)) break;
    out.tokens.push_back(sampled.token);
    if (request.on_token && !request.on_token(sampled)) break;
    if (prompt_tokens + static_cast<int64_t>(out.tokens.size()) >= d.context) {
      out.reason = FinishReason::kContext;
      break;
    }
    if (static_cast<int64_t>(out.tokens.size()) == request.max_tokens) continue;
    d.step({&sampled.token, 1}, LogitRows::kLast);
  }
  out.decode_seconds = seconds_since(decode_start);
  return out;
}

void Session::score(std::span<const int32_t> tokens, int64_t chunk,
                    const std::function<void(int64_t first_token, View logits)>& on_rows) {
  Data& d = *data_;
  if (tokens.empty()) fail(ErrorCode::kInvalidArgument, "tokens: found none, expected at least 1");
  if (chunk <= 0) fail(ErrorCode::kInvalidArgument, "chunk: found {}, expected at least 1", chunk);
  if (static_cast<int64_t>(tokens.size()) > d.context) {
    fail(ErrorCode::kInvalidArgument, "tokens: {}, expected at most the context of {}",
         tokens.size(), d.context);
  }
  clear();
  for (size_t from = 0; from < tokens.size(); from += static_cast<size_t>(chunk)) {
    d.step(tokens.subspan(from, std::min<size_t>(static_cast<size_t>(chunk), tokens.size() - from)),
           LogitRows::kAll);
    on_rows(static_cast<int64_t>(from), d.last_logits());
  }
}

void Session::clear() {
  data_->state.rewind(0);
  data_->held.clear();
}

int64_t Session::position() const { return static_cast<int64_t>(data_->held.size()); }
int64_t Session::context() const { return data_->context; }
const Model& Session::model() const { return *data_->model; }

}  // namespace headgate

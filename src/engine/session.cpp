// One sequence: reuse what the state holds, prefill the rest in chunks, then decode.
#include "engine/session.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "engine/decode_loop.h"
#include "engine/session_data.h"
#include "model/prefill_chunk.h"

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

SequenceState create_state(StatePool& pool) {
  std::optional<SequenceState> made = pool.create();
  if (!made) {
    fail(ErrorCode::kResourceExhausted, "sequence state: {} bytes, budget of {} bytes",
         pool.shape().recurrent_bytes(), pool.budget_bytes());
  }
  return std::move(*made);
}

int64_t default_budget(const StateShape& shape, int64_t context) {
  // One page more than the context needs: the last page may be copied before it is written.
  const int64_t pages = (context + shape.kv.page_tokens - 1) / shape.kv.page_tokens + 1;
  return pages * shape.page_bytes() + (1 + kSnapshots) * shape.recurrent_bytes();
}

// Null where nothing is drafted or nobody can. One sequence, and room for the drafts after it.
std::unique_ptr<DraftModule> make_module(const Model& model, int64_t text_tokens, int64_t context,
                                         const SessionOptions& options) {
  if (options.drafts == 0 || !model.has_mtp()) return nullptr;
  const StateShape shape = model.mtp_state_shape(options.kv_dtype, kPageTokens);
  const int64_t pages = context / kPageTokens + 2;
  return std::make_unique<DraftModule>(model, text_tokens, options.kv_dtype,
                                       pages * shape.page_bytes(), options.drafting);
}

}  // namespace

DType default_kv_dtype(const ModelConfig& config) {
  const int64_t bytes = config.attention_layers() * 2 * config.attention.kv_heads *
                        config.attention.head_dim * static_cast<int64_t>(sizeof(float));
  return bytes <= 16 << 10 ? DType::kF32 : DType::kBF16;
}

Session::Data::Data(std::shared_ptr<const Model> m, int64_t text, int64_t ctx,
                    const SessionOptions& options, const StateShape& shape, int64_t budget)
    : model(std::move(m)),
      text_tokens(text),
      context(ctx),
      native(model->longest_context() > model->native_context()
                 ? std::min(ctx, model->native_context())
                 : ctx),
      prefill_chunk(options.prefill_chunk > 0 ? options.prefill_chunk
                                              : default_prefill_chunk(model->config())),
      pool(shape, budget),
      state(create_state(pool)),
      drafting(options.drafts != 0),
      module(make_module(*model, text, ctx, options)),
      drafts(module.get(), DraftControl(options.drafts), options.drafting.lookup) {
  drafts.follow(true);
  result.keep_hidden = module != nullptr;
}

void Session::Data::step(std::span<const int32_t> tokens, LogitRows logits, bool deferred) {
  if (!state.reserve(static_cast<int64_t>(tokens.size()))) {
    fail(ErrorCode::kResourceExhausted,
         "key-value cache: no room for {} more tokens after {}, budget of {} bytes", tokens.size(),
         held.size(), pool.budget_bytes());
  }
  const BatchItem item{&state, tokens, logits, deferred, stretched};
  model->forward({&item, 1}, result);
  held.insert(held.end(), tokens.begin(), tokens.end());
  if (module != nullptr && !deferred)  // of a deferred step only the verified rows are, once known
    drafts.drafter()->add_hidden(
        {result.hidden.data(), static_cast<int64_t>(tokens.size()), result.hidden_size});
}

void Session::Data::keep_rows(int64_t position) {
  const auto after = static_cast<int64_t>(held.size());
  const int64_t reached = state.rewind(position);
  HEADGATE_CHECK(reached == position);
  held.resize(static_cast<size_t>(position));
  if (module == nullptr) return;
  const int64_t size = result.hidden_size;
  const int64_t first = after - static_cast<int64_t>(result.hidden.size()) / size;
  drafts.drafter()->add_hidden({result.hidden.data(), position - first, size});
}

View Session::Data::last_logits() const {
  return {result.logits.data(), static_cast<int64_t>(result.logits.size()) / result.vocabulary,
          result.vocabulary};
}

int64_t Session::Data::reuse_prefix(const std::vector<int32_t>& prompt) {
  const auto differ = std::mismatch(held.begin(), held.end(), prompt.begin(), prompt.end()).first;
  const int64_t common =
      std::min<int64_t>(differ - held.begin(), static_cast<int64_t>(prompt.size()) - 1);
  const bool cut = common < static_cast<int64_t>(held.size());
  const int64_t kept = cut ? state.rewind(common) : common;
  held.resize(static_cast<size_t>(kept));
  if (module == nullptr) return kept;
  while (!hidden_at.empty() && hidden_at.back().position > kept) hidden_at.pop_back();
  const std::span<const float> last = drafts.drafter()->last_hidden();
  std::vector<float> hidden(last.begin(), last.end());
  if (cut) {
    const bool known = !hidden_at.empty() && hidden_at.back().position == kept;
    hidden = known ? hidden_at.back().hidden : std::vector<float>();
  }
  drafts.drafter()->rewind(kept, hidden);
  return kept;
}

bool Session::Data::prefill(const GenerationRequest& request) {
  const auto total = static_cast<int64_t>(request.prompt.size());
  const int64_t snapshot_at = total - kSnapshotDistance;
  if (module != nullptr && !held.empty())
    drafts.drafter()->add_tokens(std::span(request.prompt).subspan(held.size(), 1));
  while (static_cast<int64_t>(held.size()) < total) {
    if (request.cancel != nullptr && request.cancel->load()) return false;
    const auto from = static_cast<int64_t>(held.size());
    int64_t to = std::min(total, from + prefill_chunk);
    if (from < snapshot_at && snapshot_at < to) to = snapshot_at;
    const std::span<const int32_t> rest =
        std::span(request.prompt).subspan(static_cast<size_t>(from));
    step(rest.first(static_cast<size_t>(to - from)),
         to == total ? LogitRows::kLast : LogitRows::kNone);
    if (module != nullptr) {
      const auto known = static_cast<size_t>(std::min(to + 1, total) - from - 1);
      drafts.drafter()->add_tokens(rest.subspan(1, known));
      drafts.drafter()->catch_up();
    }
    // Without budget for a snapshot a later rewind replays more; nothing else is lost.
    if (to == snapshot_at && !state.keep_snapshot()) {
      log_debug("no budget for a state snapshot at {}", to);
    } else if (to == snapshot_at && module != nullptr) {
      const std::span<const float> last = drafts.drafter()->last_hidden();
      hidden_at.push_back({to, {last.begin(), last.end()}});
    }
    if (request.on_prefill) request.on_prefill(to, total);
  }
  return true;
}

Session::Session(std::shared_ptr<const Model> model, int64_t text_tokens,
                 const SessionOptions& options) {
  const int64_t context = options.context > 0 ? options.context : model->longest_context();
  if (options.prefill_chunk < 0) {
    fail(ErrorCode::kInvalidArgument, "prefill chunk: found {}, expected 0 or more",
         options.prefill_chunk);
  }
  if (options.drafts < -1 || options.drafts > kMostDrafts) {
    fail(ErrorCode::kInvalidArgument, "drafts: found {}, expected -1 to {}", options.drafts,
         kMostDrafts);
  }
  check_draft_options(options.drafting);
  const int64_t most = options.drafts < 0 ? kMostDrafts : options.drafts;
  const StateShape shape =
      model->state_shape(options.kv_dtype, kPageTokens, most > 0 ? most + 1 : 0);
  const int64_t budget =
      options.state_budget_bytes > 0 ? options.state_budget_bytes : default_budget(shape, context);
  data_ = std::make_unique<Data>(std::move(model), text_tokens, context, options, shape, budget);
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
  const int64_t answer = std::max<int64_t>(request.max_tokens, request.max_tokens < 0 ? 1 : 0);
  const bool fits = answer <= d.native - std::min(prompt_tokens, d.native);
  if (!fits && d.native < d.context && !d.stretched) d.restart(true);
  out.reused_tokens = d.reuse_prefix(request.prompt);
  const bool prefilled = d.prefill(request);
  out.prefill_seconds = seconds_since(prefill_start);
  if (!prefilled) {
    out.reason = FinishReason::kCancelled;
    return out;
  }

  DecodeLoop(d, request, out).run();
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
  d.restart(static_cast<int64_t>(tokens.size()) > d.native);
  for (size_t from = 0; from < tokens.size(); from += static_cast<size_t>(chunk)) {
    d.step(tokens.subspan(from, std::min<size_t>(static_cast<size_t>(chunk), tokens.size() - from)),
           LogitRows::kAll);
    on_rows(static_cast<int64_t>(from), d.last_logits());
  }
}

void Session::Data::restart(bool stretch) {
  state.rewind(0);
  held.clear();
  hidden_at.clear();
  stretched = stretch;
  drafts.stretch(stretch);
  drafts.follow(false);
  drafts.follow(true);
}

void Session::clear() { data_->restart(false); }

int64_t Session::position() const { return static_cast<int64_t>(data_->held.size()); }
int64_t Session::context() const { return data_->context; }
const Model& Session::model() const { return *data_->model; }

}  // namespace headgate

// Measuring of importance matrices, sequence by sequence.
#include "cli/importance.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "convert/importance_collector.h"

namespace headgate {
namespace {

// Long enough for the states to fill, short enough that many beginnings are seen.
constexpr int64_t kSequenceTokens = 512;

}  // namespace

int64_t measure_importance(const std::string& input, const std::string& text_file,
                           const std::string& output, int64_t max_tokens, int threads) {
  ModelOptions options;
  options.path = input;
  options.threads = threads;
  std::vector<int32_t> ids = load_tokenizer_of(options).encode(read_text_file(text_file));
  if (max_tokens > 0 && static_cast<int64_t>(ids.size()) > max_tokens)
    ids.resize(static_cast<size_t>(max_tokens));
  if (ids.empty()) fail(ErrorCode::kInvalidArgument, "{}: no text", text_file);
  const LoadedModel loaded = load_model(options);
  const Naming naming = tensor_naming(loaded.model->config(), loaded.checkpoint);
  ImportanceCollector collector(loaded.model->config(), naming);
  const Trace trace = [&collector](std::string_view name, View value) {
    collector.observe(name, value);
  };

  const StateShape shape = loaded.model->state_shape(DType::kF32);
  const int64_t pages = kSequenceTokens / shape.kv.page_tokens + 1;
  StatePool pool(shape, pages * shape.page_bytes() + shape.recurrent_bytes());
  StepResult result;
  ProgressBar bar("Measuring", ProgressUnit::kTokens);
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t from = 0; from < total; from += kSequenceTokens) {
    if (InterruptScope::interrupted()) fail(ErrorCode::kCancelled, "cancelled");
    const int64_t count = std::min(kSequenceTokens, total - from);
    std::optional<SequenceState> state = pool.create();
    if (!state || !state->reserve(count))
      fail(ErrorCode::kResourceExhausted, "state: no room for {} tokens", count);
    const BatchItem item{
        &*state, std::span(ids).subspan(static_cast<size_t>(from), static_cast<size_t>(count)),
        LogitRows::kAll};
    loaded.model->forward({&item, 1}, result, trace);
    bar.update(from + count, total);
  }
  collector.matrix().save(output, text_file, total);
  return total;
}

}  // namespace headgate

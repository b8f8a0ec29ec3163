// Fuzzes loading: any bytes are a model that runs a token, or one Error.
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace {

// Models that a file of fuzzing size can describe but that would take seconds are not run.
constexpr int64_t kMostStateBytes = int64_t{1} << 24;

void run_one_token(const headgate::Checkpoint& checkpoint, headgate::Backend& backend) {
  const auto model = headgate::Model::load(checkpoint, backend);
  const headgate::StateShape shape = model->state_shape(headgate::DType::kF32, 4);
  headgate::StatePool pool(shape, kMostStateBytes);
  auto state = pool.create();
  if (!state || !state->reserve(1)) return;
  const int32_t token = 0;
  const headgate::BatchItem item{&*state, {&token, 1}, headgate::LogitRows::kAll};
  headgate::StepResult result;
  model->forward({&item, 1}, result);
  HEADGATE_CHECK(static_cast<int64_t>(result.logits.size()) == model->config().vocabulary);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<headgate::Backend> backend = [] {
    headgate::BackendOptions options;
    options.threads = 1;
    return headgate::open_backend(options);
  }();
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    run_one_token(headgate::open_checkpoint_memory(bytes, "fuzz.gguf"), *backend);
  } catch (const headgate::Error&) {
  }
  return 0;
}

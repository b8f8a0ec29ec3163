// The MTP losses of training are those of the chain of drafts that inference runs.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "formats/safetensors.h"
#include "tests/golden/model/golden_case.h"
#include "train/trainer.h"

namespace headgate {
namespace {

constexpr int64_t kTokens = 40;

std::vector<int32_t> prompt(const GoldenCase& golden) {
  std::vector<int32_t> ids = golden.ids("in.63.ids");
  ids.resize(kTokens);
  return ids;
}

double loss_of(const StepResult& result, int32_t token) {
  const auto vocabulary = static_cast<size_t>(result.vocabulary);
  const std::span<const float> row(result.logits.data() + result.logits.size() - vocabulary,
                                   vocabulary);
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit));
  return std::log(sum) - static_cast<double>(row[static_cast<size_t>(token)]);
}

// Loss of the third draft of origin t, when the drafts before it were right.
double drafted(const GoldenCase& golden, const std::vector<int32_t>& ids, int64_t origin) {
  const Model& model = golden.model();
  StatePool pool(model.state_shape(DType::kF32, 16), int64_t{1} << 28);
  StatePool mtp_pool(model.mtp_state_shape(DType::kF32, 16), int64_t{1} << 28);
  SequenceState trunk = std::move(*pool.create()), mtp = std::move(*mtp_pool.create());
  StepResult result;
  result.keep_hidden = true;
  const std::span<const int32_t> seen(ids.data(), static_cast<size_t>(origin + 1));
  EXPECT_TRUE(trunk.reserve(origin + 1));
  const BatchItem item{&trunk, seen, LogitRows::kLast};
  model.forward({&item, 1}, result);
  std::vector<float> hidden = result.hidden;
  const int64_t width = result.hidden_size;
  for (int64_t step = 1; step <= 3; ++step) {
    const int64_t first = step == 1 ? 1 : origin + step, count = origin + step - first + 1;
    const std::span<const int32_t> tokens(ids.data() + first, static_cast<size_t>(count));
    EXPECT_TRUE(mtp.reserve(count));
    const MtpItem pairs{&mtp, tokens, View(hidden.data(), count, width)};
    model.mtp_forward({&pairs, 1}, LogitRows::kLast, result);
    hidden.assign(result.hidden.end() - width, result.hidden.end());
  }
  return loss_of(result, ids[static_cast<size_t>(origin + 4)]);
}

TEST(Drafting, ThirdStepLosesWhatTheThirdDraftLoses) {
  const GoldenCase golden("q3n_tiny");
  const std::vector<int32_t> ids = prompt(golden);
  TrainConfig config;
  config.model_json = read_text_file(golden_case_path("q3n_tiny") + "/config.json");
  config.precision = TrainPrecision::kF32;
  Trainer trainer(config, 2);
  trainer.load_weights(open_safetensors(golden_case_path("q3n_tiny") + "/model.safetensors"));
  for (const int64_t origin : {0, 7, 30}) {
    TrainBatch batch;
    batch.rows = 1;
    batch.length = kTokens;
    batch.tokens = ids;
    batch.documents.assign(ids.size(), 0);
    batch.weights.assign(ids.size(), 0.0f);
    batch.weights[static_cast<size_t>(origin + 4)] = 1.0f;  // the third step's only target
    EXPECT_NEAR(trainer.evaluate({&batch, 1}).mtp_loss[2], drafted(golden, ids, origin), 2e-3)
        << origin;
  }
}

}  // namespace
}  // namespace headgate

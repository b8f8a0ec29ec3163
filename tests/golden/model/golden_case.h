// The reference checkpoints and what must come out of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/checkpoint.h"
#include "formats/tensor_store.h"
#include "model/model.h"

namespace headgate {

// Names of all folders of the case directory: tests/golden/cases, or HEADGATE_GOLDEN_CASES when
// set.
std::vector<std::string> golden_case_names();
std::string golden_case_path(const std::string& name);

// One case: expectations, and the model loaded on a backend of its own.
class GoldenCase {
 public:
  // `file` opens a file of the folder ("model-bf16.gguf") instead of the folder itself.
  explicit GoldenCase(const std::string& name, int threads = 2, const std::string& file = "");

  const Model& model() const { return *model_; }
  const ModelConfig& config() const { return model_->config(); }
  const TensorStore& expected() const { return expected_; }

  bool has(const std::string& name) const { return expected_.find(name) != nullptr; }
  std::vector<float> floats(const std::string& name) const;
  std::vector<int32_t> ids(const std::string& name) const;
  // The values L of all tensors "<before>L<after>", ascending.
  std::vector<std::string> keys(const std::string& before, const std::string& after) const;

  // Half the distance that separates a correct fp32 engine from a wrong one. The reference's own
  // fp32 error against fp64 tells which cases amplify rounding: from 1.5e-4 on the limit is 1e-3,
  // else 5e-4.
  double logit_limit() const;

 private:
  TensorStore expected_;
  json::value info_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Model> model_;
};

// Runs one sequence of a model, with fp32 keys and values unless told otherwise.
class Runner {
 public:
  explicit Runner(const Model& model, int64_t page_tokens = 16, DType kv_dtype = DType::kF32);

  SequenceState create();
  // Feeds all ids in pieces of `chunk` and returns the logits [ids, vocabulary] of all of them.
  std::vector<float> feed(SequenceState& state, std::span<const int32_t> ids, int64_t chunk);
  // Feeds ids and returns the logits of the last one.
  std::vector<float> last(SequenceState& state, std::span<const int32_t> ids);
  // `count` tokens, each the most likely one, beginning with the one that follows `logits`.
  std::vector<int32_t> greedy(SequenceState& state, std::vector<float> logits, int64_t count);

  const Model& model() const { return model_; }
  StatePool& pool() { return pool_; }

 private:
  const Model& model_;
  StatePool pool_;
  StepResult result_;
};

int32_t argmax(std::span<const float> values);

// Fails with the worst element when any |got - want| exceeds the limit or the sizes differ.
testing::AssertionResult all_near(std::span<const float> got, std::span<const float> want,
                                  double limit);
double largest(std::span<const float> values);  // magnitude

// One test per case folder.
class GoldenTest : public testing::TestWithParam<std::string> {};
inline std::string case_test_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace headgate

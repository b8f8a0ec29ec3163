// A golden case, loaded: what tests of sessions and of the engine begin with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace headgate {

constexpr int64_t kTextTokens = 384;

// The parameter is the name of a folder of cases/.
class CaseFixture : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    checkpoint_ = std::make_unique<Checkpoint>(
        open_checkpoint(std::string(HEADGATE_SOURCE_DIR "/tests/golden/cases/") + GetParam()));
    backend_ = open_backend({.threads = 2});
    model_ = Model::load(*checkpoint_, *backend_);
  }

  int64_t text_tokens() const { return std::min(kTextTokens, model_->config().vocabulary); }

  std::vector<int32_t> random_tokens(int64_t count, uint64_t seed) const {
    const auto vocabulary =
        static_cast<uint64_t>(std::min<int64_t>(model_->config().vocabulary, 300));
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(
          static_cast<int32_t>(random_bits(seed, 0, static_cast<uint64_t>(i)) % vocabulary));
    }
    return tokens;
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Model> model_;
};

}  // namespace headgate

// The three poolings of the balance loss against exact figures for two micro-batches of logits.
#include "train/layers/router.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace headgate {
namespace {

class BalanceGolden : public testing::Test {
 protected:
  BalanceGolden() {
    const std::string path = HEADGATE_SOURCE_DIR "/tests/golden/kernels/load_balance.json";
    expected_ = parse_json(read_text_file(path), path).as_object();
    experts_ = expected_.at("num_experts").as_int64();
    choices_ = expected_.at("top_k").as_int64();
  }

  // Sums of one layer in one micro-batch, routed by the code that trains.
  RouterSums sums(size_t micro, size_t layer) {
    const json::array& rows = expected_.at("logits").as_array()[micro].as_array()[layer].as_array();
    BatchLayout layout;
    layout.rows = 1;
    layout.length = static_cast<int64_t>(rows.size());
    layout.active.assign(rows.size(), 1);
    layout.first.assign(rows.size(), 0);
    ThreadPool pool(1);
    Ops<double> ops(pool, false);
    RouterSaved<double> saved;
    const Out<double> logits = saved.logits.shape(layout.length, experts_);
    for (size_t t = 0; t < rows.size(); ++t) {
      for (size_t e = 0; e < static_cast<size_t>(experts_); ++e) {
        logits.row(static_cast<int64_t>(t))[e] = rows[t].as_array()[e].to_number<double>();
      }
    }
    route(ops, layout, experts_, choices_, true, saved);
    return router_sums(layout, saved);
  }

  // The fixtures count slots per token, so they are experts_per_token times as large.
  double loss(const RouterSums& of, const RouterSums& counted) const {
    return balance_loss(of, counted, choices_) * static_cast<double>(choices_);
  }
  double number(const char* name, size_t i) const {
    return expected_.at(name).as_array()[i].to_number<double>();
  }

  json::object expected_;
  int64_t experts_ = 0, choices_ = 0;
};

TEST_F(BalanceGolden, OneMicroBatchAlone) {
  for (size_t micro = 0; micro < 2; ++micro) {
    for (size_t layer = 0; layer < 2; ++layer) {
      const RouterSums of = sums(micro, layer);
      const json::array& want = expected_.at("micro_per_layer").as_array()[micro].as_array();
      EXPECT_NEAR(loss(of, of), want[layer].to_number<double>(), 1e-6);
    }
  }
}

TEST_F(BalanceGolden, FrequenciesOfTheWholeBatch) {
  for (size_t layer = 0; layer < 2; ++layer) {
    RouterSums both = sums(0, layer);
    both.add(sums(1, layer));
    EXPECT_NEAR(loss(both, both), number("global_per_layer", layer), 1e-6);
    // Linear in the probabilities: micro-batches with the counts of all add up to the same.
    const double parts = (loss(sums(0, layer), both) + loss(sums(1, layer), both)) / 2;
    EXPECT_NEAR(parts, number("global_per_layer", layer), 1e-6);
  }
}

TEST_F(BalanceGolden, AllLayersPooled) {
  RouterSums all;
  for (size_t micro = 0; micro < 2; ++micro) {
    for (size_t layer = 0; layer < 2; ++layer) all.add(sums(micro, layer));
  }
  EXPECT_NEAR(loss(all, all), expected_.at("hf_over_all_rows").to_number<double>(), 1e-6);
}

}  // namespace
}  // namespace headgate

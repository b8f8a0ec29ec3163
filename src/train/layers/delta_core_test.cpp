// The chunked delta rule in fp32 against the token-by-token rule and its gradients in fp64.
#include "train/layers/delta_core.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/safetensors.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

class DeltaGolden : public testing::TestWithParam<int64_t> {
 protected:
  Out<float> read(const std::string& name, Buffer<float>& buffer) const {
    const TensorEntry& entry = store_.require(name);
    const int64_t rows = entry.shape[0];
    const Out<float> out = buffer.shape(rows, entry.elements() / rows);
    dequantize_row(entry.dtype, store_.data(entry).data(), out.data, entry.elements());
    return out;
  }

  // |got - want| / |want|.
  double error(In<float> got, const std::string& name) const {
    Buffer<float> buffer;
    const Out<float> want = read(name, buffer);
    double difference = 0, size = 0;
    for (int64_t t = 0; t < want.rows; ++t) {
      for (int64_t i = 0; i < want.cols; ++i) {
        const double w = want.row(t)[i];
        difference += std::pow(static_cast<double>(got.row(t)[i]) - w, 2);
        size += w * w;
      }
    }
    return std::sqrt(difference / size);
  }

  // Sums the heads that share a key head.
  static void sum_pairs(Out<float> wide, int64_t width, Out<float> sums) {
    for (int64_t t = 0; t < wide.rows; ++t) {
      for (int64_t i = 0; i < sums.cols; ++i) {
        const int64_t head = i / width * 2, column = i % width;
        sums.row(t)[i] =
            wide.row(t)[head * width + column] + wide.row(t)[(head + 1) * width + column];
      }
    }
  }

  TensorStore store_ =
      open_safetensors(HEADGATE_SOURCE_DIR "/tests/golden/kernels/delta_gradients.safetensors");
};

TEST_P(DeltaGolden, OutputAndGradients) {
  constexpr int64_t kKeyHeads = 2, kHeads = 4, kKeyDim = 12;
  Buffer<float> buffers[16];
  const Out<float> q = read("q", buffers[0]), k = read("k", buffers[1]), v = read("v", buffers[2]);
  const Out<float> g = read("g", buffers[3]), beta = read("beta", buffers[4]);
  const Out<float> d_o = read("do", buffers[5]), documents = read("documents", buffers[6]);
  TrainBatch batch;
  batch.rows = 1;
  batch.length = q.rows;
  for (int64_t t = 0; t < q.rows; ++t) {
    batch.documents.push_back(static_cast<int32_t>(documents.data[t]));
  }
  batch.tokens.assign(batch.documents.size(), 0);
  batch.weights.assign(batch.documents.size(), 1.0f);
  const BatchLayout layout = make_layout(batch, 1);
  ThreadPool pool(2);
  Ops<float> ops(pool, false);
  DeltaSaved<float> saved;
  const DeltaInputs<float> in{Heads<float>(q, kKeyHeads),
                              Heads<float>(k, kKeyHeads),
                              Heads<float>(v, kHeads),
                              g,
                              beta,
                              GetParam()};
  const Out<float> o = buffers[7].shape(q.rows, v.cols);
  delta_core_forward<float>(ops, layout, in, saved, Heads<float>(o, kHeads));
  EXPECT_LT(error(o, "o"), 1e-4);

  const Out<float> dq = buffers[8].shape(q.rows, kHeads * kKeyDim);
  const Out<float> dk = buffers[9].shape(q.rows, kHeads * kKeyDim);
  const Out<float> dv = buffers[10].shape(q.rows, v.cols);
  const Out<float> dg = buffers[11].shape(q.rows, kHeads);
  const Out<float> d_beta = buffers[12].shape(q.rows, kHeads);
  delta_core_backward<float>(
      ops, layout, in, saved, Heads<float>(d_o, kHeads),
      {Heads<float>(dq, kHeads), Heads<float>(dk, kHeads), Heads<float>(dv, kHeads), dg, d_beta});
  const Out<float> q_sums = buffers[13].shape(q.rows, q.cols);
  const Out<float> k_sums = buffers[14].shape(q.rows, k.cols);
  sum_pairs(dq, kKeyDim, q_sums);
  sum_pairs(dk, kKeyDim, k_sums);
  EXPECT_LT(error(q_sums, "dq"), 1e-4);
  EXPECT_LT(error(k_sums, "dk"), 1e-4);
  EXPECT_LT(error(dv, "dv"), 1e-4);
  EXPECT_LT(error(d_beta, "dbeta"), 1e-4);
  EXPECT_LT(error(dg, "dg"), 5e-3);
}

INSTANTIATE_TEST_SUITE_P(Chunks, DeltaGolden, testing::Values(16, 64, 256),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace headgate

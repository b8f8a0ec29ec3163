// Builds an importance matrix from what a running model computes.
#pragma once

#include <string_view>
#include <vector>

#include "convert/importance.h"
#include "model/config.h"
#include "tensor/view.h"

namespace headgate {

// Hand observe() to Model::forward as its trace and run a text through the model. It measures the
// inputs of all matrices that read a layer's normed stream, of the routed experts' gate and up (by
// expert, from the tokens sent to each), of attention and delta-net outputs, and of the output
// head. Down projections are not measured: their inputs never leave the backend. Thread rule: one
// thread at a time.
class ImportanceCollector {
 public:
  // `naming` as tensor_naming() gives it for the checkpoint; both must outlive the collector.
  ImportanceCollector(const ModelConfig& config, const Naming& naming);

  void observe(std::string_view name, View value);

  const ImportanceMatrix& matrix() const { return matrix_; }
  int64_t tokens() const { return tokens_; }  // seen so far

 private:
  void observe_layer(int64_t layer, std::string_view name, View value);
  void add(Part part, int64_t layer, View x);
  void add_delta_out(int64_t layer, View x);
  void add_routed(int64_t layer, View expert_ids);

  const ModelConfig& config_;
  const Naming& naming_;
  std::vector<int64_t> delta_columns_;  // GGUF order of the columns of ssm_out; empty: as traced
  ImportanceMatrix matrix_;
  std::vector<float>
      mlp_input_;  // [tokens, hidden] of the layer under way, until its routing is known
  int64_t tokens_ = 0;
};

}  // namespace headgate

// The CPU backend: splits ops into numbered tasks and runs the kernels chosen at start-up.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "backend/cpu/huge_buffer.h"
#include "backend/cpu/weights.h"
#include "backend/weight_image.h"
#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace headgate {

// Rows of activations, one pointer each, in the form(s) that the weights of the op need.
struct LinearInputs {
  const float* const* rows = nullptr;
  const ActivationBlock* const* codes = nullptr;
  // Codes of every row and of what they leave out, in turns: two rows whose products are added.
  const ActivationBlock* const* precise = nullptr;
  // The rows as tiles of bf16 (kernels/tile_product.h): used for panels instead of codes when set.
  const uint16_t* tiles = nullptr;
};

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options) : CpuBackend(options, selected_isa()) {}
  // Runs the kernels of `isa`, which the machine must have.
  CpuBackend(const BackendOptions& options, Isa isa);
  // Runs `kernels`, of `isa` as far as rules go that depend on the level.
  CpuBackend(const BackendOptions& options, Isa isa, const KernelTable& kernels);

  // Steps of at least so many rows multiply panels as tiles where the level has a matrix unit, and
  // precise ones where it has bf16 dot products. More than a step of decoding has, so that a
  // decoded token's bits do not depend on its batch.
  static constexpr int64_t kTileStepRows = 192;

  std::string description() const override;
  ThreadPool* pool() override { return &pool_; }
  void keep_rows_independent(bool independent) override { independent_rows_ = independent; }
  std::unique_ptr<Matrix> make_matrix(const MatrixSource& source) override;
  std::unique_ptr<ExpertStack> make_experts(std::span<const ExpertSource> experts) override;
  std::unique_ptr<Matrix> rows_of(const Matrix& w, int64_t first, int64_t count) override;
  void use_image(WeightImage* image) override { image_ = image; }

  void linear(MutView y, View x, const Matrix& w) override;
  void linear_group(std::span<const LinearPart> parts, View x) override;
  void embed(MutView y, std::span<const int32_t> ids, const Matrix& table) override;
  void add(MutView y, View x) override;
  void rms_norm(MutView y, View x, std::span<const float> w, float eps) override;
  void gated_rms_norm(MutView y, View x, View z, std::span<const float> w, float eps) override;
  void swiglu(MutView y, View gate, View up) override;
  void sigmoid_gate(MutView y, View gate) override;
  void add_gated(MutView y, View x, View gate) override;
  void causal_conv1d_silu(MutView y, View x, std::span<const float> w, int64_t kernel,
                          std::span<const RecurrentSpan> spans) override;
  void l2_norm(MutView y, View x, float scale) override;
  void delta_gates(MutView beta, MutView g, View b, View a, std::span<const float> neg_exp_a,
                   std::span<const float> dt_bias) override;
  void gated_delta_rule(MutView o, View q, View k, View v, View beta, View g,
                        const DeltaShape& shape, std::span<const RecurrentSpan> spans) override;
  void gated_delta_net(MutView o, const DeltaNetInputs& in, const DeltaNetParams& params,
                       std::span<const RecurrentSpan> spans) override;
  void rope(std::span<const RopePart> parts, std::span<const RopeSpan> spans) override;
  void kv_store(View k, View v, const KvLayout& layout, std::span<const KvSpan> spans) override;
  void attention(MutView o, View q, int64_t heads, int64_t q_stride, float scale,
                 const KvLayout& layout, std::span<const KvSpan> spans) override;
  void route(std::span<int32_t> ids, std::span<float> weights, View logits, int64_t k,
             bool renormalise) override;
  void experts(MutView y, View x, std::span<const int32_t> ids, std::span<const float> weights,
               int64_t k, const ExpertStack& stack) override;

 private:
  struct DeltaNetOp;
  class DeltaNetTask;
  struct MoePlan;
  struct AttentionOp;
  struct AttentionMemory;

  // The query rows of `tokens` tokens of one span for one KV head.
  struct AttentionTask {
    const KvSpan* span;
    int64_t kv_head, first_token, tokens;
    int64_t segments;  // of the context up to the last token
    // `runs` runs of segments from `run` on, whose sums go to `part`, `offset` floats into
    // attention_parts_; without a part, all runs.
    int64_t run, runs, offset;
    float* part;
  };
  // Tokens [first, first + tokens) of a span, of one 32-token step of a page.
  struct KvTask {
    const KvSpan* span;
    int64_t first, tokens;
  };

  // Rows [row, row + rows) of the sorted order times tiles [tile, tile + tiles) of one expert.
  struct MoeTask {
    int64_t expert, row, rows, tile, tiles;
  };

  // Runs f(row) or f(row, worker) for every row; rows are grouped so that a task is worth starting.
  // `row_work` is in units of about a nanosecond.
  template <typename F>
  void for_rows(int64_t rows, int64_t row_work, const F& f);

  // y[t][0 .. 16 tiles) = tiles [first_tile, first_tile + tiles) of w times inputs t. At most
  // kChunkTokens tokens. Thread-safe for distinct workers.
  void multiply(float* const* y, const LinearInputs& x, int64_t tokens, const WeightView& w,
                int64_t first_tile, int64_t tiles, int worker);
  // Row `row` as floats, with the bits of decode_row().
  void decode_weights(float* to, const WeightView& w, int64_t row) const;
  void multiply_coded(float* const* y, const float* const* x, int64_t tokens, const WeightView& w,
                      int64_t first_tile, int64_t tiles, int worker);
  void multiply_panels(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                       const WeightView& w, int64_t first_tile, int64_t tiles);
  void conv_slice(MutView y, View x, const float* w, int64_t kernel, const RecurrentSpan& span,
                  int64_t first, int64_t channels, int worker);
  void delta_slice(const DeltaArgs& args, const DeltaShape& shape, const RecurrentSpan& span,
                   int64_t head, int64_t key_head, int64_t first, int worker);
  void linear_codes(std::span<const LinearPart> parts, View x);
  int64_t list_linear_tasks(std::span<const LinearPart> parts, int64_t tokens);
  // The products of a large step with panels, on the matrix unit (tile_linear.cpp).
  void linear_tiles(std::span<const LinearPart> parts, View x);
  void list_tile_tasks(std::span<const LinearPart> parts);
  // Makes room for the tiles of `rows` rows of `cols` inputs beside the kernels' own memory.
  void reserve_tiles(int64_t rows, int64_t cols);
  // Packs rows into the worker's memory that reserve_tiles made.
  const uint16_t* pack_tiles(const float* const* x, int64_t rows, int64_t cols, int worker);
  // As multiply, at most kTileProductRows rows.
  void multiply_tiles(float* const* y, const uint16_t* x, int64_t rows, const WeightView& w,
                      int64_t first_tile, int64_t tiles, int worker);
  // Makes room for the tiles that multiply() decodes.
  void reserve_decode(const WeightView& w);
  // Fills input_rows_ and, for panels, input_codes_ with the rows of x.
  LinearInputs prepare_inputs(View x, bool codes, bool precise = false);
  void multiply_precise(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                        const WeightView& w, int64_t first_tile, int64_t tiles, int worker);

  void sort_by_expert(const MoePlan& plan, const int32_t* ids, int64_t experts);
  void list_moe_tasks(int64_t experts, int64_t tiles);
  void run_gate_up(const MoePlan& plan, const LinearInputs& x, const CpuExperts& stack);
  void run_down(const MoePlan& plan, const CpuExperts& stack);
  void experts_pass(MutView y, View x, const int32_t* ids, const float* weights, int64_t k,
                    const CpuExperts& stack);

  int64_t plan_attention(const AttentionOp& op, std::span<const KvSpan> spans);
  AttentionMemory attention_memory(const AttentionOp& op, int worker);
  static void pack_queries(const AttentionOp& op, const AttentionTask& task, std::byte* to);
  static void attend_segment(const AttentionOp& op, const AttentionTask& task, int64_t segment,
                             const AttentionMemory& memory, float* to);
  void attend_run(const AttentionOp& op, const AttentionTask& task, int64_t run,
                  const AttentionMemory& memory, float* to);
  void attend(const AttentionOp& op, const AttentionTask& task, int worker);
  void merge_row(float* total, float* part, int64_t rows, int64_t row, int64_t dims) const;
  void merge_runs(const AttentionOp& op, const AttentionTask& first, int64_t row);
  static void finish_row(const AttentionOp& op, const AttentionTask& task, int64_t row,
                         float* sums);

  Isa isa_;
  KernelTable kernels_;
  WeightOptions weight_options_;
  ThreadPool pool_;
  WeightImage* image_ = nullptr;  // while a model is loaded

  // A range of tiles of one part of a linear_group.
  struct LinearTask {
    int64_t part, tile, tiles;
  };
  std::vector<LinearTask> linear_tasks_;
  bool has_chunks_;                // of the delta rule, likewise
  bool has_tiles_;                 // kernels of bf16 tiles, which passed their test
  bool independent_rows_ = false;  // see keep_rows_independent()
  bool has_matrix_unit_;           // on tiles of which they beat all products of bytes
  std::vector<LinearPart> tile_parts_, coded_parts_;  // of a linear_group that has both
  Scratch<uint16_t> tiles_;                           // the inputs of a large step
  std::vector<Scratch<std::byte>> tile_scratch_;      // by worker
  Scratch<const float*> input_rows_;
  Scratch<const ActivationBlock*> input_codes_;
  Scratch<const ActivationBlock*> precise_codes_;
  Scratch<ActivationBlock> residuals_;
  std::vector<Scratch<float>> residual_sums_;  // by worker
  Scratch<ActivationBlock> codes_;
  std::vector<Scratch<float>> decoded_;  // by worker: one tile of weights as fp32

  std::vector<Scratch<float>> delta_scratch_;  // by worker: copies of slices of state and the like
  Scratch<int32_t> delta_finished_;            // by sequence and key head: parts that are done

  Scratch<int32_t> moe_order_;  // pairs (token, choice) sorted by expert
  Scratch<int32_t> moe_place_;  // inverse of moe_order_
  Scratch<int32_t> moe_start_;  // first sorted pair of each expert
  Scratch<float> moe_hidden_;   // [pairs, width]
  Scratch<ActivationBlock> moe_hidden_codes_;
  Scratch<float> moe_out_;                 // [pairs, hidden]
  std::vector<Scratch<float>> moe_piece_;  // by worker
  std::vector<MoeTask> moe_tasks_;
  Scratch<const float*> moe_rows_;
  Scratch<const ActivationBlock*> moe_codes_;

  std::vector<KvTask> kv_tasks_;
  std::vector<AttentionTask> attention_tasks_;
  std::vector<int64_t> attention_merges_;          // tasks of a first run
  Scratch<float> attention_parts_;                 // sums of split contexts
  std::vector<Scratch<float>> attention_scratch_;  // by worker
  std::vector<Scratch<float>> row_scratch_;        // by worker: a few numbers per row
};

}  // namespace headgate

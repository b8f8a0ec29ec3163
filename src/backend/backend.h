// Who computes: the operations a decoder is made of, on whatever device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/kv_layout.h"
#include "tensor/dtype.h"
#include "tensor/view.h"

namespace headgate {

class StreamFile;
class ThreadPool;
class WeightImage;

// Where the values of a weight matrix [rows, cols] come from: stored rows, one after the other.
struct MatrixSource {
  DType dtype = DType::kF32;
  int64_t rows = 0;                  // outputs
  int64_t cols = 0;                  // inputs
  std::span<const std::byte> bytes;  // rows * row_bytes(dtype, cols)
  // F8_E4M3 only: fp32 scales [ceil(rows/128), ceil(cols/128)]; value = code * scale. Copied.
  std::span<const float> block_scales;
  // Source row of each output row (a permutation or selection); empty means the identity. Copied.
  std::span<const int64_t> row_order;
  // The file that holds the bytes, and where, when one does: a backend that copies the weights
  // reads them from there, in large requests, and leaves `bytes` untouched.
  const StreamFile* file = nullptr;
  int64_t file_offset = 0;
  // The bytes outlive the matrix (a mapped file), so a backend may compute straight from them.
  bool bytes_stay = false;
  // Only embed() will read the matrix: its rows are kept as stored.
  bool lookup_only = false;
  // Inputs with far outliers, or outputs that are the answer: quantised weights meet activations of
  // 16 bits instead of 8, at twice the arithmetic and the same memory traffic.
  bool precise = false;
};

// A weight matrix in the layout its backend computes with. Immutable.
class Matrix {
 public:
  virtual ~Matrix() = default;
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  DType dtype() const { return dtype_; }    // of the stored weights
  int64_t bytes() const { return bytes_; }  // read by one pass over the matrix
 protected:
  Matrix(int64_t rows, int64_t cols, DType dtype) : rows_(rows), cols_(cols), dtype_(dtype) {}
  int64_t rows_, cols_, bytes_ = 0;
  DType dtype_;
};

// The routed experts of one layer: y = down(silu(gate(x)) * up(x)) for each expert. Immutable.
class ExpertStack {
 public:
  virtual ~ExpertStack() = default;
  int64_t experts() const { return experts_; }
  int64_t bytes_per_expert() const { return bytes_per_expert_; }

 protected:
  int64_t experts_ = 0, bytes_per_expert_ = 0;
};

struct ExpertSource {
  MatrixSource gate, up, down;  // [width, hidden], [width, hidden], [hidden, width]
};

// Rows [row, row + rows) of a step's activations belong to one sequence and start at its token
// `position`.
struct RowSpan {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t position = 0;
};

// The recurrent state of one sequence in one layer, updated in place by the ops that take it.
//
// Tokens that may turn out wrong (drafts) are not folded into the states but set aside, one row of
// `updates` each; the next step folds in as many of them as proved right, before its own tokens. So
// taking tokens back is counting less of them, and a state is read and written once per step
// whatever the number of drafts. (The "replay" of rank-one updates, exact: the folded state has the
// bits of one that never saw the other tokens.)
struct RecurrentSpan {
  RowSpan rows;
  float* conv = nullptr;     // [kernel - 1, channels] pre-convolution inputs, oldest first
  float* delta = nullptr;    // [value_heads, key_dim, value_dim]
  float* updates = nullptr;  // rows of DeltaShape::update_floats(); null: nothing is ever set aside
  int64_t update_stride = 0;  // floats from row to row
  int64_t fold = 0;           // rows of `updates`, set aside by the step before, to fold in first
  bool defer = false;         // set this step's tokens aside
};

// The pages of one sequence in one layer; token t lies in pages[t / page_tokens].
struct KvSpan {
  RowSpan rows;
  std::span<std::byte* const> pages;
};

struct DeltaShape {
  int64_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;
  // Value head j reads key head j / (value_heads / key_heads), or j % key_heads when tiled (Qwen3.5
  // GGUF).
  bool tiled = false;

  // A token set aside: its convolution input, then what the delta rule reads of it: k, v, g, beta.
  int64_t conv_channels() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
  int64_t update_floats() const {
    return conv_channels() + key_heads * key_dim + value_heads * (value_dim + 2);
  }
};

// What a gated delta net reads of its projections, all [tokens, ...].
struct DeltaNetInputs {
  View qkv;   // [conv_channels]: queries, keys and values before the convolution
  View z;     // [value_heads * value_dim]: output gate
  View b, a;  // [value_heads]: before the gates
};

// The rest of its weights. Nothing is owned.
struct DeltaNetParams {
  DeltaShape shape;
  std::span<const float> conv;  // [conv_channels, kernel], the current token last
  int64_t kernel = 0;
  std::span<const float> neg_exp_a, dt_bias;  // [value_heads]
  std::span<const float> norm;                // [value_dim]
  float eps = 0;
};

// cos and sin of every position are derived from these. Source: YaRN (arXiv 2309.00071),
// transformers' rope utils.
struct RopeTable {
  std::vector<float> inverse_frequencies;  // rotary_dims / 2
  float scale = 1.0f;                      // multiplied onto cos and sin
};

// One sequence's rows, and how its positions are turned into angles.
struct RopeSpan {
  RowSpan rows;
  const RopeTable* table = nullptr;
};

// Heads to rotate in place: head h of a token starts at column h * head_stride of x [tokens, heads
// * head_stride].
struct RopePart {
  MutView x;
  int64_t heads = 0, head_stride = 0;
};

// One of several products with the same activations. The matrix is not owned.
struct LinearPart {
  MutView y;  // [tokens, w->rows()]; the parts' outputs must not overlap
  const Matrix* w = nullptr;
};

// All activations are fp32 row-major views; `tokens` rows at a time. Every output element is added
// up in one order fixed by the weights alone: other rows of the batch never change a row's bits,
// nor does the thread count. Shapes are checked by the model at load; a wrong shape here is a bug
// (HEADGATE_CHECK). Thread rule: one op at a time, from one thread. Ops do not allocate once
// scratch has grown to its largest size.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string description() const = 0;  // "cpu, avx512bf16, 2 threads"
  // The threads that compute the ops, for other work between two of them; null: there are none.
  virtual ThreadPool* pool() { return nullptr; }
  // Large steps may round activations otherwise than small ones, where that is faster. With
  // `independent` a row's bits do not depend on the number of others either: for steps that mix
  // sequences. A matrix unit's rounding stays (docs/engine.md).
  virtual void keep_rows_independent(bool independent) { static_cast<void>(independent); }

  // Weights. Throws kUnsupported for a dtype the backend has no kernel for.
  virtual std::unique_ptr<Matrix> make_matrix(const MatrixSource& source) = 0;
  virtual std::unique_ptr<ExpertStack> make_experts(std::span<const ExpertSource> experts) = 0;
  // Rows [first, first + count) of `w` as a matrix of their own, which reads w's memory and must
  // not outlive it; `first` is a multiple of 16. Its products have the bits of w's.
  virtual std::unique_ptr<Matrix> rows_of(const Matrix& w, int64_t first, int64_t count) = 0;
  // Weights made from now on are taken from the image where it holds them, else put into it; null
  // ends that. A backend may ignore it.
  virtual void use_image(WeightImage* image) { static_cast<void>(image); }

  // y [tokens, rows] = x [tokens, cols] W^T.
  virtual void linear(MutView y, View x, const Matrix& w) = 0;
  // Every y = x W^T of several matrices that read the same x, the same bits as linear() one by one,
  // in one parallel region: x is converted once, and small matrices fill the gaps of large ones.
  virtual void linear_group(std::span<const LinearPart> parts, View x) = 0;
  // y [n, cols] = rows `ids` of the table; ids in [0, rows).
  virtual void embed(MutView y, std::span<const int32_t> ids, const Matrix& table) = 0;
  // y += x.
  virtual void add(MutView y, View x) = 0;
  // y = x / sqrt(mean(x^2) + eps) * w by rows; zero-centred weights have 1 added at load. y may be
  // x.
  virtual void rms_norm(MutView y, View x, std::span<const float> w, float eps) = 0;
  // y = rms(x) * w * silu(z) by rows of value_dim: x, y, z [tokens * heads, value_dim]. y may be x.
  virtual void gated_rms_norm(MutView y, View x, View z, std::span<const float> w, float eps) = 0;
  // y = silu(gate) * up. y may be gate.
  virtual void swiglu(MutView y, View gate, View up) = 0;
  // y *= sigmoid(gate), elementwise.
  virtual void sigmoid_gate(MutView y, View gate) = 0;
  // y[t] += sigmoid(gate[t]) * x[t]; gate [tokens, 1].
  virtual void add_gated(MutView y, View x, View gate) = 0;

  // Causal depthwise convolution of width `kernel`, then SiLU; x, y [tokens, channels], w
  // [channels, kernel] with the current token last. Reads and advances each span's conv state (or
  // sets its tokens aside). y must not be x.
  virtual void causal_conv1d_silu(MutView y, View x, std::span<const float> w, int64_t kernel,
                                  std::span<const RecurrentSpan> spans) = 0;
  // y = x / sqrt(sum(x^2) + 1e-6) * scale by rows of one head: [tokens * heads, dim]. y may be x.
  virtual void l2_norm(MutView y, View x, float scale) = 0;
  // beta = sigmoid(b); g = neg_exp_a * softplus(a + dt_bias); all [tokens, value_heads].
  virtual void delta_gates(MutView beta, MutView g, View b, View a,
                           std::span<const float> neg_exp_a, std::span<const float> dt_bias) = 0;
  // Gated delta rule (arXiv 2412.06464, recurrence of section 3): q, k [tokens, key_heads *
  // key_dim] normalised, q scaled; v, o [tokens, value_heads * value_dim]; beta, g [tokens,
  // value_heads]. Advances each span's state (or sets its tokens aside).
  virtual void gated_delta_rule(MutView o, View q, View k, View v, View beta, View g,
                                const DeltaShape& shape, std::span<const RecurrentSpan> spans) = 0;

  // All of a gated delta net between its projections, in one region: o [tokens, value_heads *
  // value_dim] has the bits of causal_conv1d_silu, l2_norm of queries (to 1 / sqrt(key_dim)) and
  // keys (to 1), delta_gates, gated_delta_rule and gated_rms_norm, one after the other. Advances
  // each span's states (or sets its tokens, at most 64, aside). o must not overlap the inputs.
  virtual void gated_delta_net(MutView o, const DeltaNetInputs& in, const DeltaNetParams& params,
                               std::span<const RecurrentSpan> spans) = 0;

  // Rotates the first 2 * inverse_frequencies.size() dims of every head, half-split pairs (NeoX
  // order), in place; all parts have the same tokens. Spans in the order of their rows, tables of
  // one size.
  virtual void rope(std::span<const RopePart> parts, std::span<const RopeSpan> spans) = 0;
  // Writes k, v [tokens, kv_heads * head_dim] to the pages at each span's positions.
  virtual void kv_store(View k, View v, const KvLayout& layout, std::span<const KvSpan> spans) = 0;
  // o [tokens, heads * head_dim] = softmax(scale * q k^T) v over positions 0..own; q head h starts
  // at column h * q_stride of q; query head h reads KV head h / (heads / kv_heads). KV of the
  // span's own rows is stored already.
  virtual void attention(MutView o, View q, int64_t heads, int64_t q_stride, float scale,
                         const KvLayout& layout, std::span<const KvSpan> spans) = 0;

  // ids, weights [tokens, k]: the k largest of softmax(logits [tokens, experts]), largest first,
  // the lower index on ties; weights are the probabilities, divided by their sum when
  // `renormalise`.
  virtual void route(std::span<int32_t> ids, std::span<float> weights, View logits, int64_t k,
                     bool renormalise) = 0;
  // y [tokens, hidden] = sum over k of weights * expert(x), added up in the order of `ids`.
  virtual void experts(MutView y, View x, std::span<const int32_t> ids,
                       std::span<const float> weights, int64_t k, const ExpertStack& stack) = 0;
};

struct BackendOptions {
  std::string device = "cpu";
  int threads = 0;   // 0: one per physical core
  bool pack = true;  // false: compute from stored rows, so that a mapped file is never copied
  // Quantised weights: false quantises activations to int8 by groups of 32 (fast); true multiplies
  // the decoded weights with fp32 activations (slow; the yardstick for measuring the former).
  bool exact_activations = false;
  bool pin = false;  // each thread stays on a core of its own; for a machine used by nothing else
};

// Throws kInvalidArgument for an unknown device.
std::unique_ptr<Backend> open_backend(const BackendOptions& options);

}  // namespace headgate

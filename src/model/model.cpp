// Loading a model, and the entry points of its forward passes.
#include "model/model.h"

#include "base/error.h"
#include "model/decoder.h"
#include "model/head_rows.h"
#include "model/step.h"
#include "model/weights.h"

namespace headgate {

struct Model::Impl {
  ModelConfig config;
  Backend& backend;
  RopeTables ropes;
  int64_t native_context, longest_context;
  ModelWeights weights;
  mutable StepBuffers buffers;
  mutable HeadRows head_rows = {};

  // Begins a step: no sequences yet.
  Step begin(const Trace& trace) const {
    HEADGATE_CHECK(buffers.states.empty());  // one step at a time
    buffers.scratch.merge();
    buffers.tokens.clear();
    buffers.rows.clear();
    buffers.deferred.clear();
    buffers.stretched.clear();
    return {backend, config, ropes, buffers, trace ? &trace : nullptr};
  }

  void check_tokens(std::span<const int32_t> tokens) const {
    for (const int32_t token : tokens) {
      if (token < 0 || token >= config.vocabulary)
        fail(ErrorCode::kInvalidArgument, "token {}: expected 0 to {}", token,
             config.vocabulary - 1);
    }
  }
};

namespace {

// Ends a step on every way out.
class StepEnd {
 public:
  explicit StepEnd(StepBuffers& buffers) : buffers_(buffers) {}
  ~StepEnd() { buffers_.states.clear(); }
  StepEnd(const StepEnd&) = delete;
  StepEnd& operator=(const StepEnd&) = delete;

 private:
  StepBuffers& buffers_;
};

struct Rotations {
  RopeTables tables;
  int64_t native_context, longest_context;
};

Rotations rotations_of(const ModelConfig& config, double factor) {
  const int64_t dims = config.attention.rotary_dims;
  RopeConfig plain = config.rope, stretched = config.rope;
  if (factor == 0) {
    const RopeTable table = make_rope_table(plain, dims);
    return {{table, table}, config.context_length, config.context_length};
  }
  if (!(factor >= 1 && factor <= 1024))
    fail(ErrorCode::kInvalidArgument, "YaRN factor {}: expected 1 to 1024", factor);
  const int64_t native = plain.yarn ? plain.original_context : config.context_length;
  plain.yarn = false;
  stretched.yarn = true;
  stretched.original_context = native;
  // A scale that the file gives goes with the file's factor.
  if (factor != config.rope.factor) stretched.attention_factor.reset();
  stretched.factor = factor;
  const auto longest = static_cast<int64_t>(static_cast<double>(native) * factor);
  return {{make_rope_table(plain, dims), make_rope_table(stretched, dims)}, native, longest};
}

bool fits(const StateShape& have, const StateShape& want) {
  return have.attention_layers == want.attention_layers && have.kv.kv_heads == want.kv.kv_heads &&
         have.kv.head_dim == want.kv.head_dim && have.recurrent_layers == want.recurrent_layers &&
         have.conv_floats == want.conv_floats && have.delta_floats == want.delta_floats;
}

}  // namespace

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const Checkpoint& checkpoint, Backend& backend,
                                         const LoadOptions& options) {
  ModelConfig config = read_model_config(checkpoint);
  Rotations rotations = rotations_of(config, options.yarn_factor);
  ModelWeights weights = load_weights(checkpoint, config, backend, options);
  auto impl = std::make_unique<Impl>(Impl{std::move(config),
                                          backend,
                                          std::move(rotations.tables),
                                          rotations.native_context,
                                          rotations.longest_context,
                                          std::move(weights),
                                          {},
                                          {}});
  struct Loaded : Model {  // make_shared needs a constructor it may call
    explicit Loaded(std::unique_ptr<Impl> i) : Model(std::move(i)) {}
  };
  return std::make_shared<const Loaded>(std::move(impl));
}

const ModelConfig& Model::config() const { return impl_->config; }
int64_t Model::native_context() const { return impl_->native_context; }
int64_t Model::longest_context() const { return impl_->longest_context; }
Backend& Model::backend() const { return impl_->backend; }
bool Model::has_mtp() const { return impl_->weights.mtp != nullptr; }
int64_t Model::weight_bytes() const { return stored_bytes(impl_->weights); }
int64_t Model::weight_bytes_per_token() const {
  return bytes_per_token(impl_->weights, impl_->config);
}
int64_t Model::routed_bytes_per_token() const {
  return headgate::routed_bytes_per_token(impl_->weights, impl_->config);
}

StateShape Model::mtp_state_shape(DType kv_dtype, int64_t page_tokens) const {
  const AttentionConfig& a = impl_->config.attention;
  StateShape shape;
  shape.attention_layers = 1;
  shape.kv = {kv_dtype, a.kv_heads, a.head_dim, page_tokens};
  return shape;
}

StateShape Model::state_shape(DType kv_dtype, int64_t page_tokens, int64_t deferred_rows) const {
  const ModelConfig& c = impl_->config;
  StateShape shape = mtp_state_shape(kv_dtype, page_tokens);
  shape.attention_layers = c.attention_layers();
  shape.recurrent_layers = c.recurrent_layers();
  if (shape.recurrent_layers > 0) {
    const DeltaShape& d = c.delta.shape;
    shape.conv_floats = (c.delta.conv_kernel - 1) * c.delta.conv_channels();
    shape.delta_floats = d.value_heads * d.key_dim * d.value_dim;
    shape.deferred_rows = deferred_rows;
    shape.deferred_floats = d.update_floats();
  }
  return shape;
}

void Model::forward(std::span<const BatchItem> items, StepResult& result,
                    const Trace& trace) const {
  const StateShape shape = state_shape(DType::kF32);
  for (const BatchItem& item : items) {
    HEADGATE_CHECK(item.state != nullptr && fits(item.state->shape(), shape));
    impl_->check_tokens(item.tokens);
  }
  const StepEnd end(impl_->buffers);
  Step step = impl_->begin(trace);
  for (const BatchItem& item : items) {
    step.add_sequence(*item.state, static_cast<int64_t>(item.tokens.size()), item.deferred,
                      item.stretched);
    step.buffers.tokens.insert(step.buffers.tokens.end(), item.tokens.begin(), item.tokens.end());
  }
  run_decoder(step, impl_->weights, items, result);
  for (const BatchItem& item : items)
    item.state->advance(static_cast<int64_t>(item.tokens.size()), item.deferred);
}

void Model::mtp_forward(std::span<const MtpItem> items, LogitRows logits, StepResult& result,
                        const VocabularyPart* part) const {
  HEADGATE_CHECK(has_mtp());
  const StateShape shape = mtp_state_shape(DType::kF32);
  for (const MtpItem& item : items) {
    HEADGATE_CHECK(item.state != nullptr && fits(item.state->shape(), shape));
    HEADGATE_CHECK(item.hidden.rows == static_cast<int64_t>(item.tokens.size()) &&
                   item.hidden.cols == impl_->config.hidden_size);
    impl_->check_tokens(item.tokens);
  }
  const StepEnd end(impl_->buffers);
  Step step = impl_->begin(nullptr);
  for (const MtpItem& item : items) {
    step.add_sequence(*item.state, item.hidden.rows, false, item.stretched);
    step.buffers.tokens.insert(step.buffers.tokens.end(), item.tokens.begin(), item.tokens.end());
  }
  const bool all = part == nullptr || part->leading == 0;
  if (!all) impl_->head_rows.select(impl_->backend, impl_->weights.output(), *part);
  run_mtp(step, impl_->weights, items, logits, all ? nullptr : &impl_->head_rows, result);
  for (const MtpItem& item : items) item.state->advance(item.hidden.rows);
}

}  // namespace headgate

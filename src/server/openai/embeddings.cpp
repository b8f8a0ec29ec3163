// Embeddings: one engine request for each input, joined into one answer.
#include "server/openai/embeddings.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "server/generation.h"
#include "server/openai/generation_fields.h"
#include "server/openai/prompts.h"

namespace headgate {
namespace {

constexpr int64_t kMostInputs = 2048;

constexpr FieldRule kEmbedding[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"input", FieldKind::kAny, 0, 0, "A text, token ids, or an array of either"},
    {"encoding_format", FieldKind::kText, 1, 16, "float or base64"},
    {"dimensions", FieldKind::kInteger, 1, 1 << 20, "Only the first so many numbers"},
    {"pooling", FieldKind::kText, 1, 16, "mean (default) or last, over the tokens of the input"},
    {"user", FieldKind::kText, 0, 4096, "Accepted and not used"},
};

// The first `dimensions` numbers, scaled to length 1.
std::vector<float> scaled(std::vector<float> vector, int64_t dimensions) {
  if (dimensions > 0 && dimensions < static_cast<int64_t>(vector.size()))
    vector.resize(static_cast<size_t>(dimensions));
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * x;
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (float& x : vector) x = static_cast<float>(x * scale);
  return vector;
}

std::string base64(const std::vector<float>& vector) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes(vector.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), vector.data(), bytes.size());
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (int k = 3; k >= 0; --k) out += kDigits[bits >> (6 * k) & 63];
  }
  const size_t padding = (3 - bytes.size() % 3) % 3;
  out.replace(out.size() - padding, padding, std::string(padding, '='));
  return out;
}

// The inputs of one request; answers when the last of them is done.
class EmbeddingGroup {
 public:
  EmbeddingGroup(const Call& call, size_t inputs, bool as_base64, int64_t dimensions)
      : model_(call.model),
        exchange_(call.exchange),
        as_base64_(as_base64),
        dimensions_(dimensions),
        vectors_(inputs),
        unfinished_(inputs) {}

  void done(size_t input, const RequestResult& result, int64_t tokens) {
    const std::lock_guard lock(mutex_);
    vectors_[input] = scaled(result.embedding, dimensions_);
    tokens_ += tokens;
    if (--unfinished_ == 0) respond();
  }

  void failed(const ApiError& error) {
    exchange_->respond(error_response(error, ApiStyle::kOpenAi));
  }

 private:
  void respond() {
    json::array data;
    for (size_t i = 0; i < vectors_.size(); ++i) {
      json::object item = {{"object", "embedding"}, {"index", i}};
      if (as_base64_) {
        item["embedding"] = base64(vectors_[i]);
      } else {
        json::array numbers;
        for (const float x : vectors_[i]) numbers.emplace_back(static_cast<double>(x));
        item["embedding"] = std::move(numbers);
      }
      data.push_back(std::move(item));
    }
    HttpResponse response;
    response.body = dump_json(json::object{
        {"object", "list"},
        {"data", std::move(data)},
        {"model", model_->name},
        {"usage", json::object{{"prompt_tokens", tokens_}, {"total_tokens", tokens_}}}});
    exchange_->respond(std::move(response));
  }

  ModelLease model_;
  std::shared_ptr<Exchange> exchange_;
  bool as_base64_;
  int64_t dimensions_;
  std::mutex mutex_;
  std::vector<std::vector<float>> vectors_;
  size_t unfinished_;
  int64_t tokens_ = 0;
};

class EmbeddingListener : public GenerationListener {
 public:
  EmbeddingListener(std::shared_ptr<EmbeddingGroup> group, size_t input)
      : group_(std::move(group)), input_(input) {}
  void done(std::span<const ChoiceState>, const GenerationUsage& usage,
            std::span<const RequestResult> results) override {
    group_->done(input_, results.front(), usage.prompt_tokens);
  }
  void failed(const ApiError& error) override { group_->failed(error); }

 private:
  std::shared_ptr<EmbeddingGroup> group_;
  size_t input_;
};

Pooling read_pooling(const Fields& fields) {
  const std::string word = fields.text("pooling").value_or("mean");
  if (word == "mean") return Pooling::kMean;
  if (word == "last") return Pooling::kLast;
  refuse_field("pooling", "pooling: found \"{}\", expected mean or last", word);
}

}  // namespace

std::span<const FieldRule> embedding_rules() { return kEmbedding; }

void create_embeddings(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, kEmbedding);
  const ServedModel& model = need_model(fields, service, call);
  const std::string format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    refuse_field("encoding_format", "encoding_format: found \"{}\", expected float or base64",
                 format);
  GenerationPlan plan;
  plan.request.pooling = read_pooling(fields);
  plan.request.max_tokens = 0;
  plan.request.drafts = 0;
  plan.request.cache_salt = call.caller.tenant() + "\n";
  const Prompts inputs = read_prompts(fields.require("input"), model, "input", kMostInputs);
  for (const auto& ids : inputs)
    check_context(service, call, static_cast<int64_t>(ids.size()), 0, plan);
  auto group = std::make_shared<EmbeddingGroup>(call, inputs.size(), format == "base64",
                                                fields.integer("dimensions").value_or(0));
  for (size_t i = 0; i < inputs.size(); ++i) {
    GenerationPlan own = plan;
    own.request.prompt = inputs[i];
    start_generation(service, call, std::move(own), std::make_unique<EmbeddingListener>(group, i));
  }
}

}  // namespace headgate

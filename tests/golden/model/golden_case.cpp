// Reading cases and running sequences.
#include "tests/golden/model/golden_case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/cpu_info.h"
#include "base/file.h"
#include "formats/safetensors.h"

namespace headgate {
namespace {

std::string cases_folder() {
  const char* folder = std::getenv("HEADGATE_GOLDEN_CASES");
  return folder != nullptr ? folder : HEADGATE_SOURCE_DIR "/tests/golden/cases";
}

template <typename T>
std::vector<T> values_of(const TensorStore& store, const std::string& name, DType dtype) {
  const TensorEntry& entry = store.require(name);
  EXPECT_EQ(entry.dtype, dtype) << name;
  std::vector<T> out(static_cast<size_t>(entry.elements()));
  std::memcpy(out.data(), store.data(entry).data(), out.size() * sizeof(T));
  return out;
}

}  // namespace

std::vector<std::string> golden_case_names() {
  std::vector<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(cases_folder())) {
    if (std::filesystem::exists(item.path() / "golden.safetensors"))
      names.push_back(item.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string golden_case_path(const std::string& name) { return cases_folder() + "/" + name; }

GoldenCase::GoldenCase(const std::string& name, int threads, const std::string& file) {
  const std::string folder = golden_case_path(name);
  expected_ = open_safetensors(folder + "/golden.safetensors");
  info_ = parse_json(read_text_file(folder + "/golden.json"), "golden.json");
  checkpoint_ =
      std::make_unique<Checkpoint>(open_checkpoint(file.empty() ? folder : folder + "/" + file));
  BackendOptions options;
  options.threads = threads;
  // Chunks of delta nets round to bf16 there, and the limits are those of fp32.
  options.exact_activations = selected_isa() >= Isa::kAmx;
  backend_ = open_backend(options);
  model_ = Model::load(*checkpoint_, *backend_);
}

std::vector<float> GoldenCase::floats(const std::string& name) const {
  return values_of<float>(expected_, name, DType::kF32);
}

std::vector<int32_t> GoldenCase::ids(const std::string& name) const {
  return values_of<int32_t>(expected_, name, DType::kI32);
}

std::vector<std::string> GoldenCase::keys(const std::string& before,
                                          const std::string& after) const {
  std::vector<std::string> out;
  for (const TensorEntry& entry : expected_.tensors()) {
    const std::string& n = entry.name;
    if (n.size() <= before.size() + after.size() || !n.starts_with(before) || !n.ends_with(after))
      continue;
    const std::string key = n.substr(before.size(), n.size() - before.size() - after.size());
    if (std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; }))
      out.push_back(key);
  }
  std::sort(out.begin(), out.end(),
            [](const std::string& a, const std::string& b) { return std::stol(a) < std::stol(b); });
  return out;
}

double GoldenCase::logit_limit() const {
  // Two generations of the script that makes cases spell the same number differently.
  const json::object& errors = info_.at("errors").as_object();
  double error = 0;
  if (const json::value* found = errors.if_contains("logits_double"))
    error = found->to_number<double>();
  if (const json::value* found = errors.if_contains("logits"))
    error = found->at("hf_vs_fp64").to_number<double>();
  return error >= 1.5e-4 ? 1e-3 : 5e-4;
}

Runner::Runner(const Model& model, int64_t page_tokens, DType kv_dtype)
    : model_(model), pool_(model.state_shape(kv_dtype, page_tokens), int64_t{1} << 30) {}

SequenceState Runner::create() { return std::move(*pool_.create()); }

std::vector<float> Runner::feed(SequenceState& state, std::span<const int32_t> ids, int64_t chunk) {
  std::vector<float> all;
  for (size_t from = 0; from < ids.size(); from += static_cast<size_t>(chunk)) {
    const auto part =
        ids.subspan(from, std::min<size_t>(static_cast<size_t>(chunk), ids.size() - from));
    EXPECT_TRUE(state.reserve(static_cast<int64_t>(part.size())));
    const BatchItem item{&state, part, LogitRows::kAll};
    model_.forward({&item, 1}, result_);
    all.insert(all.end(), result_.logits.begin(), result_.logits.end());
  }
  return all;
}

std::vector<float> Runner::last(SequenceState& state, std::span<const int32_t> ids) {
  EXPECT_TRUE(state.reserve(static_cast<int64_t>(ids.size())));
  const BatchItem item{&state, ids, LogitRows::kLast};
  model_.forward({&item, 1}, result_);
  return result_.logits;
}

std::vector<int32_t> Runner::greedy(SequenceState& state, std::vector<float> logits,
                                    int64_t count) {
  std::vector<int32_t> out{argmax(logits)};
  while (static_cast<int64_t>(out.size()) < count) {
    logits = last(state, {&out.back(), 1});
    out.push_back(argmax(logits));
  }
  return out;
}

int32_t argmax(std::span<const float> values) {
  return static_cast<int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

testing::AssertionResult all_near(std::span<const float> got, std::span<const float> want,
                                  double limit) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " values, expected " << want.size();
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    if (!(error <= worst)) {  // NaN counts as worst
      worst = error;
      where = i;
    }
  }
  if (worst <= limit) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "element " << where << ": found " << got[where] << ", expected " << want[where]
         << ", off by " << worst << ", limit " << limit;
}

double largest(std::span<const float> values) {
  double out = 0;
  for (const float v : values) out = std::max(out, std::abs(static_cast<double>(v)));
  return out;
}

}  // namespace headgate

// Contexts stretched by YaRN for some sequences only: each has the bits of a model whose file says
// so for all, or does not.
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

class Opened {
 public:
  Opened(const std::string& folder, double factor) : checkpoint_(open_checkpoint(folder)) {
    BackendOptions options;
    options.threads = 2;
    backend_ = open_backend(options);
    LoadOptions load;
    load.yarn_factor = factor;
    model_ = Model::load(checkpoint_, *backend_, load);
  }
  const Model& model() const { return *model_; }

 private:
  Checkpoint checkpoint_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Model> model_;
};

std::vector<int32_t> some_ids(int64_t count, int32_t vocabulary) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(i * 37 + 5) % vocabulary);
  return ids;
}

// Logits of all ids of several sequences, computed side by side in pieces of 24.
std::vector<std::vector<float>> logits_of(const Model& model, std::span<const int32_t> ids,
                                          const std::vector<bool>& stretched) {
  StatePool pool(model.state_shape(DType::kF32, 16), int64_t{64} << 20);
  std::vector<SequenceState> states;
  std::vector<std::vector<float>> out(stretched.size());
  for (size_t i = 0; i < stretched.size(); ++i) states.push_back(*pool.create());
  StepResult result;
  for (size_t at = 0; at < ids.size(); at += 24) {
    const auto piece = ids.subspan(at, std::min<size_t>(24, ids.size() - at));
    std::vector<BatchItem> items;
    for (size_t i = 0; i < states.size(); ++i) {
      EXPECT_TRUE(states[i].reserve(static_cast<int64_t>(piece.size())));
      items.push_back({&states[i], piece, LogitRows::kAll, false, stretched[i]});
    }
    model.forward(items, result);
    const auto size = piece.size() * static_cast<size_t>(result.vocabulary);
    for (size_t i = 0; i < states.size(); ++i) {
      const auto from = result.logits.begin() + static_cast<std::ptrdiff_t>(i * size);
      out[i].insert(out[i].end(), from, from + static_cast<std::ptrdiff_t>(size));
    }
  }
  return out;
}

// The case's folder without YaRN in its configuration.
std::string without_yarn(const std::string& folder) {
  namespace fs = std::filesystem;
  const std::string made = testing::TempDir() + "/without_yarn";
  fs::remove_all(made);
  fs::create_directories(made);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(fs::path(folder) / name, fs::path(made) / name);
  json::object config = parse_json(read_text_file(folder + "/config.json"), "config").as_object();
  config["rope_scaling"] = nullptr;
  std::ofstream(made + "/config.json") << dump_json_python(config, 1);
  return made;
}

TEST(Stretched, SequencesOfBothKindsHaveTheBitsOfTheirOwnModel) {
  const std::string folder = golden_case_path("q3n_yarn");
  const Opened by_file(folder, 0), plain(without_yarn(folder), 0), both(folder, 4);
  const std::vector<int32_t> ids =
      some_ids(100, static_cast<int32_t>(both.model().config().vocabulary));
  const auto long_one = logits_of(by_file.model(), ids, {false})[0];
  const auto short_one = logits_of(plain.model(), ids, {false})[0];
  EXPECT_NE(long_one, short_one);
  const auto side_by_side = logits_of(both.model(), ids, {true, false, true});
  EXPECT_EQ(side_by_side[0], long_one);
  EXPECT_EQ(side_by_side[1], short_one);
  EXPECT_EQ(side_by_side[2], long_one);
}

TEST(Stretched, SaysHowLongSequencesMayBe) {
  const std::string folder = golden_case_path("q3n_yarn");
  const Opened file(folder, 0), eight(folder, 8);
  EXPECT_EQ(file.model().native_context(), file.model().config().context_length);
  EXPECT_EQ(file.model().longest_context(), file.model().config().context_length);
  EXPECT_EQ(eight.model().native_context(), 64);
  EXPECT_EQ(eight.model().longest_context(), 512);
  for (const double factor : {0.5, -1.0, 1e9}) EXPECT_THROW(Opened(folder, factor), Error);
}

}  // namespace
}  // namespace headgate

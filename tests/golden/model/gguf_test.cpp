// A GGUF made from a case is the same model as its Hugging Face folder.
#include <algorithm>
#include <filesystem>

#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

// Paths "case/file.gguf" of all cases.
std::vector<std::string> gguf_files() {
  std::vector<std::string> out;
  for (const std::string& name : golden_case_names()) {
    for (const auto& item : std::filesystem::directory_iterator(golden_case_path(name))) {
      if (item.path().extension() == ".gguf")
        out.push_back(name + "/" + item.path().filename().string());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

class GoldenGguf : public testing::TestWithParam<std::string> {
 protected:
  std::string name() const { return GetParam().substr(0, GetParam().find('/')); }
  std::string file() const { return GetParam().substr(GetParam().find('/') + 1); }
};

TEST_P(GoldenGguf, GivesTheLogitsOfItsFolder) {
  const GoldenCase c(name(), 2, file());
  Runner runner(c.model());
  for (const std::string& length : c.keys("in.", ".ids")) {
    SequenceState state = runner.create();
    const std::vector<float> want = c.floats("out." + length + ".logits");
    const std::vector<float> got = runner.feed(state, c.ids("in." + length + ".ids"), 50);
    EXPECT_TRUE(all_near(std::span(got).last(want.size()), want, c.logit_limit()))
        << "length " << length;
  }
}

TEST_P(GoldenGguf, HasTheConfigurationOfItsFolder) {
  const GoldenCase gguf(name(), 1, file()), folder(name(), 1);
  const ModelConfig &a = gguf.config(), &b = folder.config();
  EXPECT_EQ(a.family, b.family);
  EXPECT_EQ(a.mixers, b.mixers);
  EXPECT_EQ(a.moe_layers, b.moe_layers);
  EXPECT_EQ(a.mtp_layers, b.mtp_layers);
  EXPECT_EQ(a.tied_embeddings, b.tied_embeddings);
  EXPECT_EQ(a.context_length, b.context_length);
  EXPECT_EQ(a.attention.rotary_dims, b.attention.rotary_dims);
  EXPECT_EQ(make_rope_table(a.rope, a.attention.rotary_dims).inverse_frequencies,
            make_rope_table(b.rope, b.attention.rotary_dims).inverse_frequencies);
  EXPECT_EQ(model_size(a).parameters, model_size(b).parameters);
  EXPECT_EQ(model_size(a).mtp_parameters, model_size(b).mtp_parameters);
  EXPECT_EQ(gguf.model().has_mtp(), folder.model().has_mtp());
  EXPECT_TRUE(std::find(b.eos_tokens.begin(), b.eos_tokens.end(), a.eos_tokens.at(0)) !=
              b.eos_tokens.end());
}

std::string file_test_name(const testing::TestParamInfo<std::string>& file) {
  std::string out = file.param;
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !std::isalnum(c); }, '_');
  return out;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenGguf, testing::ValuesIn(gguf_files()), file_test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GoldenGguf);

}  // namespace
}  // namespace headgate

// Tests of recipes, logs and plots: what they say, and one clear line for what is wrong with them.
#include "train/recipe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/run_log.h"
#include "train/svg_plot.h"

namespace headgate {
namespace {

const std::string kWhole = R"(name = "tiny"
seed = 7
tokenizer = "tok"
[model]
preset = "nano"
set = { vocab_size = 600 }
[optimizer]
warmup_steps = 3
[[source]]
name = "skills"
kind = "skills"
families = { arith = 2, tool = 1 }
[[source]]
name = "books"
files = ["a.tokens", "/b.tokens"]
weight = 0.5
[[phase]]
name = "stable"
steps = 10
rows = 4
rate = 2e-3
mix = { skills = 3, books = 1 }
[[phase]]
name = "decay"
steps = 5
decay = true
final_share = 0.1
)";

std::string error_of(const std::string& text) {
  try {
    parse_recipe(text, "folder/recipe.toml");
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "no error";
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kWhole;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(Recipe, IsReadWithPathsBesideTheFileAndPhasesThatInherit) {
  const Recipe recipe = parse_recipe(kWhole, "folder/recipe.toml");
  EXPECT_EQ(recipe.name, "tiny");
  EXPECT_EQ(recipe.tokenizer, "folder/tok");
  EXPECT_EQ(recipe.sources[1].files, (std::vector<std::string>{"folder/a.tokens", "/b.tokens"}));
  EXPECT_EQ(recipe.total_steps(), 15);
  EXPECT_EQ(recipe.phases[0].mix, (std::vector<double>{3, 1}));
  EXPECT_EQ(recipe.phases[1].mix, (std::vector<double>{3, 1}));
  EXPECT_EQ(recipe.phases[1].rows, 4);
  EXPECT_EQ(parse_json(recipe.train.model_json, "x").at("vocab_size").as_int64(), 600);
}

TEST(Recipe, TheRateWarmsUpStaysAndDecaysOverItsPhase) {
  const Recipe recipe = parse_recipe(kWhole, "folder/recipe.toml");
  const auto rate = [&recipe](int64_t step) {
    return learning_rate(recipe.schedule_of(step), step);
  };
  EXPECT_DOUBLE_EQ(rate(0), 2e-3 / 3);
  EXPECT_DOUBLE_EQ(rate(3), 2e-3);
  EXPECT_DOUBLE_EQ(rate(9), 2e-3);
  EXPECT_DOUBLE_EQ(rate(10), 2e-3);
  EXPECT_NEAR(rate(14), 2e-3 * (1 - 0.8 * 0.9), 1e-12);
  EXPECT_EQ(recipe.phase_of(9).first->name, "stable");
  EXPECT_EQ(recipe.phase_of(10).second, 10);
}

TEST(Recipe, MistakesAreNamedWithTheirLine) {
  EXPECT_NE(error_of(replaced("seed = 7", "sed = 7")).find("folder/recipe.toml:2: unknown key sed"),
            std::string::npos);
  EXPECT_NE(
      error_of(replaced("steps = 10", "steps = \"ten\"")).find(":19: [[phase]]: steps: expected"),
      std::string::npos);
  EXPECT_NE(error_of(replaced("steps = 10", "steps = 0")).find("steps = 0, expected 1.."),
            std::string::npos);
  EXPECT_NE(error_of(replaced("rate = 2e-3", "rate = nan")).find("rate"), std::string::npos);
  EXPECT_NE(error_of(replaced("books = 1 }", "bokks = 1 }")).find("there is no source bokks"),
            std::string::npos);
  EXPECT_NE(error_of(replaced("skills = 3, books = 1", "skills = 0")).find("every share is 0"),
            std::string::npos);
  EXPECT_NE(error_of(replaced("vocab_size = 600", "vocab = 600")).find("no such key"),
            std::string::npos);
  EXPECT_NE(error_of(replaced("preset = \"nano\"", "preset = \"huge\"")).find("huge"),
            std::string::npos);
  EXPECT_NE(error_of(replaced("[model]", "[model")).find("folder/recipe.toml:4"),
            std::string::npos);
  EXPECT_NE(error_of(replaced("kind = \"skills\"", "kind = \"poems\"")).find("tokens, skills"),
            std::string::npos);
  EXPECT_NE(error_of("name = \"x\"\n").find("tokenizer"), std::string::npos);
}

TEST(Recipe, TheRecipesOfTheRepositoryAreValid) {
  const Recipe recipe = read_recipe(HEADGATE_SOURCE_DIR "/models/headgate-s/recipe.toml");
  EXPECT_EQ(recipe.phases.size(), 5u);
  EXPECT_EQ(recipe.mtp_steps_of(0), 0);
  EXPECT_EQ(recipe.mtp_steps_of(recipe.total_steps() - 1), 1);
  EXPECT_EQ(train_model_config(recipe.train).vocabulary, 8192);
  const Recipe nano = read_recipe(HEADGATE_SOURCE_DIR "/models/headgate-s/nano.toml");
  EXPECT_EQ(train_model_config(nano.train).vocabulary, 4096);
}

constexpr const char* kTuning = R"(
[model]
init = "base"
[lora]
rank = 4
targets = ["experts"]
[[source]]
name = "skills"
kind = "skills"
[[phase]]
steps = 5
)";

TEST(Recipe, FineTuningNamesItsModelAndWhatIsAdapted) {
  const Recipe recipe = parse_recipe(kTuning, "folder/recipe.toml");
  EXPECT_EQ(recipe.init, "folder/base");
  EXPECT_EQ(recipe.tokenizer, "folder/base");
  EXPECT_TRUE(recipe.train.freeze_router);
  EXPECT_EQ(recipe.train.lora.rank, 4);
  EXPECT_TRUE(recipe.train.lora.experts);
  EXPECT_FALSE(recipe.train.lora.attention);
  EXPECT_EQ(recipe.mtp_steps_of(0), 0);
  std::string text = kTuning;
  text.replace(text.find("init = \"base\""), 13, "preset = \"nano\"\n");
  EXPECT_THROW(parse_recipe(text, "recipe.toml"), Error);  // adapters of nothing
  text = kTuning;
  text.replace(text.find("experts"), 7, "routers");
  EXPECT_THROW(parse_recipe(text, "recipe.toml"), Error);
}

class Log : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-log-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

LogRecord record(int64_t step) {
  LogRecord out;
  out.step = step;
  out.tokens = step * 100;
  out.phase = "stable";
  out.main_loss = 5.0 / static_cast<double>(step);
  out.mtp_loss = {1.5, 2};
  out.acceptance = {0.5, 0.25};
  return out;
}

TEST_F(Log, ARunThatGoesBackToItsCheckpointForgetsWhatCameBehind) {
  const std::string path = folder_ + "/log.jsonl";
  {
    RunLog log(path, 0);
    for (int64_t step = 1; step <= 5; ++step) log.add(record(step));
  }
  // A crash in the middle of a line.
  write_text_file(path, read_text_file(path) + "{\"step\": 6, \"tok");
  EXPECT_EQ(read_log(path).size(), 5u);
  {
    RunLog log(path, 3);
    EXPECT_EQ(log.records().size(), 3u);
    log.add(record(4));
  }
  const std::vector<LogRecord> records = read_log(path);
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(records[3].tokens, 400);
  EXPECT_EQ(records[3].acceptance, (std::vector<double>{0.5, 0.25}));
  EXPECT_DOUBLE_EQ(records[3].main_loss, 1.25);
  write_text_file(path, "{\"step\": 1}\n");
  EXPECT_THROW(read_log(path), Error);
}

TEST_F(Log, PlotsAreWrittenForEveryFigure) {
  std::vector<LogRecord> records;
  for (int64_t step = 1; step <= 1000; ++step) records.push_back(record(step));
  records.back().held_out_loss = 2;
  write_plots(records, folder_);
  for (const char* name : {"loss.svg", "balance.svg", "acceptance.svg", "rate.svg"}) {
    const std::string text = read_text_file(folder_ + "/" + name);
    EXPECT_EQ(text.rfind("<svg", 0), 0u);
    EXPECT_NE(text.find("<polyline"), std::string::npos);
    EXPECT_LT(text.size(), 40000u);
    EXPECT_EQ(text.find("nan"), std::string::npos);
  }
}

TEST(SvgPlot, TicksAreRoundAndInsideTheRange) {
  EXPECT_EQ(round_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  for (double tick : round_ticks(-0.31, 0.94, 5)) {
    EXPECT_GE(tick, -0.31);
    EXPECT_LE(tick, 0.94);
  }
  EXPECT_NE(svg_line_plot("a < b", "x", {}).find("a &lt; b"), std::string::npos);
}

}  // namespace
}  // namespace headgate

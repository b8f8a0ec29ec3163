// Tests of the parsing and formatting helpers of the command line.
#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/bench_commands.h"
#include "cli/chat_commands.h"
#include "cli/format.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/sampling_options.h"
#include "cli/served_models.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

TEST(ModelSpec, HasANameAPathAndSettings) {
  const ModelSpec plain = parse_model_spec("models/a.gguf");
  EXPECT_EQ(plain.name + "|" + plain.path, "|models/a.gguf");
  const ModelSpec named =
      parse_model_spec("qwen/next=/data/next,adapter=/data/lora,alias=gpt,ctx=4096");
  EXPECT_EQ(named.name, "qwen/next");
  EXPECT_EQ(named.path, "/data/next");
  EXPECT_EQ(named.adapter, "/data/lora");
  EXPECT_EQ(named.aliases, std::vector<std::string>{"gpt"});
  EXPECT_EQ(named.context, 4096);
  EXPECT_EQ(parse_model_spec("./a=b.gguf").path, "./a=b.gguf");
  EXPECT_EQ(parse_model_spec("/data/one,two.gguf").path, "/data/one,two.gguf");
  EXPECT_EQ(parse_model_spec("/data/next,adapter=x").adapter, "x");
  for (const char* wrong : {"=a", "a=", "a=b,colour=red", "a=b,ctx=x", "a=b,ctx=-1", "a=b,alias="})
    EXPECT_THROW(parse_model_spec(wrong), Error) << wrong;
  EXPECT_EQ(model_name_of("/data/next.gguf"), "next");
  EXPECT_EQ(model_name_of("/data/next/"), "next");
  EXPECT_EQ(folder_name("qwen/next 3"), "qwen--next_3");
  EXPECT_EQ(folder_name("../x"), "_.--x");
}

TEST(Format, ScalesBytesAndCounts) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(75497472), "75.5 MB");
  EXPECT_EQ(format_bytes(999960), "1.00 MB");
  EXPECT_EQ(format_binary_bytes(24576), "24.0 KiB");
  EXPECT_EQ(format_count(79.67e9), "79.7 B");
  EXPECT_EQ(format_count(512), "512");
}

TEST(Format, GroupsDigits) {
  EXPECT_EQ(format_digits(0), "0");
  EXPECT_EQ(format_digits(999), "999");
  EXPECT_EQ(format_digits(262144), "262,144");
  EXPECT_EQ(format_digits(-1234567), "-1,234,567");
}

TEST(Format, ShowsTimesAsPeopleReadThem) {
  EXPECT_EQ(format_seconds(0.416), "0.42 s");
  EXPECT_EQ(format_seconds(12.34), "12.3 s");
  EXPECT_EQ(format_seconds(125), "2:05");
  EXPECT_EQ(format_seconds(3725), "1:02:05");
}

TEST(TextTable, AlignsByCharactersNotBytes) {
  TextTable table({1});
  table.row({"ä", "left", "1"});
  table.row({"bb", "x", "22"});
  EXPECT_EQ(table.text(), "ä   left   1\nbb  x     22\n");
}

TEST(Progress, FitsTheTerminal) {
  for (int columns : {20, 40, 80, 200}) {
    const std::string line =
        progress_line("Loading", ProgressUnit::kBytes, 450'000'000, 1'000'000'000, 2.0, columns);
    int width = 0;
    for (char c : line) width += (c & 0xc0) != 0x80 ? 1 : 0;
    EXPECT_LE(width, columns) << line;
  }
  const std::string line =
      progress_line("Loading", ProgressUnit::kBytes, 450'000'000, 1'000'000'000, 2.0, 100);
  EXPECT_NE(line.find(" 45%"), std::string::npos) << line;
  EXPECT_NE(line.find("225 MB/s"), std::string::npos) << line;
  EXPECT_NE(line.find("2.44 s left"), std::string::npos) << line;
}

TEST(Ids, AreReadFromArraysAndObjects) {
  EXPECT_EQ(parse_ids("[1, 2, 3]", "x"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(parse_ids("{\"ids\": [7]}", "x"), std::vector<int32_t>{7});
  EXPECT_EQ(parse_ids("[]", "x"), std::vector<int32_t>{});
  for (const char* bad : {"{}", "3", "[1.5]", "[-1]", "[\"1\"]", "[4294967296]", "[1", ""})
    EXPECT_THROW(parse_ids(bad, "x"), Error) << bad;
  EXPECT_EQ(ids_to_json({1, 2}), "[1, 2]");
  EXPECT_EQ(ids_to_json({}), "[]");
}

TEST(LogitBias, IsAnIdAndANumber) {
  EXPECT_EQ(parse_logit_bias("42=-1.5"), (std::pair<int32_t, float>{42, -1.5f}));
  for (const char* bad : {"", "42", "=1", "42=", "x=1", "42=x", "-1=2", "99999999999=1"})
    EXPECT_THROW(parse_logit_bias(bad), Error) << bad;
}

TEST(Sizes, HaveUnits) {
  EXPECT_EQ(parse_size("--split", "500M"), 500'000'000);
  EXPECT_EQ(parse_size("--split", "1.5GB"), 1'500'000'000);
  EXPECT_EQ(parse_size("--split", "4096"), 4096);
  for (const char* bad : {"", "x", "0", "-5M", "5X", "1e300"})
    EXPECT_THROW(parse_size("--split", bad), Error) << bad;
}

TEST(Tools, AreWrappedWhereTheyAreBareFunctions) {
  const json::array tools = parse_tools(
      "[{\"name\": \"a\"}, {\"type\": \"function\", \"function\": {\"name\": \"b\"}}]", "x");
  ASSERT_EQ(tools.size(), 2u);
  EXPECT_EQ(dump_json_python(tools[0]),
            "{\"type\": \"function\", \"function\": {\"name\": \"a\"}}");
  EXPECT_THROW(parse_tools("[1]", "x"), Error);
  EXPECT_THROW(parse_tools("{}", "x"), Error);
}

TEST(Sampling, OptionsOverrideTheModelsDefaults) {
  SamplingParams defaults;
  defaults.temperature = 0.7f;
  defaults.top_k = 20;
  SamplingOptions options;
  set_sampling_option(options, "temp", "0");
  set_sampling_option(options, "seed", "7");
  const SamplingParams params = sampling_params(defaults, options);
  EXPECT_EQ(params.temperature, 0.0f);
  EXPECT_EQ(params.top_k, 20);
  EXPECT_EQ(params.seed, 7u);
  set_sampling_option(options, "temp", "default");
  EXPECT_EQ(sampling_params(defaults, options).temperature, 0.7f);
  EXPECT_THROW(set_sampling_option(options, "temp", "warm"), Error);
  EXPECT_THROW(set_sampling_option(options, "colour", "1"), Error);
}

TEST(BenchCommand, IsAVerbAndItsNumbers) {
  using Verb = BenchCommand::Verb;
  const BenchCommand open = parse_bench_command("open 8 4096\r");
  EXPECT_EQ(open.verb, Verb::kOpen);
  EXPECT_EQ(open.sequences, 8);
  EXPECT_EQ(open.tokens, 4096);
  EXPECT_EQ(parse_bench_command("  decode\t32 ").tokens, 32);
  EXPECT_EQ(parse_bench_command("quit").verb, Verb::kQuit);
  for (const char* wrong : {"", " ", "open 8", "open 0 8", "decode", "decode 1 2", "decode -1",
                            "decode 1x", "prefill 99999999999999999999", "calibrate 1", "Quit"}) {
    EXPECT_THROW(parse_bench_command(wrong), Error) << wrong;
  }
}

TEST(Printable, ReplacesWhatCouldSteerATerminal) {
  EXPECT_EQ(printable("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(printable("\x1b[31mred"), "\xef\xbf\xbd[31mred");
  EXPECT_EQ(printable("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(printable("\xc2\x9b"), "\xef\xbf\xbd");
}

class ConversationTest : public testing::Test {
 protected:
  ConversationTest() {
    conversation_.set_system("Be terse.");
    conversation_.add_user("Hi");
    OutputSummary answer;
    answer.content = "Hello";
    conversation_.add_answer(answer);
  }

  ChatAction command(const std::string& input) {
    return run_chat_command(conversation_, input, SamplingParams{});
  }

  Conversation conversation_;
};

TEST_F(ConversationTest, RegenDropsTheAnswerAndKeepsTheQuestion) {
  EXPECT_EQ(command("/regen"), ChatAction::kAnswer);
  ASSERT_EQ(conversation_.messages.size(), 2u);
  EXPECT_EQ(conversation_.messages.back().at("role").as_string(), "user");
  conversation_.clear();
  EXPECT_THROW(command("/regen"), Error);
}

TEST_F(ConversationTest, ClearKeepsTheSystemMessage) {
  EXPECT_EQ(command("/clear"), ChatAction::kNothing);
  ASSERT_EQ(conversation_.messages.size(), 1u);
  command("/system");
  EXPECT_TRUE(conversation_.messages.empty());
}

TEST_F(ConversationTest, SavesAndLoadsWhatItHolds) {
  const std::string file = testing::TempDir() + "headgate-conversation.json";
  command("/think off");
  command("/save " + file);
  Conversation other;
  other.load(file);
  EXPECT_EQ(other.messages, conversation_.messages);
  EXPECT_EQ(other.template_kwargs, conversation_.template_kwargs);
  std::remove(file.c_str());
  EXPECT_THROW(other.load(file), Error);
  EXPECT_EQ(other.messages.size(), 3u);
}

TEST_F(ConversationTest, WrongCommandsAreErrors) {
  for (const char* bad : {"/nonsense", "/think maybe", "/set temp", "/set temp hot", "/save"})
    EXPECT_THROW(command(bad), Error) << bad;
  EXPECT_EQ(command("/quit"), ChatAction::kLeave);
}

}  // namespace
}  // namespace headgate

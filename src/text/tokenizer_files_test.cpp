// Tokenizer files: what is read, and what is refused with which words.
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/toy_tokenizer_test.h"

namespace headgate {
namespace {

// The error of loading the toy file after `spoil` changed it; empty when it loads.
template <typename Spoil>
std::string error_of(const Spoil& spoil) {
  json::value file = toy_json();
  spoil(file.as_object());
  try {
    Tokenizer::from_json(dump_json(file), "t.json");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

json::object& model(json::object& file) { return file["model"].as_object(); }
json::object& vocab(json::object& file) { return model(file)["vocab"].as_object(); }
json::array& merges(json::object& file) { return model(file)["merges"].as_array(); }
json::object& added(json::object& file, size_t i) {
  return file["added_tokens"].as_array().at(i).as_object();
}
json::object& split(json::object& file) {
  return file["pre_tokenizer"].as_object()["pretokenizers"].as_array().at(0).as_object();
}

#define EXPECT_REFUSED(words, change)                                                    \
  EXPECT_NE(error_of([](json::object& file) { change; }).find(words), std::string::npos) \
      << error_of([](json::object& file) { change; })

TEST(TokenizerJson, LoadsWithMergesAsStringsOrPairs) {
  EXPECT_EQ(error_of([](json::object&) {}), "");
  json::value file = toy_json();
  for (json::value& merge : merges(file.as_object())) {
    const std::string text(merge.as_string());
    const size_t space = text.find(' ');
    merge = json::array{text.substr(0, space), text.substr(space + 1)};
  }
  const Tokenizer tokenizer = Tokenizer::from_json(dump_json(file), "t.json");
  EXPECT_EQ(tokenizer.encode("the the<|end|>"), (std::vector<int32_t>{257, 258, 261}));
}

TEST(TokenizerJson, RefusesIdsThatMakeNoSense) {
  EXPECT_REFUSED("id of \"th\" is -1", vocab(file)[std::string_view("th")] = -1);
  EXPECT_REFUSED("id of \"th\" is 1.5", vocab(file)[std::string_view("th")] = 1.5);
  EXPECT_REFUSED("id of \"th\" is \"7\"", vocab(file)[std::string_view("th")] = "7");
  EXPECT_REFUSED("is 2000000000", vocab(file)[std::string_view("th")] = 2000000000);
  EXPECT_REFUSED("4000000000", vocab(file)[std::string_view("th")] = 4000000000);
  EXPECT_REFUSED("id 257 belongs to", vocab(file)[std::string_view("th")] = 257);
  EXPECT_REFUSED("empty token", vocab(file)[std::string_view("")] = 300);
  EXPECT_REFUSED("id 1000000000", added(file, 0)["id"] = 1000000000);
  EXPECT_REFUSED("two added tokens", added(file, 0)["id"] = 262);
  EXPECT_REFUSED("both token \"th\" and added token", added(file, 0)["id"] = 256);
}

TEST(TokenizerJson, RefusesMergesOutsideTheVocabulary) {
  EXPECT_REFUSED("\"ab\" is not in the vocabulary", merges(file).emplace_back("a b"));
  EXPECT_REFUSED("\"qq\" is not in the vocabulary", merges(file).emplace_back("qq a"));
  EXPECT_REFUSED("appears twice", merges(file).emplace_back("t h"));
  EXPECT_REFUSED("one space between", merges(file).emplace_back("t  h"));
  EXPECT_REFUSED("one space between", merges(file).emplace_back("th"));
  EXPECT_REFUSED("is not in the vocabulary", merges(file).emplace_back(" th"));
  EXPECT_REFUSED("merge 5", merges(file).emplace_back(7));
  EXPECT_REFUSED("merge 5", merges(file).push_back(json::array{"t"}));
  EXPECT_REFUSED("\"merges\" is not a list", model(file)["merges"] = "x");
  EXPECT_REFUSED("no \"merges\"", model(file).erase("merges"));
}

TEST(TokenizerJson, RefusesAVocabularyWithoutSomeByte) {
  EXPECT_REFUSED("no token for byte 0x78", vocab(file).erase("x"));
}

TEST(TokenizerJson, RefusesAddedTokensItCannotHonour) {
  EXPECT_REFUSED("single_word", added(file, 0)["single_word"] = true);
  EXPECT_REFUSED("content of 0 bytes", added(file, 0)["content"] = "");
  EXPECT_REFUSED("content of 513 bytes", added(file, 0)["content"] = std::string(513, 'x'));
  EXPECT_REFUSED("has two ids", added(file, 0)["content"] = "<think>");
  EXPECT_REFUSED("the vocabulary gives it 256", added(file, 0)["content"] = "th");
  EXPECT_REFUSED("not true or false", added(file, 0)["special"] = 1);
  EXPECT_REFUSED("not a string", added(file, 0)["content"] = 1);
  EXPECT_REFUSED("not a list", file["added_tokens"] = 1);
}

TEST(TokenizerJson, NamesTheComponentItDoesNotKnow) {
  EXPECT_REFUSED("\\\\s+", (split(file)["pattern"] = json::value{{"Regex", "\\s+"}}));
  EXPECT_REFUSED("Isolated", split(file)["behavior"] = "Removed");
  EXPECT_REFUSED("normalizer \"NFKC\"", (file["normalizer"] = json::value{{"type", "NFKC"}}));
  EXPECT_REFUSED("pre_tokenizer", file["pre_tokenizer"] = nullptr);
  EXPECT_REFUSED("model \"Unigram\"", model(file)["type"] = "Unigram");
  EXPECT_REFUSED("dropout", model(file)["dropout"] = 0.1);
  EXPECT_REFUSED("end_of_word_suffix", model(file)["end_of_word_suffix"] = "</w>");
  EXPECT_REFUSED("decoder \"Fuse\"", (file["decoder"] = json::value{{"type", "Fuse"}}));
  EXPECT_REFUSED("post_processor \"TemplateProcessing\"",
                 (file["post_processor"] = json::value{{"type", "TemplateProcessing"}}));
}

TEST(TokenizerJson, RefusesWhatIsNoTokenizerAtAll) {
  for (const char* text : {"", "[]", "{}", "{\"model\":1}", "{\"model\":{\"vocab\":[]}}", "nul"}) {
    EXPECT_THROW(Tokenizer::from_json(text, "t.json"), Error) << text;
  }
}

std::string vocab_text() { return dump_json(toy_json().at("model").at("vocab")); }

std::string merges_text(const char* line_end) {
  std::string text = std::string("#version: 0.2") + line_end;
  for (const std::string& merge : toy_parts().merges) text += merge + line_end;
  return text;
}

constexpr const char* kConfig = R"({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|end|>",
  "pad_token": {"content": "<|pad|>"}, "bos_token": null,
  "added_tokens_decoder": {"261": {"content": "<|end|>", "special": true},
                           "262": {"content": "<think>", "special": false, "normalized": false},
                           "265": {"content": "<|pad|>"}}})";

TEST(VocabAndMerges, GiveTheSameTokenizer) {
  for (const char* line_end : {"\n", "\r\n"}) {
    const Tokenizer tokenizer =
        Tokenizer::from_vocab_and_merges(vocab_text(), merges_text(line_end), kConfig, "folder");
    EXPECT_EQ(tokenizer.encode("the the<|end|><think>"),
              (std::vector<int32_t>{257, 258, 261, 262}));
    EXPECT_EQ(tokenizer.eos_ids(), (std::vector<int32_t>{261}));
    EXPECT_EQ(tokenizer.pad_id(), 265);
    EXPECT_TRUE(tokenizer.is_special(265));
    EXPECT_FALSE(tokenizer.has_token(264));
    EXPECT_EQ(tokenizer.pre_tokenizer(), PreTokenizer::kQwen2);
  }
}

TEST(VocabAndMerges, ChooseThePreTokenizerByClass) {
  const Tokenizer tokenizer = Tokenizer::from_vocab_and_merges(
      vocab_text(), merges_text("\n"), R"({"tokenizer_class": "Qwen3_5Tokenizer"})", "folder");
  EXPECT_EQ(tokenizer.pre_tokenizer(), PreTokenizer::kQwen35);
}

TEST(TokenizerFolder, SaysWhatIsMissing) {
  try {
    load_tokenizer_folder("/nonexistent/model");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("no tokenizer.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace headgate

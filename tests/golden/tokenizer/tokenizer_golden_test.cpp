// The real vocabulary against ids and texts that PyPI `tokenizers` gave.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tests/support/qwen_tokenizer.h"
#include "text/detokenizer.h"
#include "text/gguf_tokenizer.h"

namespace headgate {
namespace {

const std::string kSource = HEADGATE_SOURCE_DIR;

const Tokenizer& qwen() {
  static const Tokenizer tokenizer =
      Tokenizer::from_json(tokenizer_json_text(qwen_tokenizer_parts(kSource)), "tokenizer.json");
  return tokenizer;
}

const json::value& cases() {
  static const json::value value =
      parse_json(read_text_file(kSource + "/tests/golden/tokenizer/cases.json"), "cases.json");
  return value;
}

std::vector<int32_t> ids_of(const json::value& entry) {
  std::vector<int32_t> ids;
  for (const json::value& id : entry.at("ids").as_array()) {
    ids.push_back(static_cast<int32_t>(id.as_int64()));
  }
  return ids;
}

TEST(TokenizerGolden, EncodesEveryCase) {
  for (const json::value& entry : cases().at("encode").as_array()) {
    EXPECT_EQ(qwen().encode(entry.at("text").as_string()), ids_of(entry)) << entry.at("text");
  }
}

TEST(TokenizerGolden, DecodesEveryCaseWithAndWithoutSpecialTokens) {
  for (const json::value& entry : cases().at("encode").as_array()) {
    const std::vector<int32_t> ids = ids_of(entry);
    EXPECT_EQ(qwen().decode(ids), entry.at("decoded").as_string());
    EXPECT_EQ(qwen().decode(ids, true), entry.at("decoded_skip_special").as_string());
  }
}

TEST(TokenizerGolden, DecodesArbitraryIds) {
  for (const json::value& entry : cases().at("decode").as_array()) {
    EXPECT_EQ(qwen().decode(ids_of(entry)), entry.at("decoded").as_string());
  }
}

TEST(TokenizerGolden, StreamsTheListedPieces) {
  for (const json::value& entry : cases().at("decode").as_array()) {
    IncrementalDetokenizer stream(qwen());
    std::vector<std::string> pieces;
    for (const int32_t id : ids_of(entry)) pieces.push_back(stream.push(id));
    pieces.back() += stream.flush();  // the list gives the rest to the last token
    const json::array& expected = entry.at("stream").as_array();
    ASSERT_EQ(pieces.size(), expected.size());
    for (size_t i = 0; i < pieces.size(); ++i) EXPECT_EQ(pieces[i], expected[i].as_string());
  }
}

TEST(TokenizerGolden, VocabularyRoundTripsThroughGgufValues) {
  const TokenizerParts parts = qwen_tokenizer_parts(kSource);
  const Tokenizer tokenizer = tokenizer_from_gguf(gguf_from_parts(parts, 151936), "model.gguf");
  EXPECT_EQ(tokenizer.vocab_size(), 151936);
  EXPECT_FALSE(tokenizer.has_token(151669));
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<int32_t>{151645, 151643}));
  for (const json::value& entry : cases().at("encode").as_array()) {
    EXPECT_EQ(tokenizer.encode(entry.at("text").as_string()), ids_of(entry));
  }
}

TEST(TokenizerGolden, EveryTokenIsFoundByItsBytes) {
  for (int32_t id = 0; id < qwen().vocab_size(); ++id) {
    ASSERT_TRUE(qwen().has_token(id)) << id;
    ASSERT_EQ(qwen().find(qwen().token_bytes(id)), id);
  }
}

TEST(TokenizerGolden, KnowsTheChatTokensOfQwen) {
  const ChatTokens chat = find_chat_tokens(qwen());
  EXPECT_EQ(chat.im_start, 151644);
  EXPECT_EQ(chat.im_end, 151645);
  EXPECT_EQ(chat.tool_call_open, 151657);
  EXPECT_EQ(chat.think_close, 151668);
  EXPECT_TRUE(qwen().is_special(151645));
  EXPECT_FALSE(qwen().is_special(151668));
}

TEST(TokenizerGolden, EncodesAMegabyteOfOneCharacter) {
  for (const std::string unit : {"a", " ", "\n", "!", "\u4e2d", "\u0301", "\U0001f600", "\xff"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    const std::vector<int32_t> ids = qwen().encode(text);
    EXPECT_GT(ids.size(), 1000u);
    EXPECT_EQ(qwen().decode(ids), replace_invalid_utf8(text));
  }
}

TEST(ToyTokenizer, LoadsFromItsFolder) {
  const Tokenizer toy = load_tokenizer_folder(kSource + "/tests/golden/cases/q3n_tiny");
  EXPECT_EQ(toy.vocab_size(), 384);
  EXPECT_EQ(toy.eos_ids(), (std::vector<int32_t>{360, 358}));
  EXPECT_EQ(toy.pad_id(), 358);
  EXPECT_EQ(toy.bos_id(), std::nullopt);
  EXPECT_EQ(toy.find("<think>"), 382);
  const std::string text = "<|im_start|>user\nHello, w\u00f6rld<|im_end|>";
  const std::vector<int32_t> ids = toy.encode(text);
  EXPECT_EQ(ids.front(), 359);
  EXPECT_EQ(ids.back(), 360);
  EXPECT_EQ(toy.decode(ids), text);
}

}  // namespace
}  // namespace headgate

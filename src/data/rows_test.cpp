// Tests of shards, packing, row sources and the mix.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "data/corpus_reader.h"
#include "data/row_source.h"
#include "data/tokenizer_trainer.h"

namespace headgate {
namespace {

class Rows : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-rows-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Documents of the given lengths; token values count up, every third is no target.
  std::string write_shard(const std::vector<int64_t>& lengths, int64_t vocabulary = 60000) {
    TokenShardWriter writer(path("a.tokens"), vocabulary, true);
    int32_t next = 0;
    for (int64_t length : lengths) {
      std::vector<int32_t> ids;
      std::vector<uint8_t> targets;
      for (int64_t i = 0; i < length; ++i) {
        targets.push_back(next % 3 == 0 ? 0 : 1);
        ids.push_back(next++);
      }
      writer.add(ids, targets);
    }
    writer.commit();
    return path("a.tokens");
  }
  std::string folder_;
};

TEST_F(Rows, AShardGivesBackWhatWasWritten) {
  const std::string file = write_shard({3, 1, 12});
  const TokenShard shard(file);
  EXPECT_EQ(shard.documents(), 3);
  EXPECT_EQ(shard.tokens(), 16);
  EXPECT_EQ(shard.begin(2), 4);
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  shard.read(2, 5, ids, targets);
  EXPECT_EQ(ids, (std::vector<int32_t>{2, 3, 4, 5, 6}));
  EXPECT_EQ(targets, (std::vector<uint8_t>{1, 0, 1, 1, 0}));
}

TEST_F(Rows, WideVocabulariesTakeFourBytes) {
  TokenShardWriter writer(path("wide.tokens"), 151936, false);
  writer.add(std::vector<int32_t>{151935, 7});
  EXPECT_THROW(writer.add(std::vector<int32_t>{151936}), Error);
  writer.commit();
  const TokenShard shard(path("wide.tokens"));
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  shard.read(0, 2, ids, targets);
  EXPECT_EQ(ids, (std::vector<int32_t>{151935, 7}));
  EXPECT_EQ(targets, (std::vector<uint8_t>{1, 1}));
}

TEST_F(Rows, BrokenShardsAreRefused) {
  const std::string good = read_text_file(write_shard({3, 4}, 7));
  const auto refused = [&](std::string bytes) {
    write_text_file(path("bad.tokens"), bytes);
    try {
      const TokenShard shard(path("bad.tokens"));
      std::vector<int32_t> ids;
      std::vector<uint8_t> targets;
      shard.read(0, shard.tokens(), ids, targets);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidFile;
    }
  };
  EXPECT_FALSE(refused(good));
  EXPECT_TRUE(refused(good.substr(0, 40)));
  EXPECT_TRUE(refused(good + "12345678"));
  for (size_t at : {0u, 8u, 12u, 20u, 24u, 31u, 32u, 39u}) {
    std::string bad = good;
    bad[at] = '\x7f';
    EXPECT_TRUE(refused(bad)) << at;
  }
  std::string foreign_id = good;
  foreign_id[64] = 7;
  EXPECT_TRUE(refused(foreign_id));
  std::string bounds = good;
  bounds[bounds.size() - 16] = 0;  // the second document's start
  EXPECT_TRUE(refused(bounds));
}

TEST(Packer, EveryTokenIsInOneRowAndFittingDocumentsStayWhole) {
  std::vector<int64_t> lengths;
  for (uint64_t i = 0; i < 500; ++i)
    lengths.push_back(1 + static_cast<int64_t>(random_bits(1, 2, i) % (i % 10 == 0 ? 300 : 60)));
  const PackPlan plan = pack_documents(lengths, 100);
  std::map<int64_t, int64_t> seen, pieces;
  for (int64_t row = 0; row < plan.rows(); ++row) {
    int64_t used = 0;
    for (const PackedPiece& piece : plan.row(row)) {
      EXPECT_EQ(piece.begin % 100, 0);
      used += piece.length;
      seen[piece.document] += piece.length;
      ++pieces[piece.document];
    }
    EXPECT_GT(used, 0);
    EXPECT_LE(used, 100);
  }
  int64_t total = 0;
  for (size_t d = 0; d < lengths.size(); ++d) {
    EXPECT_EQ(seen[static_cast<int64_t>(d)], lengths[d]);
    EXPECT_EQ(pieces[static_cast<int64_t>(d)], (lengths[d] + 99) / 100);
    total += lengths[d];
  }
  EXPECT_LT(plan.rows(), total / 100 * 11 / 10);
}

TEST(Packer, ThePermutationIsABijection) {
  for (int64_t count : {1, 2, 3, 17, 64, 1000}) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < count; ++i) seen.insert(permuted(i, count, 5));
    EXPECT_EQ(static_cast<int64_t>(seen.size()), count);
    EXPECT_GE(*seen.begin(), 0);
    EXPECT_LT(*seen.rbegin(), count);
  }
}

TEST_F(Rows, AnEpochShowsEveryTokenOnceAndTheNextInAnotherOrder) {
  ShardRowsOptions options;
  options.files = {write_shard({30, 200, 7, 64, 1, 90, 33})};
  options.row_length = 64;
  options.vocabulary = 60000;
  options.seed = 3;
  const auto source = open_shard_rows(options);
  std::multiset<int32_t> seen;
  std::vector<int32_t> first_tokens, second_tokens;
  for (int64_t i = 0; i < source->rows_per_epoch(); ++i) {
    const TokenRow row = source->row(i);
    ASSERT_EQ(row.size(), 64);
    first_tokens.push_back(row.tokens[0]);
    second_tokens.push_back(source->row(i + source->rows_per_epoch()).tokens[0]);
    for (size_t t = 0; t < row.tokens.size(); ++t) {
      if (row.documents[t] < 0) {
        EXPECT_EQ(row.weights[t], 0);
        continue;
      }
      seen.insert(row.tokens[t]);
      const bool starts = t == 0 || row.documents[t] != row.documents[t - 1];
      EXPECT_EQ(row.positions[t], starts ? 0 : row.positions[t - 1] + 1);
      EXPECT_EQ(row.weights[t], starts || row.tokens[t] % 3 == 0 ? 0 : 1);
      if (!starts) {
        EXPECT_EQ(row.tokens[t], row.tokens[t - 1] + 1);
      }
    }
  }
  EXPECT_EQ(seen.size(), 425u);
  EXPECT_EQ(*seen.rbegin(), 424);
  EXPECT_EQ(std::set<int32_t>(seen.begin(), seen.end()).size(), 425u);
  EXPECT_NE(first_tokens, second_tokens);
  options.vocabulary = 8192;
  EXPECT_THROW(open_shard_rows(options), Error);
}

TEST(RowMix, KeepsSharesAndNumbersRowsWithoutGaps) {
  const RowMix mix({0.5, 0.3, 0, 0.2});
  std::vector<int64_t> next(4, 0);
  for (int64_t row = 0; row < 10000; ++row) {
    const RowMix::Turn turn = mix.turn(row);
    EXPECT_EQ(turn.index, next[turn.source]++);
    if (row > 10) {
      EXPECT_NEAR(static_cast<double>(next[0]), 0.5 * static_cast<double>(row + 1), 2.1);
      EXPECT_NEAR(static_cast<double>(next[3]), 0.2 * static_cast<double>(row + 1), 2.1);
    }
  }
  EXPECT_EQ(next[2], 0);
  EXPECT_THROW(RowMix({0, 0}), Error);
  EXPECT_THROW(RowMix({1, -1}), Error);
}

TokenizerParts trained_on_skills(int32_t vocab_size) {
  TokenizerTrainerOptions options;
  options.vocab_size = vocab_size;
  for (const ChatTokenName& name : training_added_tokens())
    options.added.push_back({-1, std::string(name.content), name.special, false, false, false});
  TokenizerTrainer trainer(options);
  const Passages none;
  for (const SkillFamily& family : skill_families())
    for (uint64_t i = 0; i < 60; ++i)
      for (const Segment& segment :
           conversation_segments(make_skill_sample(family, {}, none, i).conversation))
        trainer.add(segment.text);
  return trainer.train();
}

TEST(SkillRows, AreAFunctionOfTheirNumberAndDecodeToConversations) {
  const Tokenizer tokenizer = Tokenizer::from_parts(trained_on_skills(700));
  SkillRowsOptions options;
  options.row_length = 512;
  options.families = {{"arith", 1}, {"extract", 1}};
  const auto source = open_skill_rows(options, tokenizer);
  const TokenRow row = source->row(5);
  EXPECT_EQ(row.tokens, source->row(5).tokens);
  EXPECT_NE(row.tokens, source->row(6).tokens);
  std::vector<int32_t> shown, targets;
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    if (row.documents[i] >= 0) shown.push_back(row.tokens[i]);
    if (row.weights[i] > 0) targets.push_back(row.tokens[i]);
  }
  EXPECT_GT(shown.size(), 400u);
  const std::string text = tokenizer.decode(shown);
  EXPECT_EQ(text.rfind("<|im_start|>", 0), 0u);
  const std::string written = tokenizer.decode(targets);
  EXPECT_EQ(written.find("<|im_start|>"), std::string::npos);
  EXPECT_EQ(written.find("<think>"), std::string::npos);
  EXPECT_NE(written.find("<|im_end|>"), std::string::npos);
}

TEST(TokenizerTrainer, MergesTheMostFrequentPairAndSplitsTiesByIds) {
  TokenizerTrainerOptions options;
  options.vocab_size = 259;
  TokenizerTrainer trainer(options);
  trainer.add("hug hug hug pug pug bun bun hugs");  // "ug" 6, then " hug" 3 = "hug" 4 first
  const TokenizerParts parts = trainer.train();
  EXPECT_EQ(parts.merges[0], "u g");
  EXPECT_EQ(parts.merges[1], "h ug");
  EXPECT_EQ(parts.tokens.size(), 259u);
  EXPECT_EQ(parts.tokens[0], "!");
}

TEST(TokenizerTrainer, TheOrderOfTextsDoesNotMatter) {
  TokenizerTrainerOptions options;
  options.vocab_size = 264;
  TokenizerTrainer one(options), two(options);
  const std::vector<std::string> texts = {"the cat sat on the mat", "a cat and a rat",
                                          "the rat sat"};
  for (const std::string& text : texts) one.add(text);
  for (size_t i = texts.size(); i-- > 0;) two.add(texts[i]);
  EXPECT_EQ(one.train().merges, two.train().merges);
}

TEST(TokenizerTrainer, WritesATokenizerThatIsReadBack) {
  const TokenizerParts parts = trained_on_skills(600);
  const Tokenizer tokenizer = Tokenizer::from_json(tokenizer_json_text(parts), "trained");
  EXPECT_EQ(tokenizer.vocab_size(), 600);
  const std::string text = "What is 12 + 30?<|im_end|>\n";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.encode("<|im_end|>").size(), 1u);
  EXPECT_EQ(tokenizer.require("</think>"), 599);
}

TEST(TokenizerTrainer, RefusesATextThatIsTooShort) {
  TokenizerTrainerOptions options;
  options.vocab_size = 300;
  TokenizerTrainer trainer(options);
  trainer.add("ab ab");
  EXPECT_THROW(trainer.train(), Error);
  options.vocab_size = 200;
  EXPECT_THROW(TokenizerTrainer{options}, Error);
}

TEST_F(Rows, CorpusFilesAreReadLineByLineAndErrorsNameTheLine) {
  write_text_file(path("c.jsonl"),
                  "{\"text\": \"one\"}\n\n{\"messages\": [{\"role\": \"user\", \"content\": "
                  "\"x\"}]}\n{\"a\": 1}");
  int texts = 0, conversations = 0;
  CorpusSink sink;
  sink.on_text = [&](std::string_view text) { texts += text == "one" ? 1 : 0; };
  sink.on_conversation = [&](const Conversation& c) {
    conversations += c.turns.size() == 1 ? 1 : 0;
  };
  try {
    read_corpus(path("c.jsonl"), sink);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("c.jsonl:4"), std::string::npos) << error.what();
  }
  EXPECT_EQ(texts, 1);
  EXPECT_EQ(conversations, 1);
}

TEST_F(Rows, WorkedProblemsBecomeConversationsWithAndWithoutReasoning) {
  std::string lines;
  for (int i = 0; i < 40; ++i)
    lines += "{\"question\": \"What is 3 + " + std::to_string(i) +
             "?\", \"answer\": \"Add: 3+1=<<3+1=4>>4.\\nDone.\\n#### 4\"}\n";
  write_text_file(path("sums.jsonl"), lines);
  int thinking = 0, all = 0;
  CorpusSink sink;
  sink.on_conversation = [&](const Conversation& c) {
    ++all;
    ASSERT_EQ(c.turns.size(), 2u);
    const Turn& answer = c.turns[1];
    thinking += c.thinking ? 1 : 0;
    EXPECT_EQ(answer.reasoning, c.thinking ? "Add: 3+1=4.\nDone." : "");
    EXPECT_EQ(answer.content,
              c.thinking ? "The answer is 4." : "Add: 3+1=4.\nDone.\nThe answer is 4.");
  };
  read_corpus(path("sums.jsonl"), sink);
  EXPECT_EQ(all, 40);
  EXPECT_GT(thinking, 8);
  EXPECT_LT(thinking, 32);
}

}  // namespace
}  // namespace headgate

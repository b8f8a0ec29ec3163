// Encoding, decoding, added tokens, and the facts a tokenizer tells about itself.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/error.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/detokenizer.h"
#include "text/gguf_tokenizer.h"
#include "text/toy_tokenizer_test.h"

namespace headgate {
namespace {

using Ids = std::vector<int32_t>;

const Tokenizer& toy() {
  static const Tokenizer tokenizer = Tokenizer::from_parts(toy_parts());
  return tokenizer;
}

TEST(Tokenizer, MergesByRank) {
  EXPECT_EQ(toy().encode("the the"), (Ids{257, 258}));
  EXPECT_EQ(toy().encode("thx"), (Ids{256, 'x'}));
  EXPECT_EQ(toy().encode("   x"), (Ids{259, ' ', 'x'}));
  EXPECT_TRUE(toy().encode("").empty());
}

TEST(Tokenizer, NormalisesBeforeItMerges) { EXPECT_EQ(toy().encode("e\u0301"), (Ids{260})); }

TEST(Tokenizer, ReplacesInvalidUtf8BeforeItEncodes) {
  EXPECT_EQ(toy().encode("a\xff"), toy().encode("a\ufffd"));
  EXPECT_EQ(toy().encode("\xe4\xb8"), toy().encode("\ufffd"));
}

TEST(Tokenizer, FindsTheLongestAddedToken) {
  EXPECT_EQ(toy().encode("<think>y"), (Ids{262, 'y'}));
  EXPECT_EQ(toy().encode("<think>x"), (Ids{263}));
  EXPECT_EQ(toy().encode("a<<|end|>"), (Ids{'a', '<', 261}));
}

TEST(Tokenizer, TakesAddedTokensAsTextWhenAsked) {
  EncodeOptions literal;
  literal.parse_special = false;
  EXPECT_EQ(toy().encode("<|end|>", literal).size(), 7u);
  EXPECT_EQ(toy().encode("<think>", literal).size(), 6u);  // "th" is one token
  literal.keep_plain_added = true;
  EXPECT_EQ(toy().encode("<|end|>", literal).size(), 7u);
  EXPECT_EQ(toy().encode("<think>", literal), (Ids{262}));
}

TEST(Tokenizer, AddedTokensCanTakeWhiteSpaceAlong) {
  TokenizerParts parts = toy_parts();
  parts.added[0].lstrip = parts.added[0].rstrip = true;
  const Tokenizer tokenizer = Tokenizer::from_parts(parts);
  EXPECT_EQ(tokenizer.encode("a \u3000<|end|>\n b"), (Ids{'a', 261, 'b'}));
  EXPECT_EQ(tokenizer.encode(" <|end|> <|end|> "), (Ids{261, 261}));
}

TEST(Tokenizer, NormalizedAddedTokensAreFoundInNfcText) {
  TokenizerParts parts = toy_parts();
  parts.added[1].content = "caf\u00e9";
  parts.added[1].normalized = true;
  const Tokenizer tokenizer = Tokenizer::from_parts(parts);
  EXPECT_EQ(tokenizer.encode("a cafe\u0301"), (Ids{'a', ' ', 262}));
  EXPECT_EQ(tokenizer.find("cafe\u0301"), 262);
}

TEST(Tokenizer, DecodesAnyIds) {
  EXPECT_EQ(toy().decode(Ids{257, 261, 'x'}), "the<|end|>x");
  EXPECT_EQ(toy().decode(Ids{257, 261, 'x'}, true), "thex");
  EXPECT_EQ(toy().decode(Ids{-1, 264, 0x7fffffff, 'a'}), "a");
  EXPECT_EQ(toy().decode(Ids{0xe4, 0xb8, 'a', 0xff}), "\ufffda\ufffd");
}

TEST(Tokenizer, KnowsItsTokens) {
  EXPECT_EQ(toy().vocab_size(), 264);
  EXPECT_EQ(toy().token_bytes(258), " the");
  EXPECT_EQ(toy().token_text(0xff), "\ufffd");
  EXPECT_EQ(toy().token_bytes(-5), "");
  EXPECT_EQ(toy().find(" the"), 258);
  EXPECT_EQ(toy().find("<think>"), 262);
  EXPECT_EQ(toy().find("no such token"), std::nullopt);
  EXPECT_EQ(toy().require("th"), 256);
  EXPECT_THROW(toy().require("thy"), Error);
  EXPECT_TRUE(toy().is_special(261));
  EXPECT_TRUE(toy().is_added(262));
  EXPECT_FALSE(toy().is_special(262));
  EXPECT_TRUE(toy().is_eos(261));
  EXPECT_EQ(find_chat_tokens(toy()).think_open, 262);
  EXPECT_EQ(find_chat_tokens(toy()).im_start, std::nullopt);
}

TEST(Tokenizer, ATokenThatMergingCannotReachIsNotUsed) {
  TokenizerParts parts = toy_parts();
  parts.merges.erase(parts.merges.begin());  // "th"; then "the" and " the" are out of reach
  parts.merges.erase(parts.merges.begin());
  parts.merges.erase(parts.merges.begin());
  EXPECT_EQ(Tokenizer::from_parts(parts).encode("the"), (Ids{'t', 'h', 'e'}));
  parts.ignore_merges = true;
  EXPECT_EQ(Tokenizer::from_parts(parts).encode("the"), (Ids{257}));
}

// All ways of merging against the definition, on random rules over two letters.
TEST(MergeRules, PiecesOfAllLengthsFollowTheDefinition) {
  std::mt19937 random(5);
  for (int round = 0; round < 204; ++round) {
    MergeRules rules(40);
    std::vector<std::array<int32_t, 3>> list;
    std::vector<std::string> names{"a", "b"};
    rules.set_byte('a', 0);
    rules.set_byte('b', 1);
    for (int tries = 0; tries < 40; ++tries) {
      const auto left = static_cast<int32_t>(random() % names.size());
      const auto right = static_cast<int32_t>(random() % names.size());
      const auto merged = static_cast<int32_t>(names.size());
      if (!rules.add(left, right, merged)) continue;
      list.push_back({left, right, merged});
      names.push_back(names[static_cast<size_t>(left)] + names[static_cast<size_t>(right)]);
    }
    std::string piece;
    for (size_t i = round < 200 ? random() % 150 + 1 : 4200; i > 0; --i)
      piece += random() % 3 ? 'a' : 'b';
    Ids expected;
    for (const char c : piece) expected.push_back(c == 'a' ? 0 : 1);
    for (size_t rank = 0; rank < list.size();) {
      size_t at = 0;
      while (at + 1 < expected.size() &&
             (expected[at] != list[rank][0] || expected[at + 1] != list[rank][1])) {
        ++at;
      }
      if (at + 1 >= expected.size()) {
        ++rank;
        continue;
      }
      expected[at] = list[rank][2];
      expected.erase(expected.begin() + static_cast<int64_t>(at) + 1);
      rank = 0;
    }
    rules.finish();
    BpeScratch scratch;
    Ids got;
    rules.apply(piece, scratch, got);
    ASSERT_EQ(got, expected) << piece;
  }
}

TEST(BpeQueues, PopTheLowestRankAndThenTheLeftmostPosition) {
  std::mt19937 random(6);
  HeapQueue heap;
  BucketQueue buckets;
  for (int round = 0; round < 200; ++round) {
    heap.clear(20);
    buckets.clear(20);
    std::set<std::pair<int32_t, int32_t>> waiting;
    for (int step = 0; step < 300; ++step) {
      if (random() % 3 != 0) {
        const auto rank = static_cast<int32_t>(random() % 20);
        const auto position = static_cast<int32_t>(random() % 1000);
        if (!waiting.emplace(rank, position).second) continue;
        heap.push({rank, position});
        buckets.push({rank, position});
        continue;
      }
      const RankedPosition a = heap.pop();
      const RankedPosition b = buckets.pop();
      ASSERT_EQ(a.rank, b.rank);
      if (waiting.empty()) {
        ASSERT_LT(a.rank, 0);
        continue;
      }
      ASSERT_EQ(std::pair(a.rank, a.position), *waiting.begin());
      ASSERT_EQ(std::pair(b.rank, b.position), *waiting.begin());
      waiting.erase(waiting.begin());
    }
  }
}

TEST(Detokenizer, HoldsBackHalfCharacters) {
  IncrementalDetokenizer stream(toy());
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xf0), "");
  EXPECT_EQ(stream.push(0x9f), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.held_bytes(), 3);
  EXPECT_EQ(stream.push(0x80), "\U0001f600");
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.push(261), "\ufffd<|end|>");
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.flush(), "\ufffd");
  EXPECT_EQ(stream.flush(), "");
}

TEST(Detokenizer, PiecesAreWholeCharactersAndMakeUpTheDecodedText) {
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    for (size_t n = random() % 12; n > 0; --n) {
      ids.push_back(static_cast<int32_t>(random() % 4 ? 0x80 + random() % 0x80 : random() % 270));
    }
    const bool skip = random() % 2;
    IncrementalDetokenizer stream(toy(), skip);
    std::string text;
    for (const int32_t id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_TRUE(is_valid_utf8(piece));
      text += piece;
      ASSERT_LE(stream.held_bytes(), 3);
    }
    text += stream.flush();
    ASSERT_EQ(text, toy().decode(ids, skip));
  }
}

GgufTokenizer toy_gguf() { return gguf_from_parts(toy_parts(), 300); }

TEST(GgufTokenizer, GivesTheSameTokenizer) {
  const Tokenizer tokenizer = tokenizer_from_gguf(toy_gguf(), "toy.gguf");
  EXPECT_EQ(tokenizer.encode("the <think>the<|end|>"), toy().encode("the <think>the<|end|>"));
  EXPECT_TRUE(tokenizer.is_special(261));
  EXPECT_FALSE(tokenizer.is_special(262));
  EXPECT_FALSE(tokenizer.has_token(264));
  EXPECT_EQ(tokenizer.find("[PAD264]"), std::nullopt);
  EXPECT_EQ(tokenizer.eos_ids(), (Ids{261}));
}

TEST(GgufTokenizer, RefusesWhatItDoesNotKnow) {
  for (int fault = 0; fault < 4; ++fault) {
    GgufTokenizer gguf = toy_gguf();
    if (fault == 0) gguf.model = "llama";
    if (fault == 1) gguf.pre = "llama-bpe";
    if (fault == 2) gguf.types.pop_back();
    if (fault == 3) gguf.eos_id = 300;
    EXPECT_THROW(tokenizer_from_gguf(gguf, "toy.gguf"), Error) << fault;
  }
}

}  // namespace
}  // namespace headgate

// What a sequence remembers equals the reference's caches, and going back or forking leaves no
// trace.
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

class GoldenState : public GoldenTest {};

// The reference's prompt of `length` tokens.
std::vector<int32_t> prompt(const GoldenCase& c, const std::string& length) {
  const std::string own = "state." + length + ".ids";
  return c.ids(c.has(own) ? own : "in." + length + ".ids");
}

// Keys (part 0) or values (part 1) of the first `tokens` tokens as [tokens, kv_heads, head_dim].
std::vector<float> cached(const SequenceState& state, int64_t layer, int64_t tokens, int part) {
  const KvLayout& kv = state.shape().kv;
  std::vector<float> out;
  for (int64_t t = 0; t < tokens; ++t) {
    const std::byte* page = state.kv_pages(layer)[static_cast<size_t>(t / kv.page_tokens)];
    for (int64_t head = 0; head < kv.kv_heads; ++head) {
      std::vector<float> rows[2] = {std::vector<float>(static_cast<size_t>(kv.head_dim)),
                                    std::vector<float>(static_cast<size_t>(kv.head_dim))};
      kv.read(page, head, t % kv.page_tokens, rows[0], rows[1]);
      out.insert(out.end(), rows[part].begin(), rows[part].end());
    }
  }
  return out;
}

// The convolution state as [channels, kernel - 1], oldest first.
std::vector<float> convolved(const SequenceState& state, const ModelConfig& config, int64_t layer) {
  const int64_t channels = config.delta.conv_channels(), steps = config.delta.conv_kernel - 1;
  std::vector<float> out;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < steps; ++i) out.push_back(state.conv(layer)[i * channels + c]);
  }
  return out;
}

void expect_state(const GoldenCase& c, const SequenceState& state, const std::string& length) {
  int64_t attention = 0, recurrent = 0;
  for (size_t layer = 0; layer < c.config().mixers.size(); ++layer) {
    const std::string name = "state." + length + ".layer" + std::to_string(layer) + ".";
    if (c.config().mixers[layer] == Mixer::kAttention) {
      for (const int part : {0, 1}) {
        const std::string full = name + (part == 0 ? "k" : "v");
        if (!c.has(full)) continue;
        const std::vector<float> want = c.floats(full);
        EXPECT_TRUE(
            all_near(cached(state, attention, state.position(), part), want, 1e-4 * largest(want)))
            << full;
      }
      ++attention;
      continue;
    }
    if (c.has(name + "S")) {
      const std::vector<float> want = c.floats(name + "S");
      EXPECT_TRUE(all_near({state.delta(recurrent), want.size()}, want, 5e-5)) << name << "S";
      const std::vector<float> conv = c.floats(name + "conv");
      EXPECT_TRUE(all_near(convolved(state, c.config(), recurrent), conv, 1e-4 * largest(conv)))
          << name << "conv";
    }
    ++recurrent;
  }
}

std::vector<std::string> state_lengths(const GoldenCase& c) {
  std::vector<std::string> lengths;
  for (const char* part : {"S", "k"}) {
    for (size_t layer = 0; layer < c.config().mixers.size() && lengths.empty(); ++layer)
      lengths = c.keys("state.", ".layer" + std::to_string(layer) + "." + part);
  }
  return lengths;
}

TEST_P(GoldenState, CachesEqualTheReferences) {
  const GoldenCase c(GetParam());
  Runner runner(c.model());
  for (const std::string& length : state_lengths(c)) {
    for (const int64_t chunk : {4096, 7, 1}) {
      SequenceState state = runner.create();
      (void)runner.feed(state, prompt(c, length), chunk);
      SCOPED_TRACE("chunk " + std::to_string(chunk));
      expect_state(c, state, length);
    }
  }
}

// Prompts of 64 with known greedy continuations, when the case has them.
struct Continuation {
  std::vector<int32_t> prompt, tokens;
};

Continuation continuation(const GoldenCase& c) {
  const std::string length = c.keys("greedy.", ".tokens").back();
  return {c.ids("greedy." + length + ".prompt"), c.ids("greedy." + length + ".tokens")};
}

std::vector<int32_t> noise(const GoldenCase& c, int64_t count) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<int32_t>((i * 37 + 11) % c.config().vocabulary));
  return out;
}

TEST_P(GoldenState, RewindingForgetsWhatCameAfter) {
  const GoldenCase c(GetParam());
  const Continuation want = continuation(c);
  const auto size = static_cast<int64_t>(want.prompt.size());
  Runner runner(c.model());
  SequenceState state = runner.create();
  const std::span<const int32_t> ids(want.prompt);
  const int64_t half = size / 2;
  (void)runner.last(state, ids.first(static_cast<size_t>(half)));
  ASSERT_TRUE(state.keep_snapshot());
  (void)runner.last(state, ids.subspan(static_cast<size_t>(half)));
  (void)runner.last(state, noise(c, 29));
  for (int round = 0; round < 2; ++round) {
    const int64_t at = state.rewind(size - 1);
    EXPECT_EQ(at, c.config().recurrent_layers() > 0 ? half : size - 1);
    const std::vector<float> logits = runner.last(state, ids.subspan(static_cast<size_t>(at)));
    EXPECT_EQ(runner.greedy(state, logits, static_cast<int64_t>(want.tokens.size())), want.tokens);
  }
  EXPECT_EQ(state.rewind(0), 0);
  const std::vector<float> logits = runner.last(state, ids);
  EXPECT_EQ(runner.greedy(state, logits, static_cast<int64_t>(want.tokens.size())), want.tokens);
}

TEST_P(GoldenState, ForksAndSnapshotsGoTheirOwnWays) {
  const GoldenCase c(GetParam());
  const Continuation want = continuation(c);
  Runner runner(c.model());
  SequenceState trunk = runner.create();
  const std::vector<float> logits = runner.last(trunk, want.prompt);
  const auto count = static_cast<int64_t>(want.tokens.size());
  {
    const std::optional<Snapshot> saved = trunk.snapshot();
    ASSERT_TRUE(saved.has_value());
    std::optional<SequenceState> branch = trunk.fork();
    ASSERT_TRUE(branch.has_value());
    (void)runner.last(*branch, noise(c, 40));
    EXPECT_EQ(runner.greedy(trunk, logits, count), want.tokens)
        << "beside a fork that went elsewhere";
    ASSERT_TRUE(branch->restore(*saved));
    EXPECT_EQ(runner.greedy(*branch, logits, count), want.tokens) << "after a restore";
    ASSERT_TRUE(trunk.restore(*saved));
    EXPECT_EQ(runner.greedy(trunk, logits, count), want.tokens) << "restored in place";
  }
  { const SequenceState last = std::move(trunk); }
  EXPECT_EQ(runner.pool().used_bytes(), 0);
}

TEST_P(GoldenState, FailedReservationsLeaveTheSequenceUsable) {
  const GoldenCase c(GetParam());
  const Continuation want = continuation(c);
  const StateShape shape = c.model().state_shape(DType::kF32, 16);
  const auto tokens = static_cast<int64_t>(want.prompt.size() + want.tokens.size());
  StatePool pool(shape, shape.recurrent_bytes() + (tokens / 16 + 1) * shape.page_bytes());
  std::optional<SequenceState> state = pool.create();
  ASSERT_TRUE(state.has_value());
  Runner runner(c.model());
  const std::vector<float> logits = runner.last(*state, want.prompt);
  EXPECT_FALSE(state->reserve(tokens + 16));
  EXPECT_EQ(runner.greedy(*state, logits, static_cast<int64_t>(want.tokens.size())), want.tokens);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenState, testing::ValuesIn(golden_case_names()),
                         case_test_name);

}  // namespace
}  // namespace headgate

// Tests of sequence states: what a sequence reads back is what it wrote, whatever was forked,
// rewound or restored, and nothing leaks.
#include "cache/sequence_state.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"

namespace headgate {
namespace {

StateShape small_shape(int64_t recurrent_layers) {
  StateShape shape;
  shape.attention_layers = 2;
  shape.kv = {DType::kF32, 1, 2, 4};
  shape.recurrent_layers = recurrent_layers;
  shape.conv_floats = 6;
  shape.delta_floats = 8;
  shape.deferred_rows = 4;
  shape.deferred_floats = 2;
  return shape;
}

// The floats of token `t`: K at t * head_dim, V after the K of the page.
float* token_floats(const SequenceState& state, int64_t layer, int64_t t) {
  const int64_t page_tokens = state.shape().kv.page_tokens;
  std::byte* page = state.kv_pages(layer)[static_cast<size_t>(t / page_tokens)];
  return reinterpret_cast<float*>(page) + t % page_tokens * state.shape().kv.head_dim;
}

// A sequence that pretends to be a model: every token leaves its mark in pages and slots, and the
// test keeps the list of tokens as the truth to compare with.
struct Actor {
  SequenceState state;
  std::vector<float> tokens;

  void write(float token) { step({token}, false); }

  // As a model's step does: what was set aside is folded in, then the new tokens are folded in or
  // set aside in turn.
  void step(const std::vector<float>& written, bool defer) {
    if (written.empty()) return;
    const int64_t folded = state.deferred();
    for (int64_t layer = 0; layer < state.shape().attention_layers; ++layer) {
      for (size_t i = 0; i < written.size(); ++i) {
        float* out = token_floats(state, layer, state.position() + static_cast<int64_t>(i));
        out[0] = written[i];
        out[1] = written[i] + static_cast<float>(layer);
      }
    }
    for (int64_t layer = 0; layer < state.shape().recurrent_layers; ++layer) {
      float* aside = state.deferred_updates(layer);
      const int64_t stride = state.shape().deferred_floats;
      for (int64_t i = 0; i < folded; ++i) fold(layer, aside[i * stride]);
      for (size_t i = 0; i < written.size(); ++i) {
        if (defer) {
          aside[static_cast<int64_t>(i) * stride] = written[i];
        } else {
          fold(layer, written[i]);
        }
      }
    }
    tokens.insert(tokens.end(), written.begin(), written.end());
    state.advance(static_cast<int64_t>(written.size()), defer);
  }

  void fold(int64_t layer, float token) {
    state.conv(layer)[5] = token;
    state.delta(layer)[0] += token;  // exact: small integers
    state.delta(layer)[7] = static_cast<float>(layer);
  }

  void check() const {
    ASSERT_EQ(state.position(), static_cast<int64_t>(tokens.size()));
    float sum = 0, last = 0;
    const auto folded = tokens.size() - static_cast<size_t>(state.deferred());
    for (size_t t = 0; t < tokens.size(); ++t) {
      if (t < folded) {
        sum += tokens[t];
        last = tokens[t];
      }
      for (int64_t layer = 0; layer < state.shape().attention_layers; ++layer) {
        const float* got = token_floats(state, layer, static_cast<int64_t>(t));
        ASSERT_EQ(got[0], tokens[t]);
        ASSERT_EQ(got[1], tokens[t] + static_cast<float>(layer));
      }
    }
    for (int64_t layer = 0; layer < state.shape().recurrent_layers; ++layer) {
      ASSERT_EQ(state.delta(layer)[0], sum);
      ASSERT_EQ(state.conv(layer)[5], last);
      for (int64_t i = 0; i < state.deferred(); ++i) {
        ASSERT_EQ(state.deferred_updates(layer)[i * state.shape().deferred_floats],
                  tokens[folded + static_cast<size_t>(i)]);
      }
    }
  }
};

struct Saved {
  Snapshot snapshot;
  std::vector<float> tokens;
};

// Random schedules against the list-of-tokens truth.
class Schedule {
 public:
  Schedule(int64_t recurrent_layers, uint64_t seed)
      : shape_(small_shape(recurrent_layers)),
        pool_(shape_, 12 * shape_.page_bytes() + 7 * shape_.recurrent_bytes()),
        seed_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      ASSERT_LE(pool_.used_bytes(), pool_.budget_bytes());
      for (const Actor& actor : actors_) ASSERT_NO_FATAL_FAILURE(actor.check());
    }
    saved_.clear();
    actors_.clear();
    EXPECT_EQ(pool_.used_bytes(), 0);
  }

 private:
  int64_t draw(int64_t below) {
    return static_cast<int64_t>(random_bits(seed_, 0, index_++) % static_cast<uint64_t>(below));
  }
  Actor& any() { return actors_[static_cast<size_t>(draw(static_cast<int64_t>(actors_.size())))]; }

  void step() {
    const int64_t op = draw(12);
    if (actors_.empty() || op == 0) return create();
    Actor& actor = any();
    if (op <= 5) return write(actor, draw(7));
    if (op == 6) return fork(actor);
    if (op == 7) return save(actor);
    if (op == 8) return restore(actor);
    if (op == 9) return rewind(actor);
    if (op == 10) return keep(actor);
    const size_t victim = static_cast<size_t>(draw(static_cast<int64_t>(actors_.size())));
    actors_.erase(actors_.begin() + static_cast<std::ptrdiff_t>(victim));
    if (!saved_.empty() && draw(2) == 0) saved_.erase(saved_.begin());
  }

  void create() {
    const int64_t before = pool_.used_bytes();
    std::optional<SequenceState> made = pool_.create();
    if (made) {
      actors_.push_back({std::move(*made), {}});
    } else {
      EXPECT_EQ(pool_.used_bytes(), before);
    }
  }

  void write(Actor& actor, int64_t count) {
    const int64_t before = pool_.used_bytes();
    const int64_t capacity = actor.state.capacity();
    if (!actor.state.reserve(count)) {
      EXPECT_EQ(pool_.used_bytes(), before);
      EXPECT_EQ(actor.state.capacity(), capacity);
      return;
    }
    std::vector<float> tokens;
    for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<float>(draw(100) + 1));
    actor.step(tokens, count <= shape_.deferred_rows && draw(2) == 0);
  }

  void fork(Actor& actor) {
    const int64_t before = pool_.used_bytes();
    std::optional<SequenceState> copy = actor.state.fork();
    if (copy) {
      std::vector<float> tokens = actor.tokens;
      actors_.push_back({std::move(*copy), std::move(tokens)});
    } else {
      EXPECT_EQ(pool_.used_bytes(), before);
    }
  }

  void save(Actor& actor) {
    const int64_t before = pool_.used_bytes();
    std::optional<Snapshot> snapshot = actor.state.snapshot();
    if (snapshot) {
      EXPECT_EQ(snapshot->position(), actor.state.position());
      saved_.push_back({*snapshot, actor.tokens});
    } else {
      EXPECT_EQ(pool_.used_bytes(), before);
    }
  }

  void restore(Actor& actor) {
    if (saved_.empty()) return;
    const Saved& saved = saved_[static_cast<size_t>(draw(static_cast<int64_t>(saved_.size())))];
    if (actor.state.restore(saved.snapshot)) actor.tokens = saved.tokens;
  }

  void rewind(Actor& actor) {
    const int64_t wanted = draw(actor.state.position() + 3);
    const int64_t deferred = actor.state.deferred(), position = actor.state.position();
    const int64_t got = actor.state.rewind(wanted);
    EXPECT_LE(got, std::max<int64_t>(wanted, 0));
    if (shape_.recurrent_layers == 0 || wanted >= position - deferred) {
      EXPECT_EQ(got, std::min<int64_t>(wanted, actor.tokens.size()));
    }
    actor.tokens.resize(static_cast<size_t>(got));
  }

  void keep(Actor& actor) {
    const int64_t before = pool_.used_bytes();
    if (!actor.state.keep_snapshot()) {
      EXPECT_EQ(pool_.used_bytes(), before);
    }
  }

  StateShape shape_;
  StatePool pool_;
  uint64_t seed_, index_ = 0;
  std::vector<Actor> actors_;
  std::vector<Saved> saved_;
};

TEST(SequenceState, RandomSchedulesNeitherLeakNorMixTokens) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (const int64_t recurrent : {0, 3}) {
      Schedule schedule(recurrent, seed);
      ASSERT_NO_FATAL_FAILURE(schedule.run(300)) << "seed " << seed << " layers " << recurrent;
    }
  }
}

Actor make_actor(StatePool& pool, int64_t tokens) {
  Actor actor{std::move(*pool.create()), {}};
  EXPECT_TRUE(actor.state.reserve(tokens));
  for (int64_t i = 0; i < tokens; ++i) actor.write(static_cast<float>(i + 1));
  return actor;
}

TEST(SequenceState, HybridRewindGoesToTheDeepestKeptSnapshot) {
  StatePool pool(small_shape(2), 1 << 20);
  Actor actor = make_actor(pool, 3);
  ASSERT_TRUE(actor.state.keep_snapshot());
  ASSERT_TRUE(actor.state.reserve(6));
  for (int i = 0; i < 4; ++i) actor.write(9);
  ASSERT_TRUE(actor.state.keep_snapshot());
  for (int i = 0; i < 2; ++i) actor.write(8);
  EXPECT_EQ(actor.state.rewind(9), 9);  // the current position needs no snapshot
  EXPECT_EQ(actor.state.rewind(8), 7);
  actor.tokens.resize(7);
  actor.check();
  EXPECT_EQ(actor.state.rewind(6), 3);
  actor.tokens.resize(3);
  actor.check();
  EXPECT_EQ(actor.state.rewind(2), 0);
  actor.tokens.clear();
  actor.check();
}

TEST(SequenceState, RewindAmongDeferredTokensIsExact) {
  StatePool pool(small_shape(2), 1 << 20);
  Actor actor = make_actor(pool, 3);
  ASSERT_TRUE(actor.state.reserve(8));
  actor.step({4, 5, 6, 7}, true);
  EXPECT_EQ(actor.state.deferred(), 4);
  actor.check();
  EXPECT_EQ(actor.state.rewind(5), 5);
  EXPECT_EQ(actor.state.deferred(), 2);
  actor.tokens.resize(5);
  actor.check();
  Actor fork{std::move(*actor.state.fork()), actor.tokens};
  ASSERT_TRUE(fork.state.reserve(1));
  fork.write(60);  // folds 4 and 5 in
  fork.check();
  EXPECT_EQ(actor.state.rewind(3), 3);
  actor.tokens.resize(3);
  actor.check();
  EXPECT_EQ(actor.state.rewind(2), 0);  // before the deferred tokens: no snapshot there
}

TEST(SequenceState, AttentionOnlyRewindIsExactAndFreesPages) {
  StatePool pool(small_shape(0), 1 << 20);
  Actor actor = make_actor(pool, 11);
  EXPECT_EQ(pool.used_bytes(), 3 * pool.shape().page_bytes());
  EXPECT_EQ(actor.state.rewind(5), 5);
  EXPECT_EQ(pool.used_bytes(), 2 * pool.shape().page_bytes());
  actor.tokens.resize(5);
  actor.check();
}

TEST(SequenceState, ForksShareFullPagesAndCopyTheLastOneOnWrite) {
  StatePool pool(small_shape(1), 1 << 20);
  Actor a = make_actor(pool, 6);
  const int64_t slot = pool.shape().recurrent_bytes(), page = pool.shape().page_bytes();
  Actor b{std::move(*a.state.fork()), a.tokens};
  EXPECT_EQ(pool.used_bytes(), 2 * slot + 2 * page);
  ASSERT_TRUE(b.state.reserve(1));
  b.write(50);
  EXPECT_EQ(pool.used_bytes(), 2 * slot + 3 * page);
  ASSERT_TRUE(a.state.reserve(1));  // its last page is private again
  EXPECT_EQ(pool.used_bytes(), 2 * slot + 3 * page);
  a.write(60);
  a.check();
  b.check();
}

TEST(SequenceState, ReserveBeyondTheBudgetChangesNothing) {
  const StateShape shape = small_shape(1);
  StatePool pool(shape, shape.recurrent_bytes() + 2 * shape.page_bytes());
  Actor actor = make_actor(pool, 5);
  EXPECT_FALSE(actor.state.reserve(4));
  EXPECT_FALSE(actor.state.reserve(INT64_MAX / 2));
  EXPECT_EQ(actor.state.capacity(), 8);
  EXPECT_TRUE(actor.state.reserve(3));
  EXPECT_FALSE(actor.state.keep_snapshot());
  EXPECT_FALSE(actor.state.fork().has_value());
  EXPECT_FALSE(actor.state.snapshot().has_value());
  EXPECT_FALSE(pool.create().has_value());
  actor.check();
}

TEST(SequenceState, SlotsOfNewSequencesAreZeroAfterReuse) {
  StatePool pool(small_shape(2), 1 << 20);
  { const Actor used = make_actor(pool, 5); }
  const Actor fresh{std::move(*pool.create()), {}};
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (int i = 0; i < 6; ++i) EXPECT_EQ(fresh.state.conv(layer)[i], 0.0f);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(fresh.state.delta(layer)[i], 0.0f);
  }
}

}  // namespace
}  // namespace headgate

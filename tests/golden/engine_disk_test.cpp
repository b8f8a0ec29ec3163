// The engine's cache on disk: warm, restarted and damaged, answers are the cold ones bit for bit.
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "tests/golden/engine_mixtures.h"

namespace headgate {
namespace {

namespace fs = std::filesystem;

class EngineDiskTest : public EngineFixture {
 protected:
  EngineDiskTest() {
    folder_ = fs::temp_directory_path() / fmt::format("headgate-engine-disk-{}", ::getpid());
    fs::remove_all(folder_);
  }
  ~EngineDiskTest() override { fs::remove_all(folder_); }

  EngineOptions options(int64_t slots, int64_t pages) const {
    const StateShape shape = model_->state_shape(DType::kF32);
    EngineOptions out;
    out.context = 1024;
    out.checkpoint_every = 64;
    out.drafts = 0;
    out.state_budget_bytes = slots * shape.recurrent_bytes() + pages * shape.page_bytes();
    return out;
  }
  EngineOptions on_disk(EngineOptions out) const {
    out.cache_folder = folder_.string();
    out.cache_disk_bytes = 64 << 20;
    out.model_identity = "a golden case";
    return out;
  }

  // One bit of one file.
  void damage_one(uint64_t seed) const {
    std::vector<fs::path> all;
    for (const auto& each : fs::directory_iterator(folder_))
      if (each.path().extension() == ".kv" || each.path().extension() == ".st")
        all.push_back(each.path());
    if (all.empty()) return;
    std::sort(all.begin(), all.end());
    const fs::path& path = all[random_bits(seed, 1, 0) % all.size()];
    std::string text = read_text_file(path.string());
    text[random_bits(seed, 1, 1) % text.size()] ^= 4;
    write_text_file(path.string(), text);
  }

  fs::path folder_;
};

// Conversations grow, are edited, forked, answered again and broken off, beside each other, in
// memory for two states; between rounds the engine is stopped and started, and now and then a file
// is damaged.
TEST_P(EngineDiskTest, WarmAnswersAreTheColdOnesAfterRestartsAndDamage) {
  EngineOptions plain = options(4, 8);
  const std::unique_ptr<Backend> other_backend = open_backend({.threads = 1});
  const std::shared_ptr<const Model> other_model = Model::load(*checkpoint_, *other_backend);
  plain.prefix_cache = false;
  Engine cold(other_model, text_tokens(), plain);
  plain.prefix_cache = true;
  std::unique_ptr<Engine> warm = make(on_disk(plain));

  Conversations conversations(4, 9);
  const auto tokens = [&](int64_t count, uint64_t seed) { return random_tokens(count, seed); };
  int64_t from_disk = 0, stored = 0;
  for (int round = 0; round < 20; ++round) {
    if (round % 3 == 2) {
      warm.reset();  // writes what it has
      if (round % 2 == 0) damage_one(static_cast<uint64_t>(round));
      warm = make(on_disk(plain));
    }
    std::vector<std::pair<size_t, std::pair<std::shared_ptr<Recorder>, std::shared_ptr<Recorder>>>>
        turns;
    for (int i = 0; i < 2; ++i) {
      const Conversations::Turn next = conversations.next(20, 90, tokens);
      Request request = any_request(next.index);
      request.prompt = conversations.texts[next.which];
      request.sampling.top_logprobs = 8;
      request.checkpoints = {10, next.before, next.before / 2};
      request.cache_salt = next.which == 3 ? "other" : "";
      auto told_warm = std::make_shared<Recorder>(), told_cold = std::make_shared<Recorder>();
      cold.submit(request, told_cold);
      const RequestId id = warm->submit(request, told_warm);
      if (next.action == 4) warm->cancel(id);
      turns.push_back({next.which, {told_warm, told_cold}});
    }
    for (const auto& [which, told] : turns) {
      told.first->wait();
      told.second->wait();
      const RequestResult& result = told.first->result();
      if (result.reason == FinishReason::kCancelled) continue;
      from_disk += result.from_disk ? result.cached_tokens : 0;
      ASSERT_EQ(told.first->logprobs, told.second->logprobs) << "round " << round;
      ASSERT_EQ(told.first->answer(), told.second->answer()) << "round " << round;
    }
    stored = std::max(stored, warm->stats().disk.stored);
  }
  EXPECT_GT(from_disk, 200);
  warm->forget_prefixes();
  wait_until_empty(*warm);
  EXPECT_EQ(warm->stats().state_bytes, 0);
  EXPECT_EQ(warm->stats().disk.bytes, 0);
}

TEST_P(EngineDiskTest, ARestartIsWarmAndSaysSo) {
  Request request = any_request(4);
  request.prompt = random_tokens(400, 4);
  std::vector<int32_t> first;
  {
    const auto engine = make(on_disk(options(8, 8)));
    auto told = std::make_shared<Recorder>();
    engine->submit(request, told);
    told->wait();
    first = told->answer();
    EXPECT_FALSE(told->result().from_disk);
  }
  const auto engine = make(on_disk(options(8, 8)));
  auto told = std::make_shared<Recorder>();
  engine->submit(request, told);
  told->wait();
  EXPECT_EQ(told->answer(), first);
  EXPECT_GE(told->result().cached_tokens, 392);
  EXPECT_TRUE(told->result().from_disk);
  EXPECT_TRUE(told->start.from_disk);
  wait_until_empty(*engine);
  EXPECT_GT(engine->stats().disk.entries, 0);
  EXPECT_EQ(engine->stats().disk.fetched, 1);
  EXPECT_EQ(engine->stats().disk_cached_tokens, told->result().cached_tokens);
}

TEST_P(EngineDiskTest, AnotherModelsStatesAreNotServed) {
  Request request = any_request(4);
  request.prompt = random_tokens(300, 4);
  for (const char* identity : {"one", "two"}) {
    EngineOptions other = on_disk(options(8, 8));
    other.model_identity = identity;
    const auto engine = make(other);
    auto told = std::make_shared<Recorder>();
    engine->submit(request, told);
    told->wait();
    EXPECT_EQ(told->result().cached_tokens, 0) << identity;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, EngineDiskTest, testing::Values("q3n_tiny", "q3_dense"));

}  // namespace
}  // namespace headgate

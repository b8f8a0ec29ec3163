// Tests of state files and the disk tier: what comes back is what went, or nothing at all.
#include "cache/disk_tier.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "cache/state_file.h"

namespace headgate {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;
using std::chrono::milliseconds;

StateShape small_shape(int64_t recurrent_layers = 2) {
  StateShape shape;
  shape.attention_layers = 2;
  shape.kv = {DType::kF32, 1, 2, 4};
  shape.recurrent_layers = recurrent_layers;
  shape.conv_floats = 3;
  shape.delta_floats = 5;
  shape.deferred_rows = 2;
  shape.deferred_floats = 2;
  return shape;
}

Ids counted(int64_t tokens, int32_t first = 0) {
  Ids out;
  for (int64_t i = 0; i < tokens; ++i) out.push_back(first + static_cast<int32_t>(i));
  return out;
}

// Bytes of a token in a page, or of a state after some: the same for the same beginning.
float mark(const Ids& tokens, int64_t position, int64_t place) {
  return static_cast<float>(tokens[static_cast<size_t>(position)] * 7 + place);
}

class DiskTierTest : public testing::Test {
 protected:
  DiskTierTest() {
    folder_ = fs::temp_directory_path() /
              fmt::format("headgate-tier-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    open();
  }
  ~DiskTierTest() override {
    tier_.reset();
    fs::remove_all(folder_);
  }

  void open(int64_t quota = 1 << 20, const char* profile = "profile") {
    tier_.reset();
    profile_ = Sha256().add(profile).digest();
    tier_ = std::make_unique<DiskTier>(DiskTierOptions{folder_.string(), quota, profile_}, shape_);
  }

  // A state that has consumed `tokens`, every page and slot marked by them.
  Snapshot state_after(const Ids& tokens, int64_t deferred = 0) {
    SequenceState state = std::move(*pool_.create());
    const auto count = static_cast<int64_t>(tokens.size());
    EXPECT_TRUE(state.reserve(count));
    const StateImage image = state.image_at(count, deferred);
    fill(image, tokens);
    state.filled(count, deferred);
    return std::move(state).freeze();
  }
  void fill(const StateImage& image, const Ids& tokens) {
    const int64_t page_tokens = shape_.kv.page_tokens;
    for (size_t page = 0; page < image.pages.size(); ++page) {
      auto* floats = reinterpret_cast<float*>(image.pages[page].data());
      for (int64_t i = 0; i < page_tokens; ++i) {
        const int64_t at = static_cast<int64_t>(page) * page_tokens + i;
        if (at < static_cast<int64_t>(tokens.size())) floats[i] = mark(tokens, at, 1);
      }
    }
    for (size_t layer = 0; layer < image.recurrent.size(); ++layer) {
      auto* floats = reinterpret_cast<float*>(image.recurrent[layer].data());
      for (size_t i = 0; i < image.recurrent[layer].size() / sizeof(float); ++i)
        floats[i] = mark(tokens, static_cast<int64_t>(tokens.size()) - 1,
                         static_cast<int64_t>(10 * layer + i));
    }
  }
  // Whether the image says what fill() writes.
  bool holds(const ConstStateImage& image, const Ids& tokens) {
    const Snapshot expected = state_after(tokens, image.deferred);
    const ConstStateImage other = expected.image();
    const int64_t page_tokens = shape_.kv.page_tokens;
    for (size_t at = 0; at < tokens.size(); ++at) {
      const size_t page = at / static_cast<size_t>(page_tokens),
                   i = at % static_cast<size_t>(page_tokens);
      if (std::memcmp(image.pages[page].data() + i * sizeof(float),
                      other.pages[page].data() + i * sizeof(float), sizeof(float)) != 0)
        return false;
    }
    for (size_t layer = 0; layer < image.recurrent.size(); ++layer) {
      if (std::memcmp(image.recurrent[layer].data(), other.recurrent[layer].data(),
                      image.recurrent[layer].size()) != 0)
        return false;
    }
    return true;
  }

  DiskTier::Done done() {
    for (int i = 0; i < 1000; ++i) {
      std::vector<DiskTier::Done> all = tier_->poll();
      if (!all.empty()) return all.front();
      tier_->wait(milliseconds(20));
    }
    ADD_FAILURE() << "nothing ended";
    return {};
  }
  DiskEntry* store(const Ids& tokens, DiskEntry* parent = nullptr, int64_t deferred = 0) {
    std::vector<DiskEntry*> removed;
    DiskEntry* entry =
        tier_->begin_store(salt_, tokens, parent, state_after(tokens, deferred), removed);
    if (entry == nullptr) return nullptr;
    const DiskTier::Done end = done();
    EXPECT_TRUE(end.ok);
    return end.entry;
  }
  // Reads an entry back; false when the tier says that it cannot.
  bool fetch(DiskEntry* entry, const Ids& tokens) {
    SequenceState state = std::move(*pool_.create());
    EXPECT_TRUE(state.reserve(entry->position));
    const int64_t position = entry->position, deferred = entry->deferred;
    tier_->begin_fetch(entry, state.image_at(position, deferred), 0);
    if (!done().ok) return false;
    state.filled(position, deferred);
    EXPECT_TRUE(holds(std::move(state).freeze().image(), tokens));
    return true;
  }
  std::vector<fs::path> files(const char* suffix) {
    std::vector<fs::path> out;
    for (const auto& each : fs::directory_iterator(folder_))
      if (each.path().extension() == suffix) out.push_back(each.path());
    return out;
  }

  StateShape shape_ = small_shape();
  StatePool pool_{shape_, 1 << 22};
  Digest salt_ = Sha256().add("tenant").digest();
  Digest profile_{};
  fs::path folder_;
  std::unique_ptr<DiskTier> tier_;
};

TEST_F(DiskTierTest, ComesBackAsItWentAlsoAfterARestart) {
  const Ids tokens = counted(11);
  DiskEntry* entry = store(tokens, nullptr, 2);
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(fetch(entry, tokens));
  open();
  const std::vector<DiskTier::Found> found = tier_->take_found();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].tokens, tokens);
  EXPECT_EQ(found[0].salt, salt_);
  EXPECT_EQ(found[0].entry->deferred, 2);
  EXPECT_TRUE(fetch(found[0].entry, tokens));
}

TEST_F(DiskTierTest, AChildStoresOnlyThePagesItsParentLacks) {
  DiskEntry* parent = store(counted(10));  // pages 0, 1 and half of 2
  DiskEntry* child = store(counted(15), parent);
  EXPECT_EQ(parent->pages, 3);
  EXPECT_EQ(child->first_page, 2);
  EXPECT_EQ(child->pages, 2);
  EXPECT_TRUE(fetch(child, counted(15)));
  open();
  for (const DiskTier::Found& found : tier_->take_found())
    EXPECT_TRUE(fetch(found.entry, found.tokens));
}

TEST_F(DiskTierTest, TheQuotaHoldsAndParentsKeepWhatChildrenNeed) {
  DiskEntry* parent = store(counted(10));
  DiskEntry* child = store(counted(15), parent);
  const int64_t full = tier_->stats().bytes;
  ASSERT_NE(child, nullptr);
  open(full - 1);  // one of the states has to go
  EXPECT_LT(tier_->stats().bytes, full);
  EXPECT_EQ(tier_->stats().entries, 1);
  for (const DiskTier::Found& found : tier_->take_found()) {
    if (found.entry->serves) {
      EXPECT_TRUE(fetch(found.entry, found.tokens));
    }
  }
  for (int32_t i = 0; i < 20; ++i) {
    (void)store(counted(12, 100 * i));
    EXPECT_LE(tier_->stats().bytes, full - 1);
  }
  EXPECT_GT(tier_->stats().removed, 10);
}

TEST_F(DiskTierTest, MemoryIsCountedAndWhatIsWorthLeastGoesFirst) {
  EXPECT_EQ(tier_->memory_bytes(), 0);
  DiskEntry* old = store(counted(12));
  const int64_t one = tier_->memory_bytes();
  EXPECT_GE(one, static_cast<int64_t>(sizeof(DiskEntry)));
  for (int32_t i = 1; i < 10; ++i) (void)store(counted(12, 100 * i));
  EXPECT_EQ(tier_->memory_bytes(), 10 * one);
  std::vector<DiskEntry*> removed;
  ASSERT_TRUE(tier_->drop_least(removed));
  EXPECT_EQ(removed, std::vector<DiskEntry*>{old});
  while (tier_->drop_least(removed)) continue;
  EXPECT_EQ(tier_->memory_bytes(), 0);
  EXPECT_EQ(tier_->stats().bytes, 0);
}

TEST_F(DiskTierTest, WhatIsLargerThanTheQuotaIsNotStored) {
  open(4096);
  EXPECT_EQ(store(counted(10)), nullptr);
  EXPECT_TRUE(files(".kv").empty());
}

// Every byte of every file, changed or cut off: an entry is served with its own bytes or not.
TEST_F(DiskTierTest, DamageIsFoundWhereverItIs) {
  const Ids short_tokens = counted(6), tokens = counted(11);
  (void)store(tokens, store(short_tokens));
  tier_.reset();
  std::vector<std::pair<fs::path, std::string>> whole;
  for (const char* suffix : {".kv", ".st"})
    for (const fs::path& path : files(suffix))
      whole.push_back({path, read_text_file(path.string())});
  ASSERT_EQ(whole.size(), 4u);
  set_log_level(LogLevel::kError);
  int64_t served = 0, tried = 0;
  for (const auto& [damaged, text] : whole) {
    for (int64_t i = 0; i < 10; ++i) {
      for (const auto& [path, bytes] : whole) write_text_file(path.string(), bytes);
      std::string changed = text;
      const auto at = static_cast<size_t>(random_bits(1, static_cast<uint64_t>(tried), 0) %
                                          (i % 2 == 0 ? 512 : changed.size()));
      if (i < 8) changed[at] = static_cast<char>(changed[at] ^ (1 << (i % 8)));
      if (i >= 8) changed.resize(at);
      write_text_file(damaged.string(), changed);
      ++tried;
      open();
      for (const DiskTier::Found& found : tier_->take_found()) {
        if (!found.entry->serves) continue;
        const bool ok = fetch(found.entry, found.tokens);  // compares every byte when it says so
        served += ok ? 1 : 0;
        if (!ok) break;  // the others may have gone with it
      }
      tier_.reset();
    }
  }
  set_log_level(LogLevel::kWarning);
  EXPECT_GT(served, tried / 3);  // what stands on nothing damaged is served
}

TEST_F(DiskTierTest, OtherProfilesAreLeftAloneAndGoFirst) {
  (void)store(counted(10));
  const int64_t one = tier_->stats().bytes;
  open(one + 100, "another");
  EXPECT_TRUE(tier_->take_found().empty());
  EXPECT_EQ(tier_->stats().bytes, one);
  EXPECT_NE(store(counted(10)), nullptr);
  open(one + 100, "another");
  EXPECT_EQ(files(".kv").size(), 1u);
}

TEST_F(DiskTierTest, HalfAnEntryAndStrangersAreSkipped) {
  (void)store(counted(10));
  tier_.reset();
  fs::remove(files(".st").front());
  std::ofstream(folder_ / "notes.txt") << "mine";
  std::ofstream(folder_ / (std::string(64, 'a') + ".kv")) << "not a state";
  std::ofstream(folder_ / (std::string(64, 'b') + ".st.tmp-17")) << "half";
  open();
  EXPECT_TRUE(tier_->take_found().empty());
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
  EXPECT_TRUE(files(".kv").empty());
  EXPECT_EQ(tier_->stats().bytes, 0);
}

TEST_F(DiskTierTest, AFolderHasOneOwner) {
  EXPECT_THROW(DiskTier(DiskTierOptions{folder_.string(), 1 << 20, profile_}, shape_), Error);
}

TEST_F(DiskTierTest, AnAbortedStoreLeavesNothing) {
  std::vector<DiskEntry*> removed;
  ASSERT_NE(tier_->begin_store(salt_, counted(9), nullptr, state_after(counted(9)), removed),
            nullptr);
  tier_->abort_store();
  const DiskTier::Done end = done();
  EXPECT_FALSE(tier_->is_storing());
  if (!end.ok) {
    EXPECT_EQ(tier_->stats().bytes, 0);
  }
  tier_.reset();
  EXPECT_EQ(files(".kv").size(), end.ok ? 1u : 0u);
}

TEST(StateFile, NotesAndTokensComeBack) {
  const fs::path path = fs::temp_directory_path() / fmt::format("headgate-note-{}", ::getpid());
  StateFileInfo info;
  info.tokens = counted(5000);
  info.page_tokens = 0;
  info.note = std::string(9000, 'x');
  ASSERT_TRUE(write_state_file(path.string(), info, {}, {}));
  const StateFileInfo back = read_state_header(path.string());
  EXPECT_EQ(back.tokens, info.tokens);
  EXPECT_EQ(back.note, info.note);
  EXPECT_EQ(back.file_bytes, static_cast<int64_t>(fs::file_size(path)));
  fs::remove(path);
}

}  // namespace
}  // namespace headgate

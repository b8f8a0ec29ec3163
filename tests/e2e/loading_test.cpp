// Loading: streamed files give the bits of files in memory, packed side files those of both, and
// memory never grows much beyond what the loaded model takes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "convert/synth.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace headgate {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// A line of /proc/self/status, in bytes.
int64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) == 0)
      return std::strtoll(line.c_str() + key.size() + 1, nullptr, 10) << 10;
  }
  return 0;
}

class Loading : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "headgate-loading-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string synth(const std::string& name, const std::string& mix, DType type) const {
    SynthOptions options;
    options.preset = "nano";
    options.mix = mix;
    options.type = type;
    options.output = folder_ + name;
    options.threads = 2;
    synthesize_checkpoint(options);
    return options.output;
  }

  static std::vector<float> logits_of(const Checkpoint& checkpoint, int threads,
                                      const std::string& packed_cache = "") {
    const std::unique_ptr<Backend> backend = open_backend({.threads = threads});
    LoadOptions load;
    load.packed_cache = packed_cache;
    const std::shared_ptr<const Model> model = Model::load(checkpoint, *backend, load);
    StatePool pool(model->state_shape(DType::kF32), int64_t{64} << 20);
    std::optional<SequenceState> state = pool.create();
    HEADGATE_CHECK(state && state->reserve(9));
    const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5};
    const BatchItem item{&*state, tokens, LogitRows::kLast};
    StepResult result;
    model->forward({&item, 1}, result);
    return result.logits;
  }

  std::vector<std::string> packed_files() const {
    std::vector<std::string> files;
    if (!is_directory(folder_ + "/packed")) return files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/packed"))
      files.push_back(entry.path().string());
    return files;
  }

  std::string folder_;
};

TEST_F(Loading, StreamedFilesGiveTheBitsOfFilesInMemory) {
  struct Case {
    const char* mix;
    DType type;
  };
  for (const Case& c : {Case{"q4_k_m", DType::kBF16}, Case{"", DType::kQ8_0},
                        Case{"", DType::kBF16}, Case{"", DType::kIQ4_NL}}) {
    const std::string path = synth("/model.gguf", c.mix, c.type);
    const std::vector<float> streamed = logits_of(open_checkpoint(path), 2);
    const std::string bytes = read_text_file(path);
    const Checkpoint in_memory =
        open_checkpoint_memory(std::as_bytes(std::span(bytes.data(), bytes.size())), "memory");
    EXPECT_EQ(streamed, logits_of(in_memory, 3)) << dtype_name(c.type);
  }
}

TEST_F(Loading, FoldersStreamTheirReorderedRows) {
  // Rows of fused projections are taken in an order of their own.
  const std::string path = synth("/folder", "", DType::kBF16);
  const std::vector<float> one = logits_of(open_checkpoint(path), 1);
  EXPECT_EQ(one, logits_of(open_checkpoint(path), 4));
  EXPECT_EQ(one, logits_of(open_checkpoint(path), 2, folder_ + "/packed"));
  EXPECT_EQ(one, logits_of(open_checkpoint(path), 2, folder_ + "/packed"));
}

TEST_F(Loading, PackedFilesGiveTheSameBitsAndAreReplacedWhenStale) {
  const std::string path = synth("/model.gguf", "q4_k_m", DType::kBF16);
  const std::vector<float> want = logits_of(open_checkpoint(path), 2);
  const std::string cache = folder_ + "/packed";
  EXPECT_EQ(logits_of(open_checkpoint(path), 2, cache), want);
  ASSERT_EQ(packed_files().size(), 1u);
  const std::string file = packed_files()[0];
  const std::string written = read_text_file(file);
  EXPECT_EQ(logits_of(open_checkpoint(path), 1, cache), want);  // mapped
  EXPECT_EQ(read_text_file(file), written);

  // Truncated: one warning, written anew.
  testing::internal::CaptureStderr();
  write_text_file(file, written.substr(0, written.size() / 2));
  EXPECT_EQ(logits_of(open_checkpoint(path), 2, cache), want);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("packing the model again"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_EQ(read_text_file(file), written);

  // The model changes: another identity.
  struct timespec times[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(logits_of(open_checkpoint(path), 2, cache), want);
  EXPECT_NE(read_text_file(file), written);
  EXPECT_EQ(packed_files().size(), 1u);
}

// Four layers of the true shapes: the tensors are holes of a sparse file, so that the disk does not
// matter, but packed they take memory like any others.
TEST_F(Loading, MemoryStaysWithinATenthOfTheLoadedModel) {
  if (kSanitized) GTEST_SKIP() << "sanitizers keep memory of their own";
  SynthOptions options;
  options.preset = "qwen3-next-80b";
  options.layers = 4;
  options.experts = 24;
  options.mix = "q4_k_m";
  options.mtp = false;
  options.header_only = true;
  options.output = folder_ + "/big.gguf";
  synthesize_checkpoint(options);
  const Checkpoint checkpoint = open_checkpoint(options.output);
  const std::unique_ptr<Backend> backend = open_backend({.threads = 2});
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak counts from here
  const int64_t before = status_bytes("VmRSS");
  int64_t reports = 0, last = 0;
  LoadOptions load;
  load.progress = [&](int64_t done, int64_t total) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, total);
    last = done;
    ++reports;
    return true;
  };
  const std::shared_ptr<const Model> model = Model::load(checkpoint, *backend, load);
  const int64_t after = status_bytes("VmRSS"), peak = status_bytes("VmHWM");
  EXPECT_GT(reports, 20);
  EXPECT_GT(model->weight_bytes(), int64_t{200} << 20);
  EXPECT_LT(static_cast<double>(peak - before), 1.1 * static_cast<double>(after - before))
      << "before " << before << " after " << after << " peak " << peak;
  EXPECT_LT(static_cast<double>(after - before), 1.1 * static_cast<double>(model->weight_bytes()));
  std::printf("weights %.0f MB, resident %.0f MB, peak %.0f MB\n",
              static_cast<double>(model->weight_bytes()) * 1e-6,
              static_cast<double>(after - before) * 1e-6,
              static_cast<double>(peak - before) * 1e-6);
}

}  // namespace
}  // namespace headgate

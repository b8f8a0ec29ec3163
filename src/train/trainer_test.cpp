// The trainer's promises: resume and threads change no bit, packing changes nothing, it learns.
#include "train/trainer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "formats/safetensors.h"
#include "train/tiny_run.h"

namespace headgate {
namespace {

// Rows of documents of the given lengths, over and over.
TrainBatch random_batch(int64_t rows, int64_t length, int64_t document, uint64_t seed) {
  TrainBatch batch;
  batch.rows = rows;
  batch.length = length;
  for (int64_t i = 0; i < rows * length; ++i) {
    batch.tokens.push_back(
        static_cast<int32_t>(random_bits(seed, 1, static_cast<uint64_t>(i)) % 48));
    batch.documents.push_back(static_cast<int32_t>(i % length / document));
    batch.weights.push_back(1.0f);
  }
  return batch;
}

std::vector<float> all_weights(const Trainer& trainer) {
  std::vector<float> out;
  for (const TrainTensor& tensor : trainer.tensors()) {
    out.insert(out.end(), tensor.values.begin(), tensor.values.end());
  }
  return out;
}

class Folder {
 public:
  explicit Folder(const std::string& name) : path_(testing::TempDir() + "headgate-train-" + name) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Trainer, ThreadsChangeNoBit) {
  for (const TrainPrecision precision : {TrainPrecision::kF32, TrainPrecision::kAuto}) {
    TrainConfig config = tiny_run();
    config.precision = precision;
    Trainer one(config, 1), four(config, 4);
    for (uint64_t step = 0; step < 2; ++step) {
      const TrainBatch batch = random_batch(3, 70, 40, step);
      const StepStats a = one.step(batch), b = four.step(batch);
      EXPECT_EQ(a.loss, b.loss);
      EXPECT_EQ(a.gradient_norm, b.gradient_norm);
    }
    EXPECT_EQ(all_weights(one), all_weights(four));
  }
}

TEST(Trainer, ResumingChangesNoBit) {
  const Folder folder("resume");
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kMuon}) {
    TrainConfig config = tiny_run();
    config.optimizer.kind = kind;
    Trainer unbroken(config, 2);
    for (uint64_t step = 0; step < 2; ++step) unbroken.step(random_batch(1, 40, 40, step));
    unbroken.save_checkpoint(folder.path(), "row 17");
    config.seed = 99;
    Trainer resumed(config, 1);
    EXPECT_EQ(resumed.load_checkpoint(folder.path()), "row 17");
    EXPECT_EQ(resumed.steps_done(), 2);
    for (uint64_t step = 2; step < 4; ++step) {
      const TrainBatch batch = random_batch(1, 40, 40, step);
      EXPECT_EQ(unbroken.step(batch).loss, resumed.step(batch).loss);
    }
    EXPECT_EQ(all_weights(unbroken), all_weights(resumed));
  }
}

TEST(Trainer, KeepsTheNewestCheckpointsAndIgnoresHalfOnes) {
  const Folder folder("keep");
  Trainer trainer(tiny_run(), 1);
  const TrainBatch batch = random_batch(1, 16, 16, 1);
  for (int step = 0; step < 4; ++step) {
    trainer.step(batch);
    trainer.save_checkpoint(folder.path(), "", 2);
  }
  EXPECT_FALSE(file_exists(folder.path() + "/step-00000002/model.safetensors"));
  EXPECT_TRUE(file_exists(folder.path() + "/step-00000003/model.safetensors"));
  // A writer that was killed leaves a folder with a temporary file.
  std::filesystem::create_directories(folder.path() + "/step-00000009");
  write_text_file(folder.path() + "/step-00000009/model.safetensors.tmp-1", "half");
  Trainer resumed(tiny_run(), 1);
  resumed.load_checkpoint(folder.path());
  EXPECT_EQ(resumed.steps_done(), 4);
  resumed.step(batch);
  resumed.save_checkpoint(folder.path(), "", 2);
  EXPECT_FALSE(is_directory(folder.path() + "/step-00000009"));
}

// Trains to `last`, saving after every step, from whatever the folder holds.
void train_and_save(const std::string& folder, int64_t last) {
  Trainer trainer(tiny_run(), 1);
  try {
    trainer.load_checkpoint(folder);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  while (trainer.steps_done() < last) {
    trainer.step(random_batch(1, 24, 24, static_cast<uint64_t>(trainer.steps_done())));
    trainer.save_checkpoint(folder, "");
  }
}

TEST(Trainer, KilledAtAnyMomentARunGoesOnWithTheSameBits) {
  const Folder folder("kill");
  constexpr int64_t kLast = 60;
  for (uint64_t round = 0; round < 5; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        train_and_save(folder.path(), kLast);
      } catch (...) {
        _exit(1);  // the child must not go on with the other tests
      }
      _exit(0);
    }
    usleep(static_cast<useconds_t>(20000 + random_bits(4, 1, round) % 60000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  }
  train_and_save(folder.path(), kLast);
  Trainer resumed(tiny_run(), 1), unbroken(tiny_run(), 1);
  resumed.load_checkpoint(folder.path());
  for (uint64_t step = 0; step < kLast; ++step) unbroken.step(random_batch(1, 24, 24, step));
  EXPECT_EQ(resumed.steps_done(), kLast);
  EXPECT_EQ(all_weights(resumed), all_weights(unbroken));
}

TEST(Trainer, RefusesACheckpointOfAnotherNetwork) {
  const Folder folder("other");
  TrainConfig config = tiny_run();
  Trainer(config, 1).save_checkpoint(folder.path(), "");
  config.loss.mtp_steps = 0;
  EXPECT_THROW(Trainer(config, 1).load_checkpoint(folder.path()), Error);
  EXPECT_THROW(Trainer(config, 1).load_checkpoint(folder.path() + "/none"), Error);
}

TEST(Trainer, PackedDocumentsLoseWhatTheyLoseAlone) {
  Trainer trainer(tiny_run(), 2);
  const std::vector<int64_t> lengths = {3, 61, 1, 70, 29};
  TrainBatch packed = random_batch(1, 164, 164, 5);
  std::vector<float> together(164, 0.0f), alone(164, 0.0f);
  int64_t at = 0;
  for (size_t d = 0; d < lengths.size(); ++d) {
    std::fill_n(packed.documents.begin() + at, lengths[d], static_cast<int32_t>(d));
    at += lengths[d];
  }
  trainer.evaluate({&packed, 1}, [&](int64_t, int64_t token, float loss) {
    together[static_cast<size_t>(token)] = loss;
  });
  at = 0;
  for (const int64_t length : lengths) {
    if (length > 1) {
      TrainBatch one = random_batch(1, length, length, 0);
      std::copy_n(packed.tokens.begin() + at, length, one.tokens.begin());
      trainer.evaluate({&one, 1}, [&](int64_t, int64_t token, float loss) {
        alone[static_cast<size_t>(at + token)] = loss;
      });
    }
    at += length;
  }
  for (size_t t = 0; t < together.size(); ++t)
    EXPECT_NEAR(together[t], alone[t], 1e-6f * std::max(1.0f, alone[t])) << t;
}

TEST(Trainer, AccumulationEqualsOneBatch) {
  TrainConfig config = tiny_run();
  config.loss.balance_weight = 0;  // the counts of later micro-batches are not known yet
  Trainer whole(config, 1), parts(config, 1);
  const TrainBatch both = random_batch(2, 40, 25, 8);
  TrainBatch halves[2];
  for (int64_t i = 0; i < 2; ++i) {
    halves[i] = both;
    halves[i].rows = 1;
    const auto cut = [&](auto& values) {
      values.erase(values.begin() + (i == 0 ? 40 : 0), values.begin() + (i == 0 ? 80 : 40));
    };
    cut(halves[i].tokens);
    cut(halves[i].documents);
    cut(halves[i].weights);
  }
  const StepStats a = whole.gradients({&both, 1}), b = parts.gradients(halves);
  EXPECT_NEAR(a.loss, b.loss, 1e-5);
  EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-5 * a.gradient_norm);
  EXPECT_EQ(a.expert_load, b.expert_load);
}

TEST(Trainer, LearnsAFewRowsByHeart) {
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kMuon}) {
    TrainConfig config = tiny_run();
    config.precision = TrainPrecision::kAuto;
    config.optimizer.kind = kind;
    config.schedule.peak_rate = 1e-2;
    config.schedule.warmup_steps = 5;
    config.loss.mtp_steps = 1;
    Trainer trainer(config, 2);
    const TrainBatch batch = random_batch(4, 24, 24, 11);
    // At this rate the loss keeps jumping between 0.004 and 0.1: the best step tells.
    double best = 10, best_mtp = 10;
    for (int step = 0; step < 150; ++step) {
      const StepStats stats = trainer.step(batch);
      best = std::min(best, stats.main_loss);
      best_mtp = std::min(best_mtp, stats.mtp_loss[0]);
    }
    EXPECT_LT(best, 0.02);
    EXPECT_LT(best_mtp, 1.0);
  }
}

TEST(Trainer, ExportedWeightsComeBack) {
  const Folder folder("export");
  Trainer trainer(tiny_run(), 1);
  trainer.export_weights(folder.path(), DType::kF32);
  TrainConfig other = tiny_run();
  other.seed = 8;
  Trainer copy(other, 1);
  EXPECT_NE(all_weights(trainer), all_weights(copy));
  copy.load_weights(open_safetensors(folder.path() + "/model.safetensors"));
  EXPECT_EQ(all_weights(trainer), all_weights(copy));
  EXPECT_TRUE(file_exists(folder.path() + "/config.json"));
}

TEST(Trainer, SaysWhatIsWrongWithABatch) {
  Trainer trainer(tiny_run(), 1);
  TrainBatch batch = random_batch(1, 8, 8, 1);
  batch.tokens[3] = 48;
  EXPECT_THROW(trainer.step(batch), Error);
  batch = random_batch(1, 8, 8, 1);
  batch.weights.pop_back();
  EXPECT_THROW(trainer.step(batch), Error);
  batch = random_batch(1, 8, 8, 1);
  batch.weights.assign(8, 0.0f);
  EXPECT_THROW(trainer.step(batch), Error);
}

TEST(Trainer, AFrozenRouterStays) {
  TrainConfig config = tiny_run();
  config.freeze_router = true;
  Trainer trainer(config, 1);
  const auto routers = [&] {
    std::vector<float> out;
    for (const TrainTensor& tensor : trainer.tensors()) {
      if (tensor.name.ends_with("mlp.gate.weight")) {
        out.insert(out.end(), tensor.values.begin(), tensor.values.end());
      }
    }
    return out;
  };
  const std::vector<float> before = routers();
  trainer.step(random_batch(1, 40, 40, 1));
  EXPECT_EQ(routers(), before);
}

TEST(Schedule, WarmsUpStaysAndDecays) {
  const ScheduleConfig s{1.0, 4, 10, 5, 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(s, 3), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 9), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 10), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 15), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(s, 99), 0.2);
}

}  // namespace
}  // namespace headgate

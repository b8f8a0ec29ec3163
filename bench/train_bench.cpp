// Steps of training on random tokens: tokens per second of wall time and of processor time.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"
#include "train/trainer.h"

namespace headgate {
namespace {

struct Options {
  std::string preset = "small";
  std::string precision = "auto";
  int threads = 1;
  int steps = 5;
  int64_t rows = 4, length = 512, mtp = 0;
  bool recompute = false;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--preset") o.preset = value;
    if (key == "--precision") o.precision = value;
    if (key == "--threads") o.threads = std::atoi(value.c_str());
    if (key == "--steps") o.steps = std::atoi(value.c_str());
    if (key == "--rows") o.rows = std::atoi(value.c_str());
    if (key == "--length") o.length = std::atoi(value.c_str());
    if (key == "--mtp") o.mtp = std::atoi(value.c_str());
    if (key == "--recompute") o.recompute = value == "on";
  }
  return o;
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TrainBatch random_batch(const Options& o, int64_t vocabulary, uint64_t step) {
  TrainBatch batch;
  batch.rows = o.rows;
  batch.length = o.length;
  const auto n = static_cast<size_t>(o.rows * o.length);
  for (size_t i = 0; i < n; ++i) {
    batch.tokens.push_back(
        static_cast<int32_t>(random_bits(1, step, i) % static_cast<uint64_t>(vocabulary)));
  }
  batch.documents.assign(n, 0);
  batch.weights.assign(n, 1.0f);
  return batch;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const Options& o) {
  TrainConfig config;
  config.model_json = train_preset(o.preset);
  config.loss.mtp_steps = o.mtp;
  config.recompute = o.recompute;
  config.precision = o.precision == "f32"    ? TrainPrecision::kF32
                     : o.precision == "bf16" ? TrainPrecision::kBF16
                                             : TrainPrecision::kAuto;
  Trainer trainer(config, o.threads);
  const double tokens = static_cast<double>(o.rows * o.length);
  std::vector<double> wall, processor;
  for (int step = 0; step <= o.steps; ++step) {
    const TrainBatch batch =
        random_batch(o, trainer.model().vocabulary, static_cast<uint64_t>(step));
    const auto start = std::chrono::steady_clock::now();
    const double before = processor_seconds();
    trainer.step(batch);
    if (step == 0) continue;  // buffers are made
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    wall.push_back(tokens / took.count());
    processor.push_back(tokens / (processor_seconds() - before));
  }
  const double flops = train_flops_per_token(config, o.length);
  fmt::print(
      "{{\"preset\": \"{}\", \"precision\": \"{}\", \"threads\": {}, \"mtp\": {}, \"parameters\": "
      "{}, \"tokens_per_second\": {:.1f}, \"tokens_per_processor_second\": {:.1f}, "
      "\"mflop_per_token\": {:.1f}, \"gflops\": {:.1f}}}\n",
      o.preset, o.precision, o.threads, o.mtp, trainer.parameters(), median(wall),
      median(processor), flops * 1e-6, flops * 1e-9 * median(processor));
  return 0;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) { return headgate::run(headgate::parse(argc, argv)); }

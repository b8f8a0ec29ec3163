// How fast a model reads prompts and writes answers, beside what the machine's memory allows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/calibrate.h"
#include "model/model.h"

namespace headgate {

struct SpeedOptions {
  std::vector<int64_t> prompts = {512};  // prompt lengths to time; none: no prefill
  int64_t generate = 64;                 // tokens to decode; 0: no decode
  std::vector<int64_t> depths = {0};     // tokens in the context beforehand
  std::vector<int64_t> sequences = {1};  // sequences decoded together; prompts are of one
  int64_t repeats = 5;
  int64_t chunk = 512;  // prompt tokens per step
  DType kv_dtype = DType::kF32;
  int threads = 0;  // of the bandwidth measurement; the backend has its own
  // Runs done and in all; false cancels (Error kCancelled).
  std::function<bool(int64_t done, int64_t total)> progress;
};

// One test, timed `repeats` times.
struct SpeedResult {
  bool prefill = false;
  int64_t tokens = 0;  // of each sequence
  int64_t depth = 0;
  int64_t sequences = 1;
  std::vector<double> seconds;      // of each run, in order
  double tokens_per_second = 0;     // median, of all sequences together
  double slowest = 0, fastest = 0;  // tokens per second
  // Decode: different experts read per step and layer, in the mean; 0 without experts.
  double distinct_experts = 0;
  // Decode: weights, keys and values, states read and states written per token, in the mean; 0 for
  // prefill, where they depend on the routing of the chunk.
  double bytes_per_token = 0;
  double gbps() const { return bytes_per_token * tokens_per_second * 1e-9; }
};

struct SpeedReport {
  std::vector<SpeedResult> results;
  double read_gbps = 0, read_gbps_one = 0;  // memory, all threads and one: mean of before and after
  double bandwidth_change = 0;              // after / before - 1: how quiet the machine was
  Peaks peaks;                              // of all threads
  double load_before = 0, load_after = 0;   // load average of the last minute
};

// Throws kInvalidArgument for options that make no test, kResourceExhausted without memory.
SpeedReport measure_speed(const Model& model, const SpeedOptions& options);

// Bytes that a step of one token for each of `sequences` sequences of this depth moves: weights,
// with `distinct_experts` different routed experts per layer, keys and values, states read and
// written.
double decode_step_bytes(const Model& model, const StateShape& shape, double depth,
                         int64_t sequences, double distinct_experts);

double load_average();  // of the last minute; 0 where the system does not say

// The median; of an even number the mean of the middle two.
double median(std::vector<double> samples);

}  // namespace headgate

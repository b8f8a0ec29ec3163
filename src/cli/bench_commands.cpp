// The loop of commands and answers behind headgate bench --interactive.
#include "cli/bench_commands.h"

#include <charconv>
#include <iostream>
#include <memory>
#include <vector>

#include "base/cpu_info.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/terminal.h"
#include "eval/sequence_group.h"

namespace headgate {
namespace {

constexpr int64_t kPageTokens = 256;
constexpr int64_t kMostSequences = 4096;
constexpr int64_t kMostTokens = int64_t{1} << 24;

struct VerbSpelling {
  std::string_view word;
  BenchCommand::Verb verb;
  bool sequences, tokens;  // the numbers that follow
};

constexpr VerbSpelling kVerbs[] = {
    {"open", BenchCommand::Verb::kOpen, true, true},
    {"prefill", BenchCommand::Verb::kPrefill, false, true},
    {"decode", BenchCommand::Verb::kDecode, false, true},
    {"bytes", BenchCommand::Verb::kBytes, false, false},
    {"calibrate", BenchCommand::Verb::kCalibrate, false, false},
    {"quit", BenchCommand::Verb::kQuit, false, false},
};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

int64_t number(std::string_view word, int64_t most) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 1 || value > most)
    fail(ErrorCode::kInvalidArgument, "bench: found '{}', expected a number from 1 to {}",
         printable(word), most);
  return value;
}

// The sequences that the commands talk about.
class CommandRunner {
 public:
  CommandRunner(const Model& model, const SpeedOptions& options)
      : model_(model), options_(options) {}

  json::object answer(const BenchCommand& command) {
    using Verb = BenchCommand::Verb;
    if (command.verb == Verb::kCalibrate) return calibration();
    if (command.verb == Verb::kOpen) {
      open(command.sequences, command.tokens);
      return {{"position", 0}};
    }
    if (!group_)
      fail(ErrorCode::kInvalidArgument, "bench: found no sequences, expected open first");
    if (command.verb == Verb::kBytes) return step_bytes();
    const double seconds = command.verb == Verb::kPrefill ? group_->prefill(command.tokens)
                                                          : group_->decode(command.tokens);
    return {{"seconds", seconds}, {"position", group_->position()}};
  }

 private:
  void open(int64_t sequences, int64_t tokens) {
    group_.reset();
    pool_.reset();
    const StateShape shape = model_.state_shape(options_.kv_dtype, kPageTokens);
    // Twice the states: counting bytes runs a step on a fork, which shares all pages but the last.
    const int64_t budget = group_bytes(shape, sequences, tokens) + group_bytes(shape, sequences, 1);
    pool_ = std::make_unique<StatePool>(shape, budget);
    group_ = std::make_unique<SequenceGroup>(model_, *pool_, sequences, options_.chunk);
  }

  json::object step_bytes() const {
    const double experts = group_->distinct_experts();
    return {{"bytes_per_step",
             decode_step_bytes(model_, pool_->shape(), static_cast<double>(group_->position()),
                               group_->sequences(), experts)},
            {"distinct_experts", experts},
            {"position", group_->position()}};
  }

  json::object calibration() const {
    const Calibration memory = calibrate_memory(options_.threads);
    const Peaks peaks = calibrate_peaks(options_.threads);
    return {{"cpu", cpu_info().model},           {"isa", std::string(isa_name(selected_isa()))},
            {"read_gbps", memory.read_gbps},     {"read_gbps_one_thread", memory.read_gbps_one},
            {"fma_gflops", peaks.fma},           {"int8_dot_gops", peaks.int8_dot},
            {"bf16_dot_gflops", peaks.bf16_dot}, {"amx_bf16_gflops", peaks.amx_bf16},
            {"amx_int8_gops", peaks.amx_int8},   {"load", load_average()}};
  }

  const Model& model_;
  const SpeedOptions& options_;
  std::unique_ptr<StatePool> pool_;
  std::unique_ptr<SequenceGroup> group_;
};

}  // namespace

BenchCommand parse_bench_command(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  for (const VerbSpelling& spelling : kVerbs) {
    if (words.empty() || words[0] != spelling.word) continue;
    const size_t expected = 1 + (spelling.sequences ? 1 : 0) + (spelling.tokens ? 1 : 0);
    if (words.size() != expected)
      fail(ErrorCode::kInvalidArgument, "bench: {}: found {} numbers, expected {}", spelling.word,
           words.size() - 1, expected - 1);
    BenchCommand command;
    command.verb = spelling.verb;
    if (spelling.sequences) command.sequences = number(words[1], kMostSequences);
    if (spelling.tokens) command.tokens = number(words.back(), kMostTokens);
    return command;
  }
  fail(ErrorCode::kInvalidArgument,
       "bench: found '{}', expected open, prefill, decode, bytes, calibrate or quit",
       printable(line.substr(0, 40)));
}

void run_bench_commands(const Model& model, const SpeedOptions& options) {
  CommandRunner runner(model, options);
  std::string line;
  while (std::getline(std::cin, line)) {
    json::object answer;
    try {
      const BenchCommand command = parse_bench_command(line);
      if (command.verb == BenchCommand::Verb::kQuit) return;
      answer = runner.answer(command);
    } catch (const Error& error) {
      answer = {{"error", error.what()}};
    }
    write_stdout(dump_json_python(answer) + "\n");
  }
}

}  // namespace headgate

// headgate bench --interactive: tests named one by one, for scripts that measure several programs
// in turns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "eval/speed.h"

namespace headgate {

// One line of input: a verb and its numbers.
//   open SEQUENCES TOKENS   new sequences with room for so many tokens each
//   prefill TOKENS          read so many more tokens of every sequence
//   decode TOKENS           so many steps of one token of every sequence
//   bytes                   what the next step of decode moves
//   calibrate               what the machine can do now
//   quit
struct BenchCommand {
  enum class Verb : uint8_t { kOpen, kPrefill, kDecode, kBytes, kCalibrate, kQuit };
  Verb verb = Verb::kQuit;
  int64_t sequences = 0;
  int64_t tokens = 0;
};

// Throws kInvalidArgument saying what was expected.
BenchCommand parse_bench_command(std::string_view line);

// Answers every line of standard input with one line of JSON until "quit" or the end of input. A
// command that fails is answered {"error": "..."}; the loop goes on.
void run_bench_commands(const Model& model, const SpeedOptions& options);

}  // namespace headgate

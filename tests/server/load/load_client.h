// Many streams to one server from one thread: what is asked, how, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate {

// A request of the load, and what it has to be answered with.
struct LoadCase {
  std::string body;      // JSON
  std::string expected;  // the text of its answer
  bool checks = false;   // whether `expected` counts
  int64_t tokens = -1;   // of the answer, where it is known
};

struct LoadOptions {
  std::string address = "127.0.0.1";
  int port = 8000;
  std::string path = "/v1/completions", key;
  int64_t streams = 16;   // at once; with `rate` the most
  double seconds = 10;    // no request begins later
  int64_t requests = -1;  // begun in all; -1: as many as the time allows
  double rate = 0;        // begun in a second, whatever becomes of them; 0: as others end
  bool aborts = false;    // every request is broken off at a random point
  double patience = 120;  // seconds without a byte after which an answer counts as lost
  uint64_t seed = 1;
};

struct LoadReport {
  double seconds = 0;  // from the first request to the last answer
  int64_t begun = 0, completed = 0, aborted = 0;
  int64_t wrong = 0;       // complete, with another text or number of tokens
  int64_t incomplete = 0;  // broken off by the server, or lost
  int64_t shed = 0;        // 429 or 503
  int64_t shed_without_retry_after = 0;
  int64_t refused = 0;  // any other status
  int64_t unconnected = 0;
  int64_t not_begun = 0;  // with `rate`: no stream was free
  int64_t tokens = 0;     // of completed answers
  std::vector<float> first_seconds, gap_seconds, shed_seconds;
  std::string first_problem;
};

// Runs the load; cases are taken in turns. Throws kIo when sockets cannot be made.
LoadReport run_load(const std::vector<LoadCase>& cases, const LoadOptions& options);

}  // namespace headgate

// headgate_load: puts a server under load and says what became of it, as one line of JSON.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "tests/server/load/load_client.h"

namespace headgate {
namespace {

constexpr const char* kUsage =
    "usage: headgate_load CASES [--port N] [--path P] [--key K] [--streams N] [--seconds S]\n"
    "           [--requests N] [--rate PER_SECOND] [--abort 1] [--patience S] [--seed N]\n"
    "CASES has a line of JSON for each: {\"body\": {...}, \"expected\": \"text\", \"tokens\": N};\n"
    "only the body is needed. Status 1: an answer was wrong, broken off or refused.\n";

double percentile(std::vector<float> values, double share) {
  if (values.empty()) return 0;
  const auto at =
      std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return static_cast<double>(values[at]) * 1e3;
}

std::vector<LoadCase> read_cases(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorCode::kIo, "{}: cannot be read", path);
  std::vector<LoadCase> cases;
  for (std::string line; std::getline(file, line);) {
    const json::value value = parse_json(line, path);
    const json::object& object = value.as_object();
    LoadCase one;
    one.body = dump_json(object.at("body"));
    if (const json::value* expected = object.if_contains("expected")) {
      one.checks = true;
      one.expected = expected->as_string().c_str();
    }
    if (const json::value* tokens = object.if_contains("tokens"))
      one.tokens = tokens->to_number<int64_t>();
    cases.push_back(std::move(one));
  }
  if (cases.empty()) fail(ErrorCode::kInvalidArgument, "{}: found no case", path);
  return cases;
}

bool set_option(LoadOptions& options, const std::string& name, const char* value) {
  if (name == "--port") {
    options.port = std::atoi(value);
  } else if (name == "--path") {
    options.path = value;
  } else if (name == "--key") {
    options.key = value;
  } else if (name == "--streams") {
    options.streams = std::max(1LL, std::atoll(value));
  } else if (name == "--seconds") {
    options.seconds = std::atof(value);
  } else if (name == "--requests") {
    options.requests = std::atoll(value);
  } else if (name == "--rate") {
    options.rate = std::atof(value);
  } else if (name == "--abort") {
    options.aborts = std::atoi(value) != 0;
  } else if (name == "--patience") {
    options.patience = std::atof(value);
  } else if (name == "--seed") {
    options.seed = std::strtoull(value, nullptr, 10);
  } else {
    return false;
  }
  return true;
}

json::object describe(const LoadReport& r) {
  return {{"seconds", r.seconds},
          {"begun", r.begun},
          {"completed", r.completed},
          {"wrong", r.wrong},
          {"incomplete", r.incomplete},
          {"refused", r.refused},
          {"aborted", r.aborted},
          {"shed", r.shed},
          {"shed_without_retry_after", r.shed_without_retry_after},
          {"unconnected", r.unconnected},
          {"not_begun", r.not_begun},
          {"tokens", r.tokens},
          {"tokens_per_second", static_cast<double>(r.tokens) / std::max(r.seconds, 1e-9)},
          {"first_ms_p50", percentile(r.first_seconds, 0.5)},
          {"first_ms_p99", percentile(r.first_seconds, 0.99)},
          {"gap_ms_p50", percentile(r.gap_seconds, 0.5)},
          {"gap_ms_p99", percentile(r.gap_seconds, 0.99)},
          {"shed_ms_p99", percentile(r.shed_seconds, 0.99)},
          {"first_problem", r.first_problem}};
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  headgate::LoadOptions options;
  bool understood = argc >= 2 && argc % 2 == 0;
  for (int i = 2; understood && i + 1 < argc; i += 2)
    understood = headgate::set_option(options, argv[i], argv[i + 1]);
  if (!understood) {
    std::fputs(headgate::kUsage, stderr);
    return 2;
  }
  try {
    const headgate::LoadReport report = headgate::run_load(headgate::read_cases(argv[1]), options);
    std::puts(headgate::dump_json(headgate::describe(report)).c_str());
    const bool lost = report.incomplete > 0 && !options.aborts;
    return report.wrong > 0 || report.refused > 0 || lost ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headgate_load: %s\n", error.what());
    return 2;
  }
}

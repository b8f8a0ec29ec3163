// headgate eval speculation: drafting on the tasks of headgate eval skills.
#pragma once

#include <string>
#include <vector>

#include "cli/assistant.h"
#include "eval/skills.h"

namespace headgate {

struct SpeculationCommand {
  ModelOptions model;
  std::vector<std::string> families;  // empty: all
  SkillTestOptions tasks;
  std::string output;  // a file for the JSON report; empty: none
  bool json = false;
};

int run_eval_speculation(const SpeculationCommand& command);

}  // namespace headgate

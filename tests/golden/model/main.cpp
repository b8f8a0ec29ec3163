// Runs the golden tests, or nothing on a machine without the instruction set asked for.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/cpu_info.h"
#include "base/error.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  try {
    const headgate::Isa isa = headgate::selected_isa();
    std::printf("kernels: %s\n", std::string(headgate::isa_name(isa)).c_str());
  } catch (const headgate::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code() == headgate::ErrorCode::kUnsupported ? 77 : 1;
  }
  return RUN_ALL_TESTS();
}

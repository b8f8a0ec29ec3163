// The ranks that mpirun started, for programs built where CMake found MPI.
#pragma once

#include <memory>

namespace headgate {

// Lives from the start of main to its end: MPI is set up, world() gives its ranks, and MPI is shut
// down. A program that ends by an error ends the other ranks too.
class MpiWorld {
 public:
  MpiWorld(int* argc, char*** argv);
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;
  // The code main returns; anything but 0 ends all ranks at once.
  int leave(int code);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate

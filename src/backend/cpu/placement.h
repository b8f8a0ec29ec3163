// Putting planned weights into their memory: packing on all threads while the disk reads on.
#pragma once

#include <span>

#include "backend/cpu/weights.h"
#include "base/thread_pool.h"

namespace headgate {

// One matrix and the zeroed memory it goes to.
struct Placement {
  const WeightView* view = nullptr;
  const MatrixSource* source = nullptr;
  std::byte* to = nullptr;
};

// Places all of them. Sources in files are read in the order of the files, in requests of a few
// MiB, ahead of the packing; others from their bytes. What it needs beside the destination is a few
// buffers of such a request, and for a source with an order of rows that source. Throws kIo and
// kInvalidFile when reading fails.
//
// With several NUMA nodes every worker first touches its share of the rows, so that rows lie where
// the worker that multiplies with them runs.
void place_weights(std::span<const Placement> list, ThreadPool& pool);

}  // namespace headgate

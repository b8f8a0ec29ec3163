// What the ranks of a parallel run say to each other.
#pragma once

#include <cstdint>
#include <span>

namespace headgate {

// Collectives: every rank calls the same ones in the same order, with equal sizes. All sums add the
// ranks in their order, so that every rank gets the same bits, and the same again in the next run.
// Thread rule: one thread at a time. Throws kInternal when the transport fails.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t ranks() const = 0;
  // values = sum over the ranks; for short arrays.
  virtual void sum(std::span<double> values) = 0;
  virtual void sum(std::span<int64_t> values) = 0;
  // `all` is one shard per rank, end to end; shard = sum over the ranks of this rank's part.
  virtual void sum_shards(std::span<const float> all, std::span<float> shard) = 0;
  // all = the shards of all ranks end to end; `shard` may lie in its place there.
  virtual void gather_shards(std::span<const float> shard, std::span<float> all) = 0;
};

// The ranks this process was started with; one rank unless an MpiWorld (comm/mpi_world.h) lives.
Communicator& world();

// Replaces what world() gives; null: one rank. For transports.
void set_world(Communicator* communicator);

}  // namespace headgate

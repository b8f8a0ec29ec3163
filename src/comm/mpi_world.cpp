// Collectives over MPI, by point-to-point pieces where the library leaves the order of sums open.
#include "comm/mpi_world.h"

#include <mpi.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"

namespace headgate {
namespace {

constexpr size_t kPiece = size_t{1} << 20;  // floats per message

void check(int code, const char* what) {
  if (code != MPI_SUCCESS) fail(ErrorCode::kInternal, "mpi: {} failed with code {}", what, code);
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int rank = 0, ranks = 1;
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &ranks), "size");
    rank_ = rank;
    ranks_ = ranks;
  }
  int64_t rank() const override { return rank_; }
  int64_t ranks() const override { return ranks_; }
  void sum(std::span<double> values) override { sum_in_order(values, MPI_DOUBLE); }
  void sum(std::span<int64_t> values) override { sum_in_order(values, MPI_INT64_T); }

  void sum_shards(std::span<const float> all, std::span<float> shard) override {
    HEADGATE_CHECK(all.size() == shard.size() * static_cast<size_t>(ranks_));
    const auto ranks = static_cast<size_t>(ranks_), me = static_cast<size_t>(rank_);
    std::vector<float> inbox(ranks * std::min(kPiece, shard.size()));
    for (size_t at = 0; at < shard.size(); at += kPiece) {
      const size_t count = std::min(kPiece, shard.size() - at);
      std::vector<const float*> parts(ranks);
      // Rank me + d gets its part while that of me - d comes in.
      for (size_t d = 0; d < ranks; ++d) {
        const size_t to = (me + d) % ranks, from = (me + ranks - d) % ranks;
        parts[from] = d == 0 ? all.data() + me * shard.size() + at : inbox.data() + from * count;
        if (d == 0) continue;
        check(MPI_Sendrecv(all.data() + to * shard.size() + at, static_cast<int>(count), MPI_FLOAT,
                           static_cast<int>(to), 0, inbox.data() + from * count,
                           static_cast<int>(count), MPI_FLOAT, static_cast<int>(from), 0,
                           MPI_COMM_WORLD, MPI_STATUS_IGNORE),
              "exchange");
      }
      for (size_t i = 0; i < count; ++i) {
        float total = parts[0][i];
        for (size_t r = 1; r < ranks; ++r) total += parts[r][i];
        shard[at + i] = total;
      }
    }
  }

  void gather_shards(std::span<const float> shard, std::span<float> all) override {
    HEADGATE_CHECK(all.size() == shard.size() * static_cast<size_t>(ranks_));
    if (shard.size() > INT_MAX)
      fail(ErrorCode::kUnsupported, "mpi: a shard of {} numbers", shard.size());
    float* place = all.data() + static_cast<size_t>(rank_) * shard.size();
    if (place != shard.data()) std::copy(shard.begin(), shard.end(), place);
    const auto count = static_cast<int>(shard.size());
    check(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all.data(), count, MPI_FLOAT,
                        MPI_COMM_WORLD),
          "gathering");
  }

 private:
  template <typename T>
  void sum_in_order(std::span<T> values, MPI_Datatype type) {
    std::vector<T> all(values.size() * static_cast<size_t>(ranks_));
    const auto count = static_cast<int>(values.size());
    check(MPI_Allgather(values.data(), count, type, all.data(), count, type, MPI_COMM_WORLD),
          "gathering");
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = all[i];
      for (int64_t r = 1; r < ranks_; ++r)
        values[i] += all[static_cast<size_t>(r) * values.size() + i];
    }
  }

  int64_t rank_ = 0, ranks_ = 1;
};

}  // namespace

struct MpiWorld::Impl {
  MpiCommunicator communicator;
};

MpiWorld::MpiWorld(int* argc, char*** argv) {
  int level = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level), "start");
  impl_ = std::make_unique<Impl>();
  set_world(&impl_->communicator);
}

MpiWorld::~MpiWorld() {
  set_world(nullptr);
  MPI_Finalize();
}

int MpiWorld::leave(int code) {
  // The others wait for this rank in some collective.
  if (code != 0 && impl_->communicator.ranks() > 1) MPI_Abort(MPI_COMM_WORLD, code);
  return code;
}

}  // namespace headgate

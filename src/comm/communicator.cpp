// A world of one rank.
#include "comm/communicator.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

class OneRank : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t ranks() const override { return 1; }
  void sum(std::span<double>) override {}
  void sum(std::span<int64_t>) override {}
  void sum_shards(std::span<const float> all, std::span<float> shard) override {
    HEADGATE_CHECK(all.size() == shard.size());
    if (all.data() != shard.data()) std::copy(all.begin(), all.end(), shard.begin());
  }
  void gather_shards(std::span<const float> shard, std::span<float> all) override {
    sum_shards(shard, all);
  }
};

Communicator*& current() {
  static Communicator* communicator = nullptr;
  return communicator;
}

}  // namespace

Communicator& world() {
  static OneRank one;
  return current() == nullptr ? one : *current();
}

void set_world(Communicator* communicator) { current() = communicator; }

}  // namespace headgate

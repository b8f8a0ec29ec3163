// The shared insides of a state pool: pages, slots and the budget over both.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cache/frame_pool.h"
#include "cache/sequence_state.h"

namespace headgate {

struct StatePoolData {
  StateShape shape;
  int64_t budget_bytes;
  PagePool pages;
  SlotPool slots;
  StateFormat cold;  // of packed snapshots
  PackedPool packed;
  int64_t other_bytes = 0;  // see StatePool::set_other_bytes()

  StatePoolData(const StateShape& state_shape, int64_t budget, StateFormat cold_format);

  int64_t used_bytes() const {
    return pages.live_bytes() + slots.live_bytes() + packed.live_bytes();
  }
  // Whether so many more pages and slots fit the budget.
  bool has_room(int64_t page_count, int64_t slot_count) const;
  // Callers have asked has_room() first.
  PageId take_page();
  SlotId take_slot();
  // For what is about to take the place of a slot: may pass the budget for a moment.
  PackedId take_packed();
  // Gives unused memory back where so much more would pass the budget.
  void make_resident_room(int64_t bytes);
};

}  // namespace headgate

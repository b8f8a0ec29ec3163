// Budgeted allocation of pages and slots, and the sizes they have.
#include "cache/state_pool.h"

#include "base/error.h"
#include "cache/packed_state.h"

namespace headgate {

int64_t StateShape::page_bytes() const {
  return attention_layers == 0 ? 0 : attention_layers * kv.page_bytes();
}

int64_t StateShape::slot_floats() const {
  return conv_floats + delta_floats + deferred_rows * deferred_floats;
}

int64_t StateShape::recurrent_bytes() const {
  return recurrent_layers * slot_floats() * static_cast<int64_t>(sizeof(float));
}

StatePoolData::StatePoolData(const StateShape& state_shape, int64_t budget, StateFormat cold_format)
    : shape(state_shape),
      budget_bytes(budget),
      pages(state_shape.page_bytes()),
      slots(state_shape.recurrent_bytes()),
      cold(cold_format),
      packed(packed_state_bytes(state_shape, cold_format)) {
  HEADGATE_CHECK(shape.attention_layers == 0 || shape.kv.page_tokens > 0);
  if (shape.attention_layers > 0) shape.kv.check();
}

bool StatePoolData::has_room(int64_t page_count, int64_t slot_count) const {
  // Compared by division: the counts of a hostile request must not overflow a product.
  int64_t left = budget_bytes - other_bytes - used_bytes();
  if (pages.frame_bytes() > 0 && page_count > 0) {
    if (left < 0 || page_count > left / pages.frame_bytes()) return false;
    left -= page_count * pages.frame_bytes();
  }
  return slots.frame_bytes() == 0 || slot_count == 0 ||
         (left >= 0 && slot_count <= left / slots.frame_bytes());
}

void StatePoolData::make_resident_room(int64_t bytes) {
  const int64_t resident =
      pages.resident_bytes() + slots.resident_bytes() + packed.resident_bytes() + other_bytes;
  if (resident + bytes <= budget_bytes) return;
  pages.trim();
  slots.trim();
  packed.trim();
}

PageId StatePoolData::take_page() {
  if (!pages.has_kept()) make_resident_room(pages.frame_bytes());
  return pages.take();
}

SlotId StatePoolData::take_slot() {
  if (!slots.has_kept()) make_resident_room(slots.frame_bytes());
  return slots.take();
}

PackedId StatePoolData::take_packed() {
  if (!packed.has_kept()) make_resident_room(packed.frame_bytes());
  return packed.take();
}

StatePool::StatePool(const StateShape& shape, int64_t budget_bytes, StateFormat cold)
    : data_(std::make_shared<StatePoolData>(shape, budget_bytes, cold)) {}

StatePool::~StatePool() = default;

const StateShape& StatePool::shape() const { return data_->shape; }
int64_t StatePool::budget_bytes() const { return data_->budget_bytes; }
int64_t StatePool::used_bytes() const { return data_->used_bytes(); }
int64_t StatePool::other_bytes() const { return data_->other_bytes; }
bool StatePool::is_over() const {
  return data_->used_bytes() + data_->other_bytes > data_->budget_bytes;
}

void StatePool::set_other_bytes(int64_t bytes) {
  data_->other_bytes = bytes;
  data_->make_resident_room(0);
}

}  // namespace headgate

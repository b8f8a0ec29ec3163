// Moving a sequence's pages, slot and position together: forwards, back, and into copies.
#include "cache/sequence_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "cache/packed_state.h"
#include "cache/state_pool.h"

namespace headgate {
namespace {

using Pool = std::shared_ptr<StatePoolData>;

// References to a list of pages, dropped together.
class PageList {
 public:
  explicit PageList(Pool pool) : pool_(std::move(pool)) {}
  PageList(const PageList& other) : pool_(other.pool_), ids_(other.ids_) {
    for (const PageId id : ids_) pool_->pages.share(id);
  }
  PageList& operator=(const PageList&) = delete;
  ~PageList() { truncate(0); }

  const Pool& pool() const { return pool_; }
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }
  PageId operator[](int64_t i) const { return ids_[static_cast<size_t>(i)]; }
  void add(PageId id) { ids_.push_back(id); }
  void replace(int64_t i, PageId id) {
    pool_->pages.drop(ids_[static_cast<size_t>(i)]);
    ids_[static_cast<size_t>(i)] = id;
  }
  void truncate(int64_t count) {
    for (; size() > count; ids_.pop_back()) pool_->pages.drop(ids_.back());
  }
  void swap(PageList& other) { ids_.swap(other.ids_); }

 private:
  Pool pool_;
  std::vector<PageId> ids_;
};

// A reference to one slot.
class SlotHold {
 public:
  explicit SlotHold(Pool pool) : pool_(std::move(pool)), id_(pool_->take_slot()) {}
  SlotHold(const SlotHold&) = delete;
  SlotHold& operator=(const SlotHold&) = delete;
  ~SlotHold() { pool_->slots.drop(id_); }

  float* floats() const { return reinterpret_cast<float*>(pool_->slots.data(id_)); }
  // A slot of a model without recurrent layers has no bytes, and no address either.
  void copy_from(const SlotHold& other) {
    if (bytes() > 0) std::memcpy(floats(), other.floats(), bytes());
  }
  void clear() {
    if (bytes() > 0) std::memset(floats(), 0, bytes());
  }

 private:
  size_t bytes() const { return static_cast<size_t>(pool_->slots.frame_bytes()); }

  Pool pool_;
  SlotId id_;
};

// A packed slot.
class PackedHold {
 public:
  PackedHold(Pool pool, const SlotHold& slot) : pool_(std::move(pool)), id_(pool_->take_packed()) {
    pack_state(pool_->shape, pool_->cold, slot.floats(), pool_->packed.data(id_));
  }
  PackedHold(const PackedHold&) = delete;
  PackedHold& operator=(const PackedHold&) = delete;
  ~PackedHold() { pool_->packed.drop(id_); }

  void unpack_to(SlotHold& slot) const {
    unpack_state(pool_->shape, pool_->cold, pool_->packed.data(id_), slot.floats());
  }

 private:
  Pool pool_;
  PackedId id_;
};

template <typename Byte>
BasicStateImage<Byte> make_image(const StatePoolData& pool, const PageList& pages, int64_t count,
                                 const SlotHold& slot, int64_t position, int64_t deferred) {
  const StateShape& shape = pool.shape;
  BasicStateImage<Byte> out;
  out.position = position;
  out.deferred = deferred;
  const auto page_bytes = static_cast<size_t>(shape.page_bytes());
  for (int64_t i = 0; i < count; ++i) out.pages.push_back({pool.pages.data(pages[i]), page_bytes});
  const int64_t floats = shape.conv_floats + shape.delta_floats + deferred * shape.deferred_floats;
  for (int64_t layer = 0; layer < shape.recurrent_layers; ++layer) {
    auto* at = reinterpret_cast<Byte*>(slot.floats() + layer * shape.slot_floats());
    out.recurrent.push_back({at, static_cast<size_t>(floats) * sizeof(float)});
  }
  return out;
}

}  // namespace

struct Snapshot::Data {
  PageList pages;
  std::shared_ptr<const SlotHold> slot;  // null: packed
  int64_t position;
  int64_t deferred;
  int64_t bytes;
  StatePoolData* pool;  // kept alive by `pages`
  std::shared_ptr<const PackedHold> packed = nullptr;
};

int64_t Snapshot::position() const {
  HEADGATE_CHECK(data_ != nullptr);
  return data_->position;
}

int64_t Snapshot::bytes() const {
  HEADGATE_CHECK(data_ != nullptr);
  return data_->bytes;
}

bool Snapshot::is_packed() const {
  HEADGATE_CHECK(data_ != nullptr);
  return data_->packed != nullptr;
}

std::optional<Snapshot> Snapshot::packed() const {
  HEADGATE_CHECK(data_ != nullptr);
  StatePoolData& pool = *data_->pool;
  if (is_packed() || data_->deferred > 0 || pool.packed.frame_bytes() == 0) return std::nullopt;
  Snapshot out;
  out.data_ = std::make_shared<const Data>(
      Data{data_->pages, nullptr, data_->position, 0, pool.packed.frame_bytes(), data_->pool,
           std::make_shared<PackedHold>(data_->pages.pool(), *data_->slot)});
  return out;
}

ConstStateImage Snapshot::image() const {
  HEADGATE_CHECK(data_ != nullptr && !is_packed());
  return make_image<const std::byte>(*data_->pool, data_->pages, data_->pages.size(), *data_->slot,
                                     data_->position, data_->deferred);
}

struct SequenceState::Data {
  // A recurrent state to come back to. Its pages are a prefix of the sequence's own: the sequence
  // only ever writes behind its position, and drops snapshots before it goes below theirs.
  struct Kept {
    int64_t position;
    int64_t deferred;
    std::shared_ptr<const SlotHold> slot;
  };

  Pool pool;
  PageList pages;
  std::shared_ptr<SlotHold> slot;
  int64_t position = 0;
  int64_t deferred = 0;                         // of the tokens before position
  std::vector<Kept> kept;                       // by ascending position
  std::vector<std::vector<std::byte*>> tables;  // [attention layer][page]

  explicit Data(const Pool& state_pool)
      : pool(state_pool),
        pages(state_pool),
        slot(std::make_shared<SlotHold>(state_pool)),
        tables(static_cast<size_t>(state_pool->shape.attention_layers)) {}

  bool hybrid() const { return pool->shape.recurrent_layers > 0; }

  int64_t pages_for(int64_t tokens) const {
    if (pool->shape.attention_layers == 0) return 0;
    const int64_t page = pool->shape.kv.page_tokens;
    return tokens / page + (tokens % page != 0 ? 1 : 0);
  }

  void set_table(int64_t page) {
    std::byte* memory = pool->pages.data(pages[page]);
    for (std::vector<std::byte*>& table : tables) {
      if (static_cast<int64_t>(table.size()) == page) table.push_back(nullptr);
      table[static_cast<size_t>(page)] = memory;
      memory += pool->shape.kv.page_bytes();
    }
  }

  void truncate_pages(int64_t count) {
    pages.truncate(count);
    for (std::vector<std::byte*>& table : tables) table.resize(static_cast<size_t>(pages.size()));
  }

  void rebuild_tables() {
    truncate_pages(pages.size());
    for (int64_t page = 0; page < pages.size(); ++page) set_table(page);
  }

  // The page is replaced by a copy of its own.
  void copy_page(int64_t page) {
    const PageId fresh = pool->take_page();
    std::memcpy(pool->pages.data(fresh), pool->pages.data(pages[page]),
                static_cast<size_t>(pool->pages.frame_bytes()));
    pages.replace(page, fresh);
    set_table(page);
  }

  float* slot_floats(int64_t layer, int64_t offset) const {
    const StateShape& s = pool->shape;
    HEADGATE_CHECK(layer >= 0 && layer < s.recurrent_layers);
    return slot->floats() + layer * s.slot_floats() + offset;
  }
};

SequenceState::SequenceState(std::unique_ptr<Data> data) : data_(std::move(data)) {}
SequenceState::~SequenceState() = default;
SequenceState::SequenceState(SequenceState&&) noexcept = default;
SequenceState& SequenceState::operator=(SequenceState&&) noexcept = default;

int64_t SequenceState::position() const { return data_->position; }
const StateShape& SequenceState::shape() const { return data_->pool->shape; }

int64_t SequenceState::capacity() const {
  if (shape().attention_layers == 0) return INT64_MAX;
  return data_->pages.size() * shape().kv.page_tokens;
}

bool SequenceState::reserve(int64_t tokens) {
  Data& d = *data_;
  HEADGATE_CHECK(tokens >= 0 && tokens <= INT64_MAX - d.position);
  const int64_t needed = d.pages_for(d.position + tokens);
  const int64_t present = d.pages.size();
  // Pages the next tokens go to; the first of them may hold earlier tokens and be shared.
  const int64_t first = d.pages_for(d.position + 1) - 1;
  int64_t copies = 0;
  for (int64_t page = std::max<int64_t>(first, 0); page < std::min(needed, present); ++page)
    copies += d.pool->pages.is_shared(d.pages[page]) ? 1 : 0;
  if (!d.pool->has_room(std::max<int64_t>(needed - present, 0) + copies, 0)) return false;
  for (int64_t page = std::max<int64_t>(first, 0); page < std::min(needed, present); ++page) {
    if (d.pool->pages.is_shared(d.pages[page])) d.copy_page(page);
  }
  for (int64_t page = present; page < needed; ++page) {
    d.pages.add(d.pool->take_page());
    d.set_table(page);
  }
  return true;
}

void SequenceState::advance(int64_t tokens, bool deferred) {
  HEADGATE_CHECK(tokens >= 0 && tokens <= capacity() - data_->position);
  HEADGATE_CHECK(!deferred || !data_->hybrid() || tokens <= shape().deferred_rows);
  if (tokens == 0) return;  // nothing has been folded either
  data_->position += tokens;
  data_->deferred = deferred && data_->hybrid() ? tokens : 0;  // pages rewind by themselves
}

int64_t SequenceState::deferred() const { return data_->deferred; }

int64_t SequenceState::rewind(int64_t position) {
  Data& d = *data_;
  HEADGATE_CHECK(position >= 0);
  if (position >= d.position) return d.position;
  while (!d.kept.empty() && d.kept.back().position > position) d.kept.pop_back();
  if (d.hybrid() && position >= d.position - d.deferred) {
    d.deferred -= d.position - position;
  } else if (d.hybrid()) {
    if (d.kept.empty()) {
      d.slot->clear();
      d.deferred = 0;
      position = 0;
    } else {
      d.slot->copy_from(*d.kept.back().slot);
      d.deferred = d.kept.back().deferred;
      position = d.kept.back().position;
    }
  }
  d.position = position;
  d.truncate_pages(d.pages_for(position));
  return position;
}

bool SequenceState::keep_snapshot() {
  Data& d = *data_;
  if (!d.hybrid()) return true;  // truncation is exact at every position
  if (!d.kept.empty() && d.kept.back().position == d.position) return true;
  if (!d.pool->has_room(0, 1)) return false;
  auto copy = std::make_shared<SlotHold>(d.pool);
  copy->copy_from(*d.slot);
  d.kept.push_back({d.position, d.deferred, std::move(copy)});
  return true;
}

std::optional<SequenceState> SequenceState::fork() const {
  if (!data_->pool->has_room(0, 1)) return std::nullopt;
  auto copy = std::make_unique<Data>(data_->pool);
  PageList pages(data_->pages);
  copy->pages.swap(pages);
  copy->truncate_pages(copy->pages_for(data_->position));
  copy->slot->copy_from(*data_->slot);
  copy->position = data_->position;
  copy->deferred = data_->deferred;
  copy->kept = data_->kept;
  copy->rebuild_tables();
  return SequenceState(std::move(copy));
}

std::optional<Snapshot> SequenceState::snapshot() const {
  const Data& d = *data_;
  if (!d.pool->has_room(0, 1)) return std::nullopt;
  auto slot = std::make_shared<SlotHold>(d.pool);
  slot->copy_from(*d.slot);
  PageList pages(d.pages);
  pages.truncate(d.pages_for(d.position));
  Snapshot out;
  out.data_ = std::make_shared<const Snapshot::Data>(Snapshot::Data{
      pages, std::move(slot), d.position, d.deferred, d.pool->slots.frame_bytes(), d.pool.get()});
  return out;
}

Snapshot SequenceState::freeze() && {
  Data& d = *data_;
  PageList pages(d.pages);
  pages.truncate(d.pages_for(d.position));
  Snapshot out;
  out.data_ = std::make_shared<const Snapshot::Data>(Snapshot::Data{
      pages, d.slot, d.position, d.deferred, d.pool->slots.frame_bytes(), d.pool.get()});
  data_.reset();
  return out;
}

bool SequenceState::restore(const Snapshot& snapshot) {
  Data& d = *data_;
  HEADGATE_CHECK(snapshot.data_ != nullptr && snapshot.data_->pool == d.pool.get());
  PageList pages(snapshot.data_->pages);
  d.pages.swap(pages);
  if (snapshot.is_packed()) {
    snapshot.data_->packed->unpack_to(*d.slot);
  } else {
    d.slot->copy_from(*snapshot.data_->slot);
  }
  d.position = snapshot.data_->position;
  d.deferred = snapshot.data_->deferred;
  d.kept.clear();
  d.rebuild_tables();
  return true;
}

StateImage SequenceState::image_at(int64_t position, int64_t deferred) const {
  const Data& d = *data_;
  const int64_t count = d.pages_for(position);
  HEADGATE_CHECK(count <= d.pages.size() && deferred >= 0 && deferred <= shape().deferred_rows);
  return make_image<std::byte>(*d.pool, d.pages, count, *d.slot, position, deferred);
}

void SequenceState::filled(int64_t position, int64_t deferred) {
  Data& d = *data_;
  HEADGATE_CHECK(d.pages_for(position) <= d.pages.size() && deferred <= shape().deferred_rows);
  d.position = position;
  d.deferred = deferred;
  d.kept.clear();
  d.truncate_pages(d.pages_for(position));
}

std::span<std::byte* const> SequenceState::kv_pages(int64_t attention_layer) const {
  HEADGATE_CHECK(attention_layer >= 0 && attention_layer < shape().attention_layers);
  return data_->tables[static_cast<size_t>(attention_layer)];
}

float* SequenceState::conv(int64_t recurrent_layer) const {
  return data_->slot_floats(recurrent_layer, 0);
}

float* SequenceState::delta(int64_t recurrent_layer) const {
  return data_->slot_floats(recurrent_layer, shape().conv_floats);
}

float* SequenceState::deferred_updates(int64_t recurrent_layer) const {
  return data_->slot_floats(recurrent_layer, shape().conv_floats + shape().delta_floats);
}

std::optional<SequenceState> StatePool::create() {
  if (!data_->has_room(0, 1)) return std::nullopt;
  auto fresh = std::make_unique<SequenceState::Data>(data_);
  fresh->slot->clear();
  return SequenceState(std::move(fresh));
}

}  // namespace headgate

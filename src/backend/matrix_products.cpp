// Products by tiles. Inputs are packed into the words the tiles read: of a large product in a
// region of its own, of a small one by the task that multiplies it, while they are still in its
// cache.
#include "backend/matrix_products.h"

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "kernels/self_test.h"
#include "kernels/train_dispatch.h"

namespace headgate {
namespace {

// A panel of this many steps stays in the first-level cache while the rows of a task pass by.
constexpr int64_t kStepBlock = 256;
// Rows and panels of one task.
constexpr int64_t kTaskRows = 128;
constexpr int64_t kTaskPanels = 8;
constexpr int64_t kPackRows = 64;
// Columns of a that are packed side by side, where a's rows are the columns of what is in memory:
// read where they lie, the lines of one tile would fall into a few sets of the cache.
constexpr int64_t kGroup = 16;
constexpr int64_t kPackColumns = 8 * kGroup;
// Packed words of a product that is one task: with what they are made of they fit a second-level
// cache.
constexpr int64_t kSmallWords = 96 << 10;

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

// A product with its inputs as words.
struct Packed {
  const MatrixProduct* product;
  int64_t steps, panels;
  bool bf16;
  const uint32_t* a;
  int64_t a_row, a_step;            // of a, where rows are not grouped
  bool grouped;                     // a is [m / kGroup, steps, kGroup]
  const uint32_t* b;                // panels of [steps, columns]
  uint32_t *a_storage, *b_storage;  // null: nothing to pack

  int64_t a_words() const {
    return bf16 ? steps * (grouped ? pieces(product->m, kGroup) * kGroup : product->m) : 0;
  }
  // Row i from step `step` on; rows up to the next multiple of kGroup follow it a_row apart.
  const uint32_t* row(int64_t i, int64_t step) const {
    if (!grouped) return a + i * a_row + step * a_step;
    return a + (i / kGroup * steps + step) * kGroup + i % kGroup;
  }
};

// Numbered tasks of several products: task t belongs to the product whose range holds it.
class Tasks {
 public:
  void add(int64_t count) { ends_.push_back(total() + count); }
  int64_t total() const { return ends_.empty() ? 0 : ends_.back(); }
  // Product of a task; `task` becomes its number there.
  size_t find(int64_t& task) const {
    const auto i =
        static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), task) - ends_.begin());
    if (i > 0) task -= ends_[i - 1];
    return i;
  }

 private:
  std::vector<int64_t> ends_;
};

// The level whose kernels may run: training goes without tiles where the start-up test did.
Isa trusted_isa(Isa isa) {
  if (isa < Isa::kAmx) return isa;
  const std::vector<KernelFallback>& fallbacks = checked_kernels(isa).fallbacks;
  const auto is_tile = [](const KernelFallback& f) { return f.from == Isa::kAmx; };
  return std::any_of(fallbacks.begin(), fallbacks.end(), is_tile) ? Isa::kAvx512Bf16 : isa;
}

const uint32_t* words(const float* x) { return reinterpret_cast<const uint32_t*>(x); }

}  // namespace

struct MatrixProducts::Impl {
  ThreadPool& pool;
  TrainTable kernels;
  ProductWords storage;
  // Per worker.
  struct Scratch {
    ProductWords turned, packed;
  };
  std::vector<Scratch> scratch;
  std::vector<Packed> packed;
  Tasks packs, tiles;

  Impl(ThreadPool& p, Isa isa)
      : pool(p),
        kernels(train_kernels_for(trusted_isa(isa))),
        scratch(static_cast<size_t>(p.threads())) {}

  int64_t columns() const { return kernels.product_columns; }
  int64_t b_words(const Packed& p) const { return p.panels * p.steps * columns(); }

  Packed describe(const MatrixProduct& product, bool bf16) const;
  // Where a's and b's words go; what needs no packing keeps its place.
  void place(Packed& p, uint32_t* a, uint32_t* b) const;
  bool is_small(const Packed& p) const {
    return p.product->packed == nullptr && p.a_words() + b_words(p) <= kSmallWords;
  }
  void plan(std::span<const MatrixProduct> products, bool bf16);
  int64_t a_tasks(const Packed& p) const {
    if (!p.bf16) return 0;
    return pieces(p.product->m, p.grouped ? kPackColumns : kPackRows);
  }
  void pack_a(const Packed& p, int64_t task) const;
  void pack_b(const Packed& p, int64_t panel, int worker);
  void pack_task(int64_t task, int worker);
  void fill(const Packed& p, int64_t task) const;
  // Rows [row, row + count) of one panel, steps in blocks.
  void fill_panel(const Packed& p, const uint32_t* b, int64_t b_step, int64_t column, int64_t row,
                  int64_t count, int64_t step) const;
  void run_small(Packed p, int worker);
};

Packed MatrixProducts::Impl::describe(const MatrixProduct& product, bool bf16) const {
  Packed p{};
  p.product = &product;
  p.bf16 = bf16;
  p.steps = bf16 ? (product.k + 1) / 2 : product.k;
  p.panels = pieces(product.n, columns());
  p.grouped = bf16 && product.a_step != 1;
  return p;
}

void MatrixProducts::Impl::place(Packed& p, uint32_t* a, uint32_t* b) const {
  const MatrixProduct& product = *p.product;
  const bool have_b = product.packed != nullptr;
  p.a_storage = p.bf16 ? a : nullptr;
  p.a = p.bf16 ? a : words(product.a);
  p.a_row = p.grouped ? 1 : p.bf16 ? p.steps : product.a_row;
  p.a_step = p.grouped ? kGroup : p.bf16 ? 1 : product.a_step;
  p.b_storage = have_b ? nullptr : b;
  p.b = have_b ? product.packed->words.data() : b;
}

void MatrixProducts::Impl::plan(std::span<const MatrixProduct> products, bool bf16) {
  packed.clear();
  packs = {};
  tiles = {};
  int64_t need = 0;
  const auto reserve = [&](int64_t count) {
    const int64_t at = need;
    need += pieces(count, 16) * 16;
    return at;
  };
  // Alone, a small product is better shared by the threads.
  const bool many = static_cast<int64_t>(products.size()) >= 4 * int64_t{pool.threads()};
  std::vector<std::pair<int64_t, int64_t>> places;
  for (const MatrixProduct& product : products) {
    const Packed p = describe(product, bf16);
    const bool small = many && is_small(p);
    packed.push_back(p);
    if (product.packed != nullptr)
      HEADGATE_CHECK(product.packed->n == product.n && product.packed->k == product.k &&
                     product.packed->bf16 == bf16);
    const bool have_b = small || product.packed != nullptr;
    places.emplace_back(small ? -1 : reserve(p.a_words()), have_b ? 0 : reserve(b_words(p)));
    packs.add(small ? 0 : a_tasks(p) + (have_b ? 0 : p.panels));
    tiles.add(small ? 1 : pieces(product.m, kTaskRows) * pieces(p.panels, kTaskPanels));
  }
  uint32_t* base = storage.take(need);
  for (size_t i = 0; i < packed.size(); ++i) {
    if (places[i].first < 0) continue;
    place(packed[i], base + places[i].first, base + places[i].second);
  }
}

void MatrixProducts::Impl::pack_a(const Packed& p, int64_t task) const {
  const MatrixProduct& product = *p.product;
  if (p.grouped) {
    const int64_t first = task * kPackColumns;
    kernels.pair_rows(p.a_storage + first * p.steps, kGroup, p.steps * kGroup, product.a + first,
                      product.a_step, product.k, std::min(kPackColumns, product.m - first));
    return;
  }
  const int64_t first = task * kPackRows;
  for (int64_t i = first; i < std::min(first + kPackRows, product.m); ++i) {
    kernels.pair_inputs(p.a_storage + i * p.steps, product.a + i * product.a_row, product.k);
  }
}

void MatrixProducts::Impl::pack_b(const Packed& p, int64_t panel, int worker) {
  const MatrixProduct& product = *p.product;
  const int64_t column = panel * columns(), count = std::min(columns(), product.n - column);
  uint32_t* to = p.b_storage + panel * p.steps * columns();
  const float* from = product.b + column * product.b_column;
  if (product.b_column == 1) {
    if (p.bf16) {
      kernels.pair_rows(to, columns(), kGroup, from, product.b_step, product.k, count);
      return;
    }
    for (int64_t s = 0; s < p.steps; ++s) {
      const uint32_t* row = words(from) + s * product.b_step;
      std::copy(row, row + count, to + s * columns());
    }
    return;
  }
  if (!p.bf16) {
    kernels.transpose(to, columns(), words(from), product.b_column, count, p.steps);
    return;
  }
  uint32_t* pairs = scratch[static_cast<size_t>(worker)].turned.take(count * p.steps);
  for (int64_t j = 0; j < count; ++j) {
    kernels.pair_inputs(pairs + j * p.steps, from + j * product.b_column, product.k);
  }
  kernels.transpose(to, columns(), pairs, p.steps, count, p.steps);
}

void MatrixProducts::Impl::pack_task(int64_t task, int worker) {
  const Packed& p = packed[packs.find(task)];
  const int64_t a = a_tasks(p);
  if (task < a) {
    pack_a(p, task);
  } else {
    pack_b(p, task - a, worker);
  }
}

void MatrixProducts::Impl::fill_panel(const Packed& p, const uint32_t* b, int64_t b_step,
                                      int64_t column, int64_t row, int64_t count,
                                      int64_t step) const {
  const MatrixProduct& product = *p.product;
  TileArgs t{};
  t.a_row = p.a_row;
  t.a_step = p.a_step;
  t.b = b + step * b_step;
  t.b_step = b_step;
  t.c_row = product.c_row;
  t.columns = std::min(columns(), product.n - column);
  t.steps = std::min(kStepBlock, p.steps - step);
  t.add = product.add || step > 0;
  const int64_t most = p.bf16 ? kernels.bf16_rows : kProductRows;
  for (int64_t i = row; i < row + count; i += most) {
    t.a = p.row(i, step);
    t.c = product.c + i * product.c_row + column;
    t.rows = std::min(most, row + count - i);
    (p.bf16 ? kernels.tile_bf16 : kernels.tile_f32)(t);
  }
}

void MatrixProducts::Impl::fill(const Packed& p, int64_t task) const {
  const int64_t groups = pieces(p.panels, kTaskPanels);
  const int64_t row = task / groups * kTaskRows, first = task % groups * kTaskPanels;
  const int64_t rows = std::min(kTaskRows, p.product->m - row);
  for (int64_t step = 0; step < p.steps; step += kStepBlock) {
    for (int64_t panel = first; panel < std::min(first + kTaskPanels, p.panels); ++panel) {
      fill_panel(p, p.b + panel * p.steps * columns(), columns(), panel * columns(), row, rows,
                 step);
    }
  }
}

void MatrixProducts::Impl::run_small(Packed p, int worker) {
  const int64_t a = pieces(p.a_words(), 16) * 16;
  uint32_t* base = scratch[static_cast<size_t>(worker)].packed.take(a + b_words(p));
  place(p, base, base + a);
  for (int64_t task = 0; task < a_tasks(p); ++task) pack_a(p, task);
  for (int64_t panel = 0; panel < p.panels; ++panel) pack_b(p, panel, worker);
  const int64_t tasks = pieces(p.product->m, kTaskRows) * pieces(p.panels, kTaskPanels);
  for (int64_t task = 0; task < tasks; ++task) fill(p, task);
}

MatrixProducts::MatrixProducts(ThreadPool& pool, Isa isa)
    : impl_(std::make_unique<Impl>(pool, isa)) {}
MatrixProducts::~MatrixProducts() = default;

bool MatrixProducts::has_bf16() const { return impl_->kernels.tile_bf16 != nullptr; }

void MatrixProducts::run(std::span<const MatrixProduct> products, bool bf16) {
  Impl& s = *impl_;
  bf16 = bf16 && has_bf16();
  for (const MatrixProduct& p : products) {
    HEADGATE_CHECK(p.m > 0 && p.n > 0 && p.k > 0);
    HEADGATE_CHECK((p.a_row == 1 || p.a_step == 1) && (p.b_step == 1 || p.b_column == 1));
  }
  s.plan(products, bf16);
  s.pool.run(s.packs.total(), [&](int64_t task, int worker) { s.pack_task(task, worker); });
  s.pool.run(s.tiles.total(), [&](int64_t task, int worker) {
    const Packed& p = s.packed[s.tiles.find(task)];
    if (p.b == nullptr) {
      s.run_small(p, worker);
    } else {
      s.fill(p, task);
    }
  });
}

void MatrixProducts::pack(const MatrixProduct& product, bool bf16, PackedRight& to) {
  Impl& s = *impl_;
  to.n = product.n;
  to.k = product.k;
  to.bf16 = bf16 && has_bf16();
  Packed p = s.describe(product, to.bf16);
  p.b_storage = to.words.take(s.b_words(p));
  s.pool.run(p.panels, [&](int64_t panel, int worker) { s.pack_b(p, panel, worker); });
}

void MatrixProducts::run_here(const MatrixProduct& product, int worker) {
  const Impl& s = *impl_;
  Packed p{};
  p.product = &product;
  p.steps = product.k;
  p.a = words(product.a);
  p.a_row = product.a_row;
  p.a_step = product.a_step;
  // Small: rows of b are read where they lie; only columns have to be turned first.
  const uint32_t* b = words(product.b);
  int64_t b_step = product.b_step;
  if (product.b_column != 1) {
    uint32_t* turned =
        impl_->scratch[static_cast<size_t>(worker)].turned.take(product.n * product.k);
    s.kernels.transpose(turned, product.n, b, product.b_column, product.n, product.k);
    b = turned;
    b_step = product.n;
  }
  for (int64_t step = 0; step < p.steps; step += kStepBlock) {
    for (int64_t column = 0; column < product.n; column += s.columns()) {
      s.fill_panel(p, b + column, b_step, column, 0, product.m, step);
    }
  }
}

}  // namespace headgate

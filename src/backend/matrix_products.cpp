// Products in two regions: inputs are packed into the words the tiles read, then tiles are filled.
#include "backend/matrix_products.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/error.h"
#include "kernels/train_dispatch.h"

namespace headgate {
namespace {

// A panel of this many steps stays in the first-level cache while the rows of a task pass by.
constexpr int64_t kStepBlock = 256;
// Rows and panels of one task.
constexpr int64_t kTaskRows = 128;
constexpr int64_t kTaskPanels = 8;
constexpr int64_t kPackRows = 64;

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

// 32-bit words that only grow.
class Words {
 public:
  uint32_t* take(int64_t count) {
    const auto lines = static_cast<size_t>(pieces(count, 16));
    if (lines > lines_.size()) {
      lines_.clear();
      lines_.resize(lines + lines / 4);
    }
    return reinterpret_cast<uint32_t*>(lines_.data());
  }

 private:
  struct alignas(64) Line {
    uint32_t words[16];
  };
  std::vector<Line> lines_;
};

// A product with its inputs as words.
struct Packed {
  const MatrixProduct* product;
  int64_t steps, panels;
  const uint32_t* a;
  int64_t a_row, a_step;
  uint32_t* b;          // panels of [steps, columns]
  uint32_t* a_storage;  // bf16 only
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

const uint32_t* words(const float* x) { return reinterpret_cast<const uint32_t*>(x); }

}  // namespace

struct MatrixProducts::Impl {
  ThreadPool& pool;
  TrainTable kernels;
  Words storage;
  std::vector<Words> scratch;  // per worker
  std::vector<Packed> packed;
  Tasks packs, tiles;

  Impl(ThreadPool& p, Isa isa)
      : pool(p), kernels(train_kernels_for(isa)), scratch(static_cast<size_t>(p.threads())) {}

  int64_t columns() const { return kernels.product_columns; }

  void plan(std::span<const MatrixProduct> products, bool bf16);
  int64_t a_tasks(const Packed& p, bool bf16) const {
    if (!bf16) return 0;
    return pieces(p.product->a_step == 1 ? p.product->m : p.steps, kPackRows);
  }
  void pack_a(const Packed& p, int64_t task) const;
  void pack_b(const Packed& p, int64_t panel, bool bf16, int worker);
  void fill(const Packed& p, int64_t task, bool bf16) const;
  // Rows [row, row + count) of one panel, steps in blocks.
  void fill_panel(const Packed& p, const uint32_t* b, int64_t b_step, int64_t column, int64_t row,
                  int64_t count, int64_t step, bool bf16) const;
};

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
  std::vector<std::pair<int64_t, int64_t>> places;
  for (const MatrixProduct& p : products) {
    Packed out{};
    out.product = &p;
    out.steps = bf16 ? (p.k + 1) / 2 : p.k;
    out.panels = pieces(p.n, columns());
    places.emplace_back(reserve(out.panels * out.steps * columns()),
                        bf16 ? reserve(p.m * out.steps) : 0);
    packed.push_back(out);
    packs.add(out.panels + a_tasks(out, bf16));
    tiles.add(pieces(p.m, kTaskRows) * pieces(out.panels, kTaskPanels));
  }
  uint32_t* base = storage.take(need);
  for (size_t i = 0; i < packed.size(); ++i) {
    Packed& p = packed[i];
    const MatrixProduct& product = *p.product;
    p.b = base + places[i].first;
    p.a_storage = base + places[i].second;
    const bool by_rows = product.a_step == 1;
    p.a = bf16 ? p.a_storage : words(product.a);
    p.a_row = bf16 ? (by_rows ? p.steps : 1) : product.a_row;
    p.a_step = bf16 ? (by_rows ? 1 : product.m) : product.a_step;
  }
}

void MatrixProducts::Impl::pack_a(const Packed& p, int64_t task) const {
  const MatrixProduct& product = *p.product;
  const int64_t first = task * kPackRows;
  if (product.a_step == 1) {
    for (int64_t i = first; i < std::min(first + kPackRows, product.m); ++i) {
      kernels.pair_inputs(p.a_storage + i * p.steps, product.a + i * product.a_row, product.k);
    }
    return;
  }
  for (int64_t s = first; s < std::min(first + kPackRows, p.steps); ++s) {
    const float* low = product.a + 2 * s * product.a_step;
    kernels.pair_rows(p.a_storage + s * product.m, low,
                      2 * s + 1 < product.k ? low + product.a_step : nullptr, product.m);
  }
}

void MatrixProducts::Impl::pack_b(const Packed& p, int64_t panel, bool bf16, int worker) {
  const MatrixProduct& product = *p.product;
  const int64_t column = panel * columns(), count = std::min(columns(), product.n - column);
  uint32_t* to = p.b + panel * p.steps * columns();
  const float* from = product.b + column * product.b_column;
  if (product.b_column == 1) {
    for (int64_t s = 0; s < p.steps; ++s) {
      if (bf16) {
        const float* low = from + 2 * s * product.b_step;
        kernels.pair_rows(to + s * columns(), low,
                          2 * s + 1 < product.k ? low + product.b_step : nullptr, count);
      } else {
        std::copy(words(from) + s * product.b_step, words(from) + s * product.b_step + count,
                  to + s * columns());
      }
    }
    return;
  }
  if (!bf16) {
    kernels.transpose(to, columns(), words(from), product.b_column, count, p.steps);
    return;
  }
  uint32_t* pairs = scratch[static_cast<size_t>(worker)].take(count * p.steps);
  for (int64_t j = 0; j < count; ++j) {
    kernels.pair_inputs(pairs + j * p.steps, from + j * product.b_column, product.k);
  }
  kernels.transpose(to, columns(), pairs, p.steps, count, p.steps);
}

void MatrixProducts::Impl::fill_panel(const Packed& p, const uint32_t* b, int64_t b_step,
                                      int64_t column, int64_t row, int64_t count, int64_t step,
                                      bool bf16) const {
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
  for (int64_t i = row; i < row + count; i += kProductRows) {
    t.a = p.a + i * p.a_row + step * p.a_step;
    t.c = product.c + i * product.c_row + column;
    t.rows = std::min(kProductRows, row + count - i);
    (bf16 ? kernels.tile_bf16 : kernels.tile_f32)(t);
  }
}

void MatrixProducts::Impl::fill(const Packed& p, int64_t task, bool bf16) const {
  const int64_t groups = pieces(p.panels, kTaskPanels);
  const int64_t row = task / groups * kTaskRows, first = task % groups * kTaskPanels;
  const int64_t rows = std::min(kTaskRows, p.product->m - row);
  for (int64_t step = 0; step < p.steps; step += kStepBlock) {
    for (int64_t panel = first; panel < std::min(first + kTaskPanels, p.panels); ++panel) {
      fill_panel(p, p.b + panel * p.steps * columns(), columns(), panel * columns(), row, rows,
                 step, bf16);
    }
  }
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
  s.pool.run(s.packs.total(), [&](int64_t task, int worker) {
    const Packed& p = s.packed[s.packs.find(task)];
    if (task < p.panels) {
      s.pack_b(p, task, bf16, worker);
    } else {
      s.pack_a(p, task - p.panels);
    }
  });
  s.pool.run(s.tiles.total(), [&](int64_t task, int) {
    const Packed& p = s.packed[s.tiles.find(task)];
    s.fill(p, task, bf16);
  });
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
    uint32_t* turned = impl_->scratch[static_cast<size_t>(worker)].take(product.n * product.k);
    s.kernels.transpose(turned, product.n, b, product.b_column, product.n, product.k);
    b = turned;
    b_step = product.n;
  }
  for (int64_t step = 0; step < p.steps; step += kStepBlock) {
    for (int64_t column = 0; column < product.n; column += s.columns()) {
      s.fill_panel(p, b + column, b_step, column, 0, product.m, step, false);
    }
  }
}

}  // namespace headgate

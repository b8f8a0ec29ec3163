// Products in float on the backend's kernels, in double by plain loops.
#include "train/ops.h"

#include <type_traits>

#include "backend/matrix_products.h"
#include "base/cpu_info.h"
#include "base/error.h"

namespace headgate {
namespace {

template <typename T>
struct Sizes {
  int64_t m, n, k;
};

template <typename T>
Sizes<T> sizes_of(const Product<T>& p) {
  Sizes<T> s;
  s.m = p.form == Form::kTN ? p.a.cols : p.a.rows;
  s.k = p.form == Form::kTN ? p.a.rows : p.a.cols;
  s.n = p.form == Form::kNT ? p.b.rows : p.b.cols;
  HEADGATE_CHECK((p.form == Form::kNT ? p.b.cols : p.b.rows) == s.k);
  HEADGATE_CHECK(p.c.rows == s.m && p.c.cols == s.n);
  return s;
}

template <typename T>
void plain_rows(const Product<T>& p, int64_t first, int64_t count) {
  const Sizes<T> s = sizes_of(p);
  for (int64_t i = first; i < first + count; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      T sum = 0;
      for (int64_t k = 0; k < s.k; ++k) {
        const T a = p.form == Form::kTN ? p.a.row(k)[i] : p.a.row(i)[k];
        const T b = p.form == Form::kNT ? p.b.row(j)[k] : p.b.row(k)[j];
        sum += a * b;
      }
      T& out = p.c.row(i)[j];
      out = p.add ? out + sum : sum;
    }
  }
}

MatrixProduct translate(const Product<float>& p) {
  const Sizes<float> s = sizes_of(p);
  MatrixProduct out;
  out.m = s.m;
  out.n = s.n;
  out.k = s.k;
  out.a = p.a.data;
  out.a_row = p.form == Form::kTN ? 1 : p.a.stride;
  out.a_step = p.form == Form::kTN ? p.a.stride : 1;
  out.b = p.b.data;
  out.b_step = p.form == Form::kNT ? 1 : p.b.stride;
  out.b_column = p.form == Form::kNT ? p.b.stride : 1;
  out.c = p.c.data;
  out.c_row = p.c.stride;
  out.add = p.add;
  out.packed = p.packed;
  return out;
}

}  // namespace

template <typename T>
Ops<T>::Ops(ThreadPool& pool, bool bf16) : pool_(pool), bf16_(bf16) {
  if constexpr (std::is_same_v<T, float>) {
    fast_ = std::make_unique<MatrixProducts>(pool, selected_isa());
    for (auto& packed : packed_) packed = std::make_unique<PackedRight>();
  }
}

template <typename T>
Ops<T>::~Ops() = default;

template <typename T>
Buffer<T> Ops<T>::take(int64_t count) {
  size_t best = stock_.size();
  for (size_t i = 0; i < stock_.size(); ++i) {
    const int64_t has = stock_[i].capacity();
    if (best == stock_.size()) {
      best = i;
      continue;
    }
    const int64_t so_far = stock_[best].capacity();
    // Any that is large enough beats one that is not; then the nearest in size.
    const bool better = so_far < count ? has > so_far : has >= count && has < so_far;
    if (better) best = i;
  }
  if (best == stock_.size()) return {};
  std::swap(stock_[best], stock_.back());
  Buffer<T> out = std::move(stock_.back());
  stock_.pop_back();
  return out;
}

template <typename T>
void Ops<T>::products(std::span<const Product<T>> products, bool rounded) {
  if constexpr (std::is_same_v<T, float>) {
    std::vector<MatrixProduct> list;
    list.reserve(products.size());
    for (const Product<T>& p : products) list.push_back(translate(p));
    fast_->run(list, rounded && bf16_);
  } else {
    for (const Product<T>& p : products) {
      rows(sizes_of(p).m, [&](int64_t first, int64_t count) { plain_rows(p, first, count); });
    }
  }
}

template <typename T>
const PackedRight* Ops<T>::pack(Form form, In<T> b, bool rounded, int slot) {
  if constexpr (std::is_same_v<T, float>) {
    MatrixProduct product;
    product.n = form == Form::kNT ? b.rows : b.cols;
    product.k = form == Form::kNT ? b.cols : b.rows;
    product.b = b.data;
    product.b_step = form == Form::kNT ? 1 : b.stride;
    product.b_column = form == Form::kNT ? b.stride : 1;
    fast_->pack(product, rounded && bf16_, *packed_[slot]);
    return packed_[slot].get();
  } else {
    return nullptr;
  }
}

template <typename T>
void Ops<T>::product_here(const Product<T>& product, int worker) {
  if constexpr (std::is_same_v<T, float>) {
    fast_->run_here(translate(product), worker);
  } else {
    plain_rows(product, 0, sizes_of(product).m);
  }
}

template class Ops<float>;
template class Ops<double>;

}  // namespace headgate

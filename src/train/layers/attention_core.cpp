// Blocks of queries against all keys that any of them sees.
#include "train/layers/attention_core.h"

#include <algorithm>
#include <cmath>

#include "train/layers/activations.h"

namespace headgate {
namespace {

constexpr int64_t kQueries = 64;

// Queries [start, start + size) of a row and the keys [keys, start + size) they may see.
struct Block {
  int64_t start, size, keys;
  int64_t key_count() const { return start + size - keys; }
};

Block block_of(const BatchLayout& layout, int64_t row, int64_t index) {
  Block b{};
  b.start = row * layout.length + index * kQueries;
  b.size = std::min(kQueries, layout.length - index * kQueries);
  b.keys = layout.first[static_cast<size_t>(b.start)];
  return b;
}

int64_t blocks_of(const BatchLayout& layout) { return (layout.length + kQueries - 1) / kQueries; }

template <typename T>
In<T> rows_of(Heads<const T> x, int64_t first, int64_t count, int64_t head) {
  return {x.at(first, head), count, x.width, x.row_stride};
}
template <typename T>
Out<T> rows_of(Heads<T> x, int64_t first, int64_t count, int64_t head) {
  return {x.at(first, head), count, x.width, x.row_stride};
}

// Scaled scores of a block: [size, key_count + own], not masked.
template <typename T>
void score(Ops<T>& ops, const AttentionInputs<T>& in, const Block& b, int64_t head, int64_t kv,
           Out<T> s, int worker) {
  const Out<T> past = s.columns(0, b.key_count());
  ops.product_here({Form::kNT, rows_of(in.q, b.start, b.size, head),
                    rows_of(in.past.k, b.keys, b.key_count(), kv), past, false},
                   worker);
  for (int64_t i = 0; i < b.size; ++i) {
    T* row = s.row(i);
    for (size_t e = 0; e < in.own.size(); ++e) {
      row[b.key_count() + static_cast<int64_t>(e)] =
          dot(in.q.at(b.start + i, head), in.own[e].k.at(b.start + i, kv), in.q.width);
    }
    for (int64_t j = 0; j < s.cols; ++j) row[j] *= in.scale;
  }
}

// Keys of `past` that query i of the block sees: [from, to) of the block's keys.
struct Visible {
  int64_t from, to;
};
Visible visible(const BatchLayout& layout, const Block& b, int64_t i) {
  return {layout.first[static_cast<size_t>(b.start + i)] - b.keys, b.start + i - b.keys + 1};
}

// Scores of one row to probabilities exp(s - lse); what is not visible becomes 0. With `find` the
// lse is computed first.
template <typename T>
void probabilities(T* row, const Visible& see, int64_t keys, int64_t all, bool find, T& lse) {
  std::fill(row, row + see.from, T(0));
  std::fill(row + see.to, row + keys, T(0));
  T shift = lse;
  if (find) {
    shift = row[see.from];
    for (int64_t j = see.from; j < see.to; ++j) shift = std::max(shift, row[j]);
    for (int64_t j = keys; j < all; ++j) shift = std::max(shift, row[j]);
  }
  T sum = exp_shifted(row + see.from, shift, see.to - see.from, row + see.from);
  sum += exp_shifted(row + keys, shift, all - keys, row + keys);
  if (!find) return;
  lse = shift + std::log(sum);
  const T scale = T(1) / sum;
  for (int64_t j = see.from; j < see.to; ++j) row[j] *= scale;
  for (int64_t j = keys; j < all; ++j) row[j] *= scale;
}

}  // namespace

template <typename T>
void attention_core_forward(Ops<T>& ops, const BatchLayout& layout, const AttentionInputs<T>& in,
                            Heads<T> o, Out<T> lse) {
  const int64_t heads = in.q.heads, ratio = heads / in.past.k.heads, blocks = blocks_of(layout);
  const auto extra = static_cast<int64_t>(in.own.size());
  Borrowed<T> buffer(ops);
  const Out<T> scratch = buffer.shape(ops.pool().threads(), kQueries * (layout.length + extra));
  ops.pool().run(layout.rows * heads * blocks, [&](int64_t task, int worker) {
    const int64_t head = task / blocks % heads, kv = head / ratio;
    const Block b = block_of(layout, task / blocks / heads, task % blocks);
    const Out<T> s(scratch.row(worker), b.size, b.key_count() + extra);
    score(ops, in, b, head, kv, s, worker);
    for (int64_t i = 0; i < b.size; ++i) {
      probabilities(s.row(i), visible(layout, b, i), b.key_count(), s.cols, true,
                    lse.row(b.start + i)[head]);
    }
    ops.product_here(
        {Form::kNN, s.columns(0, b.key_count()), rows_of(in.past.v, b.keys, b.key_count(), kv),
         rows_of(o, b.start, b.size, head), false},
        worker);
    for (int64_t i = 0; i < b.size; ++i) {
      for (int64_t e = 0; e < extra; ++e) {
        add_scaled(o.at(b.start + i, head), in.own[static_cast<size_t>(e)].v.at(b.start + i, kv),
                   s.row(i)[b.key_count() + e], o.width);
      }
    }
  });
}

namespace {

// One block of the backward pass. p and ds are [size, keys + own]; dk, dv belong to one head.
template <typename T>
void backward_block(Ops<T>& ops, const BatchLayout& layout, const AttentionInputs<T>& in,
                    const Block& b, int64_t head, int64_t kv, Heads<const T> o, In<T> lse,
                    Heads<const T> d_o, Heads<T> dq, const Heads<T>* dk, const Heads<T>* dv,
                    Out<T> p, Out<T> ds, int worker) {
  const int64_t keys = b.key_count();
  score(ops, in, b, head, kv, p, worker);
  const In<T> d_out = rows_of(d_o, b.start, b.size, head);
  ops.product_here(
      {Form::kNT, d_out, rows_of(in.past.v, b.keys, keys, kv), ds.columns(0, keys), false}, worker);
  for (int64_t i = 0; i < b.size; ++i) {
    const int64_t t = b.start + i;
    T known = lse.row(t)[head];
    probabilities(p.row(i), visible(layout, b, i), keys, p.cols, false, known);
    for (size_t e = 0; e < in.own.size(); ++e) {
      ds.row(i)[keys + static_cast<int64_t>(e)] = dot(d_out.row(i), in.own[e].v.at(t, kv), o.width);
    }
    const T delta = dot(d_out.row(i), o.at(t, head), o.width);
    for (int64_t j = 0; j < p.cols; ++j)
      ds.row(i)[j] = p.row(i)[j] * (ds.row(i)[j] - delta) * in.scale;
  }
  const In<T> scores = ds.columns(0, keys), weights = p.columns(0, keys);
  ops.product_here({Form::kNN, scores, rows_of(in.past.k, b.keys, keys, kv),
                    rows_of(dq, b.start, b.size, head), false},
                   worker);
  ops.product_here({Form::kTN, scores, rows_of(in.q, b.start, b.size, head),
                    rows_of(dk[0], b.keys, keys, head), true},
                   worker);
  ops.product_here({Form::kTN, weights, d_out, rows_of(dv[0], b.keys, keys, head), true}, worker);
  for (int64_t i = 0; i < b.size; ++i) {
    const int64_t t = b.start + i;
    for (size_t e = 0; e < in.own.size(); ++e) {
      const auto column = keys + static_cast<int64_t>(e);
      add_scaled(dq.at(t, head), in.own[e].k.at(t, kv), ds.row(i)[column], o.width);
      add_scaled(dk[e + 1].at(t, head), in.q.at(t, head), ds.row(i)[column], o.width);
      add_scaled(dv[e + 1].at(t, head), d_out.row(i), p.row(i)[column], o.width);
    }
  }
}

// sums [tokens, kv_heads] += parts [tokens, heads], the heads of a KV head in order.
template <typename T>
void add_heads(Ops<T>& ops, Heads<T> parts, Heads<T> sums) {
  const int64_t ratio = parts.heads / sums.heads;
  ops.rows(parts.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < parts.heads; ++h) {
        add_scaled(sums.at(t, h / ratio), parts.at(t, h), T(1), sums.width);
      }
    }
  });
}

}  // namespace

template <typename T>
void attention_core_backward(Ops<T>& ops, const BatchLayout& layout, const AttentionInputs<T>& in,
                             Heads<const T> o, In<T> lse, Heads<const T> d_o, Heads<T> dq,
                             const KeyValueGradients<T>& d_past,
                             std::span<const KeyValueGradients<T>> d_own) {
  const int64_t heads = in.q.heads, width = in.q.width, ratio = heads / in.past.k.heads;
  const auto extra = static_cast<int64_t>(in.own.size());
  Borrowed<T> buffer(ops), sums(ops);
  const Out<T> scratch = buffer.shape(ops.pool().threads(), 2 * kQueries * (layout.length + extra));
  const Out<T> parts = sums.zeros(2 * (1 + extra) * layout.size(), heads * width);
  std::vector<Heads<T>> dk, dv;
  for (int64_t e = 0; e <= extra; ++e) {
    dk.emplace_back(parts.row_range(2 * e * layout.size(), layout.size()), heads);
    dv.emplace_back(parts.row_range((2 * e + 1) * layout.size(), layout.size()), heads);
  }
  ops.pool().run(layout.rows * heads, [&](int64_t task, int worker) {
    const int64_t head = task % heads;
    for (int64_t i = 0; i < blocks_of(layout); ++i) {
      const Block b = block_of(layout, task / heads, i);
      const int64_t columns = b.key_count() + extra;
      const Out<T> p(scratch.row(worker), b.size, columns);
      const Out<T> ds(scratch.row(worker) + kQueries * (layout.length + extra), b.size, columns);
      backward_block(ops, layout, in, b, head, head / ratio, o, lse, d_o, dq, dk.data(), dv.data(),
                     p, ds, worker);
    }
  });
  for (size_t e = 0; e < dk.size(); ++e) {
    const KeyValueGradients<T>& to = e == 0 ? d_past : d_own[e - 1];
    add_heads(ops, dk[e], to.k);
    add_heads(ops, dv[e], to.v);
  }
}

#define HEADGATE_ATTENTION(T)                                                                      \
  template void attention_core_forward<T>(Ops<T>&, const BatchLayout&, const AttentionInputs<T>&,  \
                                          Heads<T>, Out<T>);                                       \
  template void attention_core_backward<T>(Ops<T>&, const BatchLayout&, const AttentionInputs<T>&, \
                                           Heads<const T>, In<T>, Heads<const T>, Heads<T>,        \
                                           const KeyValueGradients<T>&,                            \
                                           std::span<const KeyValueGradients<T>>);
HEADGATE_ATTENTION(float)
HEADGATE_ATTENTION(double)
#undef HEADGATE_ATTENTION

}  // namespace headgate

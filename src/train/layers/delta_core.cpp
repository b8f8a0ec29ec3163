// One task per (row, value head); the chunks of a row follow each other through the state. With G
// the running sum of g in a chunk, "same" tokens of one document, "prev" those of the document that
// reaches in from the chunk before, "last" those of the chunk's last document:
//   D_ij = exp(G_i - G_j) [i >= j, same]   gam_i = exp(G_i) [prev]   lam_i = exp(G_C - G_i) [last]
//   A = stril(b k k^T D)   R = (I + A)^-1   U = R (b V)   W = R (b gam K)   V' = U - W S
//   P = tril(q k^T D)   O = (gam Q) S + P V'   S' = gC S + (lam K)^T V'
// g of a document's first token is never used and counts as 0.
#include "train/layers/delta_core.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "train/layers/activations.h"

namespace headgate {
namespace {

template <typename T>
struct Chunk {
  int64_t start = 0, size = 0;  // in the stream
  int64_t head = 0;
  In<T> q, k, v;
  Out<T> state, decay, keys, scores, inverse, u, w, v_new;
  // Scratch, per worker.
  T *gam, *lam, *beta;  // [chunk]
  T gC = 0;
};

// Numbers of one worker's scratch.
int64_t scratch_size(int64_t c, int64_t dk, int64_t dv) {
  return 3 * c + 3 * c * (dk + dv) + 4 * c * c + 2 * dk * dv;
}

template <typename T>
class Walker {
 public:
  Walker(Ops<T>& ops, const BatchLayout& layout, const DeltaInputs<T>& in, DeltaSaved<T>& saved)
      : ops_(ops),
        layout_(layout),
        in_(in),
        saved_(saved),
        c_(in.chunk),
        dk_(in.k.width),
        dv_(in.v.width),
        heads_(in.v.heads),
        chunks_((layout.length + c_ - 1) / c_) {
    saved_.scratch.shape(ops.pool().threads(), scratch_size(c_, dk_, dv_));
  }

  int64_t tasks() const { return layout_.rows * heads_; }
  int64_t chunks() const { return chunks_; }

  void make_saved() {
    const int64_t all = tasks() * chunks_;
    saved_.states.shape(all, dk_ * dv_);
    saved_.squares.shape(all, 4 * c_ * c_);
    saved_.tall.shape(all, c_ * (dk_ + 2 * dv_));
  }

  Chunk<T> chunk(int64_t task, int64_t index, int worker) const {
    const int64_t row = task / heads_, head = task % heads_;
    const int64_t ratio = heads_ / in_.k.heads, at = task * chunks_ + index;
    Chunk<T> x;
    x.head = head;
    x.start = row * layout_.length + index * c_;
    x.size = std::min(c_, layout_.length - index * c_);
    const int64_t n = x.size;
    x.q = {in_.q.at(x.start, head / ratio), n, dk_, in_.q.row_stride};
    x.k = {in_.k.at(x.start, head / ratio), n, dk_, in_.k.row_stride};
    x.v = {in_.v.at(x.start, head), n, dv_, in_.v.row_stride};
    x.state = {saved_.states.view().row(at), dk_, dv_};
    T* square = saved_.squares.view().row(at);
    x.decay = {square, n, n, c_};
    x.keys = {square + c_ * c_, n, n, c_};
    x.scores = {square + 2 * c_ * c_, n, n, c_};
    x.inverse = {square + 3 * c_ * c_, n, n, c_};
    T* tall = saved_.tall.view().row(at);
    x.u = {tall, n, dv_};
    x.w = {tall + c_ * dv_, n, dk_};
    x.v_new = {tall + c_ * (dv_ + dk_), n, dv_};
    x.gam = scratch(worker);
    x.lam = x.gam + c_;
    x.beta = x.lam + c_;
    gates(index, x);
    return x;
  }

  T* scratch(int worker) const { return saved_.scratch.view().row(worker); }
  T* free_scratch(int worker) const { return scratch(worker) + 3 * c_; }

  void multiply(Form form, In<T> a, In<T> b, Out<T> c, bool add, int worker) const {
    ops_.product_here({form, a, b, c, add}, worker);
  }

  // D, from differences of the running sums: their exponentials alone would overflow.
  void fill_decay(const Chunk<T>& x) const {
    for (int64_t i = 0; i < x.size; ++i) {
      T* row = x.decay.row(i);
      for (int64_t j = 0; j < x.size; ++j) {
        row[j] = j <= i && same(x.start + i, x.start + j) ? std::exp(sums_at(x, i) - sums_at(x, j))
                                                          : T(0);
      }
    }
  }

  int64_t c_size() const { return c_; }
  int64_t dk() const { return dk_; }
  int64_t dv() const { return dv_; }
  bool starts(int64_t t) const { return layout_.first[static_cast<size_t>(t)] == t; }

 private:
  bool same(int64_t a, int64_t b) const {
    return layout_.first[static_cast<size_t>(a)] == layout_.first[static_cast<size_t>(b)];
  }

  // The running sums live where lam is until the decay is filled.
  static T sums_at(const Chunk<T>& x, int64_t i) { return x.lam[i]; }

  void gates(int64_t index, Chunk<T>& x) const {
    T sum = 0;
    for (int64_t i = 0; i < x.size; ++i) {
      const int64_t t = x.start + i;
      sum += starts(t) ? T(0) : in_.g.row(t)[x.head];
      x.lam[i] = sum;
      x.beta[i] = in_.beta.row(t)[x.head];
      x.gam[i] = index > 0 && same(t, x.start - 1) ? std::exp(sum) : T(0);
    }
    x.gC = x.gam[x.size - 1];
  }

  Ops<T>& ops_;
  const BatchLayout& layout_;
  const DeltaInputs<T>& in_;
  DeltaSaved<T>& saved_;
  int64_t c_, dk_, dv_, heads_, chunks_;

 public:
  // Turns the running sums in lam into the decays from each token to the end of the chunk.
  void finish_gates(Chunk<T>& x) const {
    const int64_t end = x.size - 1;
    const T total = x.lam[end];
    for (int64_t i = 0; i < x.size; ++i) {
      x.lam[i] = same(x.start + i, x.start + end) ? std::exp(total - x.lam[i]) : T(0);
    }
  }
};

// dst[i] = rows of src scaled by s[i] (and by t[i] when given).
template <typename T>
void scale_rows(In<T> src, const T* s, const T* t, Out<T> dst) {
  for (int64_t i = 0; i < src.rows; ++i) {
    scale_row(dst.row(i), src.row(i), t == nullptr ? s[i] : s[i] * t[i], src.cols);
  }
}

// R = (I + diag(beta) stril(keys))^-1 by forward substitution: safe for repeated keys, where a
// power series is not.
template <typename T>
void invert(const Chunk<T>& x) {
  for (int64_t i = 0; i < x.size; ++i) {
    T* row = x.inverse.row(i);
    std::fill(row, row + x.size, T(0));
    for (int64_t j = 0; j < i; ++j) {
      const T a = x.beta[i] * x.keys.row(i)[j];
      if (a == T(0)) continue;
      const T* other = x.inverse.row(j);
      add_scaled(row, other, -a, j + 1);
    }
    row[i] = T(1);
  }
}

template <typename T>
void forward_chunk(const Walker<T>& walk, Chunk<T>& x, Out<T> next, Out<T> o, int worker) {
  T* free = walk.free_scratch(worker);
  const Out<T> bv(free, x.size, walk.dv()), bk(free + walk.c_size() * walk.dv(), x.size, walk.dk());
  walk.fill_decay(x);
  walk.finish_gates(x);
  walk.multiply(Form::kNT, x.k, x.k, x.keys, false, worker);
  walk.multiply(Form::kNT, x.q, x.k, x.scores, false, worker);
  for (int64_t i = 0; i < x.size; ++i) {
    for (int64_t j = 0; j < x.size; ++j) {
      x.keys.row(i)[j] = j < i ? x.keys.row(i)[j] * x.decay.row(i)[j] : T(0);
      x.scores.row(i)[j] *= x.decay.row(i)[j];
    }
  }
  invert(x);
  scale_rows<T>(x.v, x.beta, nullptr, bv);
  scale_rows<T>(x.k, x.beta, x.gam, bk);
  walk.multiply(Form::kNN, x.inverse, bv, x.u, false, worker);
  walk.multiply(Form::kNN, x.inverse, bk, x.w, false, worker);
  walk.multiply(Form::kNN, x.w, x.state, x.v_new, false, worker);
  for (int64_t i = 0; i < x.size * walk.dv(); ++i) x.v_new.data[i] = x.u.data[i] - x.v_new.data[i];
  scale_rows<T>(x.q, x.gam, nullptr, bk);
  walk.multiply(Form::kNN, bk, x.state, o, false, worker);
  walk.multiply(Form::kNN, x.scores, x.v_new, o, true, worker);
  scale_rows<T>(x.k, x.lam, nullptr, bk);
  for (int64_t i = 0; i < walk.dk() * walk.dv(); ++i) next.data[i] = x.gC * x.state.data[i];
  walk.multiply(Form::kTN, bk, x.v_new, next, true, worker);
}

// Scratch of one backward chunk.
template <typename T>
struct BackwardScratch {
  Out<T> qh, kh, d_qh, d_kh, d_w, d_bk;  // [chunk, key_dim]
  Out<T> d_v, d_bv;                      // [chunk, value_dim]
  Out<T> d_p, d_a, m, n;                 // [chunk, chunk]
  Out<T> d_next, d_state;                // [key_dim, value_dim]

  static int64_t size(int64_t c, int64_t dk, int64_t dv) {
    return 6 * c * dk + 2 * c * dv + 4 * c * c + 2 * dk * dv;
  }
  BackwardScratch(T* free, int64_t c, int64_t size, int64_t dk, int64_t dv) {
    for (Out<T>* tall : {&qh, &kh, &d_qh, &d_kh, &d_w, &d_bk}) {
      *tall = {free, size, dk};
      free += c * dk;
    }
    for (Out<T>* tall : {&d_v, &d_bv}) {
      *tall = {free, size, dv};
      free += c * dv;
    }
    for (Out<T>* square : {&d_p, &d_a, &m, &n}) {
      *square = {free, size, size, c};
      free += c * c;
    }
    d_next = {free, dk, dv};
    d_state = {free + dk * dv, dk, dv};
  }
};

// Gradients through the products of a chunk: d_qh, d_kh, d_v (V'), d_w, d_bv, d_bk, d_p, d_a, and
// the state before the chunk.
template <typename T>
void backward_products(const Walker<T>& walk, const Chunk<T>& x, In<T> d_o, BackwardScratch<T>& s,
                       int worker) {
  scale_rows<T>(x.q, x.gam, nullptr, s.qh);
  scale_rows<T>(x.k, x.lam, nullptr, s.kh);
  walk.multiply(Form::kTN, x.scores, d_o, s.d_v, false, worker);
  walk.multiply(Form::kNN, s.kh, s.d_next, s.d_v, true, worker);
  walk.multiply(Form::kNT, d_o, x.v_new, s.d_p, false, worker);
  walk.multiply(Form::kNT, d_o, x.state, s.d_qh, false, worker);
  walk.multiply(Form::kNT, x.v_new, s.d_next, s.d_kh, false, worker);
  walk.multiply(Form::kNT, s.d_v, x.state, s.d_w, false, worker);
  for (int64_t i = 0; i < x.size * walk.dk(); ++i) s.d_w.data[i] = -s.d_w.data[i];
  walk.multiply(Form::kTN, x.inverse, s.d_v, s.d_bv, false, worker);
  walk.multiply(Form::kTN, x.inverse, s.d_w, s.d_bk, false, worker);
  walk.multiply(Form::kNT, s.d_bv, x.u, s.d_a, false, worker);
  walk.multiply(Form::kNT, s.d_bk, x.w, s.d_a, true, worker);
  // dS = Qh^T dO + gC dS' - W^T dV'; d_w is free to hold -W.
  const Out<T> minus_w = s.d_w;
  for (int64_t i = 0; i < x.size * walk.dk(); ++i) minus_w.data[i] = -x.w.data[i];
  for (int64_t i = 0; i < walk.dk() * walk.dv(); ++i) s.d_state.data[i] = x.gC * s.d_next.data[i];
  walk.multiply(Form::kTN, s.qh, d_o, s.d_state, true, worker);
  walk.multiply(Form::kTN, minus_w, s.d_v, s.d_state, true, worker);
}

// Everything elementwise: M, N, and the gradients of beta and of the running sums.
template <typename T>
void backward_gates(const Walker<T>& walk, const Chunk<T>& x, BackwardScratch<T>& s,
                    const DeltaGradients<T>& grad, T* d_sums) {
  const int64_t n = x.size;
  std::fill(d_sums, d_sums + n, T(0));
  T tail = x.gC * dot(x.state.data, s.d_next.data, walk.dk() * walk.dv());
  for (int64_t i = 0; i < n; ++i) {
    T *m = s.m.row(i), *scores = s.n.row(i);
    const T *decay = x.decay.row(i), *keys = x.keys.row(i), *p = x.scores.row(i);
    const T b = x.beta[i];
    T d_beta = 0, d_row = 0;
    for (int64_t j = 0; j < n; ++j) {
      const T d_a = j < i ? -s.d_a.row(i)[j] : T(0);
      const T d_p = j <= i ? s.d_p.row(i)[j] : T(0);
      m[j] = b * d_a * decay[j];
      scores[j] = d_p * decay[j];
      d_beta += d_a * keys[j];
      const T e = d_a * b * keys[j] + d_p * p[j];
      d_row += e;
      d_sums[j] -= e;
    }
    const T through_w = dot(s.d_bk.row(i), x.k.row(i), walk.dk()) * x.gam[i];
    const T through_end = dot(s.d_kh.row(i), s.kh.row(i), walk.dk());
    d_sums[i] += d_row + b * through_w - through_end + dot(s.d_qh.row(i), s.qh.row(i), walk.dk());
    tail += through_end;
    grad.beta.row(x.start + i)[x.head] =
        d_beta + dot(s.d_bv.row(i), x.v.row(i), walk.dv()) + through_w;
  }
  d_sums[n - 1] += tail;
  T sum = 0;
  for (int64_t i = n - 1; i >= 0; --i) {
    sum += d_sums[i];
    grad.g.row(x.start + i)[x.head] = walk.starts(x.start + i) ? T(0) : sum;
  }
}

template <typename T>
void backward_chunk(const Walker<T>& walk, Chunk<T>& x, In<T> d_o, BackwardScratch<T>& s,
                    const DeltaGradients<T>& grad, int worker) {
  const int64_t n = x.size;
  backward_products(walk, x, d_o, s, worker);
  std::vector<T> d_sums(static_cast<size_t>(n));
  backward_gates(walk, x, s, grad, d_sums.data());
  const Out<T> dq(grad.q.at(x.start, x.head), n, walk.dk(), grad.q.row_stride);
  const Out<T> dk(grad.k.at(x.start, x.head), n, walk.dk(), grad.k.row_stride);
  const Out<T> dv(grad.v.at(x.start, x.head), n, walk.dv(), grad.v.row_stride);
  scale_rows<T>(s.d_qh, x.gam, nullptr, dq);
  walk.multiply(Form::kNN, s.n, x.k, dq, true, worker);
  for (int64_t i = 0; i < n; ++i) {
    const T bg = x.beta[i] * x.gam[i], lam = x.lam[i];
    for (int64_t j = 0; j < walk.dk(); ++j) {
      dk.row(i)[j] = bg * s.d_bk.row(i)[j] + lam * s.d_kh.row(i)[j];
    }
  }
  walk.multiply(Form::kTN, s.n, x.q, dk, true, worker);
  walk.multiply(Form::kNN, s.m, x.k, dk, true, worker);
  walk.multiply(Form::kTN, s.m, x.k, dk, true, worker);
  scale_rows<T>(s.d_bv, x.beta, nullptr, dv);
}

}  // namespace

template <typename T>
void delta_core_forward(Ops<T>& ops, const BatchLayout& layout, const DeltaInputs<T>& in,
                        DeltaSaved<T>& saved, Heads<T> o) {
  Walker<T> walk(ops, layout, in, saved);
  walk.make_saved();
  Borrowed<T> last(ops);
  const Out<T> ends = last.shape(ops.pool().threads(), walk.dk() * walk.dv());
  ops.pool().run(walk.tasks(), [&](int64_t task, int worker) {
    for (int64_t i = 0; i < walk.chunks(); ++i) {
      Chunk<T> x = walk.chunk(task, i, worker);
      if (i == 0) std::fill(x.state.data, x.state.data + walk.dk() * walk.dv(), T(0));
      Out<T> next(ends.row(worker), walk.dk(), walk.dv());
      if (i + 1 < walk.chunks()) {
        next.data = x.state.data + walk.dk() * walk.dv();  // the next chunk's state
      }
      forward_chunk(walk, x, next, Out<T>(o.at(x.start, x.head), x.size, walk.dv(), o.row_stride),
                    worker);
    }
  });
}

template <typename T>
void delta_core_backward(Ops<T>& ops, const BatchLayout& layout, const DeltaInputs<T>& in,
                         DeltaSaved<T>& saved, Heads<const T> d_o, const DeltaGradients<T>& grad) {
  Walker<T> walk(ops, layout, in, saved);
  const int64_t c = walk.c_size(), dk = walk.dk(), dv = walk.dv();
  Borrowed<T> scratch(ops);
  const Out<T> free = scratch.shape(ops.pool().threads(), BackwardScratch<T>::size(c, dk, dv));
  ops.pool().run(walk.tasks(), [&](int64_t task, int worker) {
    for (int64_t i = walk.chunks() - 1; i >= 0; --i) {
      Chunk<T> x = walk.chunk(task, i, worker);
      walk.finish_gates(x);
      BackwardScratch<T> s(free.row(worker), c, x.size, dk, dv);
      if (i + 1 == walk.chunks()) std::fill(s.d_next.data, s.d_next.data + dk * dv, T(0));
      backward_chunk(walk, x, In<T>(d_o.at(x.start, x.head), x.size, dv, d_o.row_stride), s, grad,
                     worker);
      std::copy(s.d_state.data, s.d_state.data + dk * dv, s.d_next.data);
    }
  });
}

#define HEADGATE_DELTA(T)                                                                  \
  template void delta_core_forward<T>(Ops<T>&, const BatchLayout&, const DeltaInputs<T>&,  \
                                      DeltaSaved<T>&, Heads<T>);                           \
  template void delta_core_backward<T>(Ops<T>&, const BatchLayout&, const DeltaInputs<T>&, \
                                       DeltaSaved<T>&, Heads<const T>, const DeltaGradients<T>&);
HEADGATE_DELTA(float)
HEADGATE_DELTA(double)
#undef HEADGATE_DELTA

}  // namespace headgate

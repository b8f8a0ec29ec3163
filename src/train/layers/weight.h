// A weight matrix beside its gradient.
#pragma once

#include "train/ops.h"

namespace headgate {

// Vectors are matrices of one row. Gradients are added to; a frozen matrix has none (data is null).
template <typename T>
struct Weight {
  In<T> w;
  Out<T> grad;
};

// y = x w^T, or y += with `add`.
template <typename T>
void linear_forward(Ops<T>& ops, In<T> x, In<T> w, Out<T> y, bool rounded, bool add = false) {
  ops.product({Form::kNT, x, w, y, add}, rounded);
}

// dx = dy w (or +=), dw += dy^T x.
template <typename T>
void linear_backward(Ops<T>& ops, In<T> dy, In<T> x, const Weight<T>& weight, Out<T> dx, bool add,
                     bool rounded) {
  const Product<T> both[] = {{Form::kNN, dy, weight.w, dx, add},
                             {Form::kTN, dy, x, weight.grad, true}};
  ops.products(std::span(both).first(weight.grad.data == nullptr ? 1 : 2), rounded);
}

}  // namespace headgate

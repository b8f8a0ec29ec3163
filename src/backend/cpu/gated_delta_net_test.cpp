// The fused gated delta net has the bits of its steps taken one by one.
#include "backend/cpu/test_support.h"

namespace headgate {
namespace {

class GatedDeltaNet : public testing::TestWithParam<Isa> {};

constexpr int64_t kWidth = 4;

struct Net {
  DeltaShape shape;
  int64_t tokens;
  std::vector<float> qkv, z, b, a, conv, neg_exp_a, dt_bias, norm;
  std::vector<float> state, window;  // at first

  Net(const DeltaShape& s, int64_t n)
      : shape(s),
        tokens(n),
        qkv(random_floats(n * s.conv_channels(), 1)),
        z(random_floats(n * s.value_heads * s.value_dim, 2)),
        b(random_floats(n * s.value_heads, 3)),
        a(random_floats(n * s.value_heads, 4, 3.0f)),
        conv(random_floats(s.conv_channels() * kWidth, 5)),
        neg_exp_a(random_floats(s.value_heads, 6)),
        dt_bias(random_floats(s.value_heads, 7)),
        norm(random_floats(s.value_dim, 8)),
        state(random_floats(s.value_heads * s.key_dim * s.value_dim, 9)),
        window(random_floats((kWidth - 1) * s.conv_channels(), 10)) {
    for (float& x : neg_exp_a) x = -std::fabs(x);
    a[0] = 30.0f;  // where softplus is its argument
  }

  DeltaNetInputs inputs() const {
    return {view_of(qkv, tokens), view_of(z, tokens), view_of(b, tokens), view_of(a, tokens)};
  }
  DeltaNetParams params() const { return {shape, conv, kWidth, neg_exp_a, dt_bias, norm, 1e-6f}; }
};

// The ops one by one.
void run_steps(Backend& backend, const Net& net, std::vector<float>& o,
               std::span<const RecurrentSpan> spans) {
  const DeltaShape& s = net.shape;
  const int64_t n = net.tokens, keys = s.key_heads * s.key_dim;
  std::vector<float> mixed(net.qkv.size()), beta(net.b.size()), g(net.b.size());
  std::vector<float> raw(o.size());
  const MutView x = view_of(mixed, n);
  backend.causal_conv1d_silu(x, view_of(net.qkv, n), net.conv, kWidth, spans);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.key_dim)));
  for (int64_t head = 0; head < 2 * s.key_heads; ++head) {
    const MutView column = x.columns(head * s.key_dim, s.key_dim);
    backend.l2_norm(column, column, head < s.key_heads ? scale : 1.0f);
  }
  backend.delta_gates(view_of(beta, n), view_of(g, n), view_of(net.b, n), view_of(net.a, n),
                      net.neg_exp_a, net.dt_bias);
  backend.gated_delta_rule(view_of(raw, n), x.columns(0, keys), x.columns(keys, keys),
                           x.columns(2 * keys, s.value_heads * s.value_dim), view_of(beta, n),
                           view_of(g, n), s, spans);
  for (const RecurrentSpan& span : spans) {
    const int64_t width = s.value_heads * s.value_dim, from = span.rows.row * width;
    const int64_t rows = span.rows.rows * s.value_heads;
    backend.gated_rms_norm({o.data() + from, rows, s.value_dim},
                           {raw.data() + from, rows, s.value_dim},
                           {net.z.data() + from, rows, s.value_dim}, net.norm, 1e-6f);
  }
}

const DeltaShape kShapes[] = {
    {2, 4, 16, 72, false}, {2, 6, 12, 20, true}, {1, 2, 128, 128, false}, {3, 3, 5, 3, false}};

TEST_P(GatedDeltaNet, HasTheBitsOfItsStepsForAnyCutAndThreadCount) {
  const auto steps = backend_of(GetParam(), 1);
  for (const DeltaShape& shape : kShapes) {
    const Net net(shape, 150);
    std::vector<float> want(net.z.size()), want_state = net.state, want_window = net.window;
    RecurrentSpan span;
    span.rows = {0, net.tokens, 0};
    span.conv = want_window.data();
    span.delta = want_state.data();
    run_steps(*steps, net, want, {&span, 1});
    for (const int threads : {1, 2, 5}) {
      const auto fused = backend_of(GetParam(), threads);
      for (const int64_t cut : {net.tokens, int64_t{1}, int64_t{20}}) {
        std::vector<float> got(want.size()), state = net.state, window = net.window;
        span.conv = window.data();
        span.delta = state.data();
        for (int64_t at = 0; at < net.tokens; at += cut) {
          span.rows = {at, std::min(cut, net.tokens - at), at};
          fused->gated_delta_net(view_of(got, net.tokens), net.inputs(), net.params(), {&span, 1});
        }
        if (GetParam() >= Isa::kAmx && cut >= kDeltaChunk) {  // chunks round
          EXPECT_LT(error_of(got, want), 3e-2f) << shape.key_dim;
          EXPECT_LT(error_of(state, want_state), 3e-2f) << shape.key_dim;
        } else {
          EXPECT_EQ(got, want) << shape.key_dim << " " << threads << " threads, cut " << cut;
          EXPECT_EQ(state, want_state) << shape.key_dim << " " << threads << " " << cut;
        }
        EXPECT_EQ(window, want_window) << shape.key_dim << " " << threads << " " << cut;
      }
    }
  }
}

TEST_P(GatedDeltaNet, KeepsSequencesApart) {
  const auto backend = backend_of(GetParam(), 2);
  const Net net({2, 4, 16, 24, false}, 90);
  const int64_t lengths[] = {1, 0, 70, 19};
  std::vector<std::vector<float>> states(4, net.state), windows(4, net.window);
  const auto spans_of = [&] {
    std::vector<RecurrentSpan> spans;
    int64_t row = 0;
    for (size_t i = 0; i < 4; ++i) {
      RecurrentSpan span;
      span.rows = {row, lengths[i], 3};
      span.conv = windows[i].data();
      span.delta = states[i].data();
      spans.push_back(span);
      row += lengths[i];
    }
    return spans;
  };
  std::vector<float> together(net.z.size()), alone(net.z.size());
  backend->gated_delta_net(view_of(together, net.tokens), net.inputs(), net.params(), spans_of());
  const auto states_together = states, windows_together = windows;
  states.assign(4, net.state);
  windows.assign(4, net.window);
  for (const RecurrentSpan& span : spans_of())
    backend->gated_delta_net(view_of(alone, net.tokens), net.inputs(), net.params(), {&span, 1});
  EXPECT_EQ(together, alone);
  EXPECT_EQ(states, states_together);
  EXPECT_EQ(windows, windows_together);
}

// Rounds of drafts, a part of each kept: what is set aside and folded in is what the steps set
// aside and fold in.
TEST_P(GatedDeltaNet, SetsTokensAsideAsItsStepsDo) {
  const auto steps = backend_of(GetParam(), 1);
  for (const int threads : {1, 2, 5}) {
    const auto fused = backend_of(GetParam(), threads);
    for (const DeltaShape& shape : kShapes) {
      const Net net(shape, 30);
      const int64_t stride = shape.update_floats();
      std::vector<float> want(net.z.size()), got = want;
      std::vector<float> states[2] = {net.state, net.state};
      std::vector<float> windows[2] = {net.window, net.window};
      std::vector<float> updates[2];
      for (auto& u : updates) u.assign(static_cast<size_t>(5 * stride), 0.0f);
      int64_t fold = 0;
      for (int64_t at = 0, round = 0; at < net.tokens; ++round) {
        RecurrentSpan spans[2];
        for (int i : {0, 1}) {
          spans[i].rows = {at, std::min(net.tokens - at, 1 + round % 5), at};
          spans[i].conv = windows[i].data();
          spans[i].delta = states[i].data();
          spans[i].updates = updates[i].data();
          spans[i].update_stride = stride;
          spans[i].fold = fold;
          spans[i].defer = round % 4 != 3;
        }
        run_steps(*steps, net, want, {&spans[0], 1});
        fused->gated_delta_net(view_of(got, net.tokens), net.inputs(), net.params(),
                               {&spans[1], 1});
        const int64_t rows = spans[0].rows.rows;
        const int64_t kept = spans[0].defer ? 1 + round * 7 % rows : rows;
        fold = spans[0].defer ? kept : 0;
        at += kept;
        EXPECT_EQ(got, want) << shape.key_dim << " round " << round;
        EXPECT_EQ(states[1], states[0]) << shape.key_dim << " round " << round;
        EXPECT_EQ(windows[1], windows[0]) << shape.key_dim << " round " << round;
        EXPECT_EQ(updates[1], updates[0]) << shape.key_dim << " round " << round;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, GatedDeltaNet, testing::ValuesIn(isas_on_this_machine()),
                         isa_test_name);

}  // namespace
}  // namespace headgate

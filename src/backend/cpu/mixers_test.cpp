// The stateful mixers, attention and gated delta rule, against plain computations, however the
// tokens are cut into calls.
#include "backend/cpu/test_support.h"
#include "base/error.h"

namespace headgate {
namespace {

class Mixers : public testing::TestWithParam<Isa> {};

struct DeltaCase {
  DeltaShape shape;
  int64_t tokens;
  std::vector<float> q, k, v, beta, g, state;
};

std::vector<float> unit_rows(int64_t rows, int64_t n, uint64_t seed) {
  std::vector<float> x = random_floats(rows * n, seed);
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]) * x[r * n + i];
    for (int64_t i = 0; i < n; ++i) x[r * n + i] /= static_cast<float>(std::sqrt(sum));
  }
  return x;
}

DeltaCase delta_case(const DeltaShape& s, int64_t tokens) {
  DeltaCase c{s, tokens, {}, {}, {}, {}, {}, {}};
  c.q = unit_rows(tokens * s.key_heads, s.key_dim, 1);
  c.k = unit_rows(tokens * s.key_heads, s.key_dim, 2);
  c.v = random_floats(tokens * s.value_heads * s.value_dim, 3);
  for (int64_t i = 0; i < tokens * s.value_heads; ++i) {
    const auto u = static_cast<float>(random_uniform(4, 0, static_cast<uint64_t>(i)));
    c.beta.push_back(u);
    // Some heads forget everything, some nothing.
    c.g.push_back(i % 5 == 0 ? -40.0f : i % 7 == 0 ? 0.0f : -0.3f * u);
  }
  c.state = random_floats(s.value_heads * s.key_dim * s.value_dim, 5);
  return c;
}

void plain_delta(const DeltaCase& c, std::vector<float>& o, std::vector<float>& state) {
  const DeltaShape& s = c.shape;
  o.assign(c.v.size(), 0.0f);
  std::vector<double> S(c.state.begin(), c.state.end());
  for (int64_t t = 0; t < c.tokens; ++t) {
    for (int64_t h = 0; h < s.value_heads; ++h) {
      const int64_t kh = s.tiled ? h % s.key_heads : h / (s.value_heads / s.key_heads);
      const float* q = c.q.data() + (t * s.key_heads + kh) * s.key_dim;
      const float* k = c.k.data() + (t * s.key_heads + kh) * s.key_dim;
      double* M = S.data() + h * s.key_dim * s.value_dim;
      const double decay = std::exp(static_cast<double>(c.g[t * s.value_heads + h]));
      for (int64_t j = 0; j < s.value_dim; ++j) {
        double read = 0, out = 0;
        for (int64_t i = 0; i < s.key_dim; ++i) read += (M[i * s.value_dim + j] *= decay) * k[i];
        const double n =
            c.beta[t * s.value_heads + h] * (c.v[(t * s.value_heads + h) * s.value_dim + j] - read);
        for (int64_t i = 0; i < s.key_dim; ++i) out += (M[i * s.value_dim + j] += k[i] * n) * q[i];
        o[(t * s.value_heads + h) * s.value_dim + j] = static_cast<float>(out);
      }
    }
  }
  state.assign(S.begin(), S.end());
}

TEST_P(Mixers, DeltaRuleMatchesTheRecurrence) {
  const auto backend = backend_of(GetParam());
  for (const DeltaShape& shape : {DeltaShape{1, 2, 128, 128, false},
                                  DeltaShape{2, 6, 12, 20, false}, DeltaShape{2, 6, 12, 20, true},
                                  DeltaShape{2, 2, 16, 72, false}, DeltaShape{1, 1, 5, 3, false}}) {
    const DeltaCase c = delta_case(shape, 37);
    std::vector<float> want, want_state;
    plain_delta(c, want, want_state);
    std::vector<float> first;
    for (const int64_t cut : {37, 1, 5}) {
      std::vector<float> got(c.v.size()), state = c.state;
      for (int64_t at = 0; at < c.tokens; at += cut) {
        RecurrentSpan span;
        span.rows = {at, std::min(cut, c.tokens - at), at};
        span.delta = state.data();
        const int64_t n = c.tokens;
        backend->gated_delta_rule(view_of(got, n), view_of(c.q, n), view_of(c.k, n),
                                  view_of(c.v, n), view_of(c.beta, n), view_of(c.g, n), shape,
                                  {&span, 1});
      }
      EXPECT_LT(error_of(got, want), 3e-6f) << shape.key_dim << " " << cut;
      EXPECT_LT(error_of(state, want_state), 3e-6f) << shape.key_dim << " " << cut;
      if (first.empty()) first = got;
      EXPECT_EQ(got, first) << "cutting the tokens changed bits";
    }
  }
}

// Rounds of drafts of which a random part is kept: outputs of kept tokens and the states at the end
// have the bits of a run that never saw the others.
TEST_P(Mixers, TokensSetAsideLeaveNoTraceWhenTakenBack) {
  const auto backend = backend_of(GetParam());
  for (const DeltaShape& shape : {DeltaShape{2, 4, 16, 72, false}, DeltaShape{2, 6, 12, 20, true},
                                  DeltaShape{1, 2, 128, 128, false}}) {
    constexpr int64_t kWidth = 4, kMostDrafts = 5;
    const DeltaCase c = delta_case(shape, 40);
    const int64_t channels = shape.conv_channels(), n = c.tokens;
    const std::vector<float> x = random_floats(n * channels, 5),
                             w = random_floats(channels * kWidth, 6);
    std::vector<float> want(c.v.size()), want_conv(x.size()), state = c.state;
    std::vector<float> window(static_cast<size_t>((kWidth - 1) * channels), 0.5f);
    std::vector<float> trial_state = state, trial_window = window;
    RecurrentSpan all;
    all.rows = {0, n, 0};
    all.conv = window.data();
    all.delta = state.data();
    const auto run = [&](const RecurrentSpan& span, std::vector<float>& o, std::vector<float>& y) {
      backend->causal_conv1d_silu(view_of(y, n), view_of(x, n), w, kWidth, {&span, 1});
      backend->gated_delta_rule(view_of(o, n), view_of(c.q, n), view_of(c.k, n), view_of(c.v, n),
                                view_of(c.beta, n), view_of(c.g, n), shape, {&span, 1});
    };
    run(all, want, want_conv);

    std::vector<float> got(want.size()), got_conv(x.size());
    std::vector<float> updates(static_cast<size_t>(kMostDrafts * shape.update_floats()), NAN);
    RecurrentSpan span;
    span.conv = trial_window.data();
    span.delta = trial_state.data();
    span.updates = updates.data();
    span.update_stride = shape.update_floats();
    for (int64_t at = 0, round = 0; at < n; ++round) {
      span.defer = round % 4 != 3;
      span.rows = {at, std::min(n - at, 1 + round % kMostDrafts), at};
      run(span, got, got_conv);
      const int64_t kept = span.defer ? round * 7 % (span.rows.rows + 1) : span.rows.rows;
      span.fold = span.defer ? kept : 0;
      at += kept;
    }
    if (span.fold > 0) {  // one more token, only to fold
      span.defer = false;
      span.rows = {n - 1, 1, n};
      std::vector<float> ignored(want.size()), ignored_conv(x.size());
      run(span, ignored, ignored_conv);
      all.rows = span.rows;
      run(all, ignored, ignored_conv);
    }
    EXPECT_EQ(got, want) << shape.key_dim;
    EXPECT_EQ(got_conv, want_conv) << shape.key_dim;
    EXPECT_EQ(trial_state, state) << shape.key_dim;
    EXPECT_EQ(trial_window, window) << shape.key_dim;
  }
}

// One sequence's cache in pages, and the same values as plain arrays.
struct Cache {
  KvLayout layout;
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> pages;
};

Cache make_cache(DType type, int64_t kv_heads, int64_t head_dim, int64_t page_tokens,
                 int64_t tokens) {
  Cache c;
  c.layout.dtype = type;
  c.layout.kv_heads = kv_heads;
  c.layout.head_dim = head_dim;
  c.layout.page_tokens = page_tokens;
  for (int64_t t = 0; t < tokens; t += page_tokens) {
    // All ones is a NaN in every type: slots not yet stored must not be used.
    c.memory.emplace_back(static_cast<size_t>(c.layout.page_bytes()), std::byte{255});
  }
  for (auto& page : c.memory) c.pages.push_back(page.data());
  return c;
}

struct AttentionCase {
  DType type;
  int64_t heads, kv_heads, head_dim, page, tokens;
  int64_t q_stride() const { return head_dim + 5; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
};

// Softmax over earlier tokens in double precision, of the keys and values that the cache holds.
std::vector<float> plain_attention(const AttentionCase& c, const Cache& cache,
                                   const std::vector<float>& q) {
  const auto dim = static_cast<size_t>(c.head_dim);
  std::vector<float> want(static_cast<size_t>(c.tokens * c.heads * c.head_dim));
  for (int64_t kh = 0; kh < c.kv_heads; ++kh) {
    std::vector<std::vector<float>> k, v;
    for (int64_t t = 0; t < c.tokens; ++t) {
      k.emplace_back(dim);
      v.emplace_back(dim);
      cache.layout.read(cache.pages[static_cast<size_t>(t / c.page)], kh, t % c.page, k.back(),
                        v.back());
    }
    const int64_t group = c.heads / c.kv_heads;
    for (int64_t i = 0; i < c.tokens * group; ++i) {
      const int64_t t = i / group, h = kh * group + i % group;
      const float* query = q.data() + t * c.heads * c.q_stride() + h * c.q_stride();
      std::vector<double> p, out(dim);
      for (int64_t s = 0; s <= t; ++s) {
        double dot = 0;
        for (size_t d = 0; d < dim; ++d) dot += static_cast<double>(query[d]) * k[s][d];
        p.push_back(dot * c.scale());
      }
      const double max = *std::max_element(p.begin(), p.end());
      double sum = 0;
      for (double& x : p) sum += x = std::exp(x - max);
      for (int64_t s = 0; s <= t; ++s) {
        for (size_t d = 0; d < dim; ++d) out[d] += p[s] / sum * v[s][d];
      }
      for (size_t d = 0; d < dim; ++d)
        want[(t * c.heads + h) * c.head_dim + d] = static_cast<float>(out[d]);
    }
  }
  return want;
}

// What queries and weights lose on the way, relative to the largest output.
float attention_bound(DType type, Isa isa) {
  if (type == DType::kI8) return 1e-3f;
  if (type == DType::kQ4_0) return 2e-2f;
  return type == DType::kBF16 && isa >= Isa::kAvx512Bf16 ? 1e-2f : 3e-6f;
}

TEST_P(Mixers, AttentionMatchesSoftmaxOverAllEarlierTokens) {
  for (const AttentionCase& c : {AttentionCase{DType::kF32, 4, 2, 24, 16, 70},
                                 AttentionCase{DType::kBF16, 8, 1, 32, 256, 290},
                                 AttentionCase{DType::kF16, 3, 3, 20, 100, 130},
                                 AttentionCase{DType::kBF16, 10, 2, 33, 7, 90},
                                 AttentionCase{DType::kF32, 16, 2, 256, 64, 90},
                                 AttentionCase{DType::kI8, 16, 1, 32, 256, 270},
                                 AttentionCase{DType::kQ4_0, 6, 2, 32, 512, 270},
                                 AttentionCase{DType::kI8, 2, 2, 40, 300, 310},
                                 AttentionCase{DType::kQ4_0, 1, 1, 72, 33, 80}}) {
    const int64_t kv = c.kv_heads * c.head_dim;
    const std::vector<float> k = random_floats(c.tokens * kv, 1);
    const std::vector<float> v = random_floats(c.tokens * kv, 2);
    const std::vector<float> q = random_floats(c.tokens * c.heads * c.q_stride(), 3);
    std::vector<float> want, first;
    for (const int64_t cut : {c.tokens, int64_t{1}, int64_t{3}, int64_t{41}}) {
      // The number of threads changes the split, never the bits.
      const auto backend = backend_of(GetParam(), cut == 3 ? 3 : 1);
      Cache fresh = make_cache(c.type, c.kv_heads, c.head_dim, c.page, c.tokens);
      std::vector<float> got(static_cast<size_t>(c.tokens * c.heads * c.head_dim));
      for (int64_t at = 0; at < c.tokens; at += cut) {
        KvSpan span;
        span.rows = {at, std::min(cut, c.tokens - at), at};
        span.pages = fresh.pages;
        backend->kv_store(view_of(k, c.tokens), view_of(v, c.tokens), fresh.layout, {&span, 1});
        backend->attention(view_of(got, c.tokens), view_of(q, c.tokens), c.heads, c.q_stride(),
                           c.scale(), fresh.layout, {&span, 1});
      }
      if (want.empty()) want = plain_attention(c, fresh, q);
      EXPECT_LT(error_of(got, want), attention_bound(c.type, GetParam()))
          << kv_type_name(c.type) << " " << cut;
      if (first.empty()) first = got;
      EXPECT_EQ(got, first) << "cutting the tokens changed bits: " << kv_type_name(c.type);
    }
  }
}

TEST_P(Mixers, ExactActivationsKeepBf16AttentionExact) {
  const AttentionCase c{DType::kBF16, 8, 1, 64, 64, 100};
  const auto backend = backend_of(GetParam(), 1, true, true);
  Cache cache = make_cache(c.type, c.kv_heads, c.head_dim, c.page, c.tokens);
  const std::vector<float> k = random_floats(c.tokens * 64, 1), v = random_floats(c.tokens * 64, 2);
  const std::vector<float> q = random_floats(c.tokens * c.heads * c.q_stride(), 3);
  std::vector<float> got(static_cast<size_t>(c.tokens * c.heads * 64));
  const KvSpan span{{0, c.tokens, 0}, cache.pages};
  backend->kv_store(view_of(k, c.tokens), view_of(v, c.tokens), cache.layout, {&span, 1});
  backend->attention(view_of(got, c.tokens), view_of(q, c.tokens), c.heads, c.q_stride(), c.scale(),
                     cache.layout, {&span, 1});
  EXPECT_LT(error_of(got, plain_attention(c, cache, q)), 3e-6f);
}

TEST(KvLayout, NamesItsTypesAndRefusesOthers) {
  for (const std::string_view name : {"f32", "f16", "bf16", "int8", "q4"})
    EXPECT_EQ(kv_type_name(kv_type_from_name(name).value()), name);
  EXPECT_FALSE(kv_type_from_name("q8_0").has_value());
  EXPECT_THROW((KvLayout{DType::kQ8_0, 1, 64}.check()), Error);
  EXPECT_THROW((KvLayout{DType::kI8, 1, 544}.check()), Error);
  KvLayout{DType::kBF16, 1, 544}.check();
}

TEST_P(Mixers, SequencesOfABatchDoNotTouchEachOther) {
  const int64_t heads = 4, d = 32, lengths[] = {1, 7, 300, 2}, total = 310;
  const auto together = backend_of(GetParam(), 2);
  const auto alone = backend_of(GetParam(), 1);
  const std::vector<float> k = random_floats(total * 2 * d, 1), v = random_floats(total * 2 * d, 2);
  const std::vector<float> q = random_floats(total * heads * d, 3);
  std::vector<Cache> caches;
  std::vector<KvSpan> spans;
  int64_t row = 0;
  for (const int64_t n : lengths) {
    caches.push_back(make_cache(DType::kBF16, 2, d, 64, n));
    spans.push_back({{row, n, 0}, {}});
    row += n;
  }
  for (size_t i = 0; i < spans.size(); ++i) spans[i].pages = caches[i].pages;
  std::vector<float> got(q.size()), one(q.size());
  together->kv_store(view_of(k, total), view_of(v, total), caches[0].layout, spans);
  together->attention(view_of(got, total), view_of(q, total), heads, d, 0.2f, caches[0].layout,
                      spans);
  for (const KvSpan& span : spans) {
    alone->attention(view_of(one, total), view_of(q, total), heads, d, 0.2f, caches[0].layout,
                     {&span, 1});
  }
  EXPECT_EQ(got, one);
}

INSTANTIATE_TEST_SUITE_P(Isas, Mixers, testing::ValuesIn(isas_on_this_machine()), isa_test_name);

}  // namespace
}  // namespace headgate

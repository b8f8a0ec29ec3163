// Rotary frequencies, with YaRN's interpolation for long contexts.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "model/config.h"

namespace headgate {
namespace {

// YaRN's ramp over the frequencies: 0 keeps a frequency, 1 divides it by the factor.
struct Ramp {
  double low, high;
  double at(int64_t j) const {
    return std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
  }
};

Ramp yarn_ramp(const RopeConfig& rope, int64_t rotary_dims) {
  const auto dims = static_cast<double>(rotary_dims);
  const auto dim_of = [&](double turns) {
    const double wavelength =
        static_cast<double>(rope.original_context) / (turns * 2 * std::numbers::pi);
    return dims * std::log(wavelength) / (2 * std::log(rope.theta));
  };
  double low = dim_of(rope.beta_fast), high = dim_of(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  return {low, high};
}

}  // namespace

RopeTable make_rope_table(const RopeConfig& rope, int64_t rotary_dims) {
  HEADGATE_CHECK(rotary_dims > 0 && rotary_dims % 2 == 0);
  RopeTable table;
  const Ramp ramp = rope.yarn ? yarn_ramp(rope, rotary_dims) : Ramp{0, 1};
  for (int64_t j = 0; j < rotary_dims / 2; ++j) {
    const double exponent = 2.0 * static_cast<double>(j) / static_cast<double>(rotary_dims);
    // Rounded to fp32 step by step, as the reference tables are: products with large positions see
    // it.
    const float wavelength =
        static_cast<float>(std::pow(rope.theta, static_cast<double>(static_cast<float>(exponent))));
    float frequency = 1.0f / wavelength;
    if (rope.yarn) {
      const auto mix = static_cast<float>(ramp.at(j));
      const float slow = 1.0f / (static_cast<float>(rope.factor) * wavelength);
      frequency = slow * mix + frequency * (1.0f - mix);
    }
    table.inverse_frequencies.push_back(frequency);
  }
  if (rope.yarn) {
    const double scale = 0.1 * std::log(rope.factor) + 1.0;
    table.scale = static_cast<float>(rope.attention_factor.value_or(scale));
  }
  return table;
}

}  // namespace headgate

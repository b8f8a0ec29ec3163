// Line plots as SVG text.
#include "train/svg_plot.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace headgate {
namespace {

constexpr double kWidth = 640, kHeight = 360;
constexpr double kLeft = 64, kRight = 16, kTop = 40, kBottom = 48;
constexpr const char* kColors[] = {"#1f6feb", "#d1242f", "#1a7f37", "#9a6700"};

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

struct Range {
  double low, high;
  double share(double value) const { return (value - low) / (high - low); }
};

Range range_of(const std::vector<PlotSeries>& series, bool of_x) {
  Range range{of_x ? 1e300 : 0, -1e300};  // y axes begin at zero
  for (const PlotSeries& line : series)
    for (const auto& point : line.points) {
      const double value = of_x ? point.first : point.second;
      range.low = std::min(range.low, value);
      range.high = std::max(range.high, value);
    }
  if (range.low > range.high) range = {0, 1};
  if (range.low == range.high) range.high = range.low + (range.low == 0 ? 1 : std::abs(range.low));
  return range;
}

std::string text_at(double x, double y, const char* anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escaped(text));
}

std::string line(double x1, double y1, double x2, double y2, const char* color) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
      y2, color);
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  const double raw = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = power;
  for (double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= raw) break;
  }
  std::vector<double> out;
  for (double at = std::ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1)
    out.push_back(at * step == 0 ? 0 : at * step);
  return out;
}

std::string svg_line_plot(std::string_view title, std::string_view x_label,
                          const std::vector<PlotSeries>& series) {
  const Range xs = range_of(series, true), ys = range_of(series, false);
  const auto at_x = [&xs](double x) { return kLeft + xs.share(x) * (kWidth - kLeft - kRight); };
  const auto at_y = [&ys](double y) {
    return kHeight - kBottom - ys.share(y) * (kHeight - kTop - kBottom);
  };
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  out += text_at(kLeft, 20, "start", title);
  for (double tick : round_ticks(ys.low, ys.high, 5)) {
    out += line(kLeft, at_y(tick), kWidth - kRight, at_y(tick), "#dddddd");
    out += text_at(kLeft - 6, at_y(tick) + 4, "end", fmt::format("{:.6g}", tick));
  }
  for (double tick : round_ticks(xs.low, xs.high, 6)) {
    out += line(at_x(tick), kHeight - kBottom, at_x(tick), kHeight - kBottom + 4, "#555555");
    out += text_at(at_x(tick), kHeight - kBottom + 18, "middle", fmt::format("{:.6g}", tick));
  }
  out += line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "#555555");
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 10, "middle", x_label);
  size_t number = 0;
  for (const PlotSeries& one : series) {
    if (one.points.empty()) continue;
    const char* color = kColors[number % std::size(kColors)];
    std::string path;
    for (const auto& point : one.points)
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", at_x(point.first),
                          at_y(point.second));
    out +=
        fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n",
                    path, color);
    const double y = kTop + 12 + 16 * static_cast<double>(number++);
    out += line(kWidth - 190, y - 4, kWidth - 170, y - 4, color);
    out += text_at(kWidth - 164, y, "start", one.name);
  }
  return out + "</svg>\n";
}

}  // namespace headgate

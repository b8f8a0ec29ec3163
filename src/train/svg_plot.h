// Line plots as SVG text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending; finite
};

// A picture of 640 x 360 with axes, round ticks and a legend. Series without points are left out.
std::string svg_line_plot(std::string_view title, std::string_view x_label,
                          const std::vector<PlotSeries>& series);

// Ascending round numbers that span [low, high], about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace headgate

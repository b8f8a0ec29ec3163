// Numbers as people read them, and tables of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate {

std::string format_bytes(double bytes);         // "75.5 MB", "24.0 KiB" is format_binary_bytes
std::string format_binary_bytes(double bytes);  // "24 KiB", "6.00 GiB"
std::string format_count(double count);         // "79.7 B", "311 M", "512"
std::string format_digits(int64_t number);      // "262,144"
std::string format_seconds(double seconds);     // "0.42 s", "12.3 s", "2:05"

// Rows of cells in aligned columns, two spaces apart. The first column is flush left, the others
// flush right; columns named in `left` (by index) are flush left too. Widths count code points.
class TextTable {
 public:
  explicit TextTable(std::vector<size_t> left = {}) : left_(std::move(left)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text(int indent = 0) const;

 private:
  std::vector<size_t> left_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace headgate

// Predictions of a model on a text in a compact file: the reference of KL measurements.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace headgate {

// The file, all little-endian: magic "HGLOGIT1"; int64 vocabulary, tokens, window, stride, rows;
// int32 tokens[tokens]; then per row 4 bytes of float step and uint16 codes[vocabulary]. A code c
// stands for the log-probability -c * step (nats), the largest code for everything from there down.
// The step is a 65535th of the row's range, which is cut off at 24 nats (a probability of 4e-11),
// so that a value is wrong by at most 2e-4.
struct LogitsHeader {
  int64_t vocabulary = 0;
  int64_t tokens = 0;
  int64_t window = 0;
  int64_t stride = 0;
  int64_t rows = 0;
  bool operator==(const LogitsHeader&) const = default;
};

class LogitsWriter {
 public:
  LogitsWriter(const std::string& path, const LogitsHeader& header,
               std::span<const int32_t> tokens);
  void add(std::span<const float> log_probabilities);
  void finish();  // the file appears

 private:
  OutputFile out_;
  LogitsHeader header_;
  int64_t rows_ = 0;
  std::vector<std::byte> row_;
};

class LogitsReader {
 public:
  // Throws kNotFound, kInvalidFile.
  explicit LogitsReader(const std::string& path);
  const LogitsHeader& header() const { return header_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  // The next row of log-probabilities [vocabulary], normalised so that they sum to one. Throws
  // kInvalidFile past the last row or for a row that cannot be.
  void next(std::span<double> log_probabilities);

 private:
  InputFile in_;
  LogitsHeader header_;
  std::vector<int32_t> tokens_;
  int64_t offset_ = 0;
  int64_t row_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace headgate

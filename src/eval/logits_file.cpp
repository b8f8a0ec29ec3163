// Encoding and decoding of the reference file of predictions.
#include "eval/logits_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::string_view kMagic = "HGLOGIT1";
constexpr int64_t kHeaderBytes = 8 + 5 * 8;
constexpr double kRange = 24.0;  // nats
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;

int64_t row_size(int64_t vocabulary) { return 4 + 2 * vocabulary; }

}  // namespace

LogitsWriter::LogitsWriter(const std::string& path, const LogitsHeader& header,
                           std::span<const int32_t> tokens)
    : out_(path), header_(header), row_(static_cast<size_t>(row_size(header.vocabulary))) {
  const std::array<int64_t, 5> numbers = {header.vocabulary, header.tokens, header.window,
                                          header.stride, header.rows};
  out_.write(kMagic);
  out_.write(std::as_bytes(std::span(numbers)));
  out_.write(std::as_bytes(tokens));
}

void LogitsWriter::add(std::span<const float> log_probabilities) {
  HEADGATE_CHECK(static_cast<int64_t>(log_probabilities.size()) == header_.vocabulary);
  const float lowest = *std::min_element(log_probabilities.begin(), log_probabilities.end());
  const double range = std::clamp(-static_cast<double>(lowest), 1e-3, kRange);
  const auto step = static_cast<float>(range / 65535);
  std::memcpy(row_.data(), &step, sizeof step);
  std::byte* to = row_.data() + sizeof step;
  for (float value : log_probabilities) {
    const double code = std::clamp(std::round(-static_cast<double>(value) / step), 0.0, 65535.0);
    const auto stored = static_cast<uint16_t>(code);
    std::memcpy(to, &stored, sizeof stored);
    to += sizeof stored;
  }
  out_.write(std::span<const std::byte>(row_));
  ++rows_;
}

void LogitsWriter::finish() {
  HEADGATE_CHECK(rows_ == header_.rows);
  out_.commit();
}

LogitsReader::LogitsReader(const std::string& path) : in_(path) {
  std::array<char, 8> magic{};
  std::array<int64_t, 5> numbers{};
  if (in_.size() < kHeaderBytes)
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected a file of logits", path, in_.size());
  in_.read_at(0, std::as_writable_bytes(std::span(magic)));
  in_.read_at(8, std::as_writable_bytes(std::span(numbers)));
  if (std::string_view(magic.data(), magic.size()) != kMagic)
    fail(ErrorCode::kInvalidFile, "{}: not a file of logits (no {} at its start)", path, kMagic);
  header_ = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  const bool sane = header_.vocabulary > 0 && header_.vocabulary <= kMaxVocabulary &&
                    header_.tokens > 0 && header_.tokens <= in_.size() / 4 && header_.rows > 0 &&
                    header_.rows <= in_.size() / row_size(header_.vocabulary);
  const int64_t expected =
      sane ? kHeaderBytes + 4 * header_.tokens + header_.rows * row_size(header_.vocabulary) : -1;
  if (!sane || expected != in_.size()) {
    fail(ErrorCode::kInvalidFile,
         "{}: {} bytes, which contradicts its header (vocabulary {}, tokens {}, rows {})", path,
         in_.size(), header_.vocabulary, header_.tokens, header_.rows);
  }
  tokens_.resize(static_cast<size_t>(header_.tokens));
  in_.read_at(kHeaderBytes, std::as_writable_bytes(std::span(tokens_)));
  offset_ = kHeaderBytes + 4 * header_.tokens;
  bytes_.resize(static_cast<size_t>(row_size(header_.vocabulary)));
}

void LogitsReader::next(std::span<double> log_probabilities) {
  HEADGATE_CHECK(static_cast<int64_t>(log_probabilities.size()) == header_.vocabulary);
  if (row_ >= header_.rows)
    fail(ErrorCode::kInvalidFile, "{}: no more than {} rows", in_.path(), header_.rows);
  in_.read_at(offset_, bytes_);
  offset_ += static_cast<int64_t>(bytes_.size());
  ++row_;
  float step = 0;
  std::memcpy(&step, bytes_.data(), sizeof step);
  if (!(step > 0 && step < 1)) {
    fail(ErrorCode::kInvalidFile, "{}: row {}: step {}, expected one between 0 and 1", in_.path(),
         row_ - 1, step);
  }
  const std::byte* from = bytes_.data() + sizeof step;
  double sum = 0;
  for (double& value : log_probabilities) {
    uint16_t code = 0;
    std::memcpy(&code, from, sizeof code);
    from += sizeof code;
    value = -static_cast<double>(code) * step;
    sum += std::exp(value);
  }
  if (!(std::abs(sum - 1) < 0.05)) {
    fail(ErrorCode::kInvalidFile, "{}: row {}: probabilities sum to {}, expected 1", in_.path(),
         row_ - 1, sum);
  }
  // Rounding and the cut at 24 nats leave a sum that is not quite one.
  const double shift = std::log(sum);
  for (double& value : log_probabilities) value -= shift;
}

}  // namespace headgate

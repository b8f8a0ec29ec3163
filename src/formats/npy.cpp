// The .npy header, written and parsed.
#include "formats/npy.h"

#include <charconv>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "formats/tensor_store.h"

namespace headgate {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kPreamble = 10;  // magic, version, header length

std::string header_dict(std::span<const int64_t> shape) {
  std::string dims;
  for (const int64_t d : shape) dims += std::to_string(d) + ", ";
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  if (shape.size() == 1) dims.resize(dims.size() - 1);
  return "{'descr': '<f4', 'fortran_order': False, 'shape': (" + dims + "), }";
}

// The text after `'key':`, spaces skipped; empty when absent.
std::string_view value_after(std::string_view dict, std::string_view key) {
  const size_t at = dict.find(key);
  if (at == std::string_view::npos) return {};
  std::string_view rest = dict.substr(at + key.size());
  const size_t begin = rest.find_first_not_of(" :");
  return begin == std::string_view::npos ? std::string_view{} : rest.substr(begin);
}

std::vector<int64_t> parse_shape(std::string_view text, const std::string& path) {
  std::vector<int64_t> shape;
  if (!text.starts_with('(') || text.find(')') == std::string_view::npos) {
    fail(ErrorCode::kInvalidFile, "{}: shape not found, expected a tuple", path);
  }
  text = text.substr(1, text.find(')') - 1);
  while (true) {
    const size_t begin = text.find_first_not_of(" ,");
    if (begin == std::string_view::npos) break;
    text = text.substr(begin);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < 0 || shape.size() >= 16) {
      fail(ErrorCode::kInvalidFile, "{}: malformed shape, expected at most 16 sizes", path);
    }
    shape.push_back(value);
    text = text.substr(static_cast<size_t>(end - text.data()));
  }
  return shape;
}

std::string_view find_header(std::span<const std::byte> bytes, const std::string& path,
                             size_t* data) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < kPreamble + 2 || !text.starts_with(kMagic)) {
    fail(ErrorCode::kInvalidFile, "{}: found no .npy magic, expected a NumPy array", path);
  }
  const bool wide = text[6] > 1;  // versions 2 and 3 have a 4-byte length
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, wide ? 4 : 2);
  const size_t begin = wide ? kPreamble + 2 : kPreamble;
  if (length > text.size() - begin) {
    fail(ErrorCode::kInvalidFile, "{}: header of {} bytes, expected at most {}", path, length,
         text.size() - begin);
  }
  *data = begin + length;
  return text.substr(begin, length);
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, std::vector<int64_t> shape) : out_(path) {
  left_ = checked_elements(shape, path);
  std::string dict = header_dict(shape);
  // NumPy aligns the data to 64 bytes.
  dict.append(63 - (kPreamble + dict.size()) % 64, ' ');
  dict += '\n';
  HEADGATE_CHECK(dict.size() < 65536);
  out_.write(kMagic);
  const char version_and_length[] = {1, 0, static_cast<char>(dict.size() & 255),
                                     static_cast<char>(dict.size() >> 8)};
  out_.write(std::string_view(version_and_length, 4));
  out_.write(dict);
}

void NpyWriter::write(std::span<const float> values) {
  left_ -= static_cast<int64_t>(values.size());
  HEADGATE_CHECK(left_ >= 0);
  out_.write(std::as_bytes(values));
}

void NpyWriter::finish() {
  HEADGATE_CHECK(left_ == 0);
  out_.commit();
}

NpyArray read_npy(const std::string& path) {
  const MappedFile file(path);
  size_t data = 0;
  const std::string_view dict = find_header(file.bytes(), path, &data);
  if (!value_after(dict, "'descr'").starts_with("'<f4'") ||
      !value_after(dict, "'fortran_order'").starts_with("False")) {
    fail(ErrorCode::kUnsupported, "{}: another element type or order, expected '<f4' in C order",
         path);
  }
  NpyArray array;
  array.shape = parse_shape(value_after(dict, "'shape'"), path);
  const int64_t elements = checked_elements(array.shape, path);
  const size_t found = file.bytes().size() - data;
  if (elements > static_cast<int64_t>(found / sizeof(float)) ||
      static_cast<size_t>(elements) * sizeof(float) != found) {
    fail(ErrorCode::kInvalidFile, "{}: {} data bytes, expected {} values of 4 bytes", path, found,
         elements);
  }
  array.values.resize(static_cast<size_t>(elements));
  if (elements > 0) std::memcpy(array.values.data(), file.bytes().data() + data, found);
  return array;
}

}  // namespace headgate

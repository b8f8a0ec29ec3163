// Named tensors in mapped files.
#include "formats/tensor_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace headgate {

int64_t checked_elements(std::span<const int64_t> shape, const std::string& where) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  int64_t product = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0 || (dimension > 0 && product > kLimit / dimension)) {
      fail(ErrorCode::kInvalidFile, "{}: shape {}, expected dimensions whose product fits 62 bits",
           where, format_shape(shape));
    }
    product *= dimension;
  }
  return product;
}

std::string format_shape(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

int64_t TensorEntry::elements() const {
  int64_t product = 1;
  for (const int64_t dimension : shape) product *= dimension;
  return product;
}

int64_t TensorEntry::rows() const {
  int64_t product = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) product *= shape[i];
  return product;
}

int64_t TensorEntry::cols() const { return shape.empty() ? 1 : shape.back(); }

const TensorEntry* TensorStore::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

const TensorEntry& TensorStore::require(std::string_view name) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr) {
    fail(ErrorCode::kInvalidFile, "{}{}: tensor {}: not found, expected in this model",
         paths_.empty() ? "model" : paths_.front(),
         paths_.size() > 1 ? fmt::format(" and {} more", paths_.size() - 1) : "", name);
  }
  return *entry;
}

std::span<const std::byte> TensorStore::data(const TensorEntry& entry) const {
  return bytes_[static_cast<size_t>(entry.file)].subspan(static_cast<size_t>(entry.offset),
                                                         static_cast<size_t>(entry.bytes));
}

void TensorStore::release(const TensorEntry& entry) const {
  maps_[static_cast<size_t>(entry.file)].release(entry.offset, entry.bytes);
}

void TensorStore::read(const TensorEntry& entry, int64_t offset, std::span<std::byte> out) const {
  HEADGATE_CHECK(offset >= 0 && offset + static_cast<int64_t>(out.size()) <= entry.bytes);
  if (out.empty()) return;
  const auto& input = inputs_[static_cast<size_t>(entry.file)];
  if (input != nullptr) {
    input->read_at(entry.offset + offset, out);
  } else {
    std::memcpy(out.data(), data(entry).data() + offset, out.size());
  }
}

std::string TensorStore::describe(const TensorEntry& entry) const {
  return fmt::format("{}: tensor {}", paths_[static_cast<size_t>(entry.file)], entry.name);
}

int32_t TensorStore::add_file(MappedFile file) {
  paths_.push_back(file.path());
  inputs_.push_back(std::make_unique<InputFile>(file.path()));
  bytes_.push_back(file.bytes());
  maps_.push_back(std::move(file));
  return static_cast<int32_t>(paths_.size() - 1);
}

int32_t TensorStore::add_memory(std::string name, std::span<const std::byte> bytes) {
  paths_.push_back(std::move(name));
  inputs_.push_back(nullptr);
  bytes_.push_back(bytes);
  maps_.emplace_back();
  return static_cast<int32_t>(paths_.size() - 1);
}

void TensorStore::add_tensor(TensorEntry entry) {
  const auto size = static_cast<int64_t>(bytes_[static_cast<size_t>(entry.file)].size());
  if (entry.offset < 0 || entry.bytes < 0 || entry.offset > size ||
      entry.bytes > size - entry.offset) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes from byte {}, expected within the file of {} bytes",
         describe(entry), entry.bytes, entry.offset, size);
  }
  if (!by_name_.emplace(entry.name, entries_.size()).second) {
    const std::string& other = paths_[static_cast<size_t>(find(entry.name)->file)];
    fail(ErrorCode::kInvalidFile, "{}: found twice (also in {}), expected once", describe(entry),
         other);
  }
  entries_.push_back(std::move(entry));
}

void TensorStore::replace(TensorEntry entry, std::string source, std::vector<std::byte> bytes) {
  const auto at = by_name_.find(entry.name);
  HEADGATE_CHECK(at != by_name_.end());
  owned_.push_back(std::move(bytes));
  entry.file = add_memory(std::move(source), owned_.back());
  entry.offset = 0;
  entry.bytes = static_cast<int64_t>(owned_.back().size());
  entries_[at->second] = std::move(entry);
}

void TensorStore::check_overlaps(int32_t file) const {
  std::vector<const TensorEntry*> sorted;
  for (const TensorEntry& entry : entries_) {
    if (entry.file == file && entry.bytes > 0) sorted.push_back(&entry);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const TensorEntry* a, const TensorEntry* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorEntry &before = *sorted[i - 1], &after = *sorted[i];
    if (after.offset < before.offset + before.bytes) {
      fail(ErrorCode::kInvalidFile, "{}: starts at byte {}, expected at or after {}, the end of {}",
           describe(after), after.offset, before.offset + before.bytes, before.name);
    }
  }
}

std::span<const std::byte> TensorStore::file_bytes(int32_t file) const {
  return bytes_[static_cast<size_t>(file)];
}

}  // namespace headgate

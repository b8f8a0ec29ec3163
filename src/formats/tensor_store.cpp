// Tensors by name over mapped files, with every range checked once, when it is added.
#include "formats/tensor_store.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace headgate {

int64_t TensorEntry::elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

int64_t TensorEntry::cols() const { return shape.empty() ? 1 : shape.back(); }

int64_t TensorEntry::rows() const {
  int64_t count = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
  return count;
}

const TensorEntry* TensorStore::find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

const TensorEntry& TensorStore::require(std::string_view name) const {
  if (const TensorEntry* entry = find(name)) return *entry;
  fail(ErrorCode::kInvalidFile, "{}: tensor {} is missing, found {} other tensors",
       paths_.empty() ? std::string("model") : paths_.front(), name, entries_.size());
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
  const MappedFile& map = maps_[static_cast<size_t>(entry.file)];
  if (map.bytes().empty()) {
    std::memcpy(out.data(), data(entry).data() + offset, out.size());
    return;
  }
  std::memcpy(out.data(), data(entry).data() + offset, out.size());
  map.release(entry.offset + offset, static_cast<int64_t>(out.size()));
}

std::string TensorStore::describe(const TensorEntry& entry) const {
  return fmt::format("{}: tensor {}", paths_[static_cast<size_t>(entry.file)], entry.name);
}

int32_t TensorStore::add_file(MappedFile file) {
  paths_.push_back(file.path());
  bytes_.push_back(file.bytes());
  maps_.push_back(std::move(file));
  return static_cast<int32_t>(paths_.size() - 1);
}

int32_t TensorStore::add_memory(std::string name, std::span<const std::byte> bytes) {
  paths_.push_back(std::move(name));
  bytes_.push_back(bytes);
  maps_.emplace_back();
  return static_cast<int32_t>(paths_.size() - 1);
}

void TensorStore::add_tensor(TensorEntry entry) {
  const auto size = static_cast<int64_t>(file_bytes(entry.file).size());
  if (entry.bytes < 0 || entry.offset < 0 || entry.bytes > size ||
      entry.offset > size - entry.bytes) {
    fail(ErrorCode::kInvalidFile, "{}: bytes {} to {}, expected to end within the file's {} bytes",
         describe(entry), entry.offset, entry.offset + entry.bytes, size);
  }
  if (!by_name_.emplace(entry.name, entries_.size()).second) {
    fail(ErrorCode::kInvalidFile, "{}: the name appears twice", describe(entry));
  }
  entries_.push_back(std::move(entry));
}

std::span<const std::byte> TensorStore::file_bytes(int32_t file) const {
  return bytes_[static_cast<size_t>(file)];
}

}  // namespace headgate

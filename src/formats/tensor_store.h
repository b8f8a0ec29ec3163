// Named tensors in one or more mapped files: what safetensors and GGUF have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"

namespace headgate {

// Product of the dimensions; throws kInvalidFile "<where>: ..." for a negative dimension or one
// beyond 2^62 elements.
int64_t checked_elements(std::span<const int64_t> shape, const std::string& where);
// "[12288, 2048]".
std::string format_shape(std::span<const int64_t> shape);

// One stored tensor. Shapes are row-major with the outermost dimension first, as in HF files;
// GGUF's ne order (fastest first) is reversed on reading.
struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // empty for a scalar
  int64_t bytes = 0;
  int32_t file = 0;    // index into TensorStore::paths()
  int64_t offset = 0;  // of the first byte, from the start of that file

  int64_t elements() const;
  int64_t rows() const;  // product of all dimensions but the last; 1 for vectors and scalars
  int64_t cols() const;  // the last dimension; 1 for a scalar
};

// Immutable after loading. Thread rule: const members may be called from any thread.
class TensorStore {
 public:
  std::span<const TensorEntry> tensors() const { return entries_; }
  const TensorEntry* find(std::string_view name) const;  // nullptr when absent
  // Like find, but throws kInvalidFile naming the file(s) and the tensor.
  const TensorEntry& require(std::string_view name) const;

  // The bytes of a tensor, mapped; valid while the store lives.
  std::span<const std::byte> data(const TensorEntry& entry) const;
  // Gives the pages of a tensor back to the kernel (they are read again on the next access).
  void release(const TensorEntry& entry) const;
  // Copies [offset, offset + out.size()) of a tensor with pread instead of the map: for streaming
  // conversion whose resident set must stay small.
  void read(const TensorEntry& entry, int64_t offset, std::span<std::byte> out) const;

  const std::vector<std::string>& paths() const { return paths_; }
  // "model.safetensors: tensor model.norm.weight", for messages.
  std::string describe(const TensorEntry& entry) const;

  // Building, used by the readers. add_file returns the file's index; add_tensor throws
  // kInvalidFile for a name that exists already or a range outside its file.
  int32_t add_file(MappedFile file);
  // A file already in memory (the embedded model); the bytes must outlive the store.
  int32_t add_memory(std::string name, std::span<const std::byte> bytes);
  void add_tensor(TensorEntry entry);
  // Gives an existing tensor other bytes, which the store keeps: an adapter's merge. `entry` has
  // its name and the type of `bytes`; `source` names them in messages.
  void replace(TensorEntry entry, std::string source, std::vector<std::byte> bytes);
  // Throws kInvalidFile when two tensors of a file share a byte. Call after the last add_tensor.
  void check_overlaps(int32_t file) const;
  std::span<const std::byte> file_bytes(int32_t file) const;
  // True for a file given by add_memory, whose path names nothing on disk.
  bool in_memory(int32_t file) const { return inputs_[static_cast<size_t>(file)] == nullptr; }

 private:
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };

  std::vector<std::string> paths_;
  std::vector<MappedFile> maps_;                    // empty maps for files in memory
  std::vector<std::unique_ptr<InputFile>> inputs_;  // null for files in memory
  std::vector<std::span<const std::byte>> bytes_;
  std::vector<std::vector<std::byte>> owned_;  // of replace(); moving a vector moves no bytes
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string, size_t, NameHash, std::equal_to<>> by_name_;
};

}  // namespace headgate

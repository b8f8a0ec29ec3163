// Writing named tensors to model files: declare them all, then stream their bytes in that order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"

namespace headgate {

// One declared tensor; shapes are row-major, outermost dimension first.
struct TensorDeclaration {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

// Files appear under their final names only in finish(): a writer destroyed before leaves nothing
// behind. Resident memory is that of the headers. Thread rule: one thread at a time.
class TensorWriter {
 public:
  virtual ~TensorWriter() = default;
  TensorWriter(const TensorWriter&) = delete;
  TensorWriter& operator=(const TensorWriter&) = delete;

  // Before the first write. Throws kInvalidArgument for a name declared twice, a type the format
  // lacks or rows that are no multiple of the block size.
  void declare(const std::string& name, DType dtype, std::vector<int64_t> shape);
  const std::vector<TensorDeclaration>& declared() const { return tensors_; }

  // The next bytes of the data, in declaration order and in pieces of any size.
  void write(std::span<const std::byte> bytes);
  // As if `bytes` zero bytes were written, without taking room on disk.
  void skip(int64_t bytes);

  // Completes and commits all files; every declared byte must have been written (HEADGATE_CHECK).
  void finish();

  // Paths of the files, in order; known after the first write.
  const std::vector<std::string>& paths() const { return paths_; }

 protected:
  // `max_part_bytes`: a part is closed before its tensors pass this size; 0 means one file.
  explicit TensorWriter(int64_t max_part_bytes) : max_part_bytes_(max_part_bytes) {}

  struct Part {
    size_t first = 0, last = 0;  // tensors [first, last)
  };
  const std::vector<Part>& parts() const { return parts_; }

  virtual void check_type(const TensorDeclaration& tensor) const = 0;
  virtual std::string part_path(size_t part, size_t parts) const = 0;
  virtual void write_header(OutputFile& out, size_t part) = 0;
  virtual int64_t alignment() const = 0;  // of each tensor's first byte within the data section
  virtual void write_extra_files() {}     // after the parts are complete: an index

 private:
  void begin();
  void plan_parts();
  void open_part(size_t part);
  void skip_finished_tensors();  // advances past complete (or empty) tensors

  std::vector<TensorDeclaration> tensors_;
  int64_t max_part_bytes_;
  std::vector<Part> parts_;
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::vector<std::string> paths_;
  bool begun_ = false;
  size_t part_ = 0;      // being written
  size_t tensor_ = 0;    // being written
  int64_t written_ = 0;  // bytes of that tensor
};

}  // namespace headgate

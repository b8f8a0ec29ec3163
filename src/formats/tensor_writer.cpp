// The order of work that all model file writers share.
#include "formats/tensor_writer.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "formats/tensor_store.h"

namespace headgate {

void TensorWriter::declare(const std::string& name, DType dtype, std::vector<int64_t> shape) {
  HEADGATE_CHECK(!begun_);
  const DTypeInfo& info = dtype_info(dtype);
  const int64_t elements = checked_elements(shape, "tensor " + name);
  const int64_t cols = shape.empty() ? 1 : shape.back();
  if (cols % info.block_elements != 0) {
    fail(ErrorCode::kInvalidArgument,
         "tensor {}: rows of {} elements, expected a multiple of {} for {}", name, cols,
         info.block_elements, info.name);
  }
  TensorDeclaration tensor{name, dtype, std::move(shape),
                           elements / info.block_elements * info.block_bytes};
  check_type(tensor);
  tensors_.push_back(std::move(tensor));
}

void TensorWriter::plan_parts() {
  parts_.push_back({0, 0});
  int64_t bytes = 0;
  for (const TensorDeclaration& tensor : tensors_) {
    Part& part = parts_.back();
    if (max_part_bytes_ > 0 && part.last > part.first && bytes + tensor.bytes > max_part_bytes_) {
      parts_.push_back({part.last, part.last});
      bytes = 0;
    }
    ++parts_.back().last;
    bytes += tensor.bytes;
  }
}

void TensorWriter::begin() {
  begun_ = true;
  std::unordered_set<std::string_view> names;
  for (const TensorDeclaration& tensor : tensors_) {
    if (!names.insert(tensor.name).second) {
      fail(ErrorCode::kInvalidArgument, "tensor {}: declared twice, expected once", tensor.name);
    }
  }
  plan_parts();
  for (size_t part = 0; part < parts_.size(); ++part) {
    paths_.push_back(part_path(part, parts_.size()));
  }
  open_part(0);
  skip_finished_tensors();
}

void TensorWriter::open_part(size_t part) {
  part_ = part;
  files_.push_back(std::make_unique<OutputFile>(paths_[part]));
  write_header(*files_.back(), part);
}

void TensorWriter::skip_finished_tensors() {
  while (tensor_ < tensors_.size() && written_ == tensors_[tensor_].bytes) {
    files_.back()->pad_to(alignment());
    written_ = 0;
    ++tensor_;
    if (tensor_ == parts_[part_].last && part_ + 1 < parts_.size()) open_part(part_ + 1);
  }
}

void TensorWriter::write(std::span<const std::byte> bytes) {
  if (!begun_) begin();
  while (!bytes.empty()) {
    HEADGATE_CHECK(tensor_ < tensors_.size());
    const auto piece = static_cast<size_t>(
        std::min<int64_t>(tensors_[tensor_].bytes - written_, static_cast<int64_t>(bytes.size())));
    files_.back()->write(bytes.first(piece));
    bytes = bytes.subspan(piece);
    written_ += static_cast<int64_t>(piece);
    skip_finished_tensors();
  }
}

void TensorWriter::skip(int64_t bytes) {
  if (!begun_) begin();
  while (bytes > 0) {
    HEADGATE_CHECK(tensor_ < tensors_.size());
    const int64_t piece = std::min(tensors_[tensor_].bytes - written_, bytes);
    files_.back()->skip(piece);
    bytes -= piece;
    written_ += piece;
    skip_finished_tensors();
  }
}

void TensorWriter::finish() {
  if (!begun_) begin();
  HEADGATE_CHECK(tensor_ == tensors_.size());
  for (const auto& file : files_) file->commit();
  write_extra_files();
}

}  // namespace headgate

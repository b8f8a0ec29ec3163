// Writes GGUF version 3 files, single or split.
#pragma once

#include <cstdint>
#include <string>

#include "formats/gguf.h"
#include "formats/tensor_writer.h"

namespace headgate {

// The header of a GGUF as bytes: metadata exactly as given (order, types, array element types),
// tensors, padding. `offsets` are relative to the data section.
std::string encode_gguf_header(const GgufMetadata& metadata,
                               std::span<const TensorDeclaration> tensors, int64_t alignment);

// Metadata read from a file is written back byte for byte. Split parts are named
// "<stem>-00001-of-0000N.gguf"; the first holds the metadata, all hold split.no, split.count and
// split.tensors.count; existing split keys are dropped first.
class GgufWriter : public TensorWriter {
 public:
  // Throws kInvalidFile when general.alignment of the metadata is no power of two.
  GgufWriter(std::string path, GgufMetadata metadata, int64_t max_part_bytes = 0);

 private:
  void check_type(const TensorDeclaration& tensor) const override;
  std::string part_path(size_t part, size_t parts) const override;
  void write_header(OutputFile& out, size_t part) override;
  int64_t alignment() const override { return alignment_; }

  std::string path_;
  GgufMetadata metadata_;
  int64_t alignment_ = kGgufAlignment;
};

}  // namespace headgate

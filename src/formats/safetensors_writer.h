// Writes safetensors files, single or sharded with an index.
#pragma once

#include <cstdint>
#include <string>

#include "formats/safetensors.h"
#include "formats/tensor_writer.h"

namespace headgate {

// Into `folder` (which exists): model.safetensors, or model-00001-of-0000N.safetensors and
// model.safetensors.index.json. Headers are padded with spaces to 8 bytes.
class SafetensorsWriter : public TensorWriter {
 public:
  explicit SafetensorsWriter(std::string folder, int64_t max_part_bytes = 0,
                             SafetensorsMetadata metadata = {{"format", "pt"}});

 private:
  void check_type(const TensorDeclaration& tensor) const override;
  std::string part_path(size_t part, size_t parts) const override;
  void write_header(OutputFile& out, size_t part) override;
  int64_t alignment() const override { return 1; }
  void write_extra_files() override;

  std::string folder_;
  SafetensorsMetadata metadata_;
};

}  // namespace headgate

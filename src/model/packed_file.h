// The packed side file of a model: what its backend made of the weights, ready to be mapped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/weight_image.h"
#include "base/file.h"

namespace headgate {

struct Checkpoint;
class ThreadPool;

// Layout, little-endian: a page of header (magic "HGPACKED", version, identity of the model,
// records, place of the index, file size, checksums), then the weights in the order they were made,
// each on a 4096-byte boundary, then the index. docs/formats.md has the table.
struct PackedRecord {
  uint64_t signature = 0;  // of layout, type and shape
  uint64_t offset = 0;     // of the first byte; a multiple of 4096
  uint64_t bytes = 0;
  uint64_t checksum = 0;
};

struct PackedIndex {
  uint64_t identity = 0;
  std::vector<PackedRecord> records;
};

// Reads header and index and checks everything but the weights' own checksums: magic, version,
// sizes, bounds, order, checksums of header and index. Throws kInvalidFile, its message starting
// with `name`.
PackedIndex parse_packed_index(std::span<const std::byte> file, const std::string& name);

// Puts the right checksums of header and index into a file whose other fields are kept, however
// wrong: lets tests reach the checks behind the checksums.
void seal_packed_index(std::span<std::byte> file);

// A number that changes with the model's files (sizes, times of change, first MiB of each) and with
// `variant`; nothing for a model in memory.
std::optional<uint64_t> packed_identity(const Checkpoint& checkpoint, uint64_t variant);

// Where in `folder` the side file of the model lies: the model's name and a hash of its full path.
std::string packed_path(const std::string& folder, const Checkpoint& checkpoint);

// Weights out of a mapped side file.
class PackedReader final : public WeightImage {
 public:
  // Maps the file and checks every byte of it with `threads` threads. Throws kNotFound, kIo, or
  // kInvalidFile for a file that is damaged or belongs to another state of the model.
  PackedReader(const std::string& path, uint64_t identity, int threads);
  std::span<const std::byte> take(uint64_t signature, int64_t bytes) override;
  void put(uint64_t, std::span<const std::byte>) override {}
  std::shared_ptr<const void> memory() const override { return file_; }
  // All weights asked for were there, and no others.
  bool complete() const { return !mismatch_ && next_ == index_.records.size(); }

 private:
  std::shared_ptr<const MappedFile> file_;
  PackedIndex index_;
  size_t next_ = 0;
  bool mismatch_ = false;
};

// Writes a side file while a model is loaded. When writing fails, one warning is logged and the
// rest is dropped: the model loads all the same.
class PackedWriter final : public WeightImage {
 public:
  PackedWriter(const std::string& path, uint64_t identity);
  std::span<const std::byte> take(uint64_t, int64_t) override { return {}; }
  void put(uint64_t signature, std::span<const std::byte> bytes) override;
  std::shared_ptr<const void> memory() const override { return nullptr; }
  // Writes the index and gives the file its name. False when writing failed.
  bool finish();

 private:
  void give_up(const char* why);
  void finish_file();

  std::string path_;
  std::unique_ptr<OutputFile> file_;  // null once given up
  PackedIndex index_;
};

}  // namespace headgate

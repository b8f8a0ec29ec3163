// Reading, checking and writing of packed side files.
#include "model/packed_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

constexpr std::array<char, 8> kMagic = {'H', 'G', 'P', 'A', 'C', 'K', 'E', 'D'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;
constexpr int64_t kHashBlock = int64_t{4} << 20;
constexpr int64_t kIdentityBytes = int64_t{1} << 20;

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t reserved = 0;
  uint64_t identity = 0;
  uint64_t records = 0;
  uint64_t index_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t index_checksum = 0;
  uint64_t checksum = 0;  // of everything above
};
static_assert(sizeof(Header) == 64 && sizeof(PackedRecord) == 32);

// Eight lanes of 64 bits, multiplied and rotated: as fast as memory. Catches accidents, not
// forgers.
uint64_t hash_block(std::span<const std::byte> bytes) {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;
  std::array<uint64_t, 8> lanes = {1, 2, 3, 4, 5, 6, 7, 8};
  size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) {
    std::array<uint64_t, 8> words;
    std::memcpy(words.data(), bytes.data() + at, 64);
    for (size_t i = 0; i < 8; ++i) {
      const uint64_t x = (lanes[i] ^ words[i]) * kFactor;
      lanes[i] = x << 29 | x >> 35;
    }
  }
  uint64_t hash = mix_bits(bytes.size());
  for (; at < bytes.size(); ++at) hash = mix_bits(hash ^ static_cast<uint64_t>(bytes[at]));
  for (const uint64_t lane : lanes) hash = mix_bits(hash ^ lane);
  return hash;
}

// By blocks, so that threads can share the work.
uint64_t checksum_of(std::span<const std::byte> bytes, ThreadPool* pool) {
  const auto size = static_cast<int64_t>(bytes.size());
  std::vector<uint64_t> hashes(static_cast<size_t>((size + kHashBlock - 1) / kHashBlock));
  const auto hash_one = [&](int64_t block, int) {
    const int64_t from = block * kHashBlock;
    hashes[static_cast<size_t>(block)] = hash_block(bytes.subspan(
        static_cast<size_t>(from), static_cast<size_t>(std::min(kHashBlock, size - from))));
  };
  if (pool != nullptr) {
    pool->run(static_cast<int64_t>(hashes.size()), hash_one);
  } else {
    for (size_t block = 0; block < hashes.size(); ++block) hash_one(static_cast<int64_t>(block), 0);
  }
  return hash_block(std::as_bytes(std::span(hashes)));
}

uint64_t header_checksum(const Header& header) {
  return hash_block(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, checksum)));
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  fail(ErrorCode::kInvalidFile, "{}: {}", name, what);
}

// Each record starts on a page after the one before and ends before the index.
void check_records(const PackedIndex& index, uint64_t index_offset, const std::string& name) {
  uint64_t free_from = kPage;
  for (const PackedRecord& r : index.records) {
    if (r.offset % kPage != 0 || r.offset < free_from || r.offset > index_offset ||
        r.bytes > index_offset - r.offset) {
      refuse(name, fmt::format("weights of {} bytes at byte {}, expected within {} to {}", r.bytes,
                               r.offset, free_from, index_offset));
    }
    free_from = r.offset + r.bytes;
  }
}

}  // namespace

PackedIndex parse_packed_index(std::span<const std::byte> file, const std::string& name) {
  Header header;
  if (file.size() < kPage) refuse(name, fmt::format("{} bytes, expected a header", file.size()));
  std::memcpy(&header, file.data(), sizeof header);
  if (header.magic != kMagic) refuse(name, "no packed weights, expected magic HGPACKED");
  if (header.version != kVersion)
    refuse(name, fmt::format("version {}, expected {}", header.version, kVersion));
  if (header.checksum != header_checksum(header)) refuse(name, "the header is damaged");
  if (header.file_bytes != file.size())
    refuse(name, fmt::format("{} bytes, expected {}", file.size(), header.file_bytes));
  if (header.index_offset < kPage || header.index_offset > file.size() ||
      header.records != (file.size() - header.index_offset) / sizeof(PackedRecord) ||
      (file.size() - header.index_offset) % sizeof(PackedRecord) != 0) {
    refuse(name, fmt::format("an index of {} records at byte {}, expected to end with the file",
                             header.records, header.index_offset));
  }
  const auto bytes = file.subspan(header.index_offset);
  if (header.index_checksum != hash_block(bytes)) refuse(name, "the index is damaged");
  PackedIndex index;
  index.identity = header.identity;
  index.records.resize(header.records);
  if (!bytes.empty()) std::memcpy(index.records.data(), bytes.data(), bytes.size());
  check_records(index, header.index_offset, name);
  return index;
}

void seal_packed_index(std::span<std::byte> file) {
  if (file.size() < kPage) return;
  Header header;
  std::memcpy(&header, file.data(), sizeof header);
  if (header.index_offset <= file.size())
    header.index_checksum = hash_block(file.subspan(header.index_offset));
  header.checksum = header_checksum(header);
  std::memcpy(file.data(), &header, sizeof header);
}

std::optional<uint64_t> packed_identity(const Checkpoint& checkpoint, uint64_t variant) {
  uint64_t hash = mix_bits(variant);
  const TensorStore& store = checkpoint.tensors;
  for (size_t i = 0; i < store.paths().size(); ++i) {
    const auto file = static_cast<int32_t>(i);
    struct stat info {};
    if (store.in_memory(file) || ::stat(store.paths()[i].c_str(), &info) != 0) return std::nullopt;
    const std::span<const std::byte> bytes = store.file_bytes(file);
    for (const int64_t part :
         {static_cast<int64_t>(info.st_size), static_cast<int64_t>(info.st_mtim.tv_sec),
          static_cast<int64_t>(info.st_mtim.tv_nsec)}) {
      hash = mix_bits(hash ^ static_cast<uint64_t>(part));
    }
    hash = mix_bits(hash ^ hash_block(bytes.first(std::min<size_t>(bytes.size(), kIdentityBytes))));
  }
  return hash;
}

std::string packed_path(const std::string& folder, const Checkpoint& checkpoint) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path full = fs::weakly_canonical(checkpoint.path, ignored);
  const std::string text = full.empty() ? checkpoint.path : full.string();
  std::string name = fs::path(text).filename().string();
  if (name.empty()) name = "model";
  return fmt::format("{}/{}-{:016x}.hgpacked", folder, name.substr(0, 100),
                     hash_block(std::as_bytes(std::span(text.data(), text.size()))));
}

PackedReader::PackedReader(const std::string& path, uint64_t identity, int threads)
    : file_(std::make_shared<const MappedFile>(path)) {
  index_ = parse_packed_index(file_->bytes(), path);
  if (index_.identity != identity)
    refuse(path, "made from another state of the model or by another version");
  // Reading every byte also brings the file into memory, in large steps on all threads.
  ThreadPool pool(threads);
  for (const PackedRecord& r : index_.records) {
    if (checksum_of(file_->bytes().subspan(r.offset, r.bytes), &pool) != r.checksum)
      refuse(path, fmt::format("the weights at byte {} are damaged", r.offset));
  }
}

std::span<const std::byte> PackedReader::take(uint64_t signature, int64_t bytes) {
  mismatch_ = mismatch_ || next_ == index_.records.size() ||
              index_.records[next_].signature != signature ||
              index_.records[next_].bytes != static_cast<uint64_t>(bytes);
  if (mismatch_) return {};
  const PackedRecord& r = index_.records[next_++];
  return file_->bytes().subspan(r.offset, r.bytes);
}

PackedWriter::PackedWriter(const std::string& path, uint64_t identity) : path_(path) {
  index_.identity = identity;
  try {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    file_ = std::make_unique<OutputFile>(path);
    file_->write(std::string(kPage, '\0'));
  } catch (const std::exception& e) {
    give_up(e.what());
  }
}

void PackedWriter::give_up(const char* why) {
  log_warning("{}: packed weights are not kept: {}", path_, why);
  file_.reset();
}

void PackedWriter::put(uint64_t signature, std::span<const std::byte> bytes) {
  if (file_ == nullptr) return;
  try {
    file_->pad_to(static_cast<int64_t>(kPage));
    index_.records.push_back({signature, static_cast<uint64_t>(file_->position()), bytes.size(),
                              checksum_of(bytes, nullptr)});
    file_->write(bytes);
  } catch (const std::exception& e) {
    give_up(e.what());
  }
}

void PackedWriter::finish_file() {
  file_->pad_to(static_cast<int64_t>(kPage));
  const auto index = std::as_bytes(std::span(index_.records));
  Header header;
  header.identity = index_.identity;
  header.records = index_.records.size();
  header.index_offset = static_cast<uint64_t>(file_->position());
  header.file_bytes = header.index_offset + index.size();
  header.index_checksum = hash_block(index);
  header.checksum = header_checksum(header);
  file_->write(index);
  file_->write_at(0, std::as_bytes(std::span(&header, 1)));
  file_->commit();
}

bool PackedWriter::finish() {
  if (file_ == nullptr) return false;
  try {
    finish_file();
  } catch (const std::exception& e) {
    give_up(e.what());
    return false;
  }
  return true;
}

}  // namespace headgate

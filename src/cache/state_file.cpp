// The header's checks, and the order in which a file is written.
#include "cache/state_file.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "backend/cpu/huge_buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "cache/block_file.h"

namespace headgate {
namespace {

constexpr char kMagic[8] = "HGSTATE";
constexpr uint32_t kVersion = 1;
// Beyond these a number is damage: they keep sums far from overflow.
constexpr uint64_t kMostTokens = uint64_t{1} << 26;
constexpr uint64_t kMostPageTokens = uint64_t{1} << 20;
constexpr uint64_t kMostPageBytes = uint64_t{1} << 34;
constexpr uint64_t kMostStateBytes = uint64_t{1} << 40;
constexpr uint64_t kMostNoteBytes = uint64_t{1} << 28;
constexpr int64_t kHugePage = int64_t{2} << 20;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t checksum;  // of the whole header with zero here
  Digest profile, salt, parent;
  uint64_t tokens, deferred;
  uint64_t page_tokens, page_bytes, first_page, pages;
  uint64_t state_bytes, state_checksum;
  uint64_t note_bytes;
  uint64_t header_bytes, file_bytes;
};
static_assert(sizeof(Header) == 208 && std::is_trivially_copyable_v<Header>);

uint64_t round_up(uint64_t bytes) {
  return static_cast<uint64_t>(round_to_block(static_cast<int64_t>(bytes)));
}

uint64_t header_bytes_of(const Header& h) {
  return round_up(sizeof(Header) + 4 * h.tokens + 8 * h.pages + h.note_bytes);
}

uint64_t file_bytes_of(const Header& h) {
  return header_bytes_of(h) + h.pages * round_up(h.page_bytes) + round_up(h.state_bytes);
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  fail(ErrorCode::kInvalidFile, "{}: {}", name, what);
}

void check_sizes(const Header& h, uint64_t file_bytes, const std::string& name) {
  const auto check = [&](const char* what, uint64_t value, uint64_t most) {
    if (value > most)
      refuse(name, fmt::format("{}: found {}, expected at most {}", what, value, most));
  };
  check("tokens", h.tokens, kMostTokens);
  check("tokens set aside", h.deferred, h.tokens);
  check("tokens of a page", h.page_tokens, kMostPageTokens);
  check("bytes of a page", h.page_bytes, kMostPageBytes);
  check("bytes of the state", h.state_bytes, kMostStateBytes);
  check("bytes of the note", h.note_bytes, kMostNoteBytes);
  const uint64_t all = h.page_tokens == 0 ? 0 : (h.tokens + h.page_tokens - 1) / h.page_tokens;
  check("pages", h.pages, all);
  if (h.tokens == 0) refuse(name, "holds no tokens");
  if (h.first_page != all - h.pages) {
    refuse(name, fmt::format("first page: found {}, expected {}", h.first_page, all - h.pages));
  }
  if (h.header_bytes != header_bytes_of(h)) {
    refuse(name,
           fmt::format("header: found {} bytes, expected {}", h.header_bytes, header_bytes_of(h)));
  }
  if (h.file_bytes != file_bytes_of(h) || h.file_bytes != file_bytes) {
    refuse(name, fmt::format("found {} bytes, expected {}", file_bytes, file_bytes_of(h)));
  }
}

Header read_fields(std::span<const std::byte> head, int64_t file_bytes, const std::string& name) {
  Header h{};
  if (head.size() < sizeof h) refuse(name, "too short for a state file");
  std::memcpy(&h, head.data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0) refuse(name, "not a state file");
  if (h.version != kVersion)
    refuse(name, fmt::format("version: found {}, expected {}", h.version, kVersion));
  check_sizes(h, static_cast<uint64_t>(file_bytes), name);
  return h;
}

uint64_t header_checksum(std::span<const std::byte> header) {
  std::vector<std::byte> copy(header.begin(), header.end());
  std::memset(copy.data() + offsetof(Header, checksum), 0, sizeof(uint64_t));
  return checksum64(copy);
}

std::vector<std::byte> make_header(StateFileInfo& info) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.version = kVersion;
  h.profile = info.profile;
  h.salt = info.salt;
  h.parent = info.parent;
  h.tokens = info.tokens.size();
  h.deferred = static_cast<uint64_t>(info.deferred);
  h.page_tokens = static_cast<uint64_t>(info.page_tokens);
  h.page_bytes = static_cast<uint64_t>(info.page_bytes);
  h.first_page = static_cast<uint64_t>(info.first_page);
  h.pages = static_cast<uint64_t>(info.pages);
  h.state_bytes = static_cast<uint64_t>(info.state_bytes);
  h.state_checksum = info.state_checksum;
  h.note_bytes = info.note.size();
  h.header_bytes = header_bytes_of(h);
  h.file_bytes = file_bytes_of(h);
  check_sizes(h, h.file_bytes, "state to be written");
  info.header_bytes = static_cast<int64_t>(h.header_bytes);
  info.file_bytes = static_cast<int64_t>(h.file_bytes);
  std::vector<std::byte> out(h.header_bytes);
  std::byte* at = out.data();
  const auto put = [&](const void* from, size_t bytes) {
    if (bytes > 0) std::memcpy(at, from, bytes);
    at += bytes;
  };
  put(&h, sizeof h);
  put(info.tokens.data(), 4 * info.tokens.size());
  put(info.page_checksums.data(), 8 * info.page_checksums.size());
  put(info.note.data(), info.note.size());
  seal_state_header(out);
  return out;
}

// Of the checksums of its pieces, so that they can be taken one by one.
uint64_t checksum_of_parts(std::span<const uint64_t> parts) {
  return checksum64(std::as_bytes(parts));
}

bool stopped(const std::atomic<bool>* stop) {
  return stop != nullptr && stop->load(std::memory_order_relaxed);
}

// Requests of several pages each, shared by threads that have a buffer each. Pages smaller than a
// huge page go through it: the system takes long to pin small pages of memory, and the copy comes
// free while another thread waits for the disk.
class PageRequests {
 public:
  PageRequests(int64_t pages, int64_t page_bytes, bool direct)
      : pages_(pages),
        stride_(round_to_block(page_bytes)),
        per_request_(std::max<int64_t>(
            1, file_buffer_bytes(pages * stride_) / std::max<int64_t>(stride_, 1))),
        direct_(direct && page_bytes >= kHugePage && page_bytes == stride_) {}

  bool direct() const { return direct_; }

  // Calls work(first page, pages, buffer for them) until all are done or one of them throws.
  void run(int threads,
           const std::function<void(int64_t first, int64_t count, std::span<std::byte> buffer)>&
               work) const {
    if (pages_ == 0) return;
    std::atomic<int64_t> next{0};
    std::exception_ptr error;
    std::mutex mutex;
    const auto take = [&] {
      try {
        const HugeBuffer buffer(direct_ ? 0 : per_request_ * stride_);
        for (int64_t at = next.fetch_add(per_request_); at < pages_;
             at = next.fetch_add(per_request_)) {
          const int64_t count = std::min(per_request_, pages_ - at);
          work(at, count, {buffer.data(), static_cast<size_t>(direct_ ? 0 : count * stride_)});
        }
      } catch (...) {
        next = pages_;
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    };
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads && i * per_request_ < pages_; ++i) helpers.emplace_back(take);
    take();
    for (std::thread& helper : helpers) helper.join();
    if (error != nullptr) std::rethrow_exception(error);
  }

 private:
  int64_t pages_, stride_, per_request_;
  bool direct_;
};

template <typename Byte>
bool all_block_memory(std::span<const std::span<Byte>> pages) {
  return std::all_of(pages.begin(), pages.end(),
                     [](const auto& page) { return is_block_memory(page); });
}

void write_pages(BlockWriter& file, StateFileInfo& info,
                 std::span<const std::span<const std::byte>> pages, const std::atomic<bool>* stop,
                 int threads) {
  const int64_t begin = file.position(), stride = round_to_block(info.page_bytes);
  const auto bytes = static_cast<size_t>(info.page_bytes);
  const PageRequests requests(static_cast<int64_t>(pages.size()), info.page_bytes,
                              all_block_memory(pages));
  requests.run(threads, [&](int64_t first, int64_t count, std::span<std::byte> buffer) {
    if (stopped(stop)) return;
    for (int64_t i = 0; i < count; ++i) {
      const auto page = static_cast<size_t>(first + i);
      std::span<const std::byte> from = pages[page];
      if (!requests.direct()) {
        std::byte* to = buffer.data() + i * stride;
        std::memcpy(to, from.data(), bytes);
        std::memset(to + bytes, 0, static_cast<size_t>(stride) - bytes);
        from = {to, bytes};
      }
      info.page_checksums[page] = checksum64(from);
    }
    const std::span<const std::byte> copies = buffer;
    file.write_at(begin + first * stride,
                  requests.direct()
                      ? pages.subspan(static_cast<size_t>(first), static_cast<size_t>(count))
                      : std::span(&copies, 1));
  });
  file.skip(static_cast<int64_t>(pages.size()) * stride);
}

}  // namespace

int64_t state_file_bytes(int64_t tokens, int64_t pages, int64_t page_bytes, int64_t state_bytes,
                         int64_t note_bytes) {
  return round_to_block(static_cast<int64_t>(sizeof(Header)) + 4 * tokens + 8 * pages +
                        note_bytes) +
         pages * round_to_block(page_bytes) + round_to_block(state_bytes);
}

Digest state_id(const Digest& profile, const Digest& salt, std::span<const int32_t> tokens) {
  return Sha256().add(profile).add(salt).add(std::as_bytes(tokens)).digest();
}

StateFileInfo parse_state_header(std::span<const std::byte> head, int64_t file_bytes,
                                 const std::string& name) {
  const Header h = read_fields(head, file_bytes, name);
  if (head.size() < h.header_bytes) refuse(name, "the header is cut off");
  head = head.first(h.header_bytes);
  if (h.checksum != header_checksum(head)) refuse(name, "the header is damaged");
  StateFileInfo info;
  info.profile = h.profile;
  info.salt = h.salt;
  info.parent = h.parent;
  info.tokens.resize(h.tokens);
  info.page_checksums.resize(h.pages);
  info.note.resize(h.note_bytes);
  const std::byte* at = head.data() + sizeof h;
  const auto take = [&](void* to, size_t bytes) {
    if (bytes > 0) std::memcpy(to, at, bytes);
    at += bytes;
  };
  take(info.tokens.data(), 4 * info.tokens.size());
  take(info.page_checksums.data(), 8 * info.page_checksums.size());
  take(info.note.data(), info.note.size());
  info.deferred = static_cast<int64_t>(h.deferred);
  info.page_tokens = static_cast<int64_t>(h.page_tokens);
  info.page_bytes = static_cast<int64_t>(h.page_bytes);
  info.first_page = static_cast<int64_t>(h.first_page);
  info.pages = static_cast<int64_t>(h.pages);
  info.state_bytes = static_cast<int64_t>(h.state_bytes);
  info.state_checksum = h.state_checksum;
  info.header_bytes = static_cast<int64_t>(h.header_bytes);
  info.file_bytes = static_cast<int64_t>(h.file_bytes);
  return info;
}

void seal_state_header(std::span<std::byte> head) {
  if (head.size() < sizeof(Header)) return;
  Header h{};
  std::memcpy(&h, head.data(), sizeof h);
  if (h.header_bytes < sizeof h || h.header_bytes > head.size()) return;
  const uint64_t checksum = header_checksum(head.first(h.header_bytes));
  std::memcpy(head.data() + offsetof(Header, checksum), &checksum, sizeof checksum);
}

StateFileInfo read_state_header(const std::string& path) {
  const InputFile file(path);
  std::vector<std::byte> head(static_cast<size_t>(std::min<int64_t>(file.size(), kFileBlock)));
  file.read_at(0, head);
  const Header h = read_fields(head, file.size(), path);
  head.resize(h.header_bytes);
  file.read_at(0, head);
  return parse_state_header(head, file.size(), path);
}

bool write_state_file(const std::string& path, StateFileInfo& info,
                      std::span<const std::span<const std::byte>> pages,
                      std::span<const std::span<const std::byte>> state,
                      const std::atomic<bool>* stop, int threads) {
  info.pages = static_cast<int64_t>(pages.size());
  info.state_bytes = 0;
  for (const auto& part : state) info.state_bytes += static_cast<int64_t>(part.size());
  info.page_checksums.assign(pages.size(), 0);
  info.state_checksum = 0;
  const auto front = static_cast<int64_t>(make_header(info).size());
  BlockWriter file(path, front, info.file_bytes);
  for (const auto& page : pages)
    HEADGATE_CHECK(static_cast<int64_t>(page.size()) == info.page_bytes);
  write_pages(file, info, pages, stop, threads);
  if (stopped(stop)) return false;
  std::vector<uint64_t> parts;
  for (const auto& part : state) {
    if (stopped(stop)) return false;
    parts.push_back(checksum64(part));
    file.write(part);
  }
  if (!state.empty()) {
    info.state_checksum = checksum_of_parts(parts);
    file.pad();
  }
  HEADGATE_CHECK(file.position() == info.file_bytes);
  if (stopped(stop)) return false;
  file.commit(make_header(info));
  return true;
}

namespace {

void read_pages(BlockReader& file, const std::string& path, const StateFileInfo& info,
                int64_t first, std::span<const std::span<std::byte>> pages,
                const std::atomic<bool>* stop, int threads) {
  const int64_t stride = round_to_block(info.page_bytes);
  const int64_t begin = info.header_bytes + (first - info.first_page) * stride;
  const auto check = [&](int64_t index, std::span<const std::byte> page) {
    HEADGATE_CHECK(static_cast<int64_t>(page.size()) == info.page_bytes);
    if (checksum64(page) !=
        info.page_checksums[static_cast<size_t>(first - info.first_page + index)])
      refuse(path, fmt::format("page {} is damaged", first + index));
  };
  const PageRequests requests(static_cast<int64_t>(pages.size()), info.page_bytes,
                              all_block_memory(pages));
  requests.run(threads, [&](int64_t at, int64_t count, std::span<std::byte> buffer) {
    if (stopped(stop)) fail(ErrorCode::kCancelled, "{}: not read to its end", path);
    const auto some = pages.subspan(static_cast<size_t>(at), static_cast<size_t>(count));
    file.read_at(begin + at * stride, requests.direct() ? some : std::span(&buffer, 1));
    for (int64_t i = 0; i < count; ++i) {
      const std::span<std::byte> page = some[static_cast<size_t>(i)];
      if (requests.direct()) {
        check(at + i, page);
        continue;
      }
      const std::span<const std::byte> copy(buffer.data() + i * stride, page.size());
      check(at + i, copy);
      std::memcpy(page.data(), copy.data(), copy.size());
    }
  });
}

}  // namespace

void read_state_file(const std::string& path, const StateFileInfo& info, int64_t first,
                     std::span<const std::span<std::byte>> pages,
                     std::span<const std::span<std::byte>> state, const std::atomic<bool>* stop,
                     int threads) {
  BlockReader file(path);
  if (file.size() != info.file_bytes)
    refuse(path, fmt::format("found {} bytes, expected {}", file.size(), info.file_bytes));
  const int64_t stride = round_to_block(info.page_bytes);
  if (!pages.empty()) {
    const auto end = first + static_cast<int64_t>(pages.size());
    if (first < info.first_page || end > info.first_page + info.pages) {
      refuse(path, fmt::format("pages {} to {}: expected {} to {}", first, end, info.first_page,
                               info.first_page + info.pages));
    }
    read_pages(file, path, info, first, pages, stop, threads);
  }
  if (state.empty()) return;
  int64_t bytes = 0;
  for (const auto& part : state) bytes += static_cast<int64_t>(part.size());
  if (bytes != info.state_bytes)
    refuse(path, fmt::format("state: found {} bytes, expected {}", info.state_bytes, bytes));
  file.seek(info.header_bytes + info.pages * stride);
  std::vector<uint64_t> parts;
  for (const auto& part : state) {
    if (stopped(stop)) fail(ErrorCode::kCancelled, "{}: not read to its end", path);
    file.read(part);
    parts.push_back(checksum64(part));
  }
  if (checksum_of_parts(parts) != info.state_checksum) refuse(path, "the state is damaged");
}

}  // namespace headgate

// Reads headers, and follows what stands on what.
#include "cache/disk_scan.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace headgate {
namespace {

constexpr size_t kNameDigits = 64;

bool is_entry_name(std::string_view name, std::string_view suffix) {
  return name.size() == kNameDigits + suffix.size() && name.substr(kNameDigits) == suffix &&
         name.find_first_not_of("0123456789abcdef") == kNameDigits;
}

bool is_temporary(std::string_view name) {
  return name.size() > kNameDigits + 3 &&
         name.substr(0, kNameDigits).find_first_not_of("0123456789abcdef") == std::string::npos &&
         name.substr(kNameDigits + 3, 5) == ".tmp-";
}

}  // namespace

int64_t state_bytes_of(const StateShape& shape, int64_t deferred) {
  return shape.recurrent_layers * static_cast<int64_t>(sizeof(float)) *
         (shape.conv_floats + shape.delta_floats + deferred * shape.deferred_floats);
}

DiskScan::DiskScan(const std::string& folder, const Digest& profile, const StateShape& shape)
    : folder_(folder), profile_(profile), shape_(shape) {
  read_folder();
  read_states();
  drop_unsupported();
  std::sort(aged_foreign_.begin(), aged_foreign_.end());
  for (auto& [age, file] : aged_foreign_) foreign.push_back(std::move(file));
  if (!foreign.empty()) {
    log_info("prefix cache: {}: {} files of other models, settings or builds are left out", folder_,
             foreign.size());
  }
}

void DiskScan::discard(const std::string& path, const std::string& why) {
  const bool named = why.compare(0, path.size(), path) == 0;  // errors of files name them
  log_warning("prefix cache: {}; removed", named ? why : path + ": " + why);
  ::unlink(path.c_str());
  ++damaged;
}

void DiskScan::read_folder() {
  struct Close {
    void operator()(DIR* open) const { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(folder_.c_str()));
  if (dir == nullptr) fail(ErrorCode::kIo, "{}: cannot list: {}", folder_, std::strerror(errno));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  for (const std::string& name : names) {
    const std::string path = folder_ + "/" + name;
    if (is_temporary(name)) ::unlink(path.c_str());  // of a process that was ended while writing
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const int64_t modified =
        static_cast<int64_t>(info.st_mtim.tv_sec) * 1000000000 + info.st_mtim.tv_nsec;
    if (is_entry_name(name, ".kv")) {
      try {
        read_pages(path, name, modified);
      } catch (const Error& error) {
        discard(path, error.what());
      }
    } else if (is_entry_name(name, ".st")) {
      states_.push_back({name.substr(0, kNameDigits), {path, info.st_size, modified}});
    }
  }
}

void DiskScan::read_pages(const std::string& path, const std::string& name, int64_t modified_ns) {
  StateFileInfo info = read_state_header(path);
  if (info.profile != profile_) {
    aged_foreign_.push_back({modified_ns, {path, info.file_bytes}});
    return;
  }
  const Digest id = state_id(profile_, info.salt, info.tokens);
  const int64_t page_tokens = shape_.attention_layers > 0 ? shape_.kv.page_tokens : 0;
  if (hex_of(id) != name.substr(0, kNameDigits) || info.page_tokens != page_tokens ||
      info.page_bytes != shape_.page_bytes() || info.state_bytes != 0) {
    return discard(path, "is not what its name says");
  }
  items[id] = {std::move(info), 0, modified_ns};
}

void DiskScan::read_states() {
  std::map<std::string, Item*> by_name;
  for (auto& [id, item] : items) by_name[hex_of(id)] = &item;
  for (const auto& [name, file] : states_) {
    try {
      const StateFileInfo info = read_state_header(file.path);
      if (info.profile != profile_) {
        aged_foreign_.push_back({file.modified_ns, {file.path, file.bytes}});
        continue;
      }
      const auto at = by_name.find(name);
      const bool fits = at != by_name.end() && info.tokens == at->second->pages.tokens &&
                        info.deferred <= shape_.deferred_rows && info.pages == 0 &&
                        info.state_bytes == state_bytes_of(shape_, info.deferred);
      if (!fits) {
        discard(file.path, "is not what its name says, or its pages are gone");
        continue;
      }
      at->second->pages.deferred = info.deferred;
      at->second->state_bytes = info.file_bytes;
      at->second->modified_ns = std::max(at->second->modified_ns, file.modified_ns);
    } catch (const Error& error) {
      discard(file.path, error.what());
    }
  }
}

bool DiskScan::stands(const Item& item) const {
  if (item.pages.first_page == 0) return true;
  const auto parent = items.find(item.pages.parent);
  if (parent == items.end()) return false;
  const StateFileInfo& below = parent->second.pages;
  const int64_t shared = item.pages.first_page * item.pages.page_tokens;
  return below.salt == item.pages.salt && below.first_page + below.pages >= item.pages.first_page &&
         below.position() >= shared && below.position() < item.pages.position() &&
         std::equal(below.tokens.begin(), below.tokens.begin() + shared, item.pages.tokens.begin());
}

void DiskScan::drop_unsupported() {
  // Until nothing falls: what stands on something that fell, falls too.
  for (bool fell = true; fell;) {
    fell = false;
    for (auto at = items.begin(); at != items.end();) {
      if (stands(at->second)) {
        ++at;
        continue;
      }
      const std::string name = folder_ + "/" + hex_of(at->first);
      discard(name + ".kv", "the entry it stands on is gone");
      if (at->second.state_bytes > 0) ::unlink((name + ".st").c_str());
      at = items.erase(at);
      fell = true;
    }
  }
  if (shape_.recurrent_layers == 0) return;
  // Pages that neither serve nor are stood on: of an entry that a crash left half done.
  for (bool fell = true; fell;) {
    fell = false;
    std::map<Digest, int64_t> children;
    for (const auto& [id, item] : items) {
      if (item.pages.first_page > 0) ++children[item.pages.parent];
    }
    for (auto at = items.begin(); at != items.end();) {
      if (at->second.state_bytes > 0 || children[at->first] > 0) {
        ++at;
        continue;
      }
      ::unlink((folder_ + "/" + hex_of(at->first) + ".kv").c_str());
      at = items.erase(at);
      fell = true;
    }
  }
}

}  // namespace headgate

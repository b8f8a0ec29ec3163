// What a folder of the disk tier holds, and what of it is fit to be served.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cache/sequence_state.h"
#include "cache/state_file.h"

namespace headgate {

// The headers of a folder's files. Everything that cannot serve is sorted out: what is damaged,
// half done or stands on something that is not there goes; what other models or builds wrote stays.
struct DiskScan {
  struct Item {
    StateFileInfo pages;      // of the .kv file
    int64_t state_bytes = 0;  // size of the .st file; 0: there is none
    int64_t modified_ns = 0;
  };
  // Reads the folder. Throws kIo when that is impossible; files only ever cost a line in the log.
  DiskScan(const std::string& folder, const Digest& profile, const StateShape& shape);

  std::map<Digest, Item> items;
  std::vector<std::pair<std::string, int64_t>> foreign;  // path and size, oldest first
  int64_t damaged = 0;

 private:
  void read_folder();
  void read_pages(const std::string& path, const std::string& name, int64_t modified_ns);
  void read_states();
  void drop_unsupported();
  bool stands(const Item& item) const;
  void discard(const std::string& path, const std::string& why);

  std::string folder_;
  Digest profile_;
  StateShape shape_;
  struct OnDisk {
    std::string path;
    int64_t bytes;
    int64_t modified_ns;
  };
  std::vector<std::pair<std::string, OnDisk>> states_;  // by hexadecimal name
  std::vector<std::pair<int64_t, std::pair<std::string, int64_t>>> aged_foreign_;
};

// Bytes of a recurrent state with so many updates set aside.
int64_t state_bytes_of(const StateShape& shape, int64_t deferred);

}  // namespace headgate

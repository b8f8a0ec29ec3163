// One safetensors file per checkpoint: three arrays and what they belong to.
#include "train/checkpoint_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/error.h"
#include "formats/safetensors_writer.h"

namespace headgate {
namespace {

constexpr const char* kFile = "/model.safetensors";
constexpr std::string_view kPrefix = "step-";

// Names of files and folders reach the disk only when their folder does.
void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(ErrorCode::kIo, "{}: cannot open: {}", folder, std::strerror(errno));
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  if (!synced) fail(ErrorCode::kIo, "{}: cannot sync: {}", folder, std::strerror(errno));
}

struct Found {
  int64_t step;
  std::string path;
  bool complete;
};

// All step folders, newest first.
std::vector<Found> find_steps(const std::string& folder) {
  std::vector<Found> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.substr(std::min(name.size(), kPrefix.size()));
    if (!name.starts_with(kPrefix) || digits.size() < 8 || digits.size() > 18 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    found.push_back(
        {std::stoll(digits), entry.path().string(), file_exists(entry.path().string() + kFile)});
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.step > b.step; });
  return found;
}

// Keeps the newest `keep` complete ones; what a killed writer left behind goes too.
void remove_old(const std::string& folder, int keep) {
  int complete = 0;
  for (const Found& found : find_steps(folder)) {
    if (found.complete && ++complete <= keep) continue;
    std::error_code ignored;
    // The file first: a folder without it is no checkpoint, even if the process dies here.
    std::filesystem::remove(found.path + kFile, ignored);
    std::filesystem::remove_all(found.path, ignored);
  }
}

void read_array(const TensorStore& store, const std::string& name, std::span<float> out) {
  const TensorEntry& entry = store.require(name);
  if (entry.dtype != DType::kF32 || entry.elements() != static_cast<int64_t>(out.size())) {
    fail(ErrorCode::kInvalidFile, "{}: {} {} values, expected {} of f32", store.describe(entry),
         entry.elements(), dtype_name(entry.dtype), out.size());
  }
  store.read(entry, 0, std::as_writable_bytes(out));
}

}  // namespace

std::string write_training_state(const std::string& folder, const TrainingState& state, int keep) {
  const std::string path = fmt::format("{}/{}{:08}", folder, kPrefix, state.step);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create: {}", path, error.message());
  {
    SafetensorsWriter writer(path, 0,
                             {{"format", "headgate-training"},
                              {"step", std::to_string(state.step)},
                              {"layout", state.layout},
                              {"data_state", state.data_state}});
    const auto count = static_cast<int64_t>(state.weights.size());
    for (const char* name : {"weights", "first", "second"}) {
      writer.declare(name, DType::kF32, {count});
    }
    for (const std::span<float>& array : {state.weights, state.first, state.second}) {
      writer.write(std::as_bytes(array));
    }
    writer.finish();
  }
  sync_folder(path);
  sync_folder(folder);
  remove_old(folder, std::max(keep, 1));
  return path;
}

void read_training_state(const std::string& folder, TrainingState& state) {
  std::string path = folder + kFile;
  if (!file_exists(path)) {
    path.clear();
    for (const Found& found : find_steps(folder)) {
      if (!found.complete) continue;
      path = found.path + kFile;
      break;
    }
  }
  if (path.empty()) fail(ErrorCode::kNotFound, "{}: no training checkpoint", folder);
  TensorStore store;
  const SafetensorsMetadata about = read_safetensors(store, store.add_file(MappedFile(path)));
  const auto field = [&](const char* name) {
    const auto found = about.find(name);
    if (found == about.end()) fail(ErrorCode::kInvalidFile, "{}: no {} in its header", path, name);
    return found->second;
  };
  const std::string step = field("step");
  if (field("layout") != state.layout) {
    fail(ErrorCode::kInvalidFile, "{}: a checkpoint of another network", path);
  }
  if (step.empty() || step.size() > 18 ||
      step.find_first_not_of("0123456789") != std::string::npos) {
    fail(ErrorCode::kInvalidFile, "{}: step \"{}\", expected a number", path, step);
  }
  read_array(store, "weights", state.weights);
  read_array(store, "first", state.first);
  read_array(store, "second", state.second);
  state.step = std::stoll(step);
  state.data_state = field("data_state");
}

}  // namespace headgate

// How long a long session takes to disk and back, beside the disk's own time for the same bytes.
// headgate_session_bench MODEL [TOKENS [FOLDER [KV_TYPE [THREADS]]]]; only the model's
// configuration is read.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/huge_buffer.h"
#include "base/error.h"
#include "cache/block_file.h"
#include "cache/sequence_state.h"
#include "cache/state_file.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace headgate {
namespace {

constexpr int kRounds = 5;

constexpr int64_t kPiece = int64_t{4} << 20;

double seconds_of(const auto& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

StateShape shape_of(const ModelConfig& config, DType kv) {
  StateShape shape;
  shape.attention_layers = config.attention_layers();
  shape.kv = {kv, config.attention.kv_heads, config.attention.head_dim, 256};
  shape.recurrent_layers = config.recurrent_layers();
  const GatedDeltaConfig& delta = config.delta;
  shape.conv_floats = (delta.conv_kernel - 1) * delta.conv_channels();
  shape.delta_floats = delta.shape.value_heads * delta.shape.key_dim * delta.shape.value_dim;
  return shape;
}

// What `dd oflag=direct conv=fsync` does.
void write_plain(const std::string& path, int64_t bytes, const HugeBuffer& piece) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
  HEADGATE_CHECK(fd >= 0);
  for (int64_t at = 0; at < bytes; at += kPiece)
    HEADGATE_CHECK(::pwrite(fd, piece.data(), kPiece, at) == kPiece);
  HEADGATE_CHECK(::fsync(fd) == 0 && ::close(fd) == 0);
}

// The same the other way round: into one small piece of memory again and again, or into as much as
// there are bytes.
void read_plain(const std::string& path, const HugeBuffer& memory) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT);
  HEADGATE_CHECK(fd >= 0);
  int64_t at = 0;
  for (ssize_t got = 1; got > 0; at += got) {
    const int64_t to = at + kPiece <= memory.bytes() ? at : 0;
    got = ::pread(fd, memory.data() + to, kPiece, at);
    HEADGATE_CHECK(got >= 0);
  }
  ::close(fd);
}

void run(const std::string& model, int64_t tokens, const std::string& folder, DType kv,
         int threads) {
  const Checkpoint checkpoint = open_checkpoint(model);
  const StateShape shape = shape_of(read_model_config(checkpoint), kv);
  const int64_t pages = (tokens + 255) / 256;
  StatePool pool(shape, (pages + 1) * shape.page_bytes() + 2 * shape.recurrent_bytes());
  SequenceState state = std::move(*pool.create());
  HEADGATE_CHECK(state.reserve(tokens));
  const StateImage image = state.image_at(tokens, 0);
  uint64_t word = 1;
  const auto fill = [&word](std::span<std::byte> bytes) {
    for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      word = word * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(bytes.data() + i, &word, 8);
    }
  };
  for (const auto& page : image.pages) fill(page);
  for (const auto& part : image.recurrent) fill(part);
  StateFileInfo info;
  info.tokens.resize(static_cast<size_t>(tokens));
  info.page_tokens = 256;
  info.page_bytes = shape.page_bytes();
  const std::vector<std::span<const std::byte>> from(image.pages.begin(), image.pages.end());
  const std::vector<std::span<const std::byte>> slot(image.recurrent.begin(),
                                                     image.recurrent.end());
  const std::string ours = folder + "/session-bench", plain = folder + "/session-bench-plain";
  const HugeBuffer piece(kPiece);
  fill({piece.data(), static_cast<size_t>(kPiece)});

  std::array<std::vector<double>, 5> times;
  const HugeBuffer whole(info.file_bytes + state_file_bytes(tokens, pages, info.page_bytes, 0, 0) +
                         shape.recurrent_bytes() + kPiece);
  fill({whole.data(), static_cast<size_t>(whole.bytes())});
  for (int round = 0; round < kRounds; ++round) {
    times[0].push_back(
        seconds_of([&] { (void)write_state_file(ours, info, from, slot, nullptr, threads); }));
    times[1].push_back(seconds_of([&] { write_plain(plain, info.file_bytes, piece); }));
    times[2].push_back(seconds_of([&] {
      const StateFileInfo found = read_state_header(ours);
      read_state_file(ours, found, 0, image.pages, image.recurrent, nullptr, threads);
    }));
    times[3].push_back(seconds_of([&] { read_plain(plain, whole); }));
    times[4].push_back(seconds_of([&] { read_plain(plain, piece); }));
  }
  const double mb = static_cast<double>(info.file_bytes) / 1e6;
  fmt::print("{} tokens, {:.1f} MB: {:.1f} bytes per token, of pages {} and of the state {} MB\n",
             tokens, mb, static_cast<double>(info.file_bytes) / static_cast<double>(tokens),
             shape.page_bytes() / 256, static_cast<double>(info.state_bytes) / 1e6);
  const auto line = [&](const char* what, size_t of, size_t disk) {
    fmt::print("{:8} {:.3f} s, the disk's own {:.3f} s ({:.0f} MB/s): {:.2f}x\n", what,
               median(times[of]), median(times[disk]), mb / median(times[disk]),
               median(times[of]) / median(times[disk]));
  };
  line("save", 0, 1);
  line("restore", 2, 3);
  fmt::print("         (read into one piece of {} MiB again and again, the disk takes {:.3f} s)\n",
             kPiece >> 20, median(times[4]));
  ::unlink(ours.c_str());
  ::unlink(plain.c_str());
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} MODEL [TOKENS [FOLDER [KV_TYPE [THREADS]]]]\n", argv[0]);
    return 2;
  }
  try {
    const auto kv = headgate::kv_type_from_name(argc > 4 ? argv[4] : "bf16");
    headgate::run(argv[1], argc > 2 ? std::stoll(argv[2]) : 262144, argc > 3 ? argv[3] : ".",
                  kv.value(), argc > 5 ? std::stoi(argv[5]) : 2);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}

// A session to a file and back.
#include "base/error.h"
#include "cache/state_file.h"
#include "engine/session_data.h"
#include "engine/state_profile.h"

namespace headgate {
namespace {

constexpr int kThreads = 2;  // that read and write: one checks while the other waits for the disk

// Stretched states are no use to a session that is not, nor the other way round.
Digest rotation_salt(const Model& model, bool stretched) {
  Sha256 salt;
  if (stretched)
    salt.add(fmt::format("stretched {} {}", model.native_context(), model.longest_context()));
  return salt.digest();
}

}  // namespace

void Session::read(const std::vector<int32_t>& tokens,
                   const std::function<void(int64_t done, int64_t total)>& on_prefill) {
  Data& d = *data_;
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > d.room()) {
    fail(ErrorCode::kInvalidArgument, "tokens: found {}, expected 1 to the context of {}",
         tokens.size(), d.room());
  }
  GenerationRequest request;
  request.prompt = tokens;
  request.on_prefill = on_prefill;
  (void)d.reuse_prefix(request.prompt);
  (void)d.prefill(request);
}

const std::vector<int32_t>& Session::tokens() const { return data_->held; }

int64_t Session::save(const std::string& path, const std::string& identity,
                      const std::string& note) const {
  const Data& d = *data_;
  if (d.held.empty()) fail(ErrorCode::kInvalidArgument, "{}: nothing to save", path);
  const StateShape& shape = d.pool.shape();
  StateFileInfo info;
  info.profile = state_profile(identity, d.model->config(), shape);
  info.salt = rotation_salt(*d.model, d.stretched);
  info.tokens = d.held;
  info.note = note;
  info.deferred = d.state.deferred();
  if (shape.attention_layers > 0) {
    info.page_tokens = shape.kv.page_tokens;
    info.page_bytes = shape.page_bytes();
  }
  const StateImage image = d.state.image_at(d.state.position(), info.deferred);
  const std::vector<std::span<const std::byte>> pages(image.pages.begin(), image.pages.end());
  const std::vector<std::span<const std::byte>> state(image.recurrent.begin(),
                                                      image.recurrent.end());
  (void)write_state_file(path, info, pages, state, nullptr, kThreads);
  return info.file_bytes;
}

std::string Session::load(const std::string& path, const std::string& identity) {
  Data& d = *data_;
  const StateShape& shape = d.pool.shape();
  StateFileInfo info = read_state_header(path);
  const bool stretched = info.salt == rotation_salt(*d.model, true) && d.native < d.context;
  d.restart(stretched);
  if (info.salt != rotation_salt(*d.model, stretched) ||
      info.profile != state_profile(identity, d.model->config(), shape) || info.first_page != 0 ||
      info.deferred > shape.deferred_rows ||
      (shape.attention_layers > 0 && info.page_bytes != shape.page_bytes())) {
    fail(ErrorCode::kUnsupported,
         "{}: saved with another model, build, KV type or context setting, expected this one's",
         path);
  }
  if (info.position() > d.room() || !d.state.reserve(info.position())) {
    fail(ErrorCode::kResourceExhausted, "{}: {} tokens, expected at most the context of {}", path,
         info.position(), d.room());
  }
  try {
    const StateImage image = d.state.image_at(info.position(), info.deferred);
    read_state_file(path, info, 0, image.pages, image.recurrent, nullptr, kThreads);
  } catch (...) {
    d.state.filled(info.position(), 0);
    (void)d.state.rewind(0);
    throw;
  }
  d.state.filled(info.position(), info.deferred);
  d.held = std::move(info.tokens);
  return info.note;
}

}  // namespace headgate

// A save is one piece of work; a load is two, with room made in between.
#include "engine/named_sessions.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "cache/state_file.h"

namespace headgate {

struct NamedSessions::Job {
  enum class Stage { kWriting, kReadingHeader, kReading };

  explicit Job(Asked asked) : ask(std::move(asked.ask)), salts(std::move(asked.salts)) {}

  SessionAsk ask;
  std::vector<Digest> salts;
  Stage stage = Stage::kReadingHeader;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  std::atomic<bool> stop{false}, done{false};
  std::string error;
  ErrorCode code = ErrorCode::kInternal;
  StateFileInfo info;

  std::optional<Snapshot> snapshot;  // of a save: keeps the memory
  ConstStateImage source;
  std::optional<SequenceState> state;  // of a load: where it goes
  StateImage target;

  template <typename Work>
  void guard(const Work& work) {
    try {
      work();
    } catch (const Error& failure) {
      code = failure.code();
      error = failure.what();
    } catch (const std::exception& failure) {
      error = failure.what();
    }
  }
  void write() {
    guard([this] {
      if (!write_state_file(ask.path, info, source.pages, source.recurrent, &stop))
        fail(ErrorCode::kCancelled, "{}: not written to its end", ask.path);
    });
  }
  void read_header() {
    guard([this] { info = read_state_header(ask.path); });
  }
  void read() {
    guard([this] { read_state_file(ask.path, info, 0, target.pages, target.recurrent, &stop); });
  }
};

NamedSessions::NamedSessions(const Digest& profile, StatePool& pool, PrefixCache& prefixes,
                             std::function<bool()> free_memory)
    : profile_(profile), pool_(pool), prefixes_(prefixes), free_memory_(std::move(free_memory)) {}

NamedSessions::~NamedSessions() {
  if (job_ != nullptr) job_->stop = true;
  worker_.reset();
  const char* const why = "the engine is shutting down";
  if (job_ != nullptr) end(why, ErrorCode::kCancelled);
  for (Asked& asked : asked_) {
    SessionOutcome outcome;
    outcome.code = ErrorCode::kCancelled;
    outcome.error = why;
    asked.ask.done(outcome);
  }
}

void NamedSessions::post(void (Job::*work)()) {
  if (!worker_) worker_.emplace("hg-sessions");
  job_->done = false;
  worker_->post([this, work, job = job_.get()] {
    (job->*work)();
    job->done = true;
    bell_.ring();
  });
}

void NamedSessions::end(const std::string& error, ErrorCode code) {
  const std::unique_ptr<Job> job = std::move(job_);
  SessionOutcome outcome;
  outcome.code = code;
  outcome.error = error;
  outcome.tokens = job->info.position();
  outcome.bytes = job->info.file_bytes;
  outcome.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - job->begun).count();
  job->ask.done(outcome);
}

void NamedSessions::tend() {
  if (job_ != nullptr) {
    if (!job_->done) return;
    if (!job_->error.empty()) return end(job_->error, job_->code);
    if (job_->stage == Job::Stage::kReadingHeader) return begin_load();
    if (job_->stage == Job::Stage::kReading) return finish_load();
    return end("", ErrorCode::kInternal);
  }
  if (asked_.empty()) return;
  const bool save = asked_.front().save;
  job_ = std::make_unique<Job>(std::move(asked_.front()));
  asked_.pop_front();
  if (save) return begin_save();
  post(&Job::read_header);
}

void NamedSessions::begin_save() {
  Job& job = *job_;
  const StateShape& shape = pool_.shape();
  const auto most = static_cast<int64_t>(job.ask.tokens.size());
  const PrefixCache::Match match = prefixes_.find(job.ask.cache_salt, job.ask.tokens, most);
  if (!match.snapshot || match.position == 0) {
    return end("session: its state had to leave memory for others", ErrorCode::kResourceExhausted);
  }
  job.stage = Job::Stage::kWriting;
  job.snapshot = match.snapshot;
  if (job.snapshot->is_packed()) {
    std::optional<SequenceState> state = pool_.create();
    while (!state && free_memory_()) state = pool_.create();
    if (!state || !state->restore(*job.snapshot))
      return end("session: no room in memory for its state", ErrorCode::kResourceExhausted);
    job.snapshot = std::move(*state).freeze();
  }
  job.source = job.snapshot->image();
  StateFileInfo& info = job.info;
  info.profile = profile_;
  info.salt = PrefixCache::salt_digest(job.ask.cache_salt);
  info.tokens.assign(job.ask.tokens.begin(), job.ask.tokens.begin() + match.position);
  info.deferred = job.source.deferred;
  info.note = std::move(job.ask.note);
  if (shape.attention_layers > 0) {
    info.page_tokens = shape.kv.page_tokens;
    info.page_bytes = shape.page_bytes();
    // Without recurrent layers a longer state serves too, cut to what is asked for.
    const int64_t pages = (match.position + info.page_tokens - 1) / info.page_tokens;
    job.source.pages.resize(static_cast<size_t>(pages));
  }
  int64_t recurrent = 0;
  for (const auto& part : job.source.recurrent) recurrent += static_cast<int64_t>(part.size());
  const int64_t bytes =
      state_file_bytes(info.position(), static_cast<int64_t>(job.source.pages.size()),
                       info.page_bytes, recurrent, static_cast<int64_t>(info.note.size()));
  if (job.ask.admit && !job.ask.admit(bytes)) {
    return end(fmt::format("session: {} bytes do not fit what is left for sessions", bytes),
               ErrorCode::kInvalidArgument);
  }
  post(&Job::write);
}

// Memory for the state, at the cost of cached ones.
bool NamedSessions::reserve(Job& job) {
  const StateShape& shape = pool_.shape();
  const int64_t page = std::max<int64_t>(shape.kv.page_tokens, 1);
  // Nothing is dropped for what can never fit.
  if (shape.recurrent_bytes() + (job.info.position() / page + 1) * shape.page_bytes() >
      pool_.budget_bytes() - pool_.other_bytes())
    return false;
  job.state = pool_.create();
  while (!job.state && free_memory_()) job.state = pool_.create();
  while (job.state && !job.state->reserve(job.info.position())) {
    if (!free_memory_()) job.state.reset();
  }
  return job.state.has_value();
}

void NamedSessions::begin_load() {
  Job& job = *job_;
  const StateShape& shape = pool_.shape();
  const StateFileInfo& info = job.info;
  const bool fits =
      info.profile == profile_ && info.first_page == 0 && info.deferred <= shape.deferred_rows &&
      (shape.attention_layers == 0 ||
       (info.page_tokens == shape.kv.page_tokens && info.page_bytes == shape.page_bytes())) &&
      std::find(job.salts.begin(), job.salts.end(), info.salt) != job.salts.end();
  if (!fits) {
    return end("session: saved with another model, build, setting or cache_salt",
               ErrorCode::kUnsupported);
  }
  if (!reserve(job)) {
    return end(fmt::format("session: no room in memory for {} tokens", info.position()),
               ErrorCode::kResourceExhausted);
  }
  job.target = job.state->image_at(info.position(), info.deferred);
  job.stage = Job::Stage::kReading;
  post(&Job::read);
}

void NamedSessions::finish_load() {
  Job& job = *job_;
  job.state->filled(job.info.position(), job.info.deferred);
  prefixes_.insert(job.info.salt, job.info.tokens, std::move(*job.state).freeze());
  job.state.reset();
  end("", ErrorCode::kInternal);
}

}  // namespace headgate

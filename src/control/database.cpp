// The only file that includes SQLite.
#include "control/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int kBusyMilliseconds = 5000;

[[noreturn]] void fail_sql(sqlite3* handle, const std::string& path, int status) {
  const char* message = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(status);
  switch (status & 0xff) {
    case SQLITE_FULL:
      fail(ErrorCode::kResourceExhausted, "{}: the disk is full: {}", path, message);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      fail(ErrorCode::kInvalidFile, "{}: {}", path, message);
    default:
      fail(ErrorCode::kIo, "{}: {}", path, message);
  }
}

sqlite3_stmt* statement_of(void* statement) { return static_cast<sqlite3_stmt*>(statement); }

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

}  // namespace

int64_t SqlRow::integer(int column) const {
  return sqlite3_column_int64(statement_of(statement_), column);
}

std::string SqlRow::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_of(statement_), column);
  if (text == nullptr) return {};
  const int bytes = sqlite3_column_bytes(statement_of(statement_), column);
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(bytes)};
}

bool SqlRow::is_null(int column) const {
  return sqlite3_column_type(statement_of(statement_), column) == SQLITE_NULL;
}

struct Database::Data {
  std::string path;
  sqlite3* handle = nullptr;
  std::recursive_mutex mutex;

  ~Data() { sqlite3_close_v2(handle); }

  Statement prepare(std::string_view sql, const std::vector<SqlValue>& values) {
    sqlite3_stmt* raw = nullptr;
    int status =
        sqlite3_prepare_v2(handle, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
    Statement statement(raw);
    for (size_t i = 0; status == SQLITE_OK && i < values.size(); ++i) {
      const int place = static_cast<int>(i) + 1;
      if (const auto* number = std::get_if<int64_t>(&values[i])) {
        status = sqlite3_bind_int64(raw, place, *number);
      } else if (const auto* text = std::get_if<std::string>(&values[i])) {
        status = sqlite3_bind_text64(raw, place, text->data(), text->size(), SQLITE_TRANSIENT,
                                     SQLITE_UTF8);
      } else {
        status = sqlite3_bind_null(raw, place);
      }
    }
    if (status != SQLITE_OK) fail_sql(handle, path, status);
    return statement;
  }

  void script(const std::string& sql) {
    const int status = sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) fail_sql(handle, path, status);
  }
};

Database::Database(const std::string& path) : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.path = path;
  const bool in_memory = path == ":memory:";
  if (!in_memory) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error) fail(ErrorCode::kIo, "{}: cannot be made: {}", folder.string(), error.message());
  }
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  const int status = sqlite3_open_v2(path.c_str(), &d.handle, flags, nullptr);
  if (status != SQLITE_OK) fail_sql(d.handle, path, status);
  // Before anything is written, so that the log files, which take over its mode, are private too.
  if (!in_memory) ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
  sqlite3_busy_timeout(d.handle, kBusyMilliseconds);
  sqlite3_limit(d.handle, SQLITE_LIMIT_ATTACHED, 0);
  d.script(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA trusted_schema = OFF;");
}

Database::~Database() = default;

int64_t Database::run(std::string_view sql, const std::vector<SqlValue>& values) {
  const std::lock_guard lock(data_->mutex);
  const Statement statement = data_->prepare(sql, values);
  int status = SQLITE_ROW;
  while (status == SQLITE_ROW) status = sqlite3_step(statement.get());
  if (status != SQLITE_DONE) fail_sql(data_->handle, data_->path, status);
  return sqlite3_changes64(data_->handle);
}

void Database::query(std::string_view sql, const std::vector<SqlValue>& values,
                     const std::function<void(const SqlRow&)>& on_row) {
  const std::lock_guard lock(data_->mutex);
  const Statement statement = data_->prepare(sql, values);
  int status = SQLITE_OK;
  while ((status = sqlite3_step(statement.get())) == SQLITE_ROW) on_row(SqlRow(statement.get()));
  if (status != SQLITE_DONE) fail_sql(data_->handle, data_->path, status);
}

int64_t Database::version() {
  int64_t version = 0;
  query("PRAGMA data_version", {}, [&](const SqlRow& row) { version = row.integer(0); });
  return version;
}

void Database::migrate(const std::string& name, const std::vector<std::string>& scripts) {
  const std::lock_guard lock(data_->mutex);
  data_->script(
      "CREATE TABLE IF NOT EXISTS migrations ("
      "name TEXT PRIMARY KEY, done INTEGER NOT NULL) STRICT");
  int64_t done = 0;
  query("SELECT done FROM migrations WHERE name = ?", {name},
        [&](const SqlRow& row) { done = row.integer(0); });
  if (done > static_cast<int64_t>(scripts.size())) {
    fail(ErrorCode::kUnsupported, "{}: written by a newer headgate ({} {}, this one knows {})",
         data_->path, name, done, scripts.size());
  }
  for (size_t i = static_cast<size_t>(done); i < scripts.size(); ++i) {
    data_->script("BEGIN IMMEDIATE");
    try {
      data_->script(scripts[i]);
      run("INSERT INTO migrations VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET done = "
          "excluded.done",
          {name, static_cast<int64_t>(i) + 1});
      data_->script("COMMIT");
    } catch (...) {
      sqlite3_exec(data_->handle, "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
}

std::string default_state_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != '\0') return std::string(state) + "/headgate";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return std::string(home) + "/.local/state/headgate";
  return "headgate-state";
}

}  // namespace headgate

// SQLite behind a small door: statements with values bound, rows read by column, errors as Error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace headgate {

using SqlValue = std::variant<std::nullptr_t, int64_t, std::string>;

class SqlRow {
 public:
  explicit SqlRow(void* statement) : statement_(statement) {}
  int64_t integer(int column) const;   // 0 for NULL
  std::string text(int column) const;  // empty for NULL
  bool is_null(int column) const;

 private:
  void* statement_;
};

// One connection to a database file. Survives kill -9: every write is in the write-ahead log,
// synced, when run() returns. Thread rule: any thread; calls wait for each other.
class Database {
 public:
  // Opens or makes the file, readable by its owner only, and its folder. ":memory:" is kept
  // nowhere. Throws kIo, or kInvalidFile for a file that is no database.
  explicit Database(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one statement; `?` stand for `values` in order. Returns how many rows it changed. Throws
  // kResourceExhausted when the disk is full, else kIo.
  int64_t run(std::string_view sql, const std::vector<SqlValue>& values = {});
  void query(std::string_view sql, const std::vector<SqlValue>& values,
             const std::function<void(const SqlRow&)>& on_row);
  // A number that grows whenever another connection has changed the file.
  int64_t version();
  // Makes or brings tables up to date: runs those scripts that this file has not seen yet, each in
  // a transaction. `name` keeps the counts of several users of one file apart.
  void migrate(const std::string& name, const std::vector<std::string>& scripts);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// Where keys and stored responses are kept unless told otherwise: $XDG_STATE_HOME/headgate, else
// ~/.local/state/headgate.
std::string default_state_folder();

}  // namespace headgate

// One table, one row for each response.
#include "server/response_store.h"

#include <ctime>

#include "control/database.h"

namespace headgate {
namespace {

const std::vector<std::string>& migrations() {
  static const std::vector<std::string> scripts = {
      "CREATE TABLE responses (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
      " tenant TEXT NOT NULL, created INTEGER NOT NULL, response TEXT NOT NULL, input TEXT NOT "
      "NULL,"
      " conversation TEXT NOT NULL) STRICT"};
  return scripts;
}

json::value parse_stored(const std::string& text) {
  JsonLimits limits;
  limits.depth = 128;
  return parse_json(text, "stored response", limits);
}

}  // namespace

ResponseStore::ResponseStore(std::shared_ptr<Database> database, int64_t most)
    : database_(std::move(database)), most_(most) {
  database_->migrate("responses", migrations());
}

void ResponseStore::put(const std::string& tenant, const StoredResponse& stored) {
  database_->run(
      "INSERT INTO responses (id, tenant, created, response, input, conversation) VALUES (?, ?, ?, "
      "?, ?, ?)",
      {stored.id, tenant, static_cast<int64_t>(std::time(nullptr)), dump_json(stored.response),
       dump_json(stored.input), dump_json(stored.conversation)});
  database_->run("DELETE FROM responses WHERE number <= (SELECT MAX(number) FROM responses) - ?",
                 {most_});
}

void ResponseStore::update(const std::string& tenant, const StoredResponse& stored) {
  database_->run("UPDATE responses SET response = ?, conversation = ? WHERE id = ? AND tenant = ?",
                 {dump_json(stored.response), dump_json(stored.conversation), stored.id, tenant});
}

void ResponseStore::fail_interrupted() {
  database_->run(
      "UPDATE responses SET response = json_set(response, '$.status', 'failed', '$.error',"
      " json('{\"code\": \"server_error\", \"message\": \"the server ended before the "
      "answer did\"}'))"
      " WHERE json_extract(response, '$.status') IN ('queued', 'in_progress')",
      {});
}

std::optional<StoredResponse> ResponseStore::get(const std::string& tenant, const std::string& id) {
  std::optional<StoredResponse> found;
  database_->query(
      "SELECT response, input, conversation FROM responses WHERE id = ? AND tenant = ?",
      {id, tenant}, [&](const SqlRow& row) {
        found = {id, parse_stored(row.text(0)).get_object(), parse_stored(row.text(1)).get_array(),
                 parse_stored(row.text(2)).get_array()};
      });
  return found;
}

bool ResponseStore::remove(const std::string& tenant, const std::string& id) {
  return database_->run("DELETE FROM responses WHERE id = ? AND tenant = ?", {id, tenant}) > 0;
}

}  // namespace headgate

// Stored answers of /v1/responses, so that a later request may go on from them. SQLite.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace headgate {

class Database;

struct StoredResponse {
  std::string id;
  json::object response;     // as it was sent
  json::array input;         // its input items
  json::array conversation;  // messages up to and with its answer, without instructions
};

// Every object belongs to a tenant (the id of the key that made it) and does not exist for others.
// The oldest go when there are more than the limit. Thread rule: any thread; calls wait for the
// disk.
class ResponseStore {
 public:
  explicit ResponseStore(std::shared_ptr<Database> database, int64_t most = 10000);

  // Throws kResourceExhausted when the disk is full; so does update().
  void put(const std::string& tenant, const StoredResponse& stored);
  // Replaces response and conversation of one that is there; deleted ones stay deleted.
  void update(const std::string& tenant, const StoredResponse& stored);
  // Responses that ran in the background when the last server ended are failed ones from now on.
  void fail_interrupted();
  std::optional<StoredResponse> get(const std::string& tenant, const std::string& id);
  bool remove(const std::string& tenant, const std::string& id);

 private:
  std::shared_ptr<Database> database_;
  int64_t most_;
};

}  // namespace headgate

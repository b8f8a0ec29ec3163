// Keys are hashed, found, revoked and survive; databases are private and say what is wrong with
// them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "control/database.h"
#include "control/key_store.h"
#include "control/secret.h"

namespace headgate {
namespace {

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string pattern = "/tmp/headgate-control-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string all_bytes_of(const std::string& folder_file) {
  std::string out;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::ifstream in(folder_file + suffix, std::ios::binary);
    out.append(std::istreambuf_iterator<char>(in), {});
  }
  return out;
}

TEST(Secret, Sha256IsThatOfTheStandard) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Secret, KeysHaveCheckDigitsAndDiffer) {
  const std::string key = make_api_key();
  EXPECT_EQ(key.size(), 52u);
  EXPECT_TRUE(is_well_formed_api_key(key));
  EXPECT_NE(key, make_api_key());
  for (size_t i = 0; i < key.size(); ++i) {
    std::string wrong = key;
    wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(is_well_formed_api_key(wrong)) << i;
  }
  EXPECT_FALSE(is_well_formed_api_key(key + "a"));
  EXPECT_FALSE(is_well_formed_api_key(""));
}

TEST(KeyStore, FindsActiveKeysOnly) {
  KeyStore store(std::make_shared<Database>(":memory:"));
  EXPECT_FALSE(store.has_active_keys());
  const NewKey made = store.create("laptop", {KeyScope::kInference}, 0);
  ASSERT_TRUE(store.find(made.key));
  EXPECT_EQ(store.find(made.key)->name, "laptop");
  EXPECT_TRUE(store.find(made.key)->allows(KeyScope::kInference));
  EXPECT_FALSE(store.find(made.key)->allows(KeyScope::kMetrics));
  EXPECT_FALSE(store.find(make_api_key()));
  EXPECT_TRUE(store.has_active_keys());
  EXPECT_EQ(store.revoke("laptop").id, made.info.id);
  EXPECT_FALSE(store.find(made.key));
  EXPECT_FALSE(store.has_active_keys());
  EXPECT_THROW(store.revoke("laptop"), Error);
  EXPECT_EQ(store.list().size(), 1u);
}

TEST(KeyStore, AdminMayDoAllAndExpiredKeysNothing) {
  KeyStore store(std::make_shared<Database>(":memory:"));
  const NewKey admin = store.create("a", {KeyScope::kAdmin}, 3600);
  EXPECT_TRUE(store.find(admin.key)->allows(KeyScope::kMetrics));
  EXPECT_FALSE(admin.info.is_active(admin.info.expires));
  EXPECT_THROW(store.create("", {KeyScope::kAdmin}, 0), Error);
  EXPECT_THROW(store.create("b", {}, 0), Error);
  EXPECT_THROW(store.create("b", {KeyScope::kAdmin}, -1), Error);
}

TEST(KeyStore, KeepsNoKeyInItsFileAndSurvivesReopening) {
  const Folder folder;
  const std::string path = folder.file("headgate.db");
  NewKey made;
  {
    KeyStore store(std::make_shared<Database>(path));
    made = store.create("laptop", {KeyScope::kInference}, 0);
    EXPECT_EQ(all_bytes_of(path).find(made.key.substr(9, 20)), std::string::npos);
  }
  KeyStore again(std::make_shared<Database>(path));
  EXPECT_TRUE(again.find(made.key));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(KeyStore, SeesWhatAnotherProcessRevokes) {
  const Folder folder;
  const std::string path = folder.file("headgate.db");
  KeyStore server(std::make_shared<Database>(path));
  KeyStore admin(std::make_shared<Database>(path));
  const NewKey made = admin.create("laptop", {KeyScope::kInference}, 0);
  server.refresh();
  EXPECT_TRUE(server.find(made.key));
  admin.revoke(made.info.prefix);
  server.refresh();
  EXPECT_FALSE(server.find(made.key));
}

TEST(Database, SaysWhatIsWrongWithAFile) {
  const Folder folder;
  std::ofstream(folder.file("no.db")) << std::string(4096, 'x');
  try {
    const Database database(folder.file("no.db"));
    FAIL() << "opened a file that is no database";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile);
  }
}

TEST(Database, AFullDiskIsAnErrorAndNotTheEnd) {
  Database database(":memory:");
  database.run("CREATE TABLE t (x TEXT)");
  database.query("PRAGMA max_page_count = 8", {}, [](const SqlRow&) {});
  try {
    for (int i = 0; i < 100; ++i)
      database.run("INSERT INTO t VALUES (?)", {std::string(4000, 'x')});
    FAIL() << "a full database took more";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  }
  EXPECT_EQ(database.run("DELETE FROM t WHERE rowid = 1"), 1);
}

TEST(Database, MigratesEachScriptOnceAndKeepsTheOldOneWhenItFails) {
  Database database(":memory:");
  database.migrate("a", {"CREATE TABLE t (x TEXT)"});
  database.migrate("a", {"CREATE TABLE t (x TEXT)", "ALTER TABLE t ADD COLUMN y TEXT"});
  EXPECT_THROW(database.migrate("b", {"CREATE TABLE u (x TEXT); nonsense"}), Error);
  EXPECT_THROW(database.run("SELECT * FROM u"), Error);
  EXPECT_THROW(database.migrate("a", {"CREATE TABLE t (x TEXT)"}), Error);
}

}  // namespace
}  // namespace headgate

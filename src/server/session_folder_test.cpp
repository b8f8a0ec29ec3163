// Tests of the folder of sessions: names never lead elsewhere, tenants see their own, limits hold.
#include "server/session_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "server/api_error.h"

namespace headgate {
namespace {

namespace fs = std::filesystem;

class SessionFolderTest : public testing::Test {
 protected:
  SessionFolderTest()
      : root_(fs::temp_directory_path() /
              fmt::format("headgate-sessions-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(root_);
  }
  ~SessionFolderTest() override { fs::remove_all(root_); }

  SessionFolder folder(int64_t most_bytes = 1 << 20, int64_t most_sessions = 10) const {
    return {(root_ / "sessions").string(), most_bytes, most_sessions};
  }
  static void save(SessionFolder& folder, const std::string& tenant, const std::string& name,
                   int32_t tokens) {
    folder.prepare(tenant, name);
    StateFileInfo info;
    info.tokens.assign(static_cast<size_t>(tokens), 7);
    info.note = "{}";
    ASSERT_TRUE(write_state_file(folder.path_of(tenant, name), info, {}, {}));
  }
  template <typename Work>
  static std::string code_of(const Work& work) {
    try {
      work();
    } catch (const ApiError& error) {
      return error.api_code();
    }
    return "";
  }

  fs::path root_;
};

TEST_F(SessionFolderTest, HostileNamesAreRefusedBeforeTheyMeetAPath) {
  SessionFolder sessions = folder();
  write_text_file((root_ / "secret.hgsession").string(), "mine");
  const std::string long_name(101, 'a');
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../secret"),
        std::string("../../secret"), std::string("/etc/passwd"), std::string("a/b"),
        std::string("a\\b"), std::string(".hidden"), std::string("a\0b", 3), std::string("a b"),
        std::string("a\n"), std::string("%2e%2e%2fsecret"), std::string("caf\xc3\xa9"),
        std::string("~root"), std::string("a:b"), long_name}) {
    EXPECT_EQ(code_of([&] { (void)sessions.path_of("", name); }), "invalid_name") << name;
    EXPECT_EQ(code_of([&] { (void)sessions.header("", name); }), "invalid_name") << name;
    EXPECT_EQ(code_of([&] { sessions.remove("", name); }), "invalid_name") << name;
    EXPECT_EQ(code_of([&] { sessions.prepare("", name); }), "invalid_name") << name;
  }
  EXPECT_TRUE(fs::exists(root_ / "secret.hgsession"));
  for (const char* name : {"a", "A-1_b.c", "-", "0", "a..b"})
    EXPECT_EQ(fs::path(sessions.path_of("", name)).parent_path().parent_path(), root_ / "sessions");
}

TEST_F(SessionFolderTest, TenantsSeeTheirOwn) {
  SessionFolder sessions = folder();
  save(sessions, "one", "notes", 5);
  save(sessions, "one", "book", 6);
  save(sessions, "two", "notes", 7);
  EXPECT_EQ(sessions.header("one", "notes").position(), 5);
  EXPECT_EQ(sessions.header("two", "notes").position(), 7);
  EXPECT_EQ(code_of([&] { (void)sessions.header("two", "book"); }), "session_not_found");
  EXPECT_EQ(code_of([&] { sessions.remove("two", "book"); }), "session_not_found");
  EXPECT_TRUE(sessions.list("three").empty());
  const auto list = sessions.list("one");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "book");
  EXPECT_EQ(list[1].tokens, 5);
  EXPECT_GT(list[1].modified, 1700000000);
  sessions.remove("one", "notes");
  EXPECT_EQ(sessions.list("one").size(), 1u);
  EXPECT_EQ(sessions.list("two").size(), 1u);
  // A tenant's name is no part of a path.
  EXPECT_EQ(fs::path(sessions.path_of("../..", "a")).parent_path().parent_path(),
            root_ / "sessions");
}

TEST_F(SessionFolderTest, LimitsHold) {
  SessionFolder sessions = folder(10000, 2);
  save(sessions, "one", "a", 5);
  save(sessions, "one", "b", 5);
  EXPECT_EQ(code_of([&] { sessions.prepare("one", "c"); }), "session_limit");
  sessions.prepare("one", "a");  // would be replaced
  sessions.prepare("two", "c");
  EXPECT_FALSE(sessions.admit(2000));  // two files of one block each are there
  EXPECT_TRUE(sessions.admit(1500));
  EXPECT_FALSE(sessions.admit(500));
  sessions.release(1500);
  EXPECT_FALSE(sessions.admit(500));
  sessions.prepare("two", "c");  // was not written
  EXPECT_TRUE(sessions.admit(500));
}

TEST_F(SessionFolderTest, DamageIsSaidAndCanBeRemoved) {
  SessionFolder sessions = folder();
  save(sessions, "", "notes", 5);
  write_text_file(sessions.path_of("", "notes"), "half a file");
  EXPECT_EQ(code_of([&] { (void)sessions.header("", "notes"); }), "session_damaged");
  ASSERT_EQ(sessions.list("").size(), 1u);
  EXPECT_TRUE(sessions.list("")[0].damaged);
  sessions.remove("", "notes");
  EXPECT_TRUE(sessions.list("").empty());
}

}  // namespace
}  // namespace headgate

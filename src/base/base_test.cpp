// Tests of the base room.
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "base/cpu_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"

namespace headgate {
namespace {

TEST(Error, EscapesControlCharacters) {
  try {
    fail(ErrorCode::kInvalidFile, "name \"{}\"", "a\nb\x1b[31m");
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "name \"a\\x0ab\\x1b[31m\"");
    EXPECT_EQ(exit_code(e.code()), 4);
  }
}

TEST(Json, NamesItsSourceAndPlace) {
  try {
    parse_json("{\"a\": }", "x/config.json");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("x/config.json: invalid JSON at byte 6"),
              std::string::npos)
        << e.what();
  }
}

TEST(Json, FindsDuplicateKeysOnRequest) {
  const char* text = R"({"a": 1, "b": {"a": 2}, "a": 3})";
  EXPECT_EQ(parse_json(text, "t").at("a").as_int64(), 3);
  EXPECT_THROW(parse_json(text, "t", {.reject_duplicate_keys = true}), Error);
  EXPECT_NO_THROW(parse_json(R"({"a": {"a": 1}})", "t", {.reject_duplicate_keys = true}));
}

TEST(Json, RefusesDepthTrailingTextAndBadUtf8) {
  EXPECT_THROW(parse_json(std::string(100, '['), "t"), Error);
  EXPECT_THROW(parse_json("1 2", "t"), Error);
  EXPECT_THROW(parse_json("\"\xff\"", "t"), Error);
  EXPECT_THROW(parse_json("", "t"), Error);
  EXPECT_EQ(parse_json(" 1 \n", "t").as_int64(), 1);
}

TEST(Json, PrintsLikePython) {
  const json::value v =
      parse_json(R"({"b":[1,2.50,1e20,1e-7,true,null],"a":"Zürich \"\u0001/"})", "t");
  EXPECT_EQ(dump_json_python(v),
            R"({"b": [1, 2.5, 1e+20, 1e-07, true, null], "a": "Zürich \"\u0001/"})");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(-3), "-3.0");
}

TEST(Utf8, DecodesValidAndFlagsInvalid) {
  EXPECT_TRUE(is_valid_utf8("aé東😀"));
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe6\x9d", "\x80"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
  EXPECT_EQ(replace_invalid_utf8("a\xe6\x9d"
                                 "b\xff"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
  EXPECT_EQ(incomplete_utf8_suffix("a\xe6\x9d"), 2);
  EXPECT_EQ(incomplete_utf8_suffix("a\xe6\x9d\xb1"), 0);
  EXPECT_EQ(incomplete_utf8_suffix("a\xed\xa0"), 0);
  EXPECT_EQ(incomplete_utf8_suffix("a\xf0\x9f\x98"), 3);
}

TEST(File, ReplacesOnlyOnCommit) {
  const std::string path = testing::TempDir() + "headgate_file_test";
  write_text_file(path, "first");
  {
    OutputFile unfinished(path);
    unfinished.write("second");
  }
  EXPECT_EQ(read_text_file(path), "first");
  const MappedFile map(path);
  EXPECT_EQ(map.bytes().size(), 5u);
  ::unlink(path.c_str());
  EXPECT_THROW(read_text_file(path), Error);
}

TEST(CpuInfo, RunsAtLeastScalar) {
  ASSERT_FALSE(isas_on_this_machine().empty());
  EXPECT_EQ(isas_on_this_machine().front(), Isa::kScalar);
  EXPECT_EQ(isa_from_name("avx2"), Isa::kAvx2);
  EXPECT_FALSE(isa_from_name("sse").has_value());
}

TEST(Random, DependsOnEveryArgument) {
  EXPECT_NE(random_bits(1, 0, 0), random_bits(0, 1, 0));
  EXPECT_NE(random_bits(0, 1, 0), random_bits(0, 0, 1));
  double mean = 0;
  for (uint64_t i = 0; i < 10000; ++i) mean += random_uniform(7, 3, i) / 10000;
  EXPECT_NEAR(mean, 0.5, 0.02);
}

}  // namespace
}  // namespace headgate

// Every field has a type and a range; what breaks them is refused by name.
#include "server/fields.h"

#include <gtest/gtest.h>

#include "server/api_error.h"
#include "server/openai/chat_completions.h"
#include "server/openai/completions.h"

namespace headgate {
namespace {

// The field that a body is refused for; "ok" when it is not.
std::string refused(std::string_view body, std::span<const FieldRule> rules) {
  try {
    const json::object object = parse_body(body);
    const Fields fields(object, rules);
    return "ok";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.param().empty() ? error.api_code() : error.param();
  }
}

TEST(Fields, RefusesEveryFieldOfAWrongTypeOrRange) {
  for (const auto rules : {chat_completion_rules(), completion_rules()}) {
    for (const FieldRule& rule : rules) {
      const std::string name(rule.name);
      const auto body = [&](const std::string& value) {
        return "{\"" + name + "\": " + value + "}";
      };
      EXPECT_EQ(refused(body("null"), rules), "ok") << name;
      if (rule.kind == FieldKind::kAny) continue;
      int wrong_types = 0;
      for (const char* value : {"true", "1e400", "\"text\"", "[[1]]", "{\"a\": {}}", "1.5"})
        wrong_types += refused(body(value), rules) != "ok";
      EXPECT_GE(wrong_types, 4) << name;
      if (rule.kind != FieldKind::kInteger && rule.kind != FieldKind::kNumber) continue;
      EXPECT_EQ(refused(body(fmt::format("{:.0f}", rule.low * 1.1 - 10)), rules), name);
      EXPECT_EQ(refused(body(fmt::format("{:.0f}", rule.high * 1.1 + 10)), rules), name);
      EXPECT_EQ(refused(body("\"0.5\""), rules), name);
    }
  }
}

TEST(Fields, NamesTheNearestForAnUnknownOne) {
  const json::object body = parse_body(R"({"temperatur": 1})");
  try {
    const Fields fields(body, chat_completion_rules());
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.param(), "temperatur");
    EXPECT_NE(std::string(error.what()).find("did you mean temperature?"), std::string::npos);
  }
}

TEST(Fields, RefusesBodiesThatAreNoObjects) {
  EXPECT_EQ(refused("", {}), "invalid_json");
  EXPECT_EQ(refused("[]", {}), "invalid_json");
  EXPECT_EQ(refused("{\"a\": NaN}", {}), "invalid_json");
  EXPECT_EQ(refused("{\"a\": \"\xff\"}", {}), "invalid_json");
  EXPECT_EQ(refused(std::string(1000000, '['), {}), "invalid_json")
      << "a million levels are no million frames";
  EXPECT_EQ(refused(std::string(100000, '{'), {}), "invalid_json");
}

TEST(Fields, ReadsIntegersAsPeopleWriteThem) {
  const FieldRule rules[] = {{"n", FieldKind::kInteger, -9.3e18, 1.85e19, ""}};
  for (const char* body : {R"({"n": 3})", R"({"n": 3.0})", R"({"n": 3e0})"}) {
    const json::object object = parse_body(body);
    EXPECT_EQ(Fields(object, rules).integer("n"), 3) << body;
  }
  const json::object large = parse_body(R"({"n": 18446744073709551615})");
  EXPECT_EQ(static_cast<uint64_t>(*Fields(large, rules).integer("n")), ~uint64_t{0});
}

TEST(ApiError, HasTheShapeOfItsApi) {
  const ApiError error(429, "overloaded", "cut \xe2\x82", "n");
  EXPECT_EQ(
      dump_json(error_object(error, ApiStyle::kOpenAi)),
      "{\"error\":{\"message\":\"cut "
      "\xef\xbf\xbd\",\"type\":\"rate_limit_error\",\"param\":\"n\",\"code\":\"overloaded\"}}");
  EXPECT_EQ(dump_json(error_object(error, ApiStyle::kAnthropic)),
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"cut "
            "\xef\xbf\xbd\"}}");
  const HttpResponse internal =
      error_response(api_error_of(std::runtime_error("secret detail")), ApiStyle::kOpenAi);
  EXPECT_EQ(internal.status, 500);
  EXPECT_EQ(internal.body.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace headgate

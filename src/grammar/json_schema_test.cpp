// Tests of JSON schemas as grammars: what each keyword lets through, and what is refused by name.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/grammar_test_tools.h"
#include "grammar/schema_document.h"

namespace headgate {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> yes, no;
};

void check_cases(std::span<const Case> cases, JsonSpacing spacing = JsonSpacing::kCompact) {
  for (const Case& test : cases) {
    SCOPED_TRACE(test.schema);
    const json::value schema = parse_json(test.schema, "test");
    JsonSchemaOptions options;
    options.spacing = spacing;
    const GrammarConstraint constraint = constraint_of(json_schema_grammar(schema, options));
    SchemaDocument document(schema, "test");
    for (const char* text : test.yes) {
      EXPECT_TRUE(constraint.matches(text)) << text;
      EXPECT_TRUE(is_valid(document, schema, parse_json(text, "test"))) << text;
    }
    for (const char* text : test.no) EXPECT_FALSE(constraint.matches(text)) << text;
  }
}

TEST(JsonSchema, KnowsTypesConstantsAndLists) {
  const Case cases[] = {
      {"true",
       {"1", "[{}]", "{\"a\":[null,true,1.5e3]}", "\"\\u00e9\\ud83d\\ude00\""},
       {"", "01", "{\"a\"}", "[1,]", "\"\\ud83d\"", "'a'", "\"\n\"", "+1", "1."}},
      {R"({"type":"integer"})", {"0", "-12"}, {"1.0", "1e3", "-", "-0", "\"1\"", "00"}},
      {R"({"type":"number"})", {"0", "-1.5", "2e10", "1E-5"}, {"1e", ".5"}},
      {R"({"type":["string","null"]})", {"\"x\"", "null"}, {"1", "true"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "tru"}},
      {R"({"enum":["a",1,null,[1,2],{"x":1.5}]})",
       {"\"a\"", "1", "null", "[1,2]", "{\"x\":1.5}"},
       {"\"b\"", "2", "[1]"}},
      {R"({"enum":["a","bb",3],"type":"string","minLength":2})", {"\"bb\""}, {"\"a\"", "3"}},
      {R"({"const":1,"enum":[1,2]})", {"1"}, {"2"}},
      {R"({"enum":[[],[[]],1],"items":{"$ref":"#"}})", {"[]", "[[]]", "1"}, {"[1]"}},
      {R"({"const":"a\"b\n"})", {R"("a\"b\n")"}, {"\"a\""}},
      {R"({"type":"string","nullable":true})", {"null", "\"\""}, {"1"}},
      {R"({"type":"string","not":{"enum":["no","never"]}})",
       {"\"nope\"", "\"yes\""},
       {"\"no\"", "\"never\""}},
      {R"({"not":{"type":["object","array","string"]}})", {"1", "null"}, {"[]", "\"\""}}};
  check_cases(cases);
}

TEST(JsonSchema, BoundsNumbers) {
  const Case cases[] = {
      {R"({"type":"integer","minimum":-5,"maximum":123})",
       {"-5", "-1", "0", "9", "99", "123", "100"},
       {"-6", "124", "999", "-0", "1.0"}},
      {R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})", {"1", "9"}, {"0", "10"}},
      {R"({"type":"integer","minimum":0,"exclusiveMinimum":true})", {"1", "77777"}, {"0"}},
      {R"({"type":"integer","minimum":1.5,"maximum":3.5})", {"2", "3"}, {"1", "4"}},
      {R"({"type":"integer","multipleOf":7,"minimum":1,"maximum":100})",
       {"7", "98", "14"},
       {"0", "8", "105"}},
      {R"({"type":"integer","multipleOf":12})", {"0", "-24", "144"}, {"13", "-6"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.5", "0.999", "1.0", "0.0"},
       {"1.1", "-0.1", "1.01", "2", "1e-1", "-0", "0."}},
      {R"({"type":"number","exclusiveMinimum":-1.25,"exclusiveMaximum":2.5})",
       {"-1.24", "-1", "0", "2.49", "2", "-0.5", "-1.2"},
       {"-1.25", "2.5", "2.50", "-1.3", "3"}},
      {R"({"type":"number","minimum":100.5})",
       {"100.5", "100.50", "101", "5000.25"},
       {"100", "100.4", "99"}},
      {R"({"type":"number","maximum":-3})", {"-3", "-3.5", "-10"}, {"-2.9", "0", "3"}},
      {R"({"type":"number","multipleOf":0.25,"minimum":0})",
       {"0.25", "1", "2.5", "0.50"},
       {"0.3", "0.2"}},
      {R"({"type":"number","minimum":1e-5,"maximum":1e-3})", {"0.0005", "0.00001"}, {"0", "0.01"}}};
  check_cases(cases);
}

TEST(JsonSchema, BoundsStringsByLengthPatternAndFormat) {
  const Case cases[] = {
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"abc\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\\n\\u00e9\""},
       {"\"a\"", "\"abcd\""}},
      {R"({"type":"string","pattern":"^[a-z]+\"?$"})", {"\"abc\"", R"("ab\"")"}, {"\"A\"", "\"\""}},
      {R"({"type":"string","pattern":"b"})", {"\"abc\"", "\"b\""}, {"\"ac\""}},
      {R"({"type":"string","pattern":"^a|b$"})", {"\"axx\"", "\"xxb\""}, {"\"xax\""}},
      {R"({"type":"string","pattern":"^[a-z]*$","maxLength":3,"minLength":1})",
       {"\"abc\""},
       {"\"abcd\"", "\"\""}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-29\"", "\"2023-12-31\""},
       {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"0000-01-01\""}},
      {R"({"type":"string","format":"date-time"})",
       {"\"2024-02-29T23:59:59Z\"", "\"2024-01-01T00:00:00.5+01:30\""},
       {"\"2024-01-01\"", "\"2024-01-01T24:00:00Z\""}},
      {R"({"type":"string","format":"time"})", {"\"12:00:00Z\""}, {"\"12:60:00Z\""}},
      {R"({"type":"string","format":"uuid"})",
       {"\"123e4567-e89b-12d3-a456-426614174000\""},
       {"\"123e4567\""}},
      {R"({"type":"string","format":"email"})",
       {"\"a.b@example.com\""},
       {"\"a@\"", "\"@b\"", "\"a..b@c\""}},
      {R"({"type":"string","format":"ipv4"})",
       {"\"127.0.0.1\""},
       {"\"256.1.1.1\"", "\"01.1.1.1\""}},
      {R"({"type":"string","format":"ipv6"})",
       {"\"::\"", "\"::1\"", "\"1:2:3:4:5:6:7:8\"", "\"1::\"", "\"fe80::1:2\""},
       {"\"1:2\"", "\"1::2::3\"", "\"1:2:3:4:5:6:7:8:9\""}},
      {R"({"type":"string","format":"uri"})",
       {"\"https://a.org/b?c=d#e\""},
       {"\"a b\"", "\"://x\""}},
      {R"({"type":"string","format":"duration"})",
       {"\"P1DT2H\"", "\"PT5M\"", "\"P2W\""},
       {"\"P\"", "\"1D\""}}};
  check_cases(cases);
}

TEST(JsonSchema, BuildsArrays) {
  const Case cases[] = {
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1,2,3]"},
       {"[\"a\"]", "[1,]", "[,1]"}},
      {R"({"type":"array","minItems":2,"maxItems":3,"items":{"type":"null"}})",
       {"[null,null]", "[null,null,null]"},
       {"[]", "[null]", "[null,null,null,null]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[\"a\"]", "[1,\"a\",1]"}},
      {R"({"type":"array","items":[{"type":"integer"}],"additionalItems":{"type":"null"},"minItems":1})",
       {"[1]", "[1,null,null]"},
       {"[]", "[1,1]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","minItems":300,"items":{"const":1}})", {}, {"[]", "[1]"}},
      {R"({"type":"array","maxItems":1,"uniqueItems":true})", {"[]", "[1]"}, {"[1,1]"}}};
  check_cases(cases);
}

TEST(JsonSchema, BuildsObjectsInTheOrderOfTheirDeclaration) {
  const Case cases[] = {
      {R"({"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"null"}},"required":["a"]})",
       {R"({"b":1,"a":null})", R"({"a":null})"},
       {"{}", R"({"b":1})", R"({"a":null,"b":1})", R"({"a":null,"c":1})", R"({"a":1})"}},
      {R"({"type":"object","properties":{"a":{},"b":{},"c":{}}})",
       {"{}", R"({"a":1})", R"({"c":1})", R"({"a":1,"c":2})", R"({"a":1,"b":[],"c":2})"},
       {R"({"a":1,})", R"({,"a":1})", R"({"a":1 })"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"a"})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"}},"additionalProperties":{"type":"integer"}})",
       {R"({"a":null,"b":1})", R"({"ab":1,"\u0001":2})", R"({"":3})"},
       {R"({"a":1})", R"({"b":1,"a":null})", R"({"\u0061":1})"}},
      {R"({"type":"object","patternProperties":{"^x":{"type":"integer"},"y$":{"minimum":5,"type":"integer"}},"additionalProperties":false})",
       {R"({"x":1})", R"({"ay":5})", R"({"xy":7})"},
       {R"({"xy":1})", R"({"ay":1})", R"({"b":1})"}},
      {R"({"type":"object","propertyNames":{"pattern":"^[a-c]+$"},"additionalProperties":true})",
       {R"({"abc":1})"},
       {R"({"d":1})"}},
      {R"({"type":"object","properties":{"a":{},"b":{},"c":{}},"minProperties":2,"maxProperties":2})",
       {R"({"a":1,"b":1})", R"({"a":1,"c":1})"},
       {"{}", R"({"a":1})", R"({"a":1,"b":1,"c":1})"}},
      {R"({"type":"object","additionalProperties":{"type":"null"},"minProperties":1,"maxProperties":2})",
       {R"({"a":null})", R"({"a":null,"b":null})"},
       {"{}", R"({"a":null,"b":null,"c":null})"}},
      {R"({"type":"object","properties":{"card":{"const":1},"address":{"const":2}},"dependentRequired":{"card":["address"]}})",
       {"{}", R"({"address":2})", R"({"card":1,"address":2})"},
       {R"({"card":1})"}},
      {R"({"type":"object","required":["a\"b"],"properties":{"a\"b":{"const":1}}})",
       {R"({"a\"b":1})"},
       {"{}"}},
      {R"({"type":"object","required":["z"]})", {R"({"z":[1]})"}, {"{}"}},
      {R"({"type":"object","properties":{"a":false,"b":true}})",
       {R"({"b":1})", "{}"},
       {R"({"a":1})"}}};
  check_cases(cases);
}

TEST(JsonSchema, CombinesSchemas) {
  const Case cases[] = {
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
       {"5", "\"a\""},
       {"\"ab\"", "null"}},
      {R"({"allOf":[{"type":"integer","minimum":3},{"maximum":5}],"multipleOf":2})",
       {"4"},
       {"3", "5", "6"}},
      {R"({"type":"object","properties":{"k":{"type":"string"}},"required":["k"],"anyOf":[{"properties":{"k":{"const":"a"},"v":{"type":"integer"}},"required":["v"]},{"properties":{"k":{"const":"b"}}}]})",
       {R"({"k":"a","v":1})", R"({"k":"b"})"},
       {R"({"k":"a"})", R"({"k":"c"})"}},
      {R"({"allOf":[{"$ref":"#/$defs/a"},{"properties":{"y":{"type":"integer"}},"required":["y"]}],"$defs":{"a":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}}})",
       {R"({"x":1,"y":2})"},
       {R"({"x":1})", R"({"y":2,"x":1})"}},
      {R"({"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/n"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", "null"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"oneOf":[{"const":1},{"const":2}]})", {"1", "2"}, {"3"}},
      {R"({"definitions":{"a b":{"$anchor":"x","const":7}},"items":[{"$ref":"#/definitions/a%20b"},{"$ref":"#x"}],"type":"array","minItems":2,"additionalItems":false})",
       {"[7,7]"},
       {"[7]", "[1,7]"}},
      {R"({"allOf":[{"type":["integer","string"]},{"type":["string","null"]}]})",
       {"\"a\""},
       {"1", "null"}}};
  check_cases(cases);
}

TEST(JsonSchema, SpacesAsAsked) {
  const char* schema =
      R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}},"b":{"enum":[[1,2]]}}})";
  const Case python[] = {
      {schema, {R"({"a": [1, 2], "b": [1, 2]})", "{}"}, {R"({"a":[1]})", R"({"a": [1,2]})"}}};
  check_cases(python, JsonSpacing::kPython);
  const Case any[] = {{schema,
                       {"{\n  \"a\" : [ 1,\n 2 ] }", R"({"a":[1]})", "{ }", "{}"},
                       {"{\"a\":[1 2]}", " {}"}}};
  check_cases(any, JsonSpacing::kAny);
}

TEST(JsonSchema, RefusesWithThePointerWhatItCannotObey) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"array","uniqueItems":true})", "#/uniqueItems"},
      {R"({"properties":{"a/b":{"if":{}}}})", "#/properties/a~1b/if"},
      {R"({"contains":{}})", "#/contains"},
      {R"({"not":{"minimum":5},"type":"integer"})", "#/not"},
      {R"({"not":{"type":["integer","boolean"]}})", "#/not"},
      {R"({"$ref":"http://example.com/x"})", "#/$ref"},
      {R"({"$ref":"#/$defs/none"})", "#/$ref"},
      {R"({"$ref":"#"})", "refers to itself"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "refers to itself"},
      {R"({"type":"float"})", "#/type"},
      {R"({"required":"a"})", "#/required"},
      {R"({"minLength":-1})", "#/minLength"},
      {R"({"multipleOf":0})", "#/multipleOf"},
      {R"({"type":"integer","multipleOf":100003})", "#/multipleOf"},
      {R"({"dependencies":{"a":{"required":["b"]}}})", "#/dependencies"},
      {R"~({"type":"string","pattern":"(?=a)"})~", "look-around"},
      {R"({"allOf":[{}],"unevaluatedProperties":false})", "#/unevaluatedProperties"},
      {R"({"type":"object","additionalProperties":true,"minProperties":3})", "#/minProperties"},
      {R"({"type":"string","allOf":[{"type":"integer"}]})", "fits no text"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "fits no text"},
      {R"({"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}})", "fits no text"},
      {"false", "fits no text"},
      {"[]", "expected an object or a boolean"},
      {R"({"type":"string","format":"date","maxLength":100000})", "a length of"}};
  for (const auto& [text, expected] : cases) {
    const json::value schema = parse_json(text, "test");
    try {
      (void)constraint_of(json_schema_grammar(schema));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << text;
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

TEST(JsonSchema, RefusesDepthAndSizeInTime) {
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "{\"items\":";
  deep += "{}" + std::string(3000, '}');
  JsonLimits limits;
  limits.depth = 10'000;
  EXPECT_THROW((void)json_schema_grammar(parse_json(deep, "test", limits)), Error);
  // Every branch doubles the combinations.
  std::string wide = "{\"allOf\":[";
  for (int i = 0; i < 30; ++i)
    wide +=
        fmt::format("{}{{\"anyOf\":[{{\"minimum\":{}}},{{\"maximum\":{}}}]}}", i ? "," : "", i, -i);
  EXPECT_THROW((void)constraint_of(json_schema_grammar(parse_json(wide + "]}", "test"))), Error);
}

TEST(JsonSchema, NotesWhatAUserMightNotExpect) {
  std::vector<std::string> notes;
  (void)json_schema_grammar(
      parse_json(R"({"oneOf":[{"const":1},{"type":"string","format":"colour","requred":1}]})",
                 "test"),
      {}, &notes);
  ASSERT_EQ(notes.size(), 3u);
}

TEST(JsonSchema, MasksSayWhatSingleTokensSayAndTextsAreValid) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  const char* schemas[] = {
      "true",
      R"({"type":"array","items":{"enum":[true,false,"the",[],["abc"]]},"minItems":2,"maxItems":30})",
      R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":20},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"enum":["the","and","x"]},"maxItems":40},"id":{"type":"string","format":"uuid"}},"required":["name","age"]})",
      R"({"$defs":{"t":{"type":"object","properties":{"v":{"type":["number","null"]},"kids":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"]}},"$ref":"#/$defs/t"})",
      R"~({"type":"object","properties":{"a":{"type":"number","minimum":-1.5,"maximum":7}},"patternProperties":{"^n":{"type":"boolean"}},"additionalProperties":{"type":"string","pattern":"^(ab)+$"}})~"};
  for (const char* text : schemas) {
    SCOPED_TRACE(text);
    const json::value schema = parse_json(text, "test");
    for (const JsonSpacing spacing : {JsonSpacing::kCompact, JsonSpacing::kAny}) {
      JsonSchemaOptions options;
      options.spacing = spacing;
      const GrammarConstraint constraint(json_schema_grammar(schema, options), trie);
      for (uint64_t seed = 0; seed < 2; ++seed) walk_and_compare(constraint, *trie, seed, 30);
      SchemaDocument document(schema, "test");
      int whole = 0;
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const std::optional<std::string> found = random_text(constraint, *trie, seed, 30);
        if (!found) continue;
        ++whole;
        EXPECT_TRUE(constraint.matches(*found));
        EXPECT_TRUE(is_valid(document, schema, parse_json(*found, "test", {1000}))) << *found;
      }
      EXPECT_GT(whole, 2);
    }
  }
}

}  // namespace
}  // namespace headgate

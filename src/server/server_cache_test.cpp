// Tests of what clients see of the prefix cache: explanations, echoes and named sessions.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "server/server_fixture.h"

namespace headgate {
namespace {

TEST_F(ServerTest, EveryApiSaysWhatThePrefixCacheDid) {
  start();
  const std::string chat =
      R"({"max_tokens": 24, "messages": [{"role": "user", "content": "Tell me a story about a fox."}]})";
  const json::value cold = parsed(post("/v1/chat/completions", chat));
  EXPECT_EQ(text_at(cold, "/usage/prompt_tokens_details/miss_reason"), "unknown_prompt");
  EXPECT_EQ(text_at(cold, "/usage/prompt_tokens_details/cache_tier"), "none");
  const json::value warm = parsed(post("/v1/chat/completions", chat));
  const json::value details = warm.at_pointer("/usage/prompt_tokens_details");
  EXPECT_EQ(text_at(details, "/miss_reason"), "none");
  EXPECT_EQ(text_at(details, "/cache_tier"), "memory");
  EXPECT_EQ(number_at(details, "/miss_position"), number_at(warm, "/usage/prompt_tokens"));
  EXPECT_EQ(number_at(details, "/replayed_tokens") + number_at(details, "/cached_tokens"),
            number_at(details, "/miss_position"));
  const json::value message = parsed(post("/v1/messages", chat));
  EXPECT_EQ(message.at_pointer("/usage/input_tokens_details"), details);
  EXPECT_EQ(number_at(message, "/usage/cache_read_input_tokens"),
            number_at(details, "/cached_tokens"));
  const std::string streamed = chat.substr(0, chat.size() - 1) + R"(, "stream": true})";
  EXPECT_EQ(events_of(post("/v1/messages", streamed).body)
                .front()
                .at_pointer("/message/usage/input_tokens_details"),
            details);
  const json::value response = parsed(post(
      "/v1/responses", R"({"max_output_tokens": 24, "input": "Tell me a story about a fox."})"));
  EXPECT_EQ(response.at_pointer("/usage/input_tokens_details"), details);
}

// What the cache knew of a second turn that sends the first one's answer back, and what it could
// know: the last token of an answer is nobody's input yet.
struct Turns {
  int64_t known = 0, could = 0;
  void add(const json::value& first, const json::value& second) {
    known += number_at(second, "/usage/prompt_tokens_details/miss_position");
    could +=
        number_at(first, "/usage/prompt_tokens") + number_at(first, "/usage/completion_tokens") - 1;
  }
};

TEST_F(ServerTest, AnswersThatComeBackDoNotBreakTheirPrefix) {
  for (const bool repairs : {false, true}) {
    ServerOptions options;
    options.echo_repair = repairs;
    start(options);
    // Hot answers have tokens that no encoder would choose for their text.
    Turns hot;
    const auto ask_with = [&](const std::string& fields, const json::array& messages) {
      return parsed(post("/v1/chat/completions",
                         "{" + fields + ", \"messages\": " + dump_json(messages) + "}"));
    };
    for (int seed = 0; seed < 10; ++seed) {
      const std::string fields = fmt::format(
          R"("seed": {}, "temperature": 2, "max_tokens": 40, "cache_salt": "{}")", seed, seed);
      json::array messages{
          json::object{{"role", "user"}, {"content", "Tell me a story about a fox."}}};
      const json::value first = ask_with(fields, messages);
      messages.push_back(
          json::object{{"role", "assistant"},
                       {"content", text_at(first, "/choices/0/message/content") + "\n "}});
      messages.push_back(json::object{{"role", "user"}, {"content", "Go on."}});
      // Half a character cannot come back.
      if (text_at(first, "/choices/0/message/content").find("\xef\xbf\xbd") == std::string::npos)
        hot.add(first, ask_with(fields, messages));
    }
    EXPECT_EQ(hot.known >= hot.could, repairs) << hot.known << " of " << hot.could;

    // A tool call whose arguments were parsed and written anew.
    Turns called;
    const std::string fields =
        R"("max_tokens": 200, "tools": [{"type": "function", "function": {"name": "get_weather",
           "description": "Current weather in a city", "parameters": {"type": "object",
           "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])";
    json::array messages{
        json::object{{"role", "user"}, {"content", "What is the weather in Paris?"}}};
    const json::value first = ask_with(fields, messages);
    json::object call = first.at_pointer("/choices/0/message/tool_calls/0").as_object();
    json::value& arguments = call["function"].as_object()["arguments"];
    arguments = "\n" + dump_json(parse_json(text_view(arguments.as_string()), "arguments"));
    messages.push_back(json::object{
        {"role", "assistant"}, {"content", nullptr}, {"tool_calls", json::array{call}}});
    messages.push_back(json::object{
        {"role", "tool"}, {"tool_call_id", call["id"]}, {"content", "Sunny, 21 degrees"}});
    called.add(first, ask_with(fields, messages));
    EXPECT_EQ(called.known >= called.could, repairs) << called.known << " of " << called.could;
    server_.reset();
  }
}

TEST_F(ServerTest, NamedSessionsComeBackAfterARestartForTheirOwnerOnly) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("headgate-named-{}", ::getpid());
  std::filesystem::remove_all(folder);
  ServerOptions options;
  options.require_keys = true;
  options.session_folder = folder.string();
  const auto header = [&](const char* name, KeyScope scope) {
    return "authorization: Bearer " + keys_->create(name, {scope}, 0).key + "\r\n";
  };
  const std::string ada = header("ada", KeyScope::kInference),
                    bob = header("bob", KeyScope::kInference),
                    eye = header("eye", KeyScope::kMetrics);
  start(options);
  const std::string talk =
      R"("messages": [{"role": "user", "content": "My name is Ada, and I like tea and rain."},
                      {"role": "assistant", "content": "Hello Ada."})";
  const TestAnswer saved = post("/v1/sessions", R"({"name": "notes", )" + talk + "]}", ada);
  ASSERT_EQ(saved.status, 200) << saved.body;
  const int64_t tokens = number_at(parsed(saved), "/tokens");
  EXPECT_GT(tokens, 10);
  EXPECT_GT(number_at(parsed(saved), "/bytes"), 4 * tokens);
  server_.reset();
  start(options);  // a new engine: nothing is in memory
  EXPECT_EQ(text_at(parsed(get("/v1/sessions", ada)), "/data/0/name"), "notes");
  EXPECT_EQ(text_at(parsed(get("/v1/sessions/notes", ada)), "/conversation/messages/1/content"),
            "Hello Ada.");
  for (const char* path : {"/v1/sessions/notes", "/v1/sessions/notes/load"}) {
    const bool load = std::string_view(path).ends_with("load");
    EXPECT_EQ((load ? post(path, "", bob) : get(path, bob)).status, 404);
    EXPECT_EQ((load ? post(path, "", eye) : get(path, eye)).status, 403);
    EXPECT_EQ((load ? post(path, "", "") : get(path, "")).status, 401);
  }
  EXPECT_TRUE(parsed(get("/v1/sessions", bob)).at("data").as_array().empty());
  const TestAnswer loaded = post("/v1/sessions/notes/load", "", ada);
  ASSERT_EQ(loaded.status, 200) << loaded.body;
  EXPECT_EQ(number_at(parsed(loaded), "/tokens"), tokens);
  const std::string next =
      R"({"max_tokens": 4, )" + talk + R"(, {"role": "user", "content": "Who am I?"}]})";
  const json::value mine = parsed(post("/v1/chat/completions", next, ada));
  EXPECT_EQ(number_at(mine, "/usage/prompt_tokens_details/cached_tokens"), tokens);
  const json::value other = parsed(post("/v1/chat/completions", next, bob));
  EXPECT_EQ(number_at(other, "/usage/prompt_tokens_details/cached_tokens"), 0);
  EXPECT_EQ(mine.at("choices"), other.at("choices"));  // the state changes no bit

  EXPECT_EQ(post("/v1/sessions/notes/load", R"({"cache_salt": "x"})", ada).status, 400);
  for (const char* name : {"../notes", "..%2fnotes", ".notes", "a%00"})
    EXPECT_EQ(get(std::string("/v1/sessions/") + name, ada).status / 100, 4) << name;
  EXPECT_EQ(post("/v1/sessions", R"({"name": "../x", )" + talk + "]}", ada).status, 400);
  EXPECT_EQ(post("/v1/sessions", R"({"name": "x"})", ada).status, 400);
  const json::value response =
      parsed(post("/v1/responses", R"({"input": "Hello!", "max_output_tokens": 5})", ada));
  const std::string by_id =
      R"({"name": "later", "response_id": ")" + text_at(response, "/id") + "\"}";
  EXPECT_EQ(post("/v1/sessions", by_id, bob).status, 404);
  EXPECT_EQ(post("/v1/sessions", by_id, ada).status, 200);
  EXPECT_EQ(parsed(get("/v1/sessions", ada)).at("data").as_array().size(), 2u);
  EXPECT_EQ(ask(server_->port(), "DELETE", "/v1/sessions/later", "", bob).status, 404);
  EXPECT_EQ(ask(server_->port(), "DELETE", "/v1/sessions/later", "", ada).status, 200);
  EXPECT_EQ(get("/v1/sessions/later", ada).status, 404);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace headgate

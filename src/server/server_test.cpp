// The whole server on a loopback port with the small model: answers, refusals, streams and
// shutdown.
#include "server/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "server/loading_server.h"
#include "server/router.h"
#include "server/server_fixture.h"

namespace headgate {
namespace {

TEST_F(ServerTest, AStreamSaysWhatAWholeAnswerSays) {
  start();
  const TestAnswer whole =
      post("/v1/chat/completions", std::string("{\"model\": \"nano\", ") + kHello + "}");
  ASSERT_EQ(whole.status, 200) << whole.body;
  const json::value answer = parsed(whole);
  const std::string text = text_at(answer, "/choices/0/message/content");
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(text_at(answer, "/choices/0/finish_reason"), "stop");
  EXPECT_GT(number_at(answer, "/usage/completion_tokens"), 0);
  const TestAnswer stream =
      post("/v1/chat/completions",
           std::string("{\"stream\": true, \"stream_options\": {\"include_usage\": true}, ") +
               kHello + "}");
  ASSERT_EQ(stream.status, 200);
  EXPECT_EQ(stream.header("content-type"), "text/event-stream; charset=utf-8");
  const auto events = events_of(stream.body);
  EXPECT_EQ(streamed_text(events), text);
  EXPECT_EQ(number_at(events.back(), "/usage/completion_tokens"),
            number_at(answer, "/usage/completion_tokens"));
  EXPECT_NE(stream.body.find("data: [DONE]\n\n"), std::string::npos);
}

TEST_F(ServerTest, ManyChoicesStopsAndLogprobs) {
  start();
  const TestAnswer answer =
      post("/v1/chat/completions",
           std::string("{\"n\": 3, \"temperature\": 1, \"seed\": 7, \"logprobs\": true, "
                       "\"top_logprobs\": 2, \"max_tokens\": 8, ") +
               kHello + "}");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value out = parsed(answer);
  ASSERT_EQ(out.at("choices").as_array().size(), 3u);
  EXPECT_EQ(out.at_pointer("/choices/2/logprobs/content/0/top_logprobs").as_array().size(), 2u);
  const TestAnswer again =
      post("/v1/chat/completions",
           std::string("{\"n\": 3, \"temperature\": 1, \"seed\": 7, \"max_tokens\": 8, ") + kHello +
               "}");
  for (int i = 0; i < 3; ++i) {
    const std::string at = fmt::format("/choices/{}/message/content", i);
    EXPECT_EQ(text_at(parsed(again), at), text_at(out, at)) << "same seed, same text";
  }
  const std::string whole =
      text_at(parsed(post("/v1/chat/completions", std::string("{") + kHello + "}")),
              "/choices/0/message/content");
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const json::value stopped = parsed(post(
      "/v1/chat/completions", "{\"stop\": " + dump_json(json::value(stop)) + ", " + kHello + "}"));
  EXPECT_EQ(text_at(stopped, "/choices/0/message/content"), whole.substr(0, whole.find(stop)));
}

TEST_F(ServerTest, CompletionsEchoAndScoreTheirPrompt) {
  start();
  const TestAnswer answer =
      post("/v1/completions",
           R"({"prompt": "The river is", "max_tokens": 1, "echo": true, "logprobs": 1})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value out = parsed(answer);
  const json::array& tokens = out.at_pointer("/choices/0/logprobs/tokens").as_array();
  const json::array& scores = out.at_pointer("/choices/0/logprobs/token_logprobs").as_array();
  EXPECT_EQ(number_at(out, "/usage/prompt_tokens") + 1, static_cast<int64_t>(tokens.size()));
  ASSERT_EQ(scores.size(), tokens.size());
  EXPECT_TRUE(scores[0].is_null());
  for (size_t i = 1; i < scores.size(); ++i) EXPECT_LE(scores[i].as_double(), 0);
  EXPECT_EQ(text_at(out, "/choices/0/text").rfind("The river is", 0), 0u);
  const json::value ids = parsed(post("/tokenize", R"({"prompt": "The river is"})")).at("tokens");
  const json::value many =
      parsed(post("/v1/completions", "{\"prompt\": [" + dump_json(ids) + ", " + dump_json(ids) +
                                         "], \"max_tokens\": 3}"));
  ASSERT_EQ(many.at("choices").as_array().size(), 2u);
  EXPECT_EQ(text_at(many, "/choices/0/text"), text_at(many, "/choices/1/text"));
  EXPECT_EQ(text_at(parsed(post("/detokenize", "{\"tokens\": " + dump_json(ids) + "}")), "/prompt"),
            "The river is");
}

TEST_F(ServerTest, TokenIdsComeWhenTheyAreAskedFor) {
  start();
  const std::string body =
      std::string("{\"return_token_ids\": true, \"max_tokens\": 12, ") + kHello;
  const json::value whole = parsed(post("/v1/chat/completions", body + "}"));
  const json::value prompt =
      parsed(post("/tokenize", std::string("{") + kHello + "}")).at("tokens");
  EXPECT_EQ(whole.at("prompt_token_ids"), prompt);
  const json::array ids = whole.at_pointer("/choices/0/token_ids").as_array();
  EXPECT_EQ(static_cast<int64_t>(ids.size()), number_at(whole, "/usage/completion_tokens"));
  json::array streamed;
  const auto events = events_of(post("/v1/chat/completions", body + ", \"stream\": true}").body);
  EXPECT_EQ(events.front().at("prompt_token_ids"), prompt);
  for (const json::value& event : events)
    for (const json::value& id : event.at_pointer("/choices/0/token_ids").as_array())
      streamed.push_back(id);
  EXPECT_EQ(streamed, ids);
  const std::string plain =
      "{\"return_token_ids\": true, \"max_tokens\": 12, \"prompt\": " + dump_json(prompt);
  const json::value completion = parsed(post("/v1/completions", plain + "}"));
  EXPECT_EQ(completion.at_pointer("/choices/0/token_ids"), ids);
  EXPECT_EQ(completion.at_pointer("/choices/0/prompt_token_ids"), prompt);
  json::array pieces;
  for (const json::value& event :
       events_of(post("/v1/completions", plain + ", \"stream\": true}").body))
    for (const json::value& id : event.at_pointer("/choices/0/token_ids").as_array())
      pieces.push_back(id);
  EXPECT_EQ(pieces, ids);
  // A request lets go of its entry a moment after its last byte was sent.
  const auto load = [&] { return number_at(parsed(get("/load")), "/server_load"); };
  for (int i = 0; i < 500 && load() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(load(), 0);
}

TEST_F(ServerTest, APromptThatDoesNotFitIsRefusedWithBothNumbers) {
  start();
  std::string text;
  for (int i = 0; i < 700; ++i) text += "word ";
  const TestAnswer answer = post("/v1/chat/completions",
                                 R"({"messages": [{"role": "user", "content": ")" + text + "\"}]}");
  EXPECT_EQ(answer.status, 400);
  const json::value out = parsed(answer);
  EXPECT_EQ(text_at(out, "/error/code"), "context_length_exceeded");
  EXPECT_NE(text_at(out, "/error/message").find("512"), std::string::npos);
}

TEST_F(ServerTest, AnthropicMessagesStreamTheirBlocks) {
  start();
  const std::string body =
      std::string(R"({"model": "nano", "max_tokens": 40, "system": "Be brief.", )") + kHello;
  const json::value whole = parsed(post("/v1/messages", body + "}"));
  EXPECT_EQ(text_at(whole, "/content/0/type"), "text");
  EXPECT_EQ(text_at(whole, "/stop_reason"), "end_turn");
  const TestAnswer stream = post("/v1/messages", body + ", \"stream\": true}");
  std::string text;
  std::vector<std::string> types;
  for (const json::value& event : events_of(stream.body)) {
    types.push_back(text_at(event, "/type"));
    if (types.back() == "content_block_delta") text += text_at(event, "/delta/text");
  }
  EXPECT_EQ(text, text_at(whole, "/content/0/text"));
  EXPECT_EQ(types.front(), "message_start");
  EXPECT_EQ(types.back(), "message_stop");
  EXPECT_EQ(text_at(parsed(post("/v1/messages", "{}")), "/type"), "error");
  const json::value count =
      parsed(post("/v1/messages/count_tokens", std::string("{") + kHello + "}"));
  EXPECT_GT(number_at(count, "/input_tokens"), 3);
}

TEST_F(ServerTest, ResponsesAreStoredForTheirOwnerAndGoneOnFrom) {
  start();
  const json::value first =
      parsed(post("/v1/responses", R"({"input": "My name is Ada.", "max_output_tokens": 30})"));
  const std::string id = text_at(first, "/id");
  EXPECT_EQ(text_at(first, "/output/0/content/0/type"), "output_text");
  EXPECT_EQ(text_at(parsed(get("/v1/responses/" + id)), "/id"), id);
  EXPECT_EQ(text_at(parsed(get("/v1/responses/" + id + "/input_items")), "/data/0/role"), "user");
  const TestAnswer next =
      post("/v1/responses",
           R"({"input": "Hello!", "stream": true, "previous_response_id": ")" + id + "\"}");
  const auto events = events_of(next.body);
  ASSERT_GT(events.size(), 4u) << next.body;
  for (size_t i = 0; i < events.size(); ++i)
    EXPECT_EQ(number_at(events[i], "/sequence_number"), static_cast<int64_t>(i));
  EXPECT_EQ(text_at(events.back(), "/type"), "response.completed");
  EXPECT_GT(number_at(events.back(), "/response/usage/input_tokens"),
            number_at(first, "/usage/total_tokens"));
  EXPECT_FALSE(responses_->get("key_other", id)) << "another tenant's response does not exist";
  EXPECT_EQ(ask(server_->port(), "DELETE", "/v1/responses/" + id).status, 200);
  EXPECT_EQ(get("/v1/responses/" + id).status, 404);
}

// Asks for a response until it no longer runs.
json::value settled_response(int port, const std::string& id) {
  for (int i = 0; i < 500; ++i) {
    const json::value now =
        parse_json(ask(port, "GET", "/v1/responses/" + id, "").body, "response");
    const std::string status = text_at(now, "/status");
    if (status != "queued" && status != "in_progress") return now;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return nullptr;
}

TEST_F(ServerTest, BackgroundResponsesNeedNoClientAndCanBeCancelled) {
  start();
  const json::value queued =
      parsed(post("/v1/responses", R"({"input": "Hello!", "background": true})"));
  EXPECT_EQ(text_at(queued, "/status"), "queued");
  const json::value done = settled_response(server_->port(), text_at(queued, "/id"));
  EXPECT_EQ(text_at(done, "/status"), "completed");
  const json::value plain = parsed(post("/v1/responses", R"({"input": "Hello!"})"));
  EXPECT_EQ(text_at(done, "/output/0/content/0/text"), text_at(plain, "/output/0/content/0/text"));

  const std::string endless =
      R"({"input": "Count.", "background": true, "text": {"format": {"type": "json_schema",
          "name": "n", "schema": {"type": "array", "minItems": 400, "items": {"const": 1}}}}})";
  const std::string id = text_at(parsed(post("/v1/responses", endless)), "/id");
  EXPECT_EQ(
      post("/v1/responses", R"({"input": "x", "previous_response_id": ")" + id + "\"}").status,
      400);
  EXPECT_EQ(post("/v1/responses/" + id + "/cancel", "").status, 200);
  const std::string end = text_at(settled_response(server_->port(), id), "/status");
  EXPECT_TRUE(end == "cancelled" || end == "incomplete") << end;
  EXPECT_EQ(post("/v1/responses/" + text_at(plain, "/id") + "/cancel", "").status, 400);
  EXPECT_EQ(post("/v1/responses", R"({"input": "x", "background": true, "store": false})").status,
            400);
}

TEST_F(ServerTest, WhatAServerLeftRunningHasFailed) {
  responses_->put("", {"resp_a", {{"id", "resp_a"}, {"status", "in_progress"}}, {}, {}});
  responses_->put("", {"resp_b", {{"id", "resp_b"}, {"status", "completed"}}, {}, {}});
  start();
  EXPECT_EQ(text_at(parsed(get("/v1/responses/resp_a")), "/status"), "failed");
  EXPECT_EQ(text_at(parsed(get("/v1/responses/resp_b")), "/status"), "completed");
}

TEST_F(ServerTest, AnswersObeyLengthsWordsAndBudgets) {
  start();
  const auto answer = [&](const std::string& fields) {
    return parsed(post("/v1/chat/completions", "{" + fields + ", " + kHello + "}"));
  };
  const std::string plain = text_at(answer("\"n\": 1"), "/choices/0/message/content");
  const json::value longer = answer("\"min_tokens\": 60, \"max_tokens\": 60");
  EXPECT_EQ(number_at(longer, "/usage/completion_tokens"), 60);
  const std::string word = plain.substr(0, 3);
  const std::string other =
      text_at(answer("\"max_tokens\": 40, \"bad_words\": " + dump_json(json::value(word))),
              "/choices/0/message/content");
  EXPECT_EQ(other.find(word), std::string::npos) << other;
  const json::value thought = answer("\"enable_thinking\": true, \"thinking_budget\": 3");
  EXPECT_LE(number_at(thought, "/usage/completion_tokens_details/reasoning_tokens"), 6)
      << "</think> and the newlines behind it count, too";
  EXPECT_FALSE(text_at(thought, "/choices/0/message/content").empty());
  for (const char* wrong : {R"("min_tokens": 9, "max_tokens": 8)", R"("bad_words": [""])",
                            R"("allowed_token_ids": [-1])", R"("thinking_budget": -2)"}) {
    EXPECT_EQ(post("/v1/chat/completions", std::string("{") + wrong + ", " + kHello + "}").status,
              400)
        << wrong;
  }
}

TEST(LoadingServer, SaysWhenToAskAgain) {
  LoadingServer server{ServerOptions()};
  for (const char* path : {"/v1/models", "/health", "/"}) {
    const TestAnswer answer = ask(server.port(), "GET", path, "");
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.header("retry-after"), "1");
    EXPECT_EQ(text_at(parse_json(answer.body, "answer"), "/error/code"), "loading");
  }
}

TEST_F(ServerTest, EmbeddingsHaveLengthOneInBothEncodings) {
  start();
  const json::value out =
      parsed(post("/v1/embeddings", R"({"input": ["a river", "a river", "seven"]})"));
  const json::array& data = out.at("data").as_array();
  ASSERT_EQ(data.size(), 3u);
  double length = 0;
  for (const json::value& x : data[0].at("embedding").as_array())
    length += x.as_double() * x.as_double();
  EXPECT_NEAR(length, 1, 1e-4);
  EXPECT_EQ(data[0].at("embedding"), data[1].at("embedding"));
  EXPECT_NE(data[0].at("embedding"), data[2].at("embedding"));
  const json::value coded = parsed(post(
      "/v1/embeddings", R"({"input": "a river", "encoding_format": "base64", "dimensions": 3})"));
  EXPECT_EQ(text_at(coded, "/data/0/embedding").size(), 16u);
}

TEST_F(ServerTest, NothingButHealthAndThePageAnswersWithoutAKey) {
  ServerOptions options;
  options.require_keys = true;
  start(options);
  const std::string key = keys_->create("test", {KeyScope::kInference}, 0).key;
  const std::string admitted = "Authorization: Bearer " + key + "\r\n";
  int tried = 0;
  for (const Route& route : routes()) {
    const std::string path = std::string(route.pattern.substr(0, route.pattern.find('{')));
    const std::string method(route.method);
    const std::string body = method == "POST" ? "{}" : "";
    const int expected = route.scope == Scope::kPublic ? 200 : 401;
    EXPECT_EQ(ask(server_->port(), method, path, body).status, expected) << method << " " << path;
    // A few of them: more wrong keys would be put off.
    if (++tried < 10) {
      EXPECT_EQ(
          ask(server_->port(), method, path, body, "Authorization: Bearer hg_wrong\r\n").status,
          expected)
          << path;
    }
    const int allowed = ask(server_->port(), method, path, body, admitted).status;
    EXPECT_EQ(allowed == 403, route.scope == Scope::kMetrics || route.scope == Scope::kAdmin)
        << path << " " << allowed;
  }
  EXPECT_EQ(get("/nothing/here").status, 401) << "strangers do not learn which paths exist";
  EXPECT_EQ(get("/nothing/here", admitted).status, 404);
  keys_->revoke("test");
  EXPECT_EQ(get("/v1/models", admitted).status, 401);
}

TEST_F(ServerTest, WrongKeysAreSlowedDownAndRightOnesAreNot) {
  ServerOptions options;
  options.require_keys = true;
  start(options);
  const std::string right =
      "x-api-key: " + keys_->create("test", {KeyScope::kAdmin}, 0).key + "\r\n";
  std::set<int> statuses;
  for (int i = 0; i < 30; ++i)
    statuses.insert(get("/v1/models", "x-api-key: hg_" + std::to_string(i) + "\r\n").status);
  EXPECT_EQ(statuses, (std::set<int>{401, 429}));
  EXPECT_EQ(get("/v1/models", right).status, 200);
  EXPECT_EQ(get("/metrics", right).status, 200);
}

TEST_F(ServerTest, PagesOfOtherSitesAreKeptOut) {
  ServerOptions options;
  options.cors_origins = {"https://good.example"};
  start(options);
  const auto with = [&](const std::string& method, const std::string& head) {
    TestConnection connection(server_->port());
    connection.send(method + " /v1/models HTTP/1.1\r\n" + head + "\r\n");
    return connection.read_answer();
  };
  EXPECT_EQ(with("GET", "Host: 127.0.0.1:8000\r\n").status, 200);
  EXPECT_EQ(with("GET", "Host: evil.example\r\n").status, 421) << "DNS rebinding";
  EXPECT_EQ(with("GET", "Host: localhost.evil.example\r\n").status, 421);
  EXPECT_EQ(with("POST", "Host: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n")
                .status,
            403);
  EXPECT_EQ(with("GET", "Host: localhost\r\nOrigin: https://evil.example\r\n")
                .header("access-control-allow-origin"),
            "");
  const TestAnswer allowed = with("GET", "Host: localhost\r\nOrigin: https://good.example\r\n");
  EXPECT_EQ(allowed.header("access-control-allow-origin"), "https://good.example");
  EXPECT_EQ(with("OPTIONS", "Host: localhost\r\nOrigin: https://good.example\r\n").status, 204);
  EXPECT_EQ(with("OPTIONS", "Host: localhost\r\nOrigin: https://evil.example\r\n").status, 403);
}

TEST_F(ServerTest, AClientThatLeavesFreesItsPlace) {
  start();
  {
    TestConnection connection(server_->port());
    connection.send(
        request_text("POST", "/v1/chat/completions",
                     std::string("{\"stream\": true, \"ignore_eos\": true, ") + kHello + "}"));
    ASSERT_TRUE(connection.read_until("data: "));
  }
  for (int i = 0; i < 2500 && engine_->stats().running + engine_->stats().waiting > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(engine_->stats().running, 0);
}

TEST_F(ServerTest, AFullQueueShedsWithRetryAfter) {
  EngineOptions engine;
  engine.max_running = 1;
  engine.max_waiting_requests = 1;
  std::atomic<bool> hold{true};
  engine.before_step = [&] {
    while (hold) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  start({}, engine);
  const std::string body = std::string("{\"stream\": true, \"max_tokens\": 4, ") + kHello + "}";
  std::vector<std::unique_ptr<TestConnection>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<TestConnection>(server_->port()));
    clients.back()->send(request_text("POST", "/v1/chat/completions", body));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(get("/health").status, 200) << "health answers while the engine is busy";
  TestAnswer shed = clients.back()->read_answer();
  EXPECT_EQ(shed.status, 429);
  EXPECT_NE(shed.header("retry-after"), "");
  hold = false;
  EXPECT_NE(clients.front()->read_answer().body.find("[DONE]"), std::string::npos);
}

TEST_F(ServerTest, LimitsOfAKeyAreToldAndKept) {
  ServerOptions options;
  options.require_keys = true;
  options.limits.requests_per_minute = 3;
  options.limits.tokens_per_minute = 1000;
  start(options);
  const auto header = [&](const char* name) {
    return "x-api-key: " + keys_->create(name, {KeyScope::kInference}, 0).key + "\r\n";
  };
  const std::string ada = header("ada"), bob = header("bob");
  const std::string body = std::string("{\"max_tokens\": 8, ") + kHello + "}";
  const TestAnswer first = post("/v1/chat/completions", body, ada);
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.header("x-ratelimit-limit-requests"), "3");
  EXPECT_EQ(first.header("x-ratelimit-remaining-requests"), "2");
  const int64_t used = number_at(parsed(first), "/usage/total_tokens");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get("/v1/models", ada).status, 200) << "costs nothing";
  // Everything that is left and more than that: until the first minute is over.
  const TestAnswer whole =
      post("/v1/completions", R"({"prompt": "a", "max_tokens": 400, "n": 3})", ada);
  EXPECT_EQ(whole.status, 429) << "1,000 tokens less " << used;
  EXPECT_EQ(text_at(parsed(whole), "/error/code"), "rate_limit_exceeded");
  EXPECT_NE(whole.header("retry-after"), "");
  const TestAnswer second = post("/v1/chat/completions", body, ada);
  EXPECT_EQ(second.status, 200);
  EXPECT_GE(std::stoll(second.header("x-ratelimit-remaining-tokens")), 1000 - 2 * used - 16);
  EXPECT_EQ(post("/v1/chat/completions", body, ada).status, 429);
  EXPECT_EQ(post("/v1/chat/completions", body, bob).status, 200) << "each key has its own";
}

TEST_F(ServerTest, DrainsItsAnswersAndTakesNoMore) {
  start();
  TestConnection running(server_->port());
  running.send(request_text(
      "POST", "/v1/chat/completions",
      std::string("{\"stream\": true, \"ignore_eos\": true, \"max_tokens\": 60, ") + kHello + "}"));
  ASSERT_TRUE(running.read_until("data: "));
  server_->begin_drain();
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(post("/v1/chat/completions", std::string("{") + kHello + "}").status, 503);
  while (server_->running() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  server_->stop();
  EXPECT_NE(running.read_answer().body.find("[DONE]"), std::string::npos);
}

TEST_F(ServerTest, AStoppedServerEndsStreamsWithAnError) {
  start();
  TestConnection running(server_->port());
  running.send(
      request_text("POST", "/v1/chat/completions",
                   std::string("{\"stream\": true, \"ignore_eos\": true, ") + kHello + "}"));
  ASSERT_TRUE(running.read_until("data: "));
  server_->stop();
  const std::string body = running.read_answer().body;
  EXPECT_NE(body.find("\"error\""), std::string::npos) << body;
  EXPECT_EQ(body.find("[DONE]"), std::string::npos);
}

TEST_F(ServerTest, TheOpenApiDocumentHasEveryRoute) {
  start();
  const json::value document = parsed(get("/openapi.json"));
  size_t operations = 0;
  for (const auto& path : document.at("paths").as_object())
    operations += path.value().as_object().size();
  EXPECT_EQ(operations, routes().size());
  EXPECT_EQ(document
                .at_pointer("/paths/~1v1~1chat~1completions/post/requestBody/content/"
                            "application~1json/schema/properties/n/maximum")
                .as_int64(),
            16);
}

TEST_F(ServerTest, FiguresAndNamesAreThere) {
  start();
  post("/v1/chat/completions", std::string("{") + kHello + "}");
  const std::string metrics = get("/metrics").body;
  for (const char* name :
       {"headgate_num_requests_running{", "headgate_time_to_first_token_seconds_bucket{",
        "headgate_generation_tokens_total{",
        "headgate_request_success_total{finished_reason=\"stop\""})
    EXPECT_NE(metrics.find(name), std::string::npos) << name;
  const json::value status = parsed(get("/v1/status"));
  EXPECT_EQ(text_at(status, "/state"), "ready");
  EXPECT_EQ(number_at(status, "/requests/completed"), 1);
  EXPECT_EQ(number_at(parsed(get("/v1/models")), "/data/0/max_model_len"), engine_->context());
  EXPECT_EQ(text_at(parsed(get("/v1/models/gpt-4o")), "/id"), "gpt-4o");
  EXPECT_EQ(
      post("/v1/chat/completions", std::string("{\"model\": \"other\", ") + kHello + "}").status,
      404);
  EXPECT_EQ(ask(server_->port(), "PUT", "/health").status, 405);
  const TestAnswer named = get("/health", "x-request-id: abc-1\r\n");
  EXPECT_EQ(named.header("x-request-id"), "abc-1");
  EXPECT_EQ(named.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(get("/health", "x-request-id: <script>\r\n").header("x-request-id").rfind("req_", 0),
            0u);
}

TEST(Exposure, PublicAddressesNeedAKey) {
  ServerOptions options;
  options.http.host = "0.0.0.0";
  KeyStore keys(std::make_shared<Database>(":memory:"));
  EXPECT_THROW(check_exposure(options, &keys, false), Error);
  EXPECT_NO_THROW(check_exposure(options, &keys, true));
  keys.create("a", {KeyScope::kInference}, 0);
  EXPECT_NO_THROW(check_exposure(options, &keys, false));
  options.http.host = "127.0.0.1";
  EXPECT_NO_THROW(check_exposure(options, nullptr, false));
}

}  // namespace
}  // namespace headgate

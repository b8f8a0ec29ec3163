// Several models behind one server: loading on demand, the budget, failures, deadlines, and many
// clients at once.
#include "server/model_host.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backend/backend.h"
#include "chat/checkpoint_text.h"
#include "formats/checkpoint.h"
#include "server/fields.h"
#include "server/server.h"
#include "server/test_client.h"

namespace headgate {
namespace {

constexpr int64_t kMiB = 1 << 20;

std::atomic<int> units_alive{0};

// What a loaded model of these tests consists of.
struct Unit {
  Unit() { ++units_alive; }
  ~Unit() { --units_alive; }
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  Checkpoint checkpoint =
      open_checkpoint(HEADGATE_SOURCE_DIR "/models/headgate-nano/headgate-nano-q8_0.gguf");
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const Model> model;
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  ChatTemplate chat_template = compile_template(stored_template(checkpoint));
  std::unique_ptr<Engine> engine;
};

ServedModel load_unit(int64_t context, const LoadProgress& progress) {
  const auto unit = std::make_shared<Unit>();
  BackendOptions backend;
  backend.threads = 1;
  unit->backend = open_backend(backend);
  LoadOptions load;
  load.progress = progress;
  unit->model = Model::load(unit->checkpoint, *unit->backend, load);
  EngineOptions engine;
  engine.context = context;
  engine.state_budget_bytes = 8 * kMiB;
  unit->engine = std::make_unique<Engine>(unit->model, unit->tokenizer.vocab_size(), engine);
  ServedModel model;
  model.engine = unit->engine.get();
  model.tokenizer = &unit->tokenizer;
  model.chat_template = &unit->chat_template;
  model.sampling_defaults.temperature = 0;
  model.stop_tokens = stop_tokens(unit->model->config().eos_tokens, unit->tokenizer);
  model.owner = unit;
  return model;
}

HostedModel hosted(const std::string& name, int64_t context = 512) {
  HostedModel model;
  model.name = name;
  model.facts.context = context;
  model.facts.weight_bytes = 6 * kMiB;
  model.facts.state_bytes = 8 * kMiB;
  model.load = [context](const LoadProgress& progress) { return load_unit(context, progress); };
  return model;
}

std::string chat_body(const std::string& model, const std::string& more = "") {
  return "{\"model\": \"" + model +
         "\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]" + more + "}";
}

std::string text_at(const std::string& body, std::string_view pointer) {
  const json::value value = parse_json(body, "answer");
  boost::system::error_code error;
  const json::value* found =
      value.find_pointer(json::string_view(pointer.data(), pointer.size()), error);
  return found != nullptr && found->is_string() ? std::string(text_view(found->get_string()))
                                                : body;
}

std::string content_of(const TestAnswer& answer) {
  return text_at(answer.body, "/choices/0/message/content");
}

class ModelHostTest : public testing::Test {
 protected:
  void start(std::vector<HostedModel> models, HostOptions options = {}) {
    options.version = "test";
    host_ = std::make_shared<ModelHost>(std::move(models), options);
    ServerOptions server;
    server.log = LogFormat::kOff;
    server_ = std::make_unique<Server>(server, host_, nullptr, nullptr);
    server_->start();
  }
  void TearDown() override {
    server_.reset();
    host_.reset();
    EXPECT_EQ(units_alive, 0) << "models that nobody unloaded";
  }
  TestAnswer chat(const std::string& model, const std::string& more = "") {
    return ask(server_->port(), "POST", "/v1/chat/completions", chat_body(model, more));
  }
  ModelState state_of(const std::string& name) {
    for (ModelState& state : host_->list())
      if (state.name == name) return std::move(state);
    return {};
  }
  // Waits up to ten seconds.
  template <typename F>
  static bool eventually(const F& true_at_last) {
    for (int i = 0; i < 5000 && !true_at_last(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return true_at_last();
  }

  std::shared_ptr<ModelHost> host_;
  std::unique_ptr<Server> server_;
};

TEST_F(ModelHostTest, ModelsAreLoadedWhenTheyAreAskedForAndAnswerAsThemselves) {
  start({hosted("a"), hosted("b", 64)});
  const std::string listed = ask(server_->port(), "GET", "/v1/models", "").body;
  EXPECT_EQ(text_at(listed, "/data/0/state"), "unloaded");
  EXPECT_EQ(text_at(listed, "/data/1/id"), "b");
  const TestAnswer first = chat("a");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(text_at(first.body, "/model"), "a");
  EXPECT_EQ(state_of("b").phase, ModelPhase::kUnloaded);
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"b", "a"}) {
      const TestAnswer answer = chat(name, ", \"max_tokens\": 20");
      EXPECT_EQ(text_at(answer.body, "/model"), name);
      EXPECT_EQ(content_of(first).rfind(content_of(answer), 0), 0u) << answer.body;
    }
  }
  EXPECT_EQ(state_of("b").facts.context, 64);
  std::string words;
  for (int i = 0; i < 80; ++i) words += "word ";
  const auto long_prompt = [&](const std::string& model) {
    return ask(server_->port(), "POST", "/v1/completions",
               "{\"model\": \"" + model + "\", \"prompt\": \"" + words + "\", \"max_tokens\": 1}");
  };
  EXPECT_EQ(long_prompt("a").status, 200);
  EXPECT_EQ(text_at(long_prompt("b").body, "/error/code"), "context_length_exceeded");
  const TestAnswer unknown = chat("c");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("\\\"b\\\""), std::string::npos) << unknown.body;
  const TestAnswer info = ask(server_->port(), "GET", "/tokenizer_info?model=b", "");
  EXPECT_NE(info.body.find("\"model_max_length\":64"), std::string::npos) << info.body;
  EXPECT_EQ(ask(server_->port(), "GET", "/tokenizer_info?model=c", "").status, 404);
  EXPECT_EQ(state_of("a").loads + state_of("b").loads, 2);
}

TEST_F(ModelHostTest, TheBudgetMakesTheLongestUnusedModelGo) {
  HostOptions options;
  options.budget_bytes = 40 * kMiB;  // two of three
  start({hosted("a"), hosted("b"), hosted("c")}, options);
  // An answer is there a moment before its request is over.
  const auto said_by = [&](const std::string& name) {
    const std::string text = content_of(chat(name));
    EXPECT_TRUE(eventually([&] { return state_of(name).requests == 0; }));
    return text;
  };
  const std::string expected = said_by("a");
  EXPECT_EQ(said_by("b"), expected);
  EXPECT_EQ(said_by("a"), expected);
  EXPECT_EQ(said_by("c"), expected);
  EXPECT_EQ(state_of("b").phase, ModelPhase::kUnloaded) << "unused for longer than a";
  EXPECT_EQ(state_of("a").phase, ModelPhase::kLoaded);
  EXPECT_EQ(units_alive, 2);
  EXPECT_EQ(state_of("c").facts.state_bytes, 8 * kMiB);
  EXPECT_EQ(state_of("c").memory_bytes, state_of("c").facts.weight_bytes + 8 * kMiB);
  EXPECT_EQ(said_by("b"), expected);
  EXPECT_EQ(state_of("a").phase, ModelPhase::kUnloaded);
  int64_t used = 0;
  for (const ModelState& state : host_->list()) used += state.memory_bytes;
  EXPECT_LE(used, options.budget_bytes);
  const std::string metrics = ask(server_->port(), "GET", "/metrics", "").body;
  EXPECT_NE(metrics.find("headgate_model_unloads_total{model_name=\"a\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("headgate_model_loaded{model_name=\"b\"} 1"), std::string::npos);
  EXPECT_NE(
      metrics.find("headgate_request_success_total{finished_reason=\"stop\",model_name=\"b\"} 2"),
      std::string::npos)
      << metrics;
}

TEST_F(ModelHostTest, TotalsOfAModelOutliveItsEngine) {
  HostOptions options;
  options.idle_seconds = 0.02;
  start({hosted("a")}, options);
  const auto generated = [&] {
    const std::string metrics = ask(server_->port(), "GET", "/metrics", "").body;
    const size_t at = metrics.find("headgate_generation_tokens_total{");
    return at == std::string::npos ? -1.0 : std::stod(metrics.substr(metrics.find("} ", at) + 2));
  };
  for (int round = 1; round <= 3; ++round) {
    ASSERT_EQ(chat("a", ", \"ignore_eos\": true, \"max_tokens\": 5").status, 200);
    ASSERT_TRUE(eventually([&] { return state_of("a").unloads == round; }));
    EXPECT_EQ(generated(), 5.0 * round);
  }
}

TEST_F(ModelHostTest, ABusyModelGivesItsPlaceWhenItsAnswersEnd) {
  HostOptions options;
  options.budget_bytes = 20 * kMiB;
  options.turn_seconds = 0;
  start({hosted("a"), hosted("b")}, options);
  const std::string expected = content_of(chat("a"));
  TestConnection stream(server_->port());
  stream.send(request_text("POST", "/v1/chat/completions",
                           chat_body("a", ", \"stream\": true, \"ignore_eos\": true")));
  ASSERT_TRUE(stream.read_until("data: "));
  TestConnection other(server_->port());
  other.send(request_text("POST", "/v1/chat/completions", chat_body("b")));
  // While b waits, requests for a wait behind it.
  ASSERT_TRUE(eventually(
      [&] { return state_of("a").phase == ModelPhase::kLeaving || state_of("b").loads > 0; }));
  const TestAnswer again = chat("a");
  EXPECT_EQ(content_of(again), expected);
  EXPECT_EQ(content_of(other.read_answer()), expected);
  EXPECT_NE(stream.read_answer().body.find("[DONE]"), std::string::npos) << "was not cut";
  EXPECT_EQ(state_of("b").loads, 1);
}

TEST_F(ModelHostTest, ALoadThatFailsIsToldAndHarmsNobody) {
  HostedModel broken = hosted("broken");
  std::atomic<int> tries{0};
  broken.load = [&](const LoadProgress& progress) {
    if (++tries < 3) fail(ErrorCode::kInvalidFile, "/secret/model.gguf: damaged");
    return load_unit(512, progress);
  };
  HostOptions options;
  options.retry_seconds = 0.3;
  start({hosted("a"), broken}, options);
  const std::string expected = content_of(chat("a"));
  const TestAnswer failed = chat("broken");
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(text_at(failed.body, "/error/code"), "model_load_failed");
  EXPECT_EQ(failed.body.find("secret"), std::string::npos);
  EXPECT_NE(failed.header("retry-after"), "");
  EXPECT_EQ(chat("broken").status, 503);
  EXPECT_EQ(tries, 1) << "not tried again at once";
  EXPECT_NE(state_of("broken").error.find("damaged"), std::string::npos);
  EXPECT_EQ(content_of(chat("a")), expected);
  ASSERT_TRUE(eventually([&] { return chat("broken").status == 200; }));
  EXPECT_EQ(content_of(chat("broken")), expected);
  EXPECT_EQ(state_of("broken").failures, 2);
  EXPECT_EQ(state_of("broken").error, "");
}

// A model whose load lasts until it is let go, or cancelled.
HostedModel slow(const std::string& name, std::atomic<bool>& release) {
  HostedModel model = hosted(name);
  model.load = [&release](const LoadProgress& progress) {
    while (!release) {
      if (!progress(1, 4)) fail(ErrorCode::kCancelled, "cancelled");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return load_unit(512, progress);
  };
  return model;
}

TEST_F(ModelHostTest, RequestsWaitWithinTheirDeadline) {
  std::atomic<bool> release{false};
  HostOptions options;
  options.wait_seconds = 0.1;
  options.max_waiting = 2;
  start({hosted("a"), slow("b", release)}, options);
  const TestAnswer late = chat("b");
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(text_at(late.body, "/error/code"), "loading");
  EXPECT_NE(late.header("retry-after"), "");
  EXPECT_EQ(chat("a").status, 503) << "its load comes after that one";
  const std::string listed = ask(server_->port(), "GET", "/v1/models/b", "").body;
  EXPECT_EQ(text_at(listed, "/state"), "loading");
  EXPECT_NE(listed.find("\"progress\":0.25"), std::string::npos) << listed;
  {
    // Those who leave do not wait on.
    options.wait_seconds = 60;
    host_->set_options(options);
    TestConnection leaving(server_->port());
    leaving.send(request_text("POST", "/v1/chat/completions", chat_body("b")));
    ASSERT_TRUE(eventually([&] { return state_of("b").waiting == 1; }));
  }
  ASSERT_TRUE(eventually([&] { return state_of("b").waiting == 0; }));
  std::vector<std::unique_ptr<TestConnection>> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(std::make_unique<TestConnection>(server_->port()));
    waiting.back()->send(request_text("POST", "/v1/chat/completions", chat_body("b")));
  }
  ASSERT_TRUE(eventually([&] { return state_of("b").waiting == 2; }));
  EXPECT_EQ(chat("b").status, 429) << "as many wait as may";
  release = true;
  for (const auto& client : waiting) EXPECT_EQ(client->read_answer().status, 200);
}

TEST_F(ModelHostTest, AServerThatStopsBreaksALoadOff) {
  std::atomic<bool> release{false};
  start({hosted("a"), slow("b", release)});
  const TestAnswer running = chat("a");
  TestConnection waiting(server_->port());
  waiting.send(request_text("POST", "/v1/chat/completions", chat_body("b")));
  ASSERT_TRUE(eventually([&] { return state_of("b").phase == ModelPhase::kLoading; }));
  server_->begin_drain();
  const TestAnswer refused = waiting.read_answer();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(text_at(refused.body, "/error/code"), "shutting_down");
  ASSERT_TRUE(eventually([&] { return state_of("b").phase == ModelPhase::kFailed; }));
  server_->stop();
}

TEST_F(ModelHostTest, ManyClientsOfBothModelsWhileTheyComeAndGo) {
  HostOptions options;
  options.budget_bytes = 20 * kMiB;  // one at a time
  options.turn_seconds = 0;
  options.idle_seconds = 0.005;
  start({hosted("a"), hosted("b")}, options);
  const std::string expected = content_of(chat("a"));
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 4; ++i) {
        const bool stream = (c + i) % 3 == 0;
        const std::string name = (c + i) % 2 == 0 ? "a" : "b";
        if (i == 2) {  // one that leaves
          TestConnection gone(server_->port());
          gone.send(request_text("POST", "/v1/chat/completions", chat_body(name)));
        }
        const TestAnswer answer = chat(name, stream ? ", \"stream\": true" : "");
        const bool good = stream ? answer.body.find("[DONE]") != std::string::npos &&
                                       answer.body.find("\"model\":\"" + name) != std::string::npos
                                 : content_of(answer) == expected;
        right += good;
        EXPECT_TRUE(good) << name << " " << answer.status << " " << answer.body;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 24);
  EXPECT_TRUE(eventually([&] {
    return units_alive == 0 && state_of("a").memory_bytes + state_of("b").memory_bytes == 0;
  })) << "idle models go";
  for (const ModelState& state : host_->list()) {
    EXPECT_EQ(state.requests, 0);
    EXPECT_EQ(state.waiting, 0);
    EXPECT_EQ(state.memory_bytes, 0);
    EXPECT_EQ(state.loads, state.unloads);
    EXPECT_GE(state.loads, 1);
  }
}

TEST(ModelHost, RefusesNamesThatOccurTwiceAndModelsThatDoNotFit) {
  HostedModel second = hosted("b");
  second.aliases = {"a"};
  EXPECT_THROW(ModelHost({hosted("a"), second}, HostOptions()), Error);
  HostOptions small;
  small.budget_bytes = 10 * kMiB;
  EXPECT_THROW(ModelHost({hosted("a")}, small), Error);
  EXPECT_THROW(ModelHost({}, HostOptions()), Error);
}

}  // namespace
}  // namespace headgate

// A server with the small model for tests, on a loopback port.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "chat/checkpoint_text.h"
#include "control/database.h"
#include "control/key_store.h"
#include "formats/checkpoint.h"
#include "server/fields.h"
#include "server/response_store.h"
#include "server/server.h"
#include "server/test_client.h"

namespace headgate {

// The model is loaded once for all tests.
struct Loaded {
  Checkpoint checkpoint =
      open_checkpoint(HEADGATE_SOURCE_DIR "/models/headgate-nano/headgate-nano-q8_0.gguf");
  std::unique_ptr<Backend> backend = open_backend({});
  std::shared_ptr<const Model> model = Model::load(checkpoint, *backend);
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  ChatTemplate chat_template = compile_template(stored_template(checkpoint));
  std::vector<int32_t> stops = stop_tokens(model->config().eos_tokens, tokenizer);
};

inline const Loaded& loaded() {
  static const Loaded instance;
  return instance;
}

class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}, EngineOptions engine = {}) {
    options.log = LogFormat::kOff;
    options.version = "test";
    if (engine.context == 0) engine.context = 512;
    engine_ = std::make_unique<Engine>(loaded().model, loaded().tokenizer.vocab_size(), engine);
    ServedModel model;
    model.name = "nano";
    model.aliases = {"gpt-4o"};
    model.engine = engine_.get();
    model.tokenizer = &loaded().tokenizer;
    model.chat_template = &loaded().chat_template;
    model.sampling_defaults.temperature = 0;
    model.stop_tokens = loaded().stops;
    server_ = std::make_unique<Server>(options, model, keys_, responses_);
    server_->start();
  }
  void TearDown() override {
    server_.reset();
    engine_.reset();
  }
  TestAnswer post(const std::string& path, const std::string& body,
                  const std::string& headers = "") {
    return ask(server_->port(), "POST", path, body, headers);
  }
  TestAnswer get(const std::string& path, const std::string& headers = "") {
    return ask(server_->port(), "GET", path, "", headers);
  }
  static json::value parsed(const TestAnswer& answer) { return parse_json(answer.body, "answer"); }

  std::shared_ptr<Database> database_ = std::make_shared<Database>(":memory:");
  std::shared_ptr<KeyStore> keys_ = std::make_shared<KeyStore>(database_);
  std::shared_ptr<ResponseStore> responses_ = std::make_shared<ResponseStore>(database_);
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
};

inline std::string text_at(const json::value& value, std::string_view pointer) {
  return std::string(
      text_view(value.at_pointer(json::string_view(pointer.data(), pointer.size())).as_string()));
}

inline int64_t number_at(const json::value& value, std::string_view pointer) {
  return value.at_pointer(json::string_view(pointer.data(), pointer.size())).as_int64();
}

// The JSON of every "data:" line but [DONE].
inline std::vector<json::value> events_of(const std::string& body) {
  std::vector<json::value> out;
  for (size_t at = body.find("data: "); at != std::string::npos; at = body.find("data: ", at + 1)) {
    const std::string line = body.substr(at + 6, body.find('\n', at) - at - 6);
    if (line != "[DONE]") out.push_back(parse_json(line, "event"));
  }
  return out;
}

inline std::string streamed_text(const std::vector<json::value>& events) {
  std::string out;
  for (const json::value& event : events) {
    for (const json::value& choice : event.at("choices").as_array()) {
      const json::value* text = choice.at("delta").as_object().if_contains("content");
      if (text != nullptr && text->is_string()) out += text_view(text->get_string());
    }
  }
  return out;
}

inline constexpr const char* kHello = R"("messages": [{"role": "user", "content": "Hello!"}])";

}  // namespace headgate

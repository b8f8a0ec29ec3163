// From conversation to token ids with the real vocabulary: prompts and ids that transformers gave.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "chat/chat_template.h"
#include "chat/message.h"
#include "tests/support/qwen_tokenizer.h"
#include "text/tokenizer.h"

namespace headgate {
namespace {

const std::string kSource = HEADGATE_SOURCE_DIR;
const std::string kFolder = kSource + "/tests/golden/chat/";

TEST(ChatGolden, GivesTheIdsOfEveryConversation) {
  const Tokenizer tokenizer =
      Tokenizer::from_json(tokenizer_json_text(qwen_tokenizer_parts(kSource)), "tokenizer.json");
  const json::value cases = parse_json(read_text_file(kFolder + "chat_render.json"), "golden");
  for (const json::value& item : cases.as_array()) {
    const json::object& c = item.as_object();
    const std::string variant(c.at("variant").as_string().c_str());
    const ChatTemplate chat(read_text_file(kFolder + variant + ".jinja"), variant);
    RenderInput input;
    input.messages = read_messages(c.at("messages"), "messages");
    if (c.at("tools").is_array()) input.tools = c.at("tools").as_array();
    input.add_generation_prompt = c.at("add_generation_prompt").as_bool();
    std::vector<int32_t> expected;
    for (const json::value& id : c.at("ids").as_array()) {
      expected.push_back(static_cast<int32_t>(id.as_int64()));
    }
    EXPECT_EQ(tokenizer.encode(chat.render(input)), expected) << c.at("id").as_string().c_str();
  }
}

}  // namespace
}  // namespace headgate

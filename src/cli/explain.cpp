// headgate explain: where two prompts part, as the prefix cache sees them.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "chat/checkpoint_text.h"
#include "chat/message.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/model_options.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

constexpr size_t kAround = 12;  // tokens shown before and after

struct ExplainOptions {
  ModelOptions model;
  std::string first, second;
  bool json = false;
};

// What the model would see of a file: a conversation or a request where it is JSON with messages,
// else the text as it is.
std::vector<int32_t> prompt_of(const std::string& path, const Tokenizer& tokenizer,
                               const ChatTemplate& chat_template) {
  const std::string text = read_text_file(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && (text[first] == '{' || text[first] == '[');
  if (!json) return tokenizer.encode(text);
  const json::value value = parse_json(text, path);
  const json::object* object = value.if_object();
  const json::value* messages = object != nullptr ? object->if_contains("messages") : &value;
  if (messages == nullptr || !messages->is_array()) return tokenizer.encode(text);
  RenderInput input;
  input.messages = read_messages(*messages, path);
  input.special_tokens = special_token_texts(tokenizer);
  if (object != nullptr) {
    if (const auto* tools = object->if_contains("tools"); tools != nullptr && tools->is_array())
      input.tools = tools->get_array();
    if (const auto* kwargs = object->if_contains("chat_template_kwargs");
        kwargs != nullptr && kwargs->is_object())
      input.template_kwargs = kwargs->get_object();
  }
  return tokenizer.encode(chat_template.render(input));
}

std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, size_t from,
                    size_t to) {
  from = std::min(from, ids.size());
  to = std::min(to, ids.size());
  return dump_json(json::value(tokenizer.decode(std::span(ids).subspan(from, to - from))));
}

int explain(const ExplainOptions& o) {
  const Checkpoint checkpoint = open_model_files(o.model);
  const Tokenizer tokenizer = load_tokenizer(checkpoint);
  const ChatTemplate chat_template = compile_template(stored_template(checkpoint));
  const std::vector<int32_t> a = prompt_of(o.first, tokenizer, chat_template);
  const std::vector<int32_t> b = prompt_of(o.second, tokenizer, chat_template);
  const auto parted = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  const auto common = static_cast<size_t>(parted - a.begin());
  const size_t before = common - std::min(common, kAround);
  if (o.json) {
    write_stdout(dump_json_python(json::object{{"first_tokens", a.size()},
                                               {"second_tokens", b.size()},
                                               {"common_tokens", common},
                                               {"before", tokenizer.decode(std::span(a).subspan(
                                                              before, common - before))}},
                                  2) +
                 "\n");
    return 0;
  }
  TextTable table({1});
  table.row({"first", fmt::format("{} tokens", format_digits(static_cast<int64_t>(a.size())))});
  table.row({"second", fmt::format("{} tokens", format_digits(static_cast<int64_t>(b.size())))});
  table.row({"common", fmt::format("{} tokens: a cached state can save the second so many",
                                   format_digits(static_cast<int64_t>(common)))});
  if (common == a.size() && common == b.size()) {
    table.row({"they part", "nowhere"});
  } else {
    table.row({"before", text_of(tokenizer, a, before, common)});
    table.row({"first goes on", text_of(tokenizer, a, common, common + kAround)});
    table.row({"second goes on", text_of(tokenizer, b, common, common + kAround)});
  }
  write_stdout(table.text());
  return 0;
}

}  // namespace

void add_explain(CommandLine& line) {
  auto o = std::make_shared<ExplainOptions>();
  Command& command =
      line.add("explain", "Show where two prompts part, as the prefix cache sees it");
  command.option("first", o->first, "A text, or JSON with messages")
      .required()
      .takes("FILE")
      .option("second", o->second, "The other one")
      .required()
      .takes("FILE")
      .flag("--json", o->json, "As JSON");
  add_model_path(command, o->model);
  command
      .example("headgate explain yesterday.json today.json",
               "why the second request did not start from the first one's state")
      .action([o] { return explain(*o); });
}

}  // namespace headgate

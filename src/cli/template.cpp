// headgate template: a conversation as the text or the ids that the model would see.
#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "chat/message.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/model_options.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct TemplateOptions {
  ModelOptions model;
  std::optional<std::string> file, kwargs, tools, jinja;
  bool no_generation_prompt = false;
  bool ids = false;
};

RenderInput read_input(const TemplateOptions& o) {
  const std::string source = o.file && *o.file != "-" ? *o.file : "standard input";
  const json::value parsed = parse_json(read_text_input(std::nullopt, o.file, "messages"), source);
  RenderInput input;
  if (const json::object* object = parsed.if_object()) {
    const json::value* messages = object->if_contains("messages");
    if (messages == nullptr)
      fail(ErrorCode::kInvalidFile, "{}: no \"messages\", expected them or a bare array", source);
    input.messages = read_messages(*messages, source);
    if (const json::value* tools = object->if_contains("tools");
        tools != nullptr && !tools->is_null())
      input.tools = parse_tools(dump_json(*tools), source);
    if (const json::value* kwargs = object->if_contains("chat_template_kwargs"))
      if (const json::object* found = kwargs->if_object()) input.template_kwargs = *found;
    if (const json::value* add = object->if_contains("add_generation_prompt"))
      input.add_generation_prompt = !add->is_bool() || add->get_bool();
    if (const json::value* more = object->if_contains("continue_final_message"))
      input.continue_final_message = more->is_bool() && more->get_bool();
  } else {
    input.messages = read_messages(parsed, source);
  }
  if (o.tools) input.tools = parse_tools(read_text_file(*o.tools), *o.tools);
  if (o.kwargs) {
    for (const auto& [key, value] : parse_json_object(*o.kwargs, "--kwargs"))
      input.template_kwargs[key] = value;
  }
  if (o.no_generation_prompt) input.add_generation_prompt = false;
  return input;
}

// The checkpoint's own template; a folder needs no weights.
ChatTemplate load_template(const TemplateOptions& o) {
  if (o.jinja) return ChatTemplate(read_text_file(*o.jinja, int64_t{4} << 20), *o.jinja);
  if (!o.model.path.empty() && is_directory(o.model.path))
    return compile_template(stored_template_of_folder(o.model.path));
  return compile_template(stored_template(open_model_files(o.model)));
}

int render_template(const TemplateOptions& o) {
  RenderInput input = read_input(o);
  const ChatTemplate chat_template = load_template(o);
  const Tokenizer tokenizer = load_tokenizer_of(o.model);
  input.special_tokens = special_token_texts(tokenizer);
  const std::string text = chat_template.render(input);
  if (o.ids) {
    write_stdout(ids_to_json(tokenizer.encode(text)) + "\n");
  } else {
    // Exactly the text: no newline is added.
    write_stdout(text);
  }
  return 0;
}

}  // namespace

void add_template(CommandLine& line) {
  auto o = std::make_shared<TemplateOptions>();
  Command& command = line.add("template", "Show a conversation as the model would see it");
  add_model_path(command, o->model);
  command.group("")
      .option("-f,--file", o->file,
              "Read the conversation from a file; without it standard input is read: an array of "
              "messages, or an object with messages, tools, chat_template_kwargs, "
              "add_generation_prompt")
      .takes("FILE")
      .option("--tools", o->tools, "JSON file with an array of tools")
      .takes("FILE")
      .option("--kwargs", o->kwargs, "More variables for the template")
      .takes("JSON")
      .option("--jinja", o->jinja, "Use the template of this file instead of the model's")
      .takes("FILE")
      .flag("--no-generation-prompt", o->no_generation_prompt,
            "Leave out the beginning of the answer")
      .flag("--ids", o->ids, "Show the token ids instead of the text")
      .example("echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' | headgate template",
               "the prompt of one question")
      .example(
          "headgate template -m DIR -f chat.json --kwargs '{\"enable_thinking\": false}' --ids",
          "ids, with a variable of the template")
      .action([o] { return render_template(*o); });
}

}  // namespace headgate

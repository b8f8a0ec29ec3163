// headgate tokenize and detokenize: text to token ids and back.
#include <fmt/core.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/model_options.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  std::optional<std::string> text;
  std::optional<std::string> file;
  bool no_special = false;
  bool pieces = false;
  bool count = false;
};

struct DetokenizeOptions {
  ModelOptions model;
  std::optional<std::string> ids;
  std::optional<std::string> file;
  bool skip_special = false;
};

std::string pieces_to_json(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  json::array items;
  for (int32_t id : ids)
    items.push_back(json::object{{"id", id}, {"text", tokenizer.token_text(id)}});
  return dump_json_python(items);
}

int tokenize(const TokenizeOptions& options) {
  const std::string text = read_text_input(options.text, options.file, "text");
  const Tokenizer tokenizer = load_tokenizer_of(options.model);
  EncodeOptions encode;
  encode.parse_special = !options.no_special;
  const std::vector<int32_t> ids = tokenizer.encode(text, encode);
  if (options.count) {
    print("{}\n", ids.size());
  } else if (options.pieces) {
    write_stdout(pieces_to_json(tokenizer, ids) + "\n");
  } else {
    write_stdout(ids_to_json(ids) + "\n");
  }
  return 0;
}

int detokenize(const DetokenizeOptions& options) {
  const std::string text = read_text_input(options.ids, options.file, "ids");
  const std::vector<int32_t> ids =
      parse_ids(text, options.ids ? "ids" : options.file.value_or("standard input"));
  const Tokenizer tokenizer = load_tokenizer_of(options.model);
  // Exactly the text: no newline is added, so that what was encoded comes back byte for byte.
  write_stdout(tokenizer.decode(ids, options.skip_special));
  return 0;
}

}  // namespace

void add_tokenize(CommandLine& line) {
  auto options = std::make_shared<TokenizeOptions>();
  Command& command = line.add("tokenize", "Turn text into token ids (JSON)");
  add_model_path(command, options->model);
  command.group("")
      .option("text", options->text, "The text; without it and -f standard input is read")
      .option("-f,--file", options->file, "Read the text from a file; - is standard input")
      .takes("FILE")
      .flag("--no-special", options->no_special, "Take <|im_start|> and the like as ordinary text")
      .flag("--pieces", options->pieces,
            "Show every id with its text: [{\"id\": .., \"text\": ..}]")
      .flag("--count", options->count, "Show the number of tokens only")
      .example("headgate tokenize \"Hello world\"", "ids of a text, with the embedded model")
      .example("headgate tokenize -m model.gguf -f book.txt --count", "how long is a book?")
      .action([options] { return tokenize(*options); });
}

void add_detokenize(CommandLine& line) {
  auto options = std::make_shared<DetokenizeOptions>();
  Command& command = line.add("detokenize", "Turn token ids (JSON) into text");
  add_model_path(command, options->model);
  command.group("")
      .option("ids", options->ids, "\"[1, 2, 3]\"; without it and -f standard input is read")
      .takes("JSON")
      .option("-f,--file", options->file, "Read the ids from a file; - is standard input")
      .takes("FILE")
      .flag("--skip-special", options->skip_special, "Leave special tokens out")
      .example("headgate tokenize \"Hello\" | headgate detokenize", "there and back")
      .action([options] { return detokenize(*options); });
}

}  // namespace headgate

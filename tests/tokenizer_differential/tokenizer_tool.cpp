// Answers tokenizer questions, one JSON object a line, so that a script can compare answers.
//   {"encode": TEXT} or {"encode_hex": HEX}, optionally "literal", "keep_plain"  -> {"ids": [...]}
//   {"decode": IDS}, optionally "skip_special" -> {"text": TEXT, "stream": [TEXT...]}
#include <cstdio>
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "text/detokenizer.h"

namespace headgate {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

bool flag(const json::object& question, std::string_view name) {
  const json::value* value = question.if_contains(name);
  return value && value->as_bool();
}

json::object encode(const Tokenizer& tokenizer, const json::object& question) {
  const json::value* hex = question.if_contains("encode_hex");
  const std::string text =
      hex ? from_hex(hex->as_string()) : std::string(question.at("encode").as_string());
  EncodeOptions options;
  options.parse_special = !flag(question, "literal");
  options.keep_plain_added = flag(question, "keep_plain");
  const std::vector<int32_t> ids = tokenizer.encode(text, options);
  return {{"ids", json::array(ids.begin(), ids.end())}};
}

json::object decode(const Tokenizer& tokenizer, const json::object& question) {
  std::vector<int32_t> ids;
  for (const json::value& id : question.at("decode").as_array()) {
    ids.push_back(static_cast<int32_t>(id.as_int64()));
  }
  const bool skip_special = flag(question, "skip_special");
  IncrementalDetokenizer detokenizer(tokenizer, skip_special);
  json::array stream;
  for (const int32_t id : ids) stream.emplace_back(detokenizer.push(id));
  stream.emplace_back(detokenizer.flush());
  return {{"text", tokenizer.decode(ids, skip_special)}, {"stream", std::move(stream)}};
}

int run(const char* path) {
  const Tokenizer tokenizer = is_directory(path) ? load_tokenizer_folder(path)
                                                 : Tokenizer::from_json(read_text_file(path), path);
  std::string line;
  while (std::getline(std::cin, line)) {
    const json::value question = parse_json(line, "question");
    const json::object& fields = question.as_object();
    const json::object answer =
        fields.contains("decode") ? decode(tokenizer, fields) : encode(tokenizer, fields);
    std::cout << dump_json(answer) << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: headgate_tokenizer_tool FOLDER_OR_TOKENIZER_JSON < questions\n");
    return 2;
  }
  try {
    return headgate::run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

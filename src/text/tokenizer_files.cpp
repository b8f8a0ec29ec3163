// Reads the other tokenizer files of a Hugging Face folder, and the folder as a whole.
#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/json_fields.h"
#include "text/tokenizer_parts.h"
#include "text/vocabulary_json.h"

namespace headgate {
namespace {

// A special token's text in tokenizer_config.json: a string, or an object with its content.
std::string_view token_content(const json::value* value, std::string_view source) {
  if (!value) return {};
  if (value->is_string()) return value->get_string();
  return JsonFields(*value, source).text("content");
}

std::optional<int32_t> id_of(const TokenizerParts& parts, std::string_view content) {
  if (content.empty()) return std::nullopt;
  for (const AddedToken& token : parts.added) {
    if (token.content == content) return token.id;
  }
  const auto token = std::find(parts.tokens.begin(), parts.tokens.end(), content);
  if (token == parts.tokens.end()) return std::nullopt;
  return static_cast<int32_t>(token - parts.tokens.begin());
}

// added_tokens_decoder: id as text -> token. Only for what tokenizer.json did not say.
void read_added_decoder(TokenizerParts& parts, const json::value* value, std::string_view source) {
  if (!value) return;
  const json::object* object = value->if_object();
  if (!object) {
    fail(ErrorCode::kInvalidFile, "{}: \"added_tokens_decoder\" is not an object", source);
  }
  std::set<int32_t> known;
  for (const AddedToken& token : parts.added) known.insert(token.id);
  for (const auto& entry : *object) {
    const std::string_view key = entry.key();
    int32_t id = -1;
    const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
    if (end.ec != std::errc() || end.ptr != key.data() + key.size() || id < 0) {
      fail(ErrorCode::kInvalidFile, "{}: added token id \"{}\", expected a number", source, key);
    }
    if (known.insert(id).second) parts.added.push_back(read_added_token(entry.value(), id, source));
  }
}

// The control tokens a configuration names are special, also where added_tokens.json cannot say so.
void mark_special(TokenizerParts& parts, const JsonFields& config, std::string_view source) {
  std::set<std::string, std::less<>> names;
  for (const char* name : {"eos_token", "bos_token", "pad_token", "unk_token"}) {
    names.emplace(token_content(config.find(name), source));
  }
  if (const json::value* more = config.find("additional_special_tokens")) {
    const json::array* list = more->if_array();
    if (!list) {
      fail(ErrorCode::kInvalidFile, "{}: \"additional_special_tokens\" is not a list", source);
    }
    for (const json::value& item : *list) names.emplace(token_content(&item, source));
  }
  for (AddedToken& token : parts.added) {
    if (names.count(token.content) != 0) token.special = true;
  }
}

// added_tokens.json: token -> id, nothing more.
void read_added_tokens_file(TokenizerParts& parts, std::string_view text, std::string_view source) {
  const json::value root = parse_json(text, source);
  const json::object* object = root.if_object();
  if (!object) fail(ErrorCode::kInvalidFile, "{}: expected an object", source);
  for (const auto& entry : *object) {
    AddedToken token;
    token.content = entry.key();
    token.id = json_token_id(entry.value(), source, token.content);
    parts.added.push_back(std::move(token));
  }
}

// eos_token_id of generation_config.json: an id or a list of ids, in order of preference.
void read_generation_config(TokenizerParts& parts, std::string_view text, std::string_view source) {
  const json::value root = parse_json(text, source);
  const json::value* eos = JsonFields(root, source).find("eos_token_id");
  if (!eos) return;
  parts.eos_ids.clear();
  if (const json::array* list = eos->if_array()) {
    for (const json::value& id : *list) {
      parts.eos_ids.push_back(json_token_id(id, source, "eos_token_id"));
    }
  } else {
    parts.eos_ids.push_back(json_token_id(*eos, source, "eos_token_id"));
  }
}

}  // namespace

TokenizerParts parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                      std::string_view source) {
  TokenizerParts parts;
  parts.source = source;
  parts.tokens = tokens_by_id(parse_json(vocab_json, source), source);
  while (!merges_txt.empty()) {
    const size_t end = std::min(merges_txt.find('\n'), merges_txt.size());
    std::string_view line = merges_txt.substr(0, end);
    merges_txt.remove_prefix(std::min(end + 1, merges_txt.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line.substr(0, 8) == "#version") continue;
    parts.merges.emplace_back(line);
  }
  return parts;
}

void apply_tokenizer_config(TokenizerParts& parts, std::string_view config_json, bool choose_pre,
                            std::string_view source) {
  const json::value root = parse_json(config_json, source);
  const JsonFields config(root, source);
  if (choose_pre && config.text("tokenizer_class").substr(0, 7) == "Qwen3_5") {
    parts.pre = PreTokenizer::kQwen35;
  }
  read_added_decoder(parts, config.find("added_tokens_decoder"), source);
  mark_special(parts, config, source);
  const auto eos = id_of(parts, token_content(config.find("eos_token"), source));
  if (eos) parts.eos_ids = {*eos};
  if (const auto bos = id_of(parts, token_content(config.find("bos_token"), source))) {
    parts.bos_id = bos;
  }
  if (const auto pad = id_of(parts, token_content(config.find("pad_token"), source))) {
    parts.pad_id = pad;
  }
}

TokenizerParts read_tokenizer_folder(const std::string& folder) {
  const auto path = [&folder](const char* name) { return folder + "/" + name; };
  const bool has_json = file_exists(path("tokenizer.json"));
  TokenizerParts parts;
  if (has_json) {
    parts = parse_tokenizer_json(read_text_file(path("tokenizer.json")), path("tokenizer.json"));
  } else if (file_exists(path("vocab.json")) && file_exists(path("merges.txt"))) {
    parts = parse_vocab_and_merges(read_text_file(path("vocab.json")),
                                   read_text_file(path("merges.txt")), path("vocab.json"));
    if (file_exists(path("added_tokens.json"))) {
      read_added_tokens_file(parts, read_text_file(path("added_tokens.json")),
                             path("added_tokens.json"));
    }
  } else {
    fail(ErrorCode::kNotFound, "{}: no tokenizer.json, and no vocab.json with merges.txt", folder);
  }
  if (file_exists(path("tokenizer_config.json"))) {
    apply_tokenizer_config(parts, read_text_file(path("tokenizer_config.json")), !has_json,
                           path("tokenizer_config.json"));
  }
  if (file_exists(path("generation_config.json"))) {
    read_generation_config(parts, read_text_file(path("generation_config.json")),
                           path("generation_config.json"));
  }
  return parts;
}

}  // namespace headgate

// Reads tokenizer.json, and refuses by name whatever would change ids and is not known here.
#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "text/json_fields.h"
#include "text/tokenizer_parts.h"
#include "text/vocabulary_json.h"

namespace headgate {
namespace {

[[noreturn]] void unsupported(std::string_view source, std::string_view what,
                              std::string_view expected) {
  constexpr size_t kShown = 300;
  fail(ErrorCode::kUnsupported, "{}: {}{} is not supported, expected {}", source,
       what.substr(0, kShown), what.size() > kShown ? "..." : "", expected);
}

// The members of a Sequence, or the single component itself; none for null.
std::vector<const json::value*> components(const json::value* value, std::string_view list_name,
                                           std::string_view source) {
  std::vector<const json::value*> out;
  if (!value) return out;
  const JsonFields fields(*value, source);
  if (fields.text("type") != "Sequence") return {value};
  const json::array* list = fields.require(list_name).if_array();
  if (!list) fail(ErrorCode::kInvalidFile, "{}: \"{}\" is not a list", source, list_name);
  for (const json::value& item : *list) out.push_back(&item);
  return out;
}

bool read_normalizer(const json::value* value, std::string_view source) {
  const auto steps = components(value, "normalizers", source);
  for (const json::value* step : steps) {
    const std::string_view type = JsonFields(*step, source).text("type");
    if (type != "NFC") unsupported(source, fmt::format("normalizer \"{}\"", type), "NFC or none");
  }
  return !steps.empty();
}

PreTokenizer read_split(const JsonFields& split, std::string_view source) {
  const json::value& pattern = split.require("pattern");
  const std::string_view regex = JsonFields(pattern, source).text("Regex");
  const auto pre = pre_tokenizer_of_regex(regex);
  if (!pre) {
    unsupported(source, fmt::format("pre_tokenizer pattern {}", dump_json(pattern)),
                "the expression of Qwen2 or of Qwen3.5");
  }
  if (split.text("behavior") != "Isolated" || split.boolean("invert", false)) {
    unsupported(source, "a Split that is inverted or not Isolated", "behavior Isolated");
  }
  return *pre;
}

PreTokenizer read_pre_tokenizer(const json::value* value, std::string_view source) {
  const auto steps = components(value, "pretokenizers", source);
  const std::string_view expected = "a Sequence of Split and ByteLevel";
  if (steps.size() != 2) unsupported(source, "this pre_tokenizer", expected);
  const JsonFields split(*steps[0], source);
  const JsonFields byte_level(*steps[1], source);
  if (split.text("type") != "Split" || byte_level.text("type") != "ByteLevel") {
    unsupported(source, "this pre_tokenizer", expected);
  }
  if (byte_level.boolean("add_prefix_space", true) || byte_level.boolean("use_regex", true)) {
    unsupported(source, "ByteLevel with add_prefix_space or use_regex", "both false");
  }
  return read_split(split, source);
}

void check_passive(const json::value* value, std::string_view list_name, std::string_view role,
                   std::string_view source) {
  for (const json::value* step : components(value, list_name, source)) {
    const std::string_view type = JsonFields(*step, source).text("type");
    if (type != "ByteLevel") {
      unsupported(source, fmt::format("{} \"{}\"", role, type), "ByteLevel");
    }
  }
}

void check_model(const JsonFields& model, std::string_view source) {
  const std::string_view type = model.text("type");
  if (type != "BPE" && !type.empty()) {
    unsupported(source, fmt::format("model \"{}\"", type), "BPE");
  }
  // With a token for each of the 256 bytes, unk_token, fuse_unk and byte_fallback never act.
  if (!model.text("continuing_subword_prefix").empty() ||
      !model.text("end_of_word_suffix").empty()) {
    unsupported(source, "continuing_subword_prefix or end_of_word_suffix", "neither");
  }
  const json::value* dropout = model.find("dropout");
  if (dropout && !(dropout->is_number() && dropout->to_number<double>() == 0)) {
    unsupported(source, "dropout", "none");
  }
}

std::string join_pair(const json::array& pair, size_t rank, std::string_view source) {
  if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
    fail(ErrorCode::kInvalidFile, "{}: merge {}: expected two strings", source, rank);
  }
  std::string merge(pair[0].get_string());
  merge += ' ';
  merge += std::string_view(pair[1].get_string());
  return merge;
}

std::vector<std::string> read_merges(const json::value& value, std::string_view source) {
  const json::array* list = value.if_array();
  if (!list) fail(ErrorCode::kInvalidFile, "{}: \"merges\" is not a list", source);
  std::vector<std::string> merges;
  merges.reserve(list->size());
  for (const json::value& merge : *list) {
    if (merge.is_string()) {
      merges.emplace_back(merge.get_string());
    } else if (merge.is_array()) {
      merges.push_back(join_pair(merge.get_array(), merges.size(), source));
    } else {
      fail(ErrorCode::kInvalidFile, "{}: merge {}: expected a string or a pair of strings", source,
           merges.size());
    }
  }
  return merges;
}

std::vector<AddedToken> read_added_tokens(const json::value* value, std::string_view source) {
  std::vector<AddedToken> added;
  if (!value) return added;
  const json::array* list = value->if_array();
  if (!list) fail(ErrorCode::kInvalidFile, "{}: \"added_tokens\" is not a list", source);
  for (const json::value& entry : *list) {
    const JsonFields fields(entry, source);
    const int32_t id = json_token_id(fields.require("id"), source, fields.text("content"));
    added.push_back(read_added_token(entry, id, source));
  }
  return added;
}

}  // namespace

std::vector<std::string> tokens_by_id(const json::value& vocab, std::string_view source) {
  const json::object* object = vocab.if_object();
  if (!object) fail(ErrorCode::kInvalidFile, "{}: the vocabulary is not an object", source);
  const int64_t limit = static_cast<int64_t>(object->size()) + kMaxIdGap;
  int64_t size = 0;
  for (const auto& entry : *object) {
    const int32_t id = json_token_id(entry.value(), source, entry.key());
    if (id >= limit) {
      fail(ErrorCode::kInvalidFile, "{}: id of \"{}\" is {}, expected less than {} with {} tokens",
           source, std::string_view(entry.key()), id, limit, object->size());
    }
    size = std::max<int64_t>(size, int64_t{id} + 1);
  }
  std::vector<std::string> tokens(static_cast<size_t>(size));
  for (const auto& entry : *object) {
    const std::string_view token = entry.key();
    const int64_t id = entry.value().get_int64();
    std::string& place = tokens[static_cast<size_t>(id)];
    if (token.empty()) fail(ErrorCode::kInvalidFile, "{}: id {} has an empty token", source, id);
    if (!place.empty()) {
      fail(ErrorCode::kInvalidFile, "{}: id {} belongs to \"{}\" and to \"{}\"", source, id, place,
           token);
    }
    place = token;
  }
  return tokens;
}

AddedToken read_added_token(const json::value& entry, int32_t id, std::string_view source) {
  const JsonFields fields(entry, source);
  AddedToken token;
  token.id = id;
  token.content = fields.text("content");
  token.special = fields.boolean("special", false);
  token.lstrip = fields.boolean("lstrip", false);
  token.rstrip = fields.boolean("rstrip", false);
  token.normalized = fields.boolean("normalized", !token.special);
  if (fields.boolean("single_word", false)) {
    unsupported(source, fmt::format("added token \"{}\" with single_word", token.content),
                "single_word false");
  }
  return token;
}

TokenizerParts parse_tokenizer_json(std::string_view text, std::string_view source) {
  const json::value root = parse_json(text, source);
  const JsonFields file(root, source);
  const JsonFields model(file.require("model"), source);
  TokenizerParts parts;
  parts.source = source;
  check_model(model, source);
  parts.ignore_merges = model.boolean("ignore_merges", false);
  parts.nfc = read_normalizer(file.find("normalizer"), source);
  parts.pre = read_pre_tokenizer(file.find("pre_tokenizer"), source);
  check_passive(file.find("post_processor"), "processors", "post_processor", source);
  if (!file.find("decoder")) unsupported(source, "a file without decoder", "ByteLevel");
  check_passive(file.find("decoder"), "decoders", "decoder", source);
  parts.tokens = tokens_by_id(model.require("vocab"), source);
  parts.merges = read_merges(model.require("merges"), source);
  parts.added = read_added_tokens(file.find("added_tokens"), source);
  return parts;
}

}  // namespace headgate

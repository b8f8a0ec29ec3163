// Builds the vocabulary by its rule: ids 0..255 are the bytes, merge i makes id 256 + i.
#include "tests/support/qwen_tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "text/byte_level.h"

namespace headgate {

TokenizerParts qwen_tokenizer_parts(const std::string& source_dir) {
  const std::string folder = source_dir + "/tests/golden/tokenizer/";
  const json::value about =
      parse_json(read_text_file(folder + "qwen_tokenizer.json"), "qwen_tokenizer.json");
  TokenizerParts parts;
  parts.source = "qwen";
  for (const json::value& byte : about.at("byte_order").as_array()) {
    const char c = static_cast<char>(byte.as_int64());
    parts.tokens.push_back(spell_bytes({&c, 1}));
  }
  const std::string merges = read_text_file(folder + "qwen_merges.txt");
  for (size_t begin = 0; begin < merges.size();) {
    const size_t end = std::min(merges.find('\n', begin), merges.size());
    parts.merges.push_back(merges.substr(begin, end - begin));
    std::string merged = parts.merges.back();
    merged.erase(merged.find(' '), 1);
    parts.tokens.push_back(std::move(merged));
    begin = end + 1;
  }
  for (const json::value& entry : about.at("added").as_array()) {
    AddedToken token;
    token.id = static_cast<int32_t>(entry.at("id").as_int64());
    token.content = entry.at("content").as_string();
    token.special = entry.at("special").as_bool();
    parts.added.push_back(std::move(token));
  }
  parts.eos_ids = {151645, 151643};
  parts.pad_id = 151643;
  return parts;
}

std::string tokenizer_json_text(const TokenizerParts& parts) {
  json::object vocab;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (!parts.tokens[id].empty()) vocab[parts.tokens[id]] = id;
  }
  json::array merges(parts.merges.begin(), parts.merges.end());
  json::array added;
  for (const AddedToken& t : parts.added) {
    added.push_back(json::object{{"id", t.id},
                                 {"content", t.content},
                                 {"single_word", false},
                                 {"lstrip", t.lstrip},
                                 {"rstrip", t.rstrip},
                                 {"normalized", t.normalized},
                                 {"special", t.special}});
  }
  const json::object split{{"type", "Split"},
                           {"pattern", {{"Regex", pre_tokenizer_regex(parts.pre)}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  const json::object byte_level{{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"trim_offsets", true},
                                {"use_regex", false}};
  json::object file;
  file["version"] = "1.0";
  file["added_tokens"] = std::move(added);
  if (parts.nfc) file["normalizer"] = json::object{{"type", "NFC"}};
  file["pre_tokenizer"] =
      json::object{{"type", "Sequence"}, {"pretokenizers", json::array{split, byte_level}}};
  file["decoder"] = byte_level;
  file["model"] = json::object{{"type", "BPE"},
                               {"ignore_merges", parts.ignore_merges},
                               {"vocab", std::move(vocab)},
                               {"merges", std::move(merges)}};
  return dump_json(file);
}

}  // namespace headgate

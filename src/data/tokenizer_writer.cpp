// Writes a tokenizer as transformers reads it: tokenizer.json and tokenizer_config.json.
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/conversation.h"
#include "data/tokenizer_trainer.h"

namespace headgate {
namespace {

json::object added_flags(const AddedToken& token) {
  return {{"content", token.content}, {"single_word", false},           {"lstrip", token.lstrip},
          {"rstrip", token.rstrip},   {"normalized", token.normalized}, {"special", token.special}};
}

json::object byte_level(bool add_prefix_space) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", false},
          {"use_regex", false}};
}

json::object pre_tokenizer_json(PreTokenizer pre) {
  json::object split = {{"type", "Split"},
                        {"pattern", {{"Regex", std::string(pre_tokenizer_regex(pre))}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", json::array{split, byte_level(false)}}};
}

json::object model_json(const TokenizerParts& parts) {
  json::object vocab;
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (!parts.tokens[id].empty()) vocab[parts.tokens[id]] = id;
  json::array merges;
  for (const std::string& merge : parts.merges) {
    const size_t space = merge.find(' ');
    merges.push_back(json::array{merge.substr(0, space), merge.substr(space + 1)});
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", parts.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

// null for -1.
json::value content_of(const TokenizerParts& parts, int32_t id) {
  for (const AddedToken& token : parts.added)
    if (token.id == id) return json::value(token.content);
  return nullptr;
}

}  // namespace

std::string tokenizer_json_text(const TokenizerParts& parts) {
  json::array added;
  for (const AddedToken& token : parts.added) {
    json::object entry = {{"id", token.id}};
    for (const auto& field : added_flags(token)) entry[field.key()] = field.value();
    added.push_back(std::move(entry));
  }
  const json::object root = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", std::move(added)},
      {"normalizer", parts.nfc ? json::value(json::object{{"type", "NFC"}}) : json::value(nullptr)},
      {"pre_tokenizer", pre_tokenizer_json(parts.pre)},
      {"post_processor", nullptr},
      {"decoder", byte_level(false)},
      {"model", model_json(parts)}};
  return dump_json_python(root, 2) + "\n";
}

std::string tokenizer_config_text(const TokenizerParts& parts, std::string_view chat_template,
                                  int64_t context) {
  json::object decoder;
  json::array special;
  for (const AddedToken& token : parts.added) {
    decoder[std::to_string(token.id)] = added_flags(token);
    if (token.special && token.content != "<|endoftext|>") special.emplace_back(token.content);
  }
  const int32_t eos = parts.eos_ids.empty() ? -1 : parts.eos_ids.front();
  json::object root = {{"add_bos_token", false},
                       {"add_prefix_space", false},
                       {"added_tokens_decoder", std::move(decoder)},
                       {"additional_special_tokens", std::move(special)},
                       {"bos_token", nullptr},
                       {"chat_template", std::string(chat_template)},
                       {"clean_up_tokenization_spaces", false},
                       {"eos_token", content_of(parts, eos)},
                       {"errors", "replace"},
                       {"model_max_length", context},
                       {"pad_token", content_of(parts, parts.pad_id.value_or(-1))},
                       {"split_special_tokens", false},
                       {"tokenizer_class", "Qwen2Tokenizer"},
                       {"unk_token", nullptr}};
  return dump_json_python(root, 2) + "\n";
}

void write_tokenizer_folder(const TokenizerParts& parts, const std::string& folder,
                            int64_t context) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: {}", folder, error.message());
  write_text_file(folder + "/tokenizer.json", tokenizer_json_text(parts));
  write_text_file(folder + "/tokenizer_config.json",
                  tokenizer_config_text(parts, training_chat_template(), context));
  write_text_file(folder + "/chat_template.jinja", training_chat_template());
}

}  // namespace headgate

// A small tokenizer for the unit tests of this room: 256 bytes, a few merges, three added tokens.
#pragma once

#include "base/json.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace headgate {

// Ids: byte b is b; then "th" 256, "the" 257, " the" 258, "  " 259, "e\u0301"'s NFC form 260, and
// the added tokens <|end|> 261 (special), <think> 262, <think>x 263.
inline TokenizerParts toy_parts() {
  TokenizerParts parts;
  parts.source = "toy";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    parts.tokens.push_back(spell_bytes({&c, 1}));
  }
  const auto merge = [&parts](std::string_view left, std::string_view right) {
    parts.merges.push_back(spell_bytes(left) + " " + spell_bytes(right));
    parts.tokens.push_back(spell_bytes(std::string(left) + std::string(right)));
  };
  merge("t", "h");
  merge("th", "e");
  merge(" ", "the");
  merge(" ", " ");
  merge("\xc3", "\xa9");
  parts.added.push_back({261, "<|end|>", true, false, false, false});
  parts.added.push_back({262, "<think>", false, false, false, false});
  parts.added.push_back({263, "<think>x", false, false, false, false});
  parts.eos_ids = {261};
  return parts;
}

// The same as tokenizer.json, to be spoiled by tests.
inline json::value toy_json() {
  const TokenizerParts parts = toy_parts();
  json::object vocab;
  for (size_t id = 0; id < parts.tokens.size(); ++id) vocab[parts.tokens[id]] = id;
  json::array added;
  for (const AddedToken& t : parts.added) {
    added.push_back(json::object{
        {"id", t.id}, {"content", t.content}, {"special", t.special}, {"normalized", false}});
  }
  const json::value split = {{"type", "Split"},
                             {"pattern", {{"Regex", pre_tokenizer_regex(parts.pre)}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  const json::value byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array{split, byte_level}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocab},
        {"merges", json::array(parts.merges.begin(), parts.merges.end())}}}};
}

}  // namespace headgate

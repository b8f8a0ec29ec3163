// What a checkpoint brings for dealing with text: tokenizer, chat template, generation defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "chat/chat_template.h"
#include "formats/checkpoint.h"
#include "sampling/sampler.h"
#include "text/tokenizer.h"

namespace headgate {

// The folder of a Hugging Face checkpoint that was opened by a file in it.
std::string checkpoint_folder(const std::string& path);

// The tokenizer of a folder (its files) or of a GGUF (its metadata). Throws kNotFound when there is
// none.
Tokenizer load_tokenizer(const Checkpoint& checkpoint);
// From GGUF metadata alone; `source` names it in errors.
Tokenizer load_tokenizer_gguf(const GgufMetadata& gguf, const std::string& source);

// A chat template as stored, and where it stood ("model/chat_template.jinja").
struct StoredTemplate {
  json::value value;  // a text, or a list of {"name", "template"}
  std::string source;
  // The text itself; of a list the one named "default", else the first.
  std::string text() const;
};

// chat_template.jinja, else chat_template of tokenizer_config.json; of a GGUF
// tokenizer.chat_template. nullopt when there is none.
std::optional<StoredTemplate> stored_template(const Checkpoint& checkpoint);
std::optional<StoredTemplate> stored_template_of_folder(const std::string& folder);

// The compiled template, or the built-in one for a checkpoint without.
ChatTemplate compile_template(const std::optional<StoredTemplate>& stored);

// Texts of the special tokens that templates may use: {"bos_token": "...", "eos_token": "..."}.
json::object special_token_texts(const Tokenizer& tokenizer);

// Sampling parameters that a request starts from: those of generation_config.json (do_sample false:
// greedy) or general.sampling.* of a GGUF. Where the checkpoint says nothing, what Qwen recommends
// for its Instruct models: temperature 0.7, top-p 0.8, top-k 20.
SamplingParams sampling_defaults(const Checkpoint& checkpoint);

// Ids that end an answer: those of the checkpoint and of the tokenizer, each once.
std::vector<int32_t> stop_tokens(const std::vector<int32_t>& of_checkpoint,
                                 const Tokenizer& tokenizer);

}  // namespace headgate

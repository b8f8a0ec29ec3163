// Metadata of a GGUF from a folder's JSON files, and those files from the metadata.
#pragma once

#include <string>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "text/tokenizer_parts.h"

namespace headgate {

// general.file_type of a file whose matrices are mostly of `type`. Source: llama.cpp, enum
// llama_ftype.
int64_t gguf_file_type(DType type);

// Everything a GGUF says about the model in `folder` but its tensors: sizes, rope, tokenizer,
// template, sampling defaults. The folder's own JSON files travel along under headgate.hf.*, so
// that plan_folder can restore them. A gguf_metadata.gguf in the folder (see write_folder_files)
// wins over all of it.
GgufMetadata make_gguf_metadata(const Checkpoint& folder, const ModelConfig& config,
                                const std::string& name, DType matrix_type, bool mtp);

// The parts of it that need no folder: general.*, sizes, rope and delta net; then the tokenizer.
GgufMetadata make_model_metadata(const ModelConfig& config, const std::string& name,
                                 DType matrix_type, bool mtp);
void add_tokenizer_metadata(GgufMetadata& metadata, const TokenizerParts& parts,
                            const ModelConfig& config);

// Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json,
// chat_template.jinja and gguf_metadata.gguf (the metadata, byte for byte) for the model of `gguf`
// into `folder`.
void write_folder_files(const Checkpoint& gguf, const ModelConfig& config, DType matrix_type,
                        const std::string& folder);

}  // namespace headgate

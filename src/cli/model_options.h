// The options that every command with a model shares, and loading what they name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "chat/checkpoint_text.h"
#include "cli/args.h"
#include "engine/session.h"
#include "formats/checkpoint.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace headgate {

struct ModelOptions {
  std::string path;     // empty: the embedded model
  std::string adapter;  // folder of a LoRA adapter; empty: none
  int threads = 0;
  bool pin = false;
  int64_t context = 0;
  std::optional<double> yarn;
  std::string kv_type = "auto";
  int64_t chunk = 0;  // prompt tokens per step; 0: chosen for the model
  bool no_pack = false;
  std::string packed_cache;  // folder of packed side files; empty: none
  bool exact = false;
  bool no_mtp = false;
  std::string drafts = "off";  // auto, off or a number
  DraftOptions drafting;
};

// -m alone, for commands that only look at files.
void add_model_path(Command& command, ModelOptions& options);
// Everything about loading and state, without -m; and with it.
void add_loading_options(Command& command, ModelOptions& options);
void add_model_options(Command& command, ModelOptions& options);

// --draft and its like, for commands that generate; the default is auto.
void add_draft_option(Command& command, ModelOptions& options);

// Opens what -m names. Throws kNotFound without -m when the binary holds no model.
Checkpoint open_model_files(const ModelOptions& options);

// A model ready to run. Members are destroyed bottom up, as they need each other.
struct LoadedModel {
  Checkpoint checkpoint;
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const Model> model;
  double load_seconds = 0;

  const std::string& name() const { return checkpoint.path; }
};

// Loads with a progress bar; Ctrl-C cancels (an InterruptScope must exist). With `progress` that is
// asked instead.
LoadedModel load_model(const ModelOptions& options, const LoadProgress& progress = nullptr);

// --chunk, or what suits the model.
int64_t prefill_chunk(const ModelOptions& options, const ModelConfig& config);
DType kv_dtype(const ModelOptions& options, const ModelConfig& config);
SessionOptions session_options(const ModelOptions& options, const ModelConfig& config);

// What the bits of a state depend on besides the configuration: this build, the kernels, how the
// weights were loaded, and what is in the model. See StateFileInfo::profile.
std::string state_identity(const LoadedModel& loaded, const ModelOptions& options);

// The tokenizer of what -m names: a folder with tokenizer files (no weights needed), a
// tokenizer.json, a GGUF, or the embedded model.
Tokenizer load_tokenizer_of(const ModelOptions& options);

// Ids that have text; for samplers. Without a tokenizer every id counts.
int64_t text_tokens(const Tokenizer* tokenizer, const ModelConfig& config);

}  // namespace headgate

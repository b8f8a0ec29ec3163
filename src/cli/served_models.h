// The models of a server: what -m says of each, and how each is loaded.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "engine/engine.h"
#include "server/model_host.h"

namespace headgate {

// What -m says of one model: "PATH" or "NAME=PATH", then settings as in "NAME=PATH,adapter=DIR".
struct ModelSpec {
  std::string name;  // empty: after the file or folder
  std::string path;  // empty: the embedded model
  std::string adapter;
  std::vector<std::string> aliases;
  int64_t context = -1;  // -1: --ctx
};

// Throws kInvalidArgument for a setting that is not known. What begins with '/', '~', "./" or "../"
// is a path, whatever is in it: "./a=b.gguf".
ModelSpec parse_model_spec(const std::string& text);

// embedded_model_id() for the embedded model, else the file's or folder's own name.
std::string model_name_of(const std::string& path);

// What all models of a server share.
struct ServedModelsOptions {
  ModelOptions loading;  // but path and adapter
  // Makes the engine's options for a loaded model; its name tells models apart on disk.
  std::function<EngineOptions(const LoadedModel& loaded, const ModelOptions& options,
                              const std::string& name)>
      engine;
  std::shared_ptr<std::atomic<bool>> at_start;  // true: loads draw their bar, and obey Ctrl-C
  int64_t state_bytes = 0;                      // of each model; 0: chosen
  int64_t budget_bytes = 0;                     // of all; 0: none
};

// Opens every model's files once, to know its sizes; weights are loaded later. Throws what
// open_model_files() does.
std::vector<HostedModel> hosted_models(const std::vector<ModelSpec>& specs,
                                       const ServedModelsOptions& options);

// A name as one step of a path: "qwen/next" is "qwen--next".
std::string folder_name(const std::string& model_name);

}  // namespace headgate

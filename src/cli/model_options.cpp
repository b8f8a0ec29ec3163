// Opening and loading of models for the commands.
#include "cli/model_options.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/embedded_model.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/draft_control.h"
#include "model/adapter.h"
#include "model/model_identity.h"
#include "model/prefill_chunk.h"

namespace headgate {
namespace {

bool ends_with(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         std::string_view(text).substr(text.size() - suffix.size()) == suffix;
}

int64_t draft_count(const std::string& text) {
  if (text == "auto") return -1;
  if (text == "off") return 0;
  int64_t count = -1;
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec != std::errc() || parsed.ptr != end || count < 0 || count > kMostDrafts) {
    fail(ErrorCode::kInvalidArgument, "--draft: found {}, expected auto, off or 0 to {}",
         printable(text), kMostDrafts);
  }
  return count;
}

}  // namespace

void add_model_path(Command& command, ModelOptions& options) {
  command.group("Model")
      .option("-m,--model", options.path,
              "Folder of a Hugging Face checkpoint, or a GGUF file; the embedded model without it")
      .takes("PATH");
}

void add_model_options(Command& command, ModelOptions& options) {
  add_model_path(command, options);
  add_loading_options(command, options);
}

void add_loading_options(Command& command, ModelOptions& options) {
  command.option("-t,--threads", options.threads, "Threads to compute with; 0: one per core")
      .option("--adapter", options.adapter,
              "Folder of a LoRA adapter (PEFT's layout) that is merged into the weights of -m")
      .takes("DIR")
      .flag("--pin", options.pin,
            "Keep each thread on a core of its own: faster on a machine that runs nothing else")
      .option("-c,--ctx", options.context, "Tokens of context; 0: all that the model was made for")
      .option("--yarn", options.yarn,
              "Stretch the context so many times by YaRN, for what does not fit into it; shorter "
              "prompts keep their quality. 0: what the file says, for all")
      .takes("FACTOR")
      .choice("--kv-type", options.kv_type, {"auto", "f32", "f16", "bf16", "int8", "q4"},
              "Type of cached keys and values; auto: f32 where they are small, else bf16; int8 and "
              "q4 take a half and 28 % of bf16 and are read as fast")
      .option("--chunk", options.chunk, "Prompt tokens per step; 0: as suits the model")
      .flag("--mmap,--no-pack", options.no_pack,
            "Compute straight from the mapped file: less memory and no loading time, but slower")
      .option(
          "--packed-cache", options.packed_cache,
          "Folder that keeps the packed weights, so that the next start maps them; made if absent")
      .takes("DIR")
      .flag("--exact", options.exact,
            "Multiply quantised weights with fp32 activations: slower, the most exact")
      .flag("--no-mtp", options.no_mtp, "Leave the multi-token-prediction module out");
}

void add_draft_option(Command& command, ModelOptions& options) {
  options.drafts = "auto";
  command
      .option("--draft", options.drafts,
              "Tokens to draft and verify together: auto, off or a number up to 7. Changes the "
              "speed, never the text")
      .takes("N")
      .option("--draft-top-k", options.drafting.top_k,
              "Draft among the module's K likeliest tokens; 1: the likeliest, 0: all, drawn as the "
              "text is")
      .takes("K")
      .option("--draft-vocabulary", options.drafting.vocabulary,
              "Draft among the first N token ids and those of the text, which is faster; 0: all")
      .takes("N");
}

Checkpoint open_model_files(const ModelOptions& options) {
  if (!options.path.empty()) {
    Checkpoint checkpoint = open_checkpoint(options.path);
    if (!options.adapter.empty()) apply_adapter(checkpoint, options.adapter);
    return checkpoint;
  }
  if (embedded_model().empty()) {
    fail(ErrorCode::kNotFound,
         "this build has no embedded model: name one with -m PATH (a folder or a GGUF file)");
  }
  return open_checkpoint_memory(embedded_model(), kEmbeddedModelName);
}

LoadedModel load_model(const ModelOptions& options, const LoadProgress& progress) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  loaded.checkpoint = open_model_files(options);
  BackendOptions backend;
  if (options.threads < 0) {
    fail(ErrorCode::kInvalidArgument, "--threads: found {}, expected 0 or more", options.threads);
  }
  if (!options.packed_cache.empty() && (options.no_pack || options.exact)) {
    fail(ErrorCode::kInvalidArgument,
         "--packed-cache: found with {}, which packs nothing, expected one of them",
         options.no_pack ? "--mmap" : "--exact");
  }
  if (!options.packed_cache.empty() && options.path.empty()) {
    log_warning("--packed-cache: the embedded model is packed in memory, nothing is kept in {}",
                options.packed_cache);
  }
  if (!options.adapter.empty() && (options.path.empty() || !options.packed_cache.empty())) {
    fail(ErrorCode::kInvalidArgument, "--adapter: expected -m FOLDER and no --packed-cache");
  }
  backend.threads = options.threads;
  backend.pin = options.pin;
  backend.pack = !options.no_pack;
  backend.exact_activations = options.exact;
  loaded.backend = open_backend(backend);
  ProgressBar bar("Loading", ProgressUnit::kBytes);
  const LoadProgress draw = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  LoadOptions load;
  load.mtp = !options.no_mtp;
  load.packed_cache = options.packed_cache;
  load.yarn_factor = options.yarn.value_or(0);
  load.progress = progress ? progress : draw;
  loaded.model = Model::load(loaded.checkpoint, *loaded.backend, load);
  bar.finish();
  loaded.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

DType kv_dtype(const ModelOptions& options, const ModelConfig& config) {
  if (options.kv_type == "auto") return default_kv_dtype(config);
  return kv_type_from_name(options.kv_type).value();
}

int64_t prefill_chunk(const ModelOptions& options, const ModelConfig& config) {
  if (options.chunk < 0)
    fail(ErrorCode::kInvalidArgument, "--chunk: found {}, expected 0 or more", options.chunk);
  return options.chunk > 0 ? options.chunk : default_prefill_chunk(config);
}

SessionOptions session_options(const ModelOptions& options, const ModelConfig& config) {
  if (options.context < 0) {
    fail(ErrorCode::kInvalidArgument, "--ctx: found {}, expected 0 or more", options.context);
  }
  SessionOptions session;
  session.context = options.context;
  session.prefill_chunk = prefill_chunk(options, config);
  session.kv_dtype = kv_dtype(options, config);
  session.drafts = draft_count(options.drafts);
  check_draft_options(options.drafting);
  session.drafting = options.drafting;
  return session;
}

std::string state_identity(const LoadedModel& loaded, const ModelOptions& options) {
  // "cpu, avx512, 2 threads": how many threads there are changes no bit.
  std::string kernels = loaded.backend->description();
  kernels.resize(std::min(kernels.size(), kernels.rfind(", ")));
  return fmt::format("headgate {} {} exact {} packed {} model {}", HEADGATE_VERSION, kernels,
                     options.exact, !options.no_pack, checkpoint_identity(loaded.checkpoint));
}

Tokenizer load_tokenizer_of(const ModelOptions& options) {
  if (!options.path.empty() && is_directory(options.path))
    return load_tokenizer_folder(options.path);
  if (ends_with(options.path, ".json") && !ends_with(options.path, ".index.json"))
    return Tokenizer::from_json(read_text_file(options.path), options.path);
  return load_tokenizer(open_model_files(options));
}

int64_t text_tokens(const Tokenizer* tokenizer, const ModelConfig& config) {
  if (tokenizer == nullptr) return config.vocabulary;
  return std::min<int64_t>(config.vocabulary, tokenizer->vocab_size());
}

}  // namespace headgate

// Runs llama.cpp on tests named line by line on standard input, so that it can be timed in turns
// with headgate bench --interactive.
//
// llama_cpp_driver MODEL THREADS REPACK(0|1); commands, each answered by one line of JSON:
//   open SEQUENCES TOKENS MICRO_BATCH FLASH(0|1) KV_TYPE   a new context
//   prefill TOKENS    read so many more tokens of every sequence, logits of the last
//   decode TOKENS     so many steps of one token of every sequence, with logits
//   quit
// Tokens are random as in llama-bench; prompts go in batches of 2048, as there.
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kBatchTokens = 2048;

struct FreeModel {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
struct FreeContext {
  void operator()(llama_context* context) const { llama_free(context); }
};
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ggml_type kv_type(const std::string& name) {
  if (name == "f32") return GGML_TYPE_F32;
  if (name == "f16") return GGML_TYPE_F16;
  if (name == "bf16") return GGML_TYPE_BF16;
  if (name == "q8_0") return GGML_TYPE_Q8_0;
  if (name == "q4_0") return GGML_TYPE_Q4_0;
  throw std::runtime_error("unknown KV type " + name);
}

class Driver {
 public:
  Driver(const char* path, int threads, bool repack) : threads_(threads) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    params.use_extra_bufts = repack;
    // In memory of its own: a mapped file loses pages while the other program has its turn.
    params.load_mode = LLAMA_LOAD_MODE_NONE;
    model_.reset(llama_model_load_from_file(path, params));
    if (!model_) throw std::runtime_error("llama.cpp cannot load the model");
    vocabulary_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
    batch_ = llama_batch_init(kBatchTokens, 0, 1);
  }
  ~Driver() { llama_batch_free(batch_); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void open(int sequences, int tokens, int micro_batch, bool flash, const std::string& kv) {
    context_.reset();
    llama_context_params params = llama_context_default_params();
    // Every sequence has a stream of its own, padded to 256 cells.
    params.n_ctx = static_cast<uint32_t>(sequences * ((tokens + 511) / 256 * 256));
    params.n_batch = kBatchTokens;
    params.n_ubatch = static_cast<uint32_t>(micro_batch);
    params.n_seq_max = static_cast<uint32_t>(sequences);
    params.n_threads = params.n_threads_batch = threads_;
    params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = params.type_v = kv_type(kv);
    context_.reset(llama_init_from_model(model_.get(), params));
    if (!context_) throw std::runtime_error("llama.cpp cannot make this context");
    sequences_ = sequences;
    position_ = 0;
    // As llama-bench does: one small batch and one token before anything is timed.
    prefill(16);
    decode(1);
    llama_memory_clear(llama_get_memory(context_.get()), false);
    position_ = 0;
  }

  double prefill(int tokens) {
    need_context();
    double seconds = 0;
    for (int s = 0; s < sequences_; ++s) {
      const std::vector<llama_token> text = random_text(tokens);
      const Clock::time_point start = Clock::now();
      for (int done = 0; done < tokens; done += kBatchTokens) {
        batch_.n_tokens = 0;
        const int now = std::min(kBatchTokens, tokens - done);
        for (int i = 0; i < now; ++i)
          add(text[static_cast<size_t>(done + i)], position_ + done + i, s, i + 1 == now);
        run();
      }
      llama_synchronize(context_.get());
      seconds += seconds_since(start);
    }
    position_ += tokens;
    return seconds;
  }

  double decode(int tokens) {
    need_context();
    const std::vector<llama_token> text = random_text(tokens * sequences_);
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < tokens; ++i) {
      batch_.n_tokens = 0;
      for (int s = 0; s < sequences_; ++s)
        add(text[static_cast<size_t>(i * sequences_ + s)], position_ + i, s, true);
      run();
      llama_synchronize(context_.get());
    }
    position_ += tokens;
    return seconds_since(start);
  }

  int position() const { return position_; }

 private:
  void need_context() const {
    if (!context_) throw std::runtime_error("no context, expected open first");
  }

  std::vector<llama_token> random_text(int tokens) const {
    std::vector<llama_token> text(static_cast<size_t>(tokens));
    for (llama_token& token : text) token = std::rand() % vocabulary_;
    return text;
  }

  void add(llama_token token, int position, int sequence, bool logits) {
    const int i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = logits ? 1 : 0;
  }

  void run() {
    const int status = llama_decode(context_.get(), batch_);
    if (status != 0) throw std::runtime_error("llama_decode returned " + std::to_string(status));
  }

  int threads_;
  int vocabulary_ = 0;
  int sequences_ = 0;
  int position_ = 0;  // tokens of each sequence
  std::unique_ptr<llama_model, FreeModel> model_;
  std::unique_ptr<llama_context, FreeContext> context_;
  llama_batch batch_{};
};

void answer(Driver& driver, const std::string& line) {
  std::istringstream words(line);
  std::string verb, kv;
  int sequences = 0, tokens = 0, micro_batch = 0, flash = 0;
  words >> verb;
  if (verb == "open") {
    if (!(words >> sequences >> tokens >> micro_batch >> flash >> kv))
      throw std::runtime_error("open: expected SEQUENCES TOKENS MICRO_BATCH FLASH KV_TYPE");
    driver.open(sequences, tokens, micro_batch, flash != 0, kv);
    std::cout << "{\"position\": 0}" << std::endl;
    return;
  }
  if ((verb != "prefill" && verb != "decode") || !(words >> tokens) || tokens < 1)
    throw std::runtime_error("expected open, prefill N, decode N or quit");
  const double seconds = verb == "prefill" ? driver.prefill(tokens) : driver.decode(tokens);
  std::cout << "{\"seconds\": " << seconds << ", \"position\": " << driver.position() << "}"
            << std::endl;
}

void log_errors(ggml_log_level level, const char* text, void*) {
  if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT) std::fputs(text, stderr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: llama_cpp_driver MODEL THREADS REPACK\n");
    return 2;
  }
  llama_log_set(log_errors, nullptr);
  llama_backend_init();
  try {
    Driver driver(argv[1], std::atoi(argv[2]), std::strcmp(argv[3], "1") == 0);
    std::cout << "{\"system\": \"" << llama_print_system_info() << "\"}" << std::endl;
    std::string line;
    while (std::getline(std::cin, line) && line != "quit") {
      try {
        answer(driver, line);
      } catch (const std::exception& error) {
        std::cout << "{\"error\": \"" << error.what() << "\"}" << std::endl;
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llama_cpp_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}

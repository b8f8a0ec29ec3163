// The headgate program: finds the subcommand, runs it, turns errors into one line and an exit code.
#include <csignal>
#include <exception>
#include <new>

#include "base/error.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace {

int run_command_line(int argc, const char* const* argv) {
  headgate::CommandLine line("headgate", "Runs, inspects, converts and measures Qwen3-Next models.",
                             HEADGATE_VERSION);
  headgate::add_run(line);
  headgate::add_chat(line);
  headgate::add_session(line);
  headgate::add_serve(line);
  headgate::add_keys(line);
  headgate::add_ps(line);
  headgate::add_inspect(line);
  headgate::add_convert(line);
  headgate::add_quantize(line);
  headgate::add_perplexity(line);
  headgate::add_bench(line);
  headgate::add_tokenize(line);
  headgate::add_detokenize(line);
  headgate::add_template(line);
  headgate::add_explain(line);
  headgate::add_logits(line);
  headgate::add_synth(line);
  headgate::add_tokenizer(line);
  headgate::add_data(line);
  headgate::add_train(line);
  headgate::add_eval(line);
  headgate::add_version(line);
  headgate::add_completion(line);
  headgate::add_man(line);
  return line.run(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that leaves early ends us quietly, as it ends cat; some parents ignore the signal.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return run_command_line(argc, argv);
  } catch (const headgate::Error& error) {
    headgate::report_error(error.what());
    return headgate::exit_code(error.code());
  } catch (const std::bad_alloc&) {
    headgate::report_error("out of memory");
    return headgate::exit_code(headgate::ErrorCode::kResourceExhausted);
  } catch (const std::exception& error) {
    headgate::report_error(std::string("internal error: ") + error.what());
    return headgate::exit_code(headgate::ErrorCode::kInternal);
  }
}

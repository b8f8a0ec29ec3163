// The subcommands: each function declares one and says what it does.
#pragma once

namespace headgate {

class CommandLine;

void add_run(CommandLine& line);
void add_chat(CommandLine& line);
void add_inspect(CommandLine& line);
void add_convert(CommandLine& line);
void add_quantize(CommandLine& line);
void add_perplexity(CommandLine& line);
void add_tokenize(CommandLine& line);
void add_detokenize(CommandLine& line);
void add_template(CommandLine& line);
void add_logits(CommandLine& line);
void add_synth(CommandLine& line);
void add_tokenizer(CommandLine& line);
void add_data(CommandLine& line);
void add_train(CommandLine& line);
void add_eval(CommandLine& line);
void add_bench(CommandLine& line);
void add_serve(CommandLine& line);
void add_keys(CommandLine& line);
void add_explain(CommandLine& line);
void add_ps(CommandLine& line);
void add_session(CommandLine& line);
void add_version(CommandLine& line);
// After all others: these describe them.
void add_completion(CommandLine& line);
void add_man(CommandLine& line);

}  // namespace headgate

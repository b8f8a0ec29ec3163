// headgate tokenizer train: a byte-level BPE vocabulary from text.
#include <fmt/core.h>

#include <chrono>

#include "base/error.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "data/conversation.h"
#include "data/corpus_reader.h"
#include "data/skills.h"
#include "data/tokenizer_trainer.h"

namespace headgate {
namespace {

struct Options {
  std::string task;
  std::vector<std::string> files;
  std::string output;
  int64_t vocab_size = 8192;
  int64_t min_count = 2;
  int64_t skills = 0;
  int64_t context = 32768;
  uint64_t seed = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void add_conversation(TokenizerTrainer& trainer, const Conversation& conversation) {
  for (const Segment& segment : conversation_segments(conversation)) trainer.add(segment.text);
}

// Generated samples, so that the formats of the skills are in the vocabulary.
void add_skills(TokenizerTrainer& trainer, const Options& o) {
  SkillOptions options;
  options.seed = o.seed;
  options.needle_words = 20;
  const Passages none;
  for (int64_t i = 0; i < o.skills; ++i) {
    const SkillFamily& family = skill_families()[static_cast<size_t>(i) % skill_families().size()];
    add_conversation(
        trainer, make_skill_sample(family, options, none, static_cast<uint64_t>(i)).conversation);
  }
}

int train(const Options& o) {
  if (o.files.empty() && o.skills == 0)
    fail(ErrorCode::kInvalidArgument, "no text: expected files or --skills N");
  TokenizerTrainerOptions options;
  if (o.vocab_size < 1 || o.vocab_size > 1 << 20)
    fail(ErrorCode::kInvalidArgument, "--vocab-size {}: expected up to {}", o.vocab_size, 1 << 20);
  options.vocab_size = static_cast<int32_t>(o.vocab_size);
  options.min_count = o.min_count;
  for (const ChatTokenName& name : training_added_tokens())
    options.added.push_back({-1, std::string(name.content), name.special, false, false, false});
  const InterruptScope interrupts;
  const auto start = std::chrono::steady_clock::now();
  TokenizerTrainer trainer(options);
  CorpusSink sink;
  sink.on_text = [&trainer](std::string_view text) { trainer.add(text); };
  sink.on_conversation = [&trainer](const Conversation& c) { add_conversation(trainer, c); };
  for (const std::string& file : o.files) {
    if (InterruptScope::interrupted()) fail(ErrorCode::kCancelled, "stopped");
    read_corpus(file, sink);
  }
  add_skills(trainer, o);
  const double counted = seconds_since(start);
  ProgressBar bar("Merging", ProgressUnit::kSteps);
  const TokenizerParts parts = trainer.train([&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  });
  bar.finish();
  write_tokenizer_folder(parts, o.output, o.context);
  print("{} entries from {} ({} pieces) in {} to {}; counting {}/s\n", o.vocab_size,
        format_bytes(static_cast<double>(trainer.text_bytes())),
        format_digits(trainer.distinct_pieces()), format_seconds(seconds_since(start)),
        printable(o.output), format_bytes(static_cast<double>(trainer.text_bytes()) / counted));
  return 0;
}

}  // namespace

void add_tokenizer(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("tokenizer", "Train a byte-level BPE tokenizer on text");
  command.choice("task", o->task, {"train"}, "What to do")
      .required()
      .option("files", o->files, "Texts, or .jsonl files with \"text\" or \"messages\" per line")
      .takes("FILE..")
      .option("-o,--output", o->output, "Folder for tokenizer.json and the chat template")
      .takes("FOLDER")
      .required()
      .option("--vocab-size", o->vocab_size, "Entries: 256 bytes, merges and 26 added tokens")
      .option("--min-count", o->min_count, "Leave pairs alone that are seen less often")
      .option("--skills", o->skills, "Add so many generated samples to the text")
      .option("--context", o->context, "model_max_length of tokenizer_config.json")
      .option("--seed", o->seed, "Other generated samples")
      .example("headgate tokenizer train books.jsonl --skills 20000 -o tokenizer",
               "8192 entries from a corpus and the skill generator")
      .action([o] { return train(*o); });
}

}  // namespace headgate

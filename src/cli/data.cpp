// headgate data: generated skills, and texts and conversations as token shards.
#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/terminal.h"
#include "data/corpus_reader.h"
#include "data/row_source.h"
#include "data/skills.h"
#include "data/token_shard.h"
#include "text/tokenizer.h"

namespace headgate {
namespace {

struct Options {
  std::string task;
  std::vector<std::string> files;
  std::string output, tokenizer, family, split = "training", passages;
  std::optional<std::string> held_out;
  int64_t count = 10;
  int64_t held_out_share = 64;
  int64_t needle_words = 260;
  std::optional<double> thinking;
  uint64_t seed = 0;
};

SkillSplit split_of(const std::string& name) {
  if (name == "fresh") return SkillSplit::kFreshPrompts;
  if (name == "words") return SkillSplit::kNewWords;
  return name == "templates" ? SkillSplit::kNewTemplates : SkillSplit::kTraining;
}

json::object sample_json(const SkillFamily& family, const SkillSample& sample) {
  json::array segments;
  for (const Segment& segment : conversation_segments(sample.conversation))
    segments.push_back(json::array{segment.text, segment.target ? 1 : 0});
  return {{"skill", std::string(family.name)},
          {"answer", sample.answer},
          {"segments", std::move(segments)}};
}

int show_skills(const Options& o) {
  SkillOptions options;
  options.seed = o.seed;
  options.split = split_of(o.split);
  options.needle_words = o.needle_words;
  options.thinking = o.thinking.value_or(-1);
  const Passages passages(o.passages.empty() ? std::string() : read_text_file(o.passages));
  std::string out;
  for (const SkillFamily& family : skill_families()) {
    if (!o.family.empty() && &family != &find_skill_family(o.family)) continue;
    for (int64_t i = 0; i < o.count; ++i)
      out += dump_json_python(sample_json(
                 family, make_skill_sample(family, options, passages, static_cast<uint64_t>(i)))) +
             "\n";
  }
  if (o.output.empty()) {
    write_stdout(out);
  } else {
    write_text_file(o.output, out);
  }
  return 0;
}

// Two shards: a document belongs to one of them by the hash of its tokens, so that the same
// document is never in both, whatever the order of the files.
class ShardPair {
 public:
  ShardPair(const Options& o, int64_t vocabulary, bool masked)
      : share_(static_cast<uint64_t>(o.held_out_share)), training_(o.output, vocabulary, masked) {
    if (o.held_out) held_out_.emplace(*o.held_out, vocabulary, masked);
  }
  void add(const std::vector<int32_t>& ids, const std::vector<uint8_t>& targets) {
    uint64_t hash = 0;
    for (int32_t id : ids) hash = mix_bits(hash ^ static_cast<uint64_t>(id));
    const bool out = held_out_ && hash % share_ == 0;
    (out ? *held_out_ : training_).add(ids, targets);
  }
  void commit() {
    training_.commit();
    if (held_out_) held_out_->commit();
  }
  const TokenShardWriter& training() const { return training_; }
  int64_t held_out_tokens() const { return held_out_ ? held_out_->tokens() : 0; }

 private:
  uint64_t share_;
  TokenShardWriter training_;
  std::optional<TokenShardWriter> held_out_;
};

int encode_files(const Options& o) {
  if (o.files.empty()) fail(ErrorCode::kInvalidArgument, "data {}: expected files", o.task);
  if (o.output.empty() || o.tokenizer.empty())
    fail(ErrorCode::kInvalidArgument, "data {}: expected --tokenizer and --output", o.task);
  if (o.held_out_share < 2)
    fail(ErrorCode::kInvalidArgument, "--held-out-share {}: expected 2 or more", o.held_out_share);
  const Tokenizer tokenizer = load_tokenizer_folder(o.tokenizer);
  const InterruptScope interrupts;
  ShardPair shards(o, tokenizer.vocab_size(), true);
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  CorpusSink sink;
  const auto end_of_text = tokenizer.find("<|endoftext|>");
  const auto finish = [&] {
    if (InterruptScope::interrupted()) fail(ErrorCode::kCancelled, "stopped");
    shards.add(ids, targets);
  };
  if (o.task == "text")
    sink.on_text = [&](std::string_view text) {
      // What a book says is text, also where it spells a chat token.
      EncodeOptions encode;
      encode.parse_special = false;
      ids = tokenizer.encode(text, encode);
      if (end_of_text) ids.push_back(*end_of_text);
      targets.assign(ids.size(), 1);
      finish();
    };
  else
    sink.on_conversation = [&](const Conversation& conversation) {
      ids.clear();
      targets.clear();
      encode_conversation(conversation, tokenizer, ids, targets);
      finish();
    };
  for (const std::string& file : o.files) read_corpus(file, sink);
  shards.commit();
  const TokenShardWriter& training = shards.training();
  print("{} tokens in {} documents, {} targets, to {}; {} tokens held out\n",
        format_digits(training.tokens()), format_digits(training.documents()),
        format_digits(training.targets()), printable(o.output),
        format_digits(shards.held_out_tokens()));
  return 0;
}

int inspect_shards(const Options& o) {
  TextTable table({0});
  table.row({"shard", "tokens", "documents", "longest", "vocabulary", "mask"});
  for (const std::string& file : o.files) {
    const TokenShard shard(file);
    int64_t longest = 0;
    for (int64_t d = 0; d < shard.documents(); ++d) longest = std::max(longest, shard.length(d));
    table.row({printable(file), format_digits(shard.tokens()), format_digits(shard.documents()),
               format_digits(longest), format_digits(shard.vocabulary()),
               shard.masked() ? "yes" : "no"});
  }
  write_stdout(table.text());
  return 0;
}

int run(const Options& o) {
  if (o.task == "skills") return show_skills(o);
  return o.task == "inspect" ? inspect_shards(o) : encode_files(o);
}

}  // namespace

void add_data(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("data", "Make training data: skills, token shards");
  command
      .choice("task", o->task, {"skills", "text", "chat", "inspect"},
              "skills: show generated samples; text, chat: make a token shard of files; inspect: "
              "describe shards")
      .required()
      .option("files", o->files, "Texts or .jsonl files (\"text\" or \"messages\"); shards")
      .takes("FILE..")
      .option("-o,--output", o->output, "File to write")
      .takes("FILE")
      .option("--tokenizer", o->tokenizer, "Folder of the tokenizer")
      .takes("FOLDER")
      .option("--held-out", o->held_out, "Second shard, for documents that are never trained on")
      .takes("FILE")
      .option("--held-out-share", o->held_out_share, "One document in so many goes there")
      .group("Skills")
      .option("--family", o->family, "One family only")
      .choice("--split", o->split, {"training", "fresh", "words", "templates"},
              "Which words, phrasings and prompts")
      .option("--count", o->count, "Samples per family")
      .option("--needle-words", o->needle_words, "Longest text a needle is in")
      .option("--thinking", o->thinking, "Share of samples with reasoning")
      .option("--passages", o->passages, "A text to hide needles in")
      .takes("FILE")
      .option("--seed", o->seed, "Other samples")
      .example("headgate data skills --family arith --count 3", "what the generator makes")
      .example(
          "headgate data text books.jsonl --tokenizer tok -o books.tokens --held-out held.tokens",
          "a corpus as a token shard")
      .action([o] { return run(*o); });
}

}  // namespace headgate

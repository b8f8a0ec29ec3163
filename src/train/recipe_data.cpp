// Opens the sources of a phase and cuts its rows into micro-batches.
#include "train/recipe_data.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace headgate {

struct RecipeData::Phase {
  const RecipePhase* phase = nullptr;
  int64_t first_step = 0;
  std::vector<std::unique_ptr<RowSource>> sources;  // null where the share is 0
  RowMix mix;
  std::unique_ptr<RowSource> held_out;

  explicit Phase(const RecipePhase& described) : phase(&described), mix(described.mix) {}
};

namespace {

// What must not depend on the phase's position in the file is named by the phase's own number.
uint64_t source_seed(const Recipe& recipe, const RecipePhase& phase, size_t source) {
  const auto number = static_cast<uint64_t>(&phase - recipe.phases.data());
  return random_bits(recipe.seed, text_hash("source"), number << 32 | source);
}

std::unique_ptr<RowSource> open_shards(const std::vector<std::string>& files, double weight,
                                       const RecipePhase& phase, const Tokenizer& tokenizer,
                                       uint64_t seed) {
  ShardRowsOptions options;
  options.files = files;
  options.row_length = phase.row_length;
  options.vocabulary = tokenizer.vocab_size();
  options.weight = static_cast<float>(weight);
  options.pad_token = tokenizer.pad_id().value_or(0);
  options.seed = seed;
  return open_shard_rows(options);
}

std::unique_ptr<RowSource> open_source(const RecipeSource& source, const RecipePhase& phase,
                                       const Tokenizer& tokenizer, uint64_t seed) {
  if (!source.files.empty())
    return open_shards(source.files, source.weight, phase, tokenizer, seed);
  SkillRowsOptions options;
  options.families = source.families;
  options.skills.seed = seed;
  options.skills.needle_words = source.needle_words;
  options.skills.thinking = source.thinking;
  if (!source.passages.empty()) options.passages = read_text_file(source.passages);
  options.row_length = phase.row_length;
  options.weight = static_cast<float>(source.weight);
  options.pad_token = tokenizer.pad_id().value_or(0);
  return open_skill_rows(options, tokenizer);
}

// Cuts `rows` into batches of at most `micro` rows.
std::vector<TrainBatch> cut(const std::vector<TokenRow>& rows, int64_t micro) {
  std::vector<TrainBatch> out;
  const auto step = static_cast<size_t>(micro > 0 ? micro : static_cast<int64_t>(rows.size()));
  for (size_t at = 0; at < rows.size(); at += step) {
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), at + step));
    out.push_back(make_batch(std::vector<TokenRow>(first, last)));
  }
  return out;
}

}  // namespace

TrainBatch make_batch(const std::vector<TokenRow>& rows) {
  TrainBatch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  batch.length = rows.empty() ? 0 : rows[0].size();
  for (const TokenRow& row : rows) {
    HEADGATE_CHECK(row.size() == batch.length);
    batch.tokens.insert(batch.tokens.end(), row.tokens.begin(), row.tokens.end());
    batch.documents.insert(batch.documents.end(), row.documents.begin(), row.documents.end());
    batch.positions.insert(batch.positions.end(), row.positions.begin(), row.positions.end());
    batch.weights.insert(batch.weights.end(), row.weights.begin(), row.weights.end());
  }
  return batch;
}

RecipeData::RecipeData(const Recipe& recipe, const Tokenizer& tokenizer)
    : recipe_(recipe), tokenizer_(tokenizer) {
  open_phase(0);
}

RecipeData::~RecipeData() = default;

RecipeData::Phase& RecipeData::open_phase(int64_t step) {
  const auto [phase, before] = recipe_.phase_of(step);
  if (open_ && open_->phase == phase) return *open_;
  auto opened = std::make_unique<Phase>(*phase);
  opened->first_step = before;
  for (size_t s = 0; s < recipe_.sources.size(); ++s)
    opened->sources.push_back(
        phase->mix[s] > 0
            ? open_source(recipe_.sources[s], *phase, tokenizer_, source_seed(recipe_, *phase, s))
            : nullptr);
  if (!recipe_.evaluate_files.empty())
    opened->held_out = open_shards(recipe_.evaluate_files, 1, *phase, tokenizer_, 0);
  open_ = std::move(opened);
  return *open_;
}

std::vector<TrainBatch> RecipeData::batches(int64_t step, int64_t rank, int64_t ranks) {
  Phase& open = open_phase(step);
  const int64_t all = open.phase->rows;
  if (ranks < 1 || all % ranks != 0 || rank < 0 || rank >= ranks)
    fail(ErrorCode::kInvalidArgument, "rank {} of {}: expected ranks that divide the {} rows of {}",
         rank, ranks, all, open.phase->name);
  const int64_t mine = all / ranks;
  const int64_t first = (step - open.first_step) * all + rank * mine;
  std::vector<TokenRow> rows;
  for (int64_t row = first; row < first + mine; ++row) {
    const RowMix::Turn turn = open.mix.turn(row);
    rows.push_back(open.sources[turn.source]->row(turn.index));
  }
  return cut(rows, open.phase->micro_rows);
}

std::vector<TrainBatch> RecipeData::evaluation(int64_t step) {
  Phase& open = open_phase(step);
  if (!open.held_out) return {};
  const int64_t count = std::min(recipe_.evaluate_rows, open.held_out->rows_per_epoch());
  std::vector<TokenRow> rows;
  for (int64_t row = 0; row < count; ++row) rows.push_back(open.held_out->row(row));
  return cut(rows, open.phase->micro_rows > 0 ? open.phase->micro_rows : open.phase->rows);
}

}  // namespace headgate

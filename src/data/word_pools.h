// Words and phrasings the generator chooses from, divided between training and evaluation.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dice.h"

namespace headgate {

enum class WordPool : uint8_t {
  kName,
  kCity,
  kThing,
  kAnimal,
  kPlace,
  kFruit,
  kKey,
  kJob,
  kRoom,
  kColor,
  kDay,
  kMonth
};
constexpr size_t kWordPools = 12;

// Space-separated. Without words of its own (colours, days, months) the evaluation uses those of
// training.
struct WordLists {
  std::string_view training, evaluation;
};
const WordLists& word_lists(WordPool pool);

// Which words and phrasings are drawn, and which prompts are kept.
enum class SkillSplit : uint8_t {
  kTraining,      // training words, training phrasings, prompts outside the held-out sixteenth
  kFreshPrompts,  // training words and phrasings, held-out prompts
  kNewWords,      // words that training never draws, held-out prompts
  kNewTemplates   // such words in phrasings that training never uses, held-out prompts
};

// "{a} plus {b}" with the values of a and b.
using Slots = std::vector<std::pair<std::string_view, std::string>>;
std::string fill_template(std::string_view pattern, const Slots& slots);

// "an apple", "a pear".
std::string with_article(std::string_view noun);
// The first letter as a capital.
std::string capitalized(std::string_view text);
std::string joined(const std::vector<std::string>& items, std::string_view separator);

// Prose for needles and readings: sentences of a text, or made-up ones where no text was given.
class Passages {
 public:
  Passages() = default;
  // `text` is cut at blank lines; paragraphs of the evaluation are every 16th one.
  explicit Passages(std::string_view text);
  // About `words` words in a row; training and evaluation never share a paragraph of a given text.
  std::vector<std::string> words(Dice& dice, bool evaluation, int64_t count) const;

 private:
  std::vector<std::string> training_, evaluation_;
};

// What a skill writes its samples with.
class SkillContext {
 public:
  SkillContext(Dice& dice, SkillSplit split, const Passages& passages)
      : dice_(dice), split_(split), passages_(passages) {}

  Dice& dice() { return dice_; }
  bool evaluation() const { return split_ != SkillSplit::kTraining; }
  // Half of the words of open pools (names, cities, things) become made-up ones: such values have
  // to be copied and cannot be known. Training only; set by the caller per sample.
  void set_wild(bool wild) { wild_ = wild; }

  std::string one(WordPool pool) { return some(pool, 1)[0]; }
  std::vector<std::string> some(WordPool pool, int64_t count);  // distinct
  std::string made_up_word();  // pronounceable, never a word of the evaluation
  // The last sixth of a list of four or more phrasings, at least one, is kept for the evaluation.
  std::string_view phrasing(std::span<const std::string_view> options);
  std::vector<std::string> passage(int64_t words) {
    return passages_.words(dice_, evaluation(), words);
  }

 private:
  Dice& dice_;
  SkillSplit split_;
  const Passages& passages_;
  bool wild_ = false;
};

}  // namespace headgate

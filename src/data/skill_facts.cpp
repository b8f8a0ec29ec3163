// Facts with one right answer: capitals, languages, definitions, opposites, forms of words.
#include <fmt/core.h>

#include <algorithm>

#include "data/fact_tables.h"
#include "data/skill_makers.h"
#include "data/text_tables.h"

namespace headgate {
namespace {

using Patterns = std::span<const std::string_view>;

struct Exchange {
  std::string question, answer;
};

constexpr std::string_view kCapital[] = {"What is the capital of {a}?",
                                         "Which city is the capital of {a}?",
                                         "Capital of {a}?",
                                         "Tell me the capital of {a}.",
                                         "What's the capital of {a}?",
                                         "Name the capital of {a}.",
                                         "what is the capital of {a}",
                                         "Do you know the capital of {a}?",
                                         "The capital of {a} is which city?",
                                         "Can you tell me the capital of {a}?"};
constexpr std::string_view kCountry[] = {
    "Which country has the capital {b}?", "{b} is the capital of which country?",
    "What country is {b} the capital of?", "In which country is {b} the capital?"};
constexpr std::string_view kLanguage[] = {
    "Which language do people speak in {a}?", "What language is spoken in {a}?",
    "What do people speak in {a}?", "Which languages are spoken in {a}?"};
constexpr std::string_view kDefine[] = {"What is {a}?",
                                        "Explain {a}.",
                                        "Tell me about {a}.",
                                        "What does {a} mean?",
                                        "Define {a}.",
                                        "Can you explain {a}?",
                                        "what is {a}",
                                        "Do you know what {a} is?",
                                        "Please explain {a}.",
                                        "Describe {a}.",
                                        "Explain {a} to a child.",
                                        "Tell me what {a} is."};
constexpr std::string_view kOpposite[] = {
    "What is the opposite of {a}?", "Opposite of {a}?", "Give me the opposite of {a}.",
    "What's the opposite of \"{a}\"?", "Name the opposite of {a}."};
constexpr std::string_view kPast[] = {"What is the past tense of {a}?", "Past tense of {a}?",
                                      "Give me the past tense of {a}.",
                                      "What is {a} in the past tense?"};
constexpr std::string_view kPlural[] = {"What is the plural of {a}?", "Plural of {a}?",
                                        "Give me the plural of {a}.",
                                        "What do you call more than one {a}?"};
constexpr std::string_view kSound[] = {"What sound does {a} make?", "What does {a} do?",
                                       "Which sound does {a} make?", "Tell me the sound of {a}."};
constexpr std::string_view kSpell[] = {"Spell the word {a}.", "How do you spell {a}?", "Spell {a}",
                                       "Please spell {a}.", "Give me the letters of {a}."};
constexpr std::string_view kIsIt[] = {"Is {a} {b}?", "What is {a}, {b} or {o}?",
                                      "Is {a} {b} or {o}?", "Tell me, is {a} {b}?"};

Exchange from_pair(SkillContext& c, std::string_view table, Patterns patterns,
                   std::string_view answer, bool both_ways = false) {
  auto [a, b] = c.dice().pick(split_pairs(table));
  if (both_ways && c.dice().chance(0.5)) std::swap(a, b);
  const Slots slots = {{"a", a}, {"b", b}};
  return {fill_template(c.phrasing(patterns), slots), fill_template(answer, slots)};
}

Exchange sound(SkillContext& c) {
  const auto [animal, noise] = c.dice().pick(split_pairs(animal_sounds_table()));
  const std::string who = with_article(animal);
  return {fill_template(c.phrasing(kSound), {{"a", who}}),
          fmt::format("{} {}.", capitalized(who), noise)};
}

Exchange spelling(SkillContext& c) {
  const bool made_up = c.dice().chance(0.5);
  const std::string word = made_up ? c.made_up_word() : c.one(WordPool::kThing);
  std::vector<std::string> letters;
  for (char letter : word) letters.emplace_back(1, letter);
  return {fill_template(c.phrasing(kSpell), {{"a", word}}), joined(letters, "-")};
}

Exchange kind_of_thing(SkillContext& c) {
  const auto kinds = split_fields(kinds_table());
  const auto& kind = c.dice().pick(kinds);
  const auto& other = c.dice().pick(kinds);
  const std::string item = c.dice().pick(split_list(kind.second, ' '));
  return {fill_template(c.phrasing(kIsIt), {{"a", item}, {"b", kind.first}, {"o", other.first}}),
          fmt::format("{} is {}.", capitalized(item), kind.first)};
}

Exchange neighbour(SkillContext& c) {
  const bool month = c.dice().chance(0.5);
  const std::vector<std::string> all =
      split_list(word_lists(month ? WordPool::kMonth : WordPool::kDay).training, ' ');
  const auto count = static_cast<int64_t>(all.size());
  const int64_t at = c.dice().below(count);
  const bool after = c.dice().chance(0.5);
  const std::string& asked = all[static_cast<size_t>(at)];
  const std::string& found = all[static_cast<size_t>((at + (after ? 1 : count - 1)) % count)];
  const std::string_view word = after ? "after" : "before";
  return {fmt::format("What comes {} {}?", word, asked),
          fmt::format("{} comes {} {}.", found, word, asked)};
}

Exchange definition(SkillContext& c) {
  const auto [name, text] = c.dice().pick(split_fields(definitions_table()));
  return {fill_template(c.phrasing(kDefine), {{"a", name}}), text};
}

}  // namespace

SkillSample make_fact(SkillContext& c, const SkillOptions&) {
  Exchange exchange;
  switch (c.dice().below(14)) {
    case 0:
    case 1:
    case 2:
      exchange = from_pair(c, capitals_table(), kCapital, "The capital of {a} is {b}.");
      break;
    case 3:
      exchange = from_pair(c, capitals_table(), kCountry, "{b} is the capital of {a}.");
      break;
    case 4:
      exchange = from_pair(c, languages_table(), kLanguage, "People in {a} speak {b}.");
      break;
    case 5:
      exchange = from_pair(c, opposites_table(), kOpposite, "The opposite of {a} is {b}.", true);
      break;
    case 6:
      exchange = from_pair(c, past_tenses_table(), kPast, "The past tense of {a} is {b}.");
      break;
    case 7:
      exchange = from_pair(c, plurals_table(), kPlural, "The plural of {a} is {b}.");
      break;
    case 8:
      exchange = sound(c);
      break;
    case 9:
      exchange = spelling(c);
      break;
    case 10:
      exchange = kind_of_thing(c);
      break;
    case 11:
      exchange = neighbour(c);
      break;
    default:
      exchange = definition(c);
  }
  return question_sample(exchange.question, exchange.answer, exchange.answer, AnswerCheck::kExact);
}

}  // namespace headgate

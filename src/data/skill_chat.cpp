// Conversations: small talk, feelings, questions nobody here can answer, and things said before.
#include <fmt/core.h>

#include "data/fact_tables.h"
#include "data/skill_makers.h"
#include "data/text_tables.h"

namespace headgate {
namespace {

struct Exchange {
  std::string question, answer;
};

constexpr std::string_view kWraps[] = {"{q}",
                                       "{q}",
                                       "{q}",
                                       "Please tell me: {q}",
                                       "I have a question. {q}",
                                       "Hi! {q}",
                                       "Hello, {q}",
                                       "{q} Please answer.",
                                       "Can you help me? {q}",
                                       "{q} Thanks!"};
constexpr std::string_view kSorry[] = {
    "I am sorry, I do not know that. I am a very small model. I can tell stories, do sums and "
    "answer "
    "simple questions.",
    "I do not know enough about {t}. I am a small language model, but I can help with sums, "
    "stories "
    "and simple facts.",
    "I am sorry, {t} is too hard for me. I am a small model.",
    "I am not sure about {t}. Please ask a larger model or look it up."};

// As people type: wrapped, without capitals, without the mark at the end.
std::string varied(SkillContext& c, std::string question) {
  Dice& dice = c.dice();
  if (dice.chance(0.75)) return question;
  switch (dice.below(3)) {
    case 0:
      return fill_template(dice.pick(kWraps), {{"q", question}});
    case 1:
      for (char& letter : question)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
      return question;
    default:
      while (!question.empty() &&
             std::string_view("?.!").find(question.back()) != std::string::npos)
        question.pop_back();
      return question;
  }
}

Exchange small_talk(SkillContext& c) {
  static const std::vector<std::string> lines = split_list(small_talk_table(), '\n');
  const auto block = static_cast<size_t>(c.dice().below(static_cast<int64_t>(lines.size() / 2)));
  std::string question = c.dice().pick(split_list(lines[2 * block], '|'));
  std::string answer = c.dice().pick(split_list(lines[2 * block + 1].substr(1), '|'));
  for (size_t at = answer.find("\\n"); at != std::string::npos; at = answer.find("\\n", at))
    answer.replace(at, 2, "\n");
  return {varied(c, std::move(question)), std::move(answer)};
}

Exchange unknown(SkillContext& c) {
  static const std::vector<std::string> patterns = split_list(unknown_questions_table(), '\n');
  static constexpr std::string_view kKinds[] = {"cup", "war", "prize", "race", "election"};
  Dice& dice = c.dice();
  std::string topics_line(hard_topics_table());
  std::erase(topics_line, '\n');
  const std::string topic = dice.pick(split_list(topics_line, ';'));
  const std::string word = c.one(WordPool::kThing), other = c.one(WordPool::kAnimal);
  const std::vector<std::string> cities = c.some(WordPool::kCity, 2);
  const std::string name = c.one(WordPool::kName), kind(dice.pick(kKinds));
  const std::string article = with_article(word).substr(0, with_article(word).find(' '));
  const int64_t year = dice.between(100, 2100), number = dice.between(10, 999);
  const std::string& pattern = dice.pick(patterns);
  std::string question =
      fill_template(pattern, {{"w", word},
                              {"w2", other},
                              {"W", capitalized(word) + " " + capitalized(other)},
                              {"a", article},
                              {"t", topic},
                              {"N", name},
                              {"C", cities[0]},
                              {"C2", cities[1]},
                              {"y", std::to_string(year)},
                              {"k", kind},
                              {"z", std::to_string(number)}});
  const bool has_topic = pattern.find("{t}") != std::string::npos;
  std::string answer = fill_template(dice.pick(kSorry), {{"t", has_topic ? topic : "that"}});
  return {varied(c, std::move(question)), std::move(answer)};
}

Exchange feeling(SkillContext& c) {
  const auto [name, answer] = c.dice().pick(split_fields(feelings_table()));
  const std::string thing = c.one(WordPool::kThing), friend_name = c.one(WordPool::kName);
  switch (c.dice().below(5)) {
    case 0:
      return {fmt::format("I am {}.", name), answer};
    case 1:
      return {fmt::format("I feel {} today.", name), answer};
    case 2:
      return {fmt::format("I am so {} because of my {}.", name, thing), answer};
    case 3:
      return {fmt::format("My friend {} is {}.", friend_name, name), answer};
    default:
      return {fmt::format("I'm {}", name), answer};
  }
}

void add_exchange(Conversation& conversation, const Exchange& exchange) {
  conversation.turns.push_back(Turn{"user", exchange.question, {}, {}, true});
  conversation.turns.push_back(Turn{"assistant", exchange.answer, {}, {}, true});
}

// Something said first is asked for later.
void add_memory(SkillContext& c, Conversation& conversation) {
  static constexpr std::string_view kNames[] = {
      "My name is {n}.", "I am {n}.",    "Hi, I am {n}.",      "Hello, my name is {n}.",
      "I'm {n}",         "Call me {n}.", "People call me {n}."};
  static constexpr std::string_view kAsk[] = {"What is my name?", "Do you know my name?",
                                              "Who am I?", "What's my name?", "How am I called?"};
  struct Favorite {
    std::string_view kind;
    WordPool pool;
  };
  static constexpr Favorite kFavorites[] = {{"color", WordPool::kColor},
                                            {"animal", WordPool::kAnimal},
                                            {"fruit", WordPool::kFruit},
                                            {"city", WordPool::kCity},
                                            {"day", WordPool::kDay}};
  Dice& dice = c.dice();
  Exchange first, last;
  if (dice.chance(0.4)) {
    const std::string name = c.one(WordPool::kName);
    first = {fill_template(c.phrasing(kNames), {{"n", name}}),
             dice.chance(0.5) ? fmt::format("Nice to meet you, {}!", name)
                              : fmt::format("Hello {}! How can I help you?", name)};
    last = {std::string(dice.pick(kAsk)), fmt::format("Your name is {}.", name)};
  } else {
    const Favorite& favorite = dice.pick(kFavorites);
    const std::string value = c.one(favorite.pool);
    first = {fmt::format("My favorite {} is {}.", favorite.kind, value),
             fmt::format("Good to know that you like {}.", value)};
    last = {fmt::format("What is my favorite {}?", favorite.kind),
            fmt::format("Your favorite {} is {}.", favorite.kind, value)};
  }
  add_exchange(conversation, first);
  if (dice.chance(0.4)) add_exchange(conversation, small_talk(c));
  add_exchange(conversation, last);
}

}  // namespace

SkillSample make_chat(SkillContext& c, const SkillOptions&) {
  Dice& dice = c.dice();
  SkillSample out;
  out.check = AnswerCheck::kExact;
  if (dice.chance(0.25)) {
    add_memory(c, out.conversation);
  } else {
    for (int64_t left = dice.chance(0.7) ? 1 : dice.between(2, 4); left > 0; --left) {
      const double roll = dice.uniform();
      add_exchange(out.conversation,
                   roll < 0.7 ? small_talk(c) : (roll < 0.9 ? unknown(c) : feeling(c)));
    }
  }
  out.answer = out.conversation.turns.back().content;
  for (const Turn& turn : out.conversation.turns)
    if (turn.role == "user") out.key += turn.content + "\n";
  return out;
}

}  // namespace headgate

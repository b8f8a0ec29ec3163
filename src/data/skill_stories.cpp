// Made-up stories of one hero, one friend and one thing, from a small plot grammar.
#include "data/skill_makers.h"

namespace headgate {
namespace {

constexpr std::string_view kAsk[] = {"Tell me a story about {h}.",
                                     "Tell me a short story about {h}.",
                                     "Write a story about {h}.",
                                     "Can you tell me a story about {h}?",
                                     "Please write a short story about {h}.",
                                     "I want to hear a story about {h}.",
                                     "Make up a story about {h}.",
                                     "Write a short story about {h}.",
                                     "Tell a story with {h}.",
                                     "story about {h}",
                                     "A story about {h}, please.",
                                     "Do you know a story about {h}?"};
constexpr std::string_view kMoods[] = {"little", "old",  "brave", "shy",   "hungry",  "clever",
                                       "lazy",   "kind", "young", "proud", "curious", "happy"};
constexpr std::string_view kWhere[] = {"in a small house near the forest",
                                       "on a farm by the river",
                                       "in a deep green wood",
                                       "at the foot of a high mountain",
                                       "in an old tree",
                                       "near the sea",
                                       "in a quiet village",
                                       "behind the mill",
                                       "in a warm cave",
                                       "under a stone bridge",
                                       "at the edge of a big city",
                                       "by a blue lake"};
constexpr std::string_view kOpen[] = {
    "Once upon a time there was {m} {h} named {n}.", "Long ago, {m} {h} called {n} lived {w}.",
    "There was once {m} {h} whose name was {n}.", "{n} was {m} {h} who lived {w}.",
    "In a land far away lived {m} {h} named {n}."};
constexpr std::string_view kLikes[] = {
    "{n} loved {c} {t} more than anything.", "{n} had only one treasure, {c} {t}.",
    "{n} found {c} {t} on the road one day.", "{n} had always wanted {c} {t}.",
    "{n} got {c} {t} from an old friend."};
constexpr std::string_view kTrouble[] = {
    "One night a great storm came, and the {t} was blown into the river. {n} ran along the water "
    "but "
    "could not reach it.",
    "One morning the {t} was gone. {n} looked under the bed, behind the door and in the garden, "
    "but "
    "it was not there.",
    "One day {e} came by and took the {t} away. {n} was very sad and did not know what to do.",
    "But one day the {t} fell into a deep hole. {n} looked down and began to cry.",
    "Then winter came, and there was nothing left to eat. {n} thought of selling the {t} for some "
    "bread.",
    "One evening {n} put the {t} on a high shelf and forgot it there. The next day nobody could "
    "find "
    "it."};
constexpr std::string_view kMeet[] = {
    "\"Why are you crying?\" asked {e} named {f}. \"I have lost my {t},\" said {n}.",
    "On the way {n} met {e} named {f}. \"Can you help me?\" asked {n}. \"Of course,\" said {f}.",
    "{f}, {e} from the hill, heard about it and came at once. \"Two can do more than one,\" said "
    "{f}.",
    "Then {e} called {f} sat down next to {n}. \"Do not be afraid,\" said {f}. \"I know what we "
    "can "
    "do.\"",
    "{n} went to {f}, {e} that knew everything. \"Be patient,\" said {f}, \"and look again.\""};
constexpr std::string_view kAct[] = {
    "Together they walked through the forest and asked every bird. At last a small bird showed "
    "them "
    "the place.",
    "They worked all day and did not give up. When the sun went down, they had done it.",
    "{f} held a long rope, and {n} climbed down. It was cold and dark, but {n} was brave.",
    "They looked in the {p}, and there was the {t}! {n} laughed and jumped for joy.",
    "{f} had a good idea and built a small boat. So they crossed the water and found the {t} on "
    "the "
    "other side.",
    "They followed the marks in the snow until they came to an old barn. There lay the {t}, safe "
    "and "
    "dry."};
constexpr std::string_view kEnd[] = {
    "{n} thanked {f} with a full heart. From that day on they were the best of friends.",
    "{n} gave {f} half of the bread, and they ate together. And they lived happily ever after.",
    "\"A good friend is worth more than any {t},\" said {n}. And that was true.",
    "That night {n} slept well and dreamed of the {t}. {f} came to visit every Sunday.",
    "So {n} learned that it is good to ask for help. The two friends told the story for many "
    "years.",
    "{n} never lost the {t} again. And whenever {f} needed help, {n} was there."};

}  // namespace

SkillSample make_story(SkillContext& c, const SkillOptions&) {
  Dice& dice = c.dice();
  const std::vector<std::string> animals = c.some(WordPool::kAnimal, 2);
  const std::vector<std::string> names = c.some(WordPool::kName, 2);
  Slots slots = {
      {"h", animals[0]}, {"n", names[0]}, {"f", names[1]}, {"e", with_article(animals[1])}};
  slots.emplace_back("m", with_article(dice.pick(kMoods)));
  slots.emplace_back("w", std::string(dice.pick(kWhere)));
  slots.emplace_back("c", with_article(c.one(WordPool::kColor)));
  const std::string thing = c.one(WordPool::kThing);
  slots.emplace_back("t", thing);
  slots.emplace_back("p", c.one(WordPool::kPlace));
  std::string story;
  for (std::span<const std::string_view> part :
       {std::span<const std::string_view>(kOpen), std::span<const std::string_view>(kLikes),
        std::span<const std::string_view>(kTrouble), std::span<const std::string_view>(kMeet),
        std::span<const std::string_view>(kAct), std::span<const std::string_view>(kEnd)})
    story += (story.empty() ? "" : " ") + fill_template(dice.pick(part), slots);
  std::string hero = with_article(animals[0]);
  const double roll = dice.uniform();
  if (roll < 0.2) {
    hero += " and " + with_article(thing);
  } else if (roll < 0.35) {
    hero += " named " + names[0];
  } else if (roll < 0.5) {
    hero += " and " + with_article(animals[1]);
  }
  return question_sample(fill_template(c.phrasing(kAsk), {{"h", hero}}), animals[0], story,
                         AnswerCheck::kNone);
}

}  // namespace headgate

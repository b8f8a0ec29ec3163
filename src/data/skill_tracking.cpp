// Chains of variables, people who move things, and operations on lists.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "data/skill_makers.h"

namespace headgate {
namespace {

constexpr std::string_view kVariable[] = {
    "What is {v}?",         "What is the value of {v}?", "Find {v}.", "Tell me the value of {v}.",
    "What does {v} equal?", "Which number is {v}?"};
constexpr std::string_view kWherePerson[] = {"Where is {p}?", "Where is {p} now?",
                                             "In which place is {p}?", "Where did {p} end up?"};
constexpr std::string_view kWhereThing[] = {"Where is the {x}?", "Where is the {x} now?",
                                            "In which place is the {x}?",
                                            "Where did the {x} end up?"};

// The operations on lists, with their phrasings.
struct ListTask {
  std::string_view name;
  bool numbers_only;
  std::string_view phrasings[4];
};
constexpr ListTask kListTasks[] = {
    {"first",
     false,
     {"What is the first item of this list? {l}", "Give me the first item: {l}",
      "Which item comes first? {l}", "Name the first element of {l}."}},
    {"last",
     false,
     {"What is the last item of this list? {l}", "Give me the last item: {l}",
      "Which item comes last? {l}", "Name the last element of {l}."}},
    {"count",
     false,
     {"How many items are in this list? {l}", "Count the items: {l}", "How long is this list? {l}",
      "Count these for me: {l}"}},
    {"sort",
     false,
     {"Sort this list: {l}", "Put this list in order: {l}", "Sort these: {l}", "Please sort: {l}"}},
    {"reverse",
     false,
     {"Reverse this list: {l}", "Write this list backwards: {l}", "Turn this list around: {l}",
      "List these in reverse order: {l}"}},
    {"repeat",
     false,
     {"Repeat after me: {l}", "Say this: {l}", "Repeat this: {l}", "Copy this list: {l}"}},
    {"largest",
     true,
     {"What is the largest number? {l}", "Which of these is the biggest: {l}",
      "Find the maximum of {l}", "Name the greatest number in {l}"}},
    {"smallest",
     true,
     {"What is the smallest number? {l}", "Which of these is the smallest: {l}",
      "Find the minimum of {l}", "Name the least number in {l}"}},
    {"json",
     false,
     {"Write this list as a JSON array: {l}", "Make a JSON array: {l}", "JSON array of {l}",
      "As a JSON list please: {l}"}}};

std::string json_list(const std::vector<std::string>& items, bool numbers) {
  json::array out;
  for (const std::string& item : items) {
    if (numbers) {
      out.emplace_back(std::stoll(item));
    } else {
      out.emplace_back(item);
    }
  }
  return dump_json_python(out);
}

std::string list_answer(std::string_view task, std::vector<std::string> items, bool numbers) {
  const std::vector<std::string> given = items;
  const auto less = [numbers](const std::string& a, const std::string& b) {
    return numbers ? std::stoll(a) < std::stoll(b) : a < b;
  };
  if (task == "first") return items.front();
  if (task == "last") return items.back();
  if (task == "count") return std::to_string(items.size());
  if (task == "repeat") return joined(items, ", ");
  if (task == "json") return json_list(items, numbers);
  if (task == "reverse") {
    std::reverse(items.begin(), items.end());
    return joined(items, ", ");
  }
  std::stable_sort(items.begin(), items.end(), less);
  if (task == "largest") return items.back();
  return task == "smallest" ? items.front() : joined(items, ", ");
}

// Who went where and took what, as it is told.
struct Scene {
  std::vector<std::string> people;
  std::map<std::string, std::string> place_of, holder_of;
  std::vector<std::string> lines;
};

Scene play_scene(SkillContext& c) {
  static constexpr std::string_view kTake[] = {"picked up", "took", "grabbed"};
  static constexpr std::string_view kMove[] = {"went to", "walked to", "ran to", "moved to"};
  Dice& dice = c.dice();
  Scene scene;
  scene.people = c.some(WordPool::kName, dice.between(1, 3));
  const std::vector<std::string> things = c.some(WordPool::kThing, 3);
  const auto move = [&](const std::string& person) {
    scene.place_of[person] = c.one(WordPool::kPlace);
    scene.lines.push_back(
        fmt::format("{} {} the {}.", person, dice.pick(kMove), scene.place_of[person]));
  };
  for (int64_t left = dice.between(2, 8); left > 0; --left) {
    const std::string& person = dice.pick(scene.people);
    std::vector<std::string> free;
    for (const std::string& thing : things)
      if (scene.holder_of.count(thing) == 0) free.push_back(thing);
    if (scene.place_of.count(person) != 0 && !free.empty() && dice.chance(0.25)) {
      const std::string& thing = dice.pick(free);
      scene.holder_of[thing] = person;
      scene.lines.push_back(fmt::format("{} {} the {}.", person, dice.pick(kTake), thing));
    } else {
      move(person);
    }
  }
  for (const std::string& person : scene.people)
    if (scene.place_of.count(person) == 0) move(person);
  return scene;
}

}  // namespace

SkillSample make_variables(SkillContext& c, const SkillOptions&) {
  Dice& dice = c.dice();
  std::vector<std::string> letters;
  for (char letter = 'A'; letter <= 'Z'; ++letter) letters.emplace_back(1, letter);
  dice.shuffle(letters);
  letters.resize(static_cast<size_t>(dice.between(3, 7)));
  std::map<std::string, std::string> source;
  std::map<std::string, int64_t> value;
  std::vector<std::string> lines, seen, linked;
  for (const std::string& letter : letters) {
    if (!seen.empty() && linked.size() < 4 && dice.chance(0.5)) {
      source[letter] = dice.pick(seen);
      value[letter] = value[source[letter]];
      lines.push_back(letter + " = " + source[letter]);
      linked.push_back(letter);
    } else {
      value[letter] = dice.between(100, 9999);
      lines.push_back(fmt::format("{} = {}", letter, value[letter]));
    }
    seen.push_back(letter);
  }
  const std::string asked = dice.pick(linked.empty() ? letters : linked);
  std::vector<std::string> chain;
  std::string at = asked;
  for (; source.count(at) != 0; at = source[at]) chain.push_back(at + " = " + source[at]);
  chain.push_back(fmt::format("{} = {}", at, value[at]));
  const std::string steps = joined(chain, "; ") + ".";
  const std::string final = fmt::format("{} = {}", asked, value[asked]);
  const std::string user =
      joined(lines, "; ") + ". " + fill_template(c.phrasing(kVariable), {{"v", asked}});
  return question_sample(user, std::to_string(value[asked]),
                         chain.size() == 1 ? final : steps + " So " + final,
                         AnswerCheck::kLastNumber, steps, final);
}

SkillSample make_tracking(SkillContext& c, const SkillOptions&) {
  Dice& dice = c.dice();
  Scene scene = play_scene(c);
  const std::string told = joined(scene.lines, " ");
  if (!scene.holder_of.empty() && dice.chance(0.5)) {
    std::vector<std::string> held;
    for (const auto& entry : scene.holder_of) held.push_back(entry.first);
    const std::string thing = dice.pick(held), person = scene.holder_of[thing];
    const std::string place = scene.place_of[person];
    const std::string final = fmt::format("The {} is in the {}.", thing, place);
    return question_sample(
        told + " " + fill_template(c.phrasing(kWhereThing), {{"x", thing}}), place,
        fmt::format("{} has the {}. {}", person, thing, final), AnswerCheck::kContains,
        fmt::format("{0} has the {1}. {0} is in the {2}.", person, thing, place), final);
  }
  const std::string person = dice.pick(scene.people), place = scene.place_of[person];
  return question_sample(told + " " + fill_template(c.phrasing(kWherePerson), {{"p", person}}),
                         place, fmt::format("{} is in the {}.", person, place),
                         AnswerCheck::kContains,
                         fmt::format("The last place of {} is the {}.", person, place));
}

SkillSample make_list(SkillContext& c, const SkillOptions&) {
  static constexpr WordPool kPools[] = {WordPool::kThing, WordPool::kAnimal, WordPool::kFruit,
                                        WordPool::kName};
  Dice& dice = c.dice();
  const ListTask& task = dice.pick(kListTasks);
  const int64_t count = dice.between(2, 7);
  const bool numbers = task.numbers_only || dice.chance(0.4);
  std::vector<std::string> items;
  if (numbers) {
    while (static_cast<int64_t>(items.size()) < count)
      items.push_back(std::to_string(dice.between(1, 99)));
  } else {
    items = c.some(dice.pick(kPools), count);
  }
  const std::string list = joined(items, ", ");
  const std::string answer = list_answer(task.name, items, numbers);
  SkillSample out =
      question_sample(fill_template(c.phrasing(task.phrasings), {{"l", list}}), answer, answer,
                      task.name == "json" ? AnswerCheck::kJson : AnswerCheck::kExact);
  out.key = std::string(task.name) + ":" + list;
  return out;
}

}  // namespace headgate

// Word problems of one to three steps.
#include <fmt/core.h>

#include "data/skill_makers.h"

namespace headgate {
namespace {

// A problem with its numbers in place: a question, the steps, the result.
struct Problem {
  std::string question, steps;
  int64_t result = 0;
};

using Patterns = std::span<const std::string_view>;

Problem solved(SkillContext& c, Patterns patterns, const Slots& slots, std::string steps,
               int64_t result) {
  return {fill_template(c.phrasing(patterns), slots), std::move(steps), result};
}

std::string text(int64_t number) { return std::to_string(number); }

Problem more_and_less(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} has {a} {o}. {m} gives {n} {b} more. Then {n} loses {d} of them. How many {o} does {n} "
      "have now?",
      "{n} found {a} {o} and got {b} more from {m}. Later {n} gave away {d}. How many {o} are "
      "left?",
      "There are {a} {o} in a basket. {n} puts in {b} more, and {m} takes out {d}. How many {o} "
      "are "
      "in the basket?",
      "{n} starts with {a} {o}, gets {b} {o} from {m} and then drops {d}. How many {o} does {n} "
      "have?"};
  const int64_t a = c.dice().between(5, 60), b = c.dice().between(2, 40), sum = a + b;
  const int64_t d = c.dice().between(1, sum < 20 ? sum - 1 : 19);
  slots.insert(slots.end(), {{"a", text(a)}, {"b", text(b)}, {"d", text(d)}});
  return solved(c, kPatterns, slots,
                fmt::format("Start with {0}. {0}+{1}={2}. {2}-{3}={4}.", a, b, sum, d, sum - d),
                sum - d);
}

Problem boxes(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} buys {a} boxes of {o}. Each box has {b} {o}. How many {o} is that in total?",
      "There are {a} bags with {b} {o} in each bag. How many {o} are there in all?",
      "{n} has {a} baskets. Every basket holds {b} {o}. How many {o} does {n} have?",
      "{n} packs {b} {o} into each of {a} crates. How many {o} did {n} pack?"};
  const int64_t a = c.dice().between(2, 12), b = c.dice().between(2, 12);
  slots.insert(slots.end(), {{"a", text(a)}, {"b", text(b)}});
  return solved(c, kPatterns, slots, fmt::format("{0} times {1} each: {0}*{1}={2}.", a, b, a * b),
                a * b);
}

Problem shares(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} shares {a} {o} equally among {b} friends. How many {o} does each friend get?",
      "{a} {o} are put into {b} bags, the same number in each. How many {o} are in one bag?",
      "{n} splits {a} {o} into {b} equal piles. How many {o} are in each pile?",
      "{b} children divide {a} {o} fairly. How many {o} does each child get?"};
  const int64_t b = c.dice().between(2, 9), each = c.dice().between(2, 15);
  slots.insert(slots.end(), {{"a", text(b * each)}, {"b", text(b)}});
  return solved(c, kPatterns, slots,
                fmt::format("{0} shared by {1}: {1}*{2}={0}, so each gets {2}.", b * each, b, each),
                each);
}

Problem pages(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} reads {a} pages on Monday and {b} pages on Tuesday. On Wednesday {n} reads {k} times as "
      "many pages as on Tuesday. How many pages does {n} read in all?",
      "On Monday {n} read {a} pages, on Tuesday {b}, and on Wednesday {k} times as many as on "
      "Tuesday. How many pages is that together?",
      "{n} has read {a} pages on Monday, {b} pages on Tuesday and {k} times as many as on Tuesday "
      "on Wednesday. How many pages has {n} read?",
      "How many pages does {n} read in three days, with {a} on Monday, {b} on Tuesday and {k} "
      "times "
      "Tuesday's pages on Wednesday?"};
  const int64_t a = c.dice().between(5, 60), b = c.dice().between(5, 30),
                k = c.dice().between(2, 6);
  slots.insert(slots.end(), {{"a", text(a)}, {"b", text(b)}, {"k", text(k)}});
  return solved(c, kPatterns, slots,
                fmt::format("Monday {0}. Tuesday {1}. Wednesday {2}*{1}={3}. {0}+{1}={4}. "
                            "{4}+{3}={5}.",
                            a, b, k, k * b, a + b, a + b + k * b),
                a + b + k * b);
}

Problem ages(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} is {a} years old. {m} is {b} years {w} than {n}. How old is {m}?",
      "{m} is {b} years {w} than {n}, who is {a}. How old is {m}?",
      "{n} is {a}. How old is {m}, who is {b} years {w}?",
      "How old is {m} if {n} is {a} and {m} is {b} years {w}?"};
  const int64_t a = c.dice().between(5, 60), b = c.dice().between(2, 20);
  const bool older = c.dice().chance(0.5) || b >= a;
  slots.insert(slots.end(), {{"a", text(a)}, {"b", text(b)}, {"w", older ? "older" : "younger"}});
  const int64_t result = older ? a + b : a - b;
  return solved(c, kPatterns, slots, fmt::format("{}{}{}={}.", a, older ? '+' : '-', b, result),
                result);
}

Problem change(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} buys {k} {o} for {p} dollars each and pays with {y} dollars. How much change does {n} "
      "get?",
      "One of the {o} costs {p} dollars. {n} has {y} dollars and buys {k}. How much money is left?",
      "{n} had {y} dollars and bought {k} {o} at {p} dollars each. How many dollars does {n} have "
      "now?",
      "With {y} dollars {n} buys {k} {o} that cost {p} dollars each. What is the change?"};
  const int64_t p = c.dice().between(2, 12), k = c.dice().between(2, 9);
  const int64_t pay = p * k + c.dice().between(1, 20);
  slots.insert(slots.end(), {{"k", text(k)}, {"p", text(p)}, {"y", text(pay)}});
  return solved(c, kPatterns, slots,
                fmt::format("Cost {0}*{1}={2}. {3}-{2}={4}.", k, p, k * p, pay, pay - k * p),
                pay - k * p);
}

Problem together(SkillContext& c, Slots slots) {
  static constexpr std::string_view kPatterns[] = {
      "{n} has {a} {o} and {m} has {b} {o}. How many {o} do they have together?",
      "{n} picked {a} {o}. {m} picked {b} {o}. How many did they pick in all?",
      "There are {a} red {o} and {b} green {o}. How many {o} are there?",
      "{m} sold {b} {o} and {n} sold {a}. How many {o} were sold in total?"};
  const int64_t a = c.dice().between(3, 80), b = c.dice().between(3, 80);
  slots.insert(slots.end(), {{"a", text(a)}, {"b", text(b)}});
  return solved(c, kPatterns, slots, fmt::format("{}+{}={}.", a, b, a + b), a + b);
}

}  // namespace

SkillSample make_word_problem(SkillContext& c, const SkillOptions&) {
  using Maker = Problem (*)(SkillContext&, Slots);
  static constexpr Maker kMakers[] = {more_and_less, boxes,  boxes,    shares,  pages,
                                      ages,          change, together, together};
  const std::vector<std::string> names = c.some(WordPool::kName, 2);
  const Slots slots = {{"n", names[0]}, {"m", names[1]}, {"o", c.one(WordPool::kFruit)}};
  const Problem problem = c.dice().pick(kMakers)(c, slots);
  const std::string final = fmt::format("The answer is {}.", problem.result);
  return question_sample(problem.question, text(problem.result), problem.steps + " " + final,
                         AnswerCheck::kLastNumber, problem.steps, final);
}

}  // namespace headgate

// Arithmetic with written-out steps.
#include <fmt/core.h>

#include <algorithm>

#include "data/skill_makers.h"

namespace headgate {
namespace {

std::string reversed_digits(int64_t number) {
  std::string digits = std::to_string(number);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

int digit(const std::string& digits, size_t i) { return i < digits.size() ? digits[i] - '0' : 0; }

std::string add_steps(int64_t a, int64_t b) {
  const std::string x = reversed_digits(a), y = reversed_digits(b);
  std::string out;
  int carry = 0;
  for (size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    const int sum = digit(x, i) + digit(y, i) + carry;
    out += fmt::format("{}{}+{}{}={}, write {}{}", i > 0 ? "; " : "", digit(x, i), digit(y, i),
                       carry > 0 ? "+1" : "", sum, sum % 10, sum >= 10 ? ", carry 1" : "");
    carry = sum / 10;
  }
  if (carry > 0) out += "; write 1";
  return out + fmt::format(". So {}+{}={}.", a, b, a + b);
}

std::string subtract_steps(int64_t a, int64_t b) {
  const std::string x = reversed_digits(a), y = reversed_digits(b);
  std::string out;
  int borrow = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    int difference = digit(x, i) - digit(y, i) - borrow;
    const bool borrows = difference < 0;
    if (borrows) difference += 10;
    out += fmt::format("{}{}-{}{}{}{}, write {}", i > 0 ? "; " : "", digit(x, i), digit(y, i),
                       borrow > 0 ? "-1" : "", borrows ? " borrow: " : "=", difference, difference);
    borrow = borrows ? 1 : 0;
  }
  return out + fmt::format(". So {}-{}={}.", a, b, a - b);
}

std::string multiply_steps(int64_t a, int64_t b) {
  if (b >= 10) {
    const int64_t tens = b / 10 * 10, ones = b % 10;
    return fmt::format("{0}*{1}={2}, {0}*{3}={4}. {2}+{4}={5}. So {0}*{6}={5}.", a, tens, a * tens,
                       ones, a * ones, a * b, b);
  }
  const std::string digits = reversed_digits(a);
  std::string products, sums;
  int64_t total = 0, place = 1;
  for (size_t i = 0; i < digits.size(); ++i, place *= 10) {
    if (digits[i] == '0') continue;
    const int64_t term = digit(digits, i) * place;
    products += fmt::format("{}{}*{}={}", products.empty() ? "" : ", ", b, term, term * b);
    if (total > 0)
      sums +=
          fmt::format("{}{}+{}={}", sums.empty() ? ". " : ", ", total, term * b, total + term * b);
    total += term * b;
  }
  return products + sums + fmt::format(". So {}*{}={}.", a, b, a * b);
}

constexpr std::string_view kAdd[] = {"What is {a} plus {b}?",
                                     "{a}+{b}=?",
                                     "What is {a} + {b}?",
                                     "Calculate {a} + {b}.",
                                     "Compute {a}+{b}",
                                     "How much is {a} plus {b}?",
                                     "Add {a} and {b}.",
                                     "{a} + {b}",
                                     "What is the sum of {a} and {b}?",
                                     "Please add {b} to {a}.",
                                     "Can you add {a} and {b}?",
                                     "what is {a}+{b}",
                                     "Work out {a} + {b}.",
                                     "Tell me {a} plus {b}.",
                                     "What do you get if you add {a} and {b}?"};
constexpr std::string_view kSubtract[] = {
    "What is {a} minus {b}?",  "{a}-{b}=?",
    "What is {a} - {b}?",      "Calculate {a} - {b}.",
    "Compute {a}-{b}",         "How much is {a} minus {b}?",
    "Subtract {b} from {a}.",  "{a} - {b}",
    "What is {a} less {b}?",   "Can you subtract {b} from {a}?",
    "what is {a}-{b}",         "Work out {a} - {b}.",
    "Take {b} away from {a}.", "What is left if you take {b} from {a}?"};
constexpr std::string_view kMultiply[] = {"What is {a} times {b}?",
                                          "{a}*{b}=?",
                                          "What is {a} * {b}?",
                                          "Calculate {a} x {b}.",
                                          "Compute {a}*{b}",
                                          "How much is {a} times {b}?",
                                          "Multiply {a} by {b}.",
                                          "{a} * {b}",
                                          "What is {a} x {b}?",
                                          "What is the product of {a} and {b}?",
                                          "Can you multiply {a} by {b}?",
                                          "what is {a}*{b}",
                                          "Work out {a} times {b}.",
                                          "What do you get if you multiply {a} by {b}?"};
constexpr std::string_view kDivide[] = {"What is {a} divided by {b}?",
                                        "{a}/{b}=?",
                                        "What is {a} / {b}?",
                                        "Calculate {a} / {b}.",
                                        "How much is {a} divided by {b}?",
                                        "Divide {a} by {b}.",
                                        "{a} / {b}",
                                        "what is {a}/{b}",
                                        "Can you divide {a} by {b}?",
                                        "Work out {a} divided by {b}."};

int64_t operand(Dice& dice) {
  static constexpr int64_t kLimits[] = {10, 10, 100, 100, 100, 1000, 1000, 10000};
  return dice.below(dice.pick(kLimits));
}

struct Sum {
  int64_t a, b, result;
  char sign;
  std::span<const std::string_view> phrasings;
  std::string steps;
};

Sum draw_sum(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
    case 1: {
      const int64_t a = operand(dice), b = operand(dice);
      return {a, b, a + b, '+', kAdd, add_steps(a, b)};
    }
    case 2:
    case 3: {
      int64_t a = operand(dice), b = operand(dice);
      if (a < b) std::swap(a, b);
      return {a, b, a - b, '-', kSubtract, subtract_steps(a, b)};
    }
    case 4:
    case 5:
    case 6: {
      static constexpr int64_t kLargest[] = {9, 12, 99, 99, 999};
      const int64_t a = dice.between(2, dice.pick(kLargest));
      const bool small = a > 99 || dice.chance(0.75);
      const int64_t b = small ? dice.between(2, 9) : dice.between(10, 20);
      return {a, b, a * b, '*', kMultiply, multiply_steps(a, b)};
    }
    default: {
      const int64_t b = dice.between(2, 9), result = dice.between(2, 30), a = b * result;
      return {a,   b,       result,
              '/', kDivide, fmt::format("{0}*{1}={2}. So {2}/{0}={1}.", b, result, a)};
    }
  }
}

}  // namespace

SkillSample make_arithmetic(SkillContext& c, const SkillOptions&) {
  const Sum sum = draw_sum(c.dice());
  const std::string user = fill_template(
      c.phrasing(sum.phrasings), {{"a", std::to_string(sum.a)}, {"b", std::to_string(sum.b)}});
  const std::string result = fmt::format("{} {} {} = {}", sum.a, sum.sign, sum.b, sum.result);
  // Small sums are known by heart; others are worked out in the answer when there is no reasoning.
  const bool small = (sum.a < 13 && sum.b < 13) || sum.sign == '/';
  const std::string reply = small ? result : sum.steps.substr(0, sum.steps.rfind("So ")) + result;
  SkillSample out = question_sample(user, std::to_string(sum.result), reply,
                                    AnswerCheck::kLastNumber, sum.steps, result);
  out.key = fmt::format("{}{}{}", sum.a, sum.sign, sum.b);
  return out;
}

}  // namespace headgate

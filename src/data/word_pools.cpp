// Drawing words, phrasings and passages.
#include "data/word_pools.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <unordered_set>

namespace headgate {
namespace {

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && std::isspace(static_cast<unsigned char>(text[end])) == 0) ++end;
    if (end > at) out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

struct Pools {
  std::array<std::vector<std::string>, kWordPools> training, evaluation;
  std::unordered_set<std::string> held_out;

  Pools() {
    for (size_t i = 0; i < kWordPools; ++i) {
      const WordLists& lists = word_lists(static_cast<WordPool>(i));
      training[i] = split_words(lists.training);
      evaluation[i] = lists.evaluation.empty() ? training[i] : split_words(lists.evaluation);
      if (lists.evaluation.empty()) continue;
      for (const std::string& word : evaluation[i]) held_out.insert(word);
    }
  }
};

const Pools& pools() {
  static const Pools all;
  return all;
}

bool is_proper(WordPool pool) { return pool == WordPool::kName || pool == WordPool::kCity; }
bool is_open(WordPool pool) {
  return pool != WordPool::kColor && pool != WordPool::kDay && pool != WordPool::kMonth &&
         pool != WordPool::kJob;
}

// A plain sentence about nothing, for passages without a text of the user's.
std::string made_up_sentence(Dice& dice, bool evaluation) {
  static const std::string_view kWho[] = {"The old man",    "A young girl", "My neighbor",
                                          "The teacher",    "Her brother",  "The captain",
                                          "A tall soldier", "The two boys", "Their mother"};
  static const std::string_view kDid[] = {
      "walked slowly along",   "looked for a long time at", "had always lived near",
      "came back from",        "could not forget",          "talked all evening about",
      "went every morning to", "stood for a while before",  "told us a story about"};
  static const std::string_view kWhat[] = {
      "the river",    "the quiet village", "the stone bridge",
      "a dark wood",  "the high wall",     "the empty road",
      "the old mill", "a small garden",    "the market square"};
  static const std::string_view kHow[] = {
      "and nobody knew why",    "before the rain began",      "while the others slept",
      "until it grew dark",     "with a lamp in hand",        "as if nothing had happened",
      "and did not say a word", "because the night was cold", "when the bells rang"};
  // The combinations are divided as paragraphs of a text are.
  for (;;) {
    const auto who = dice.below(9), did = dice.below(9), what = dice.below(9), how = dice.below(9);
    const bool held =
        mix_bits(static_cast<uint64_t>(((who * 9 + did) * 9 + what) * 9 + how)) % 8 == 0;
    if (held != evaluation) continue;
    std::string out;
    for (std::string_view part : {kWho[who], kDid[did], kWhat[what], kHow[how]})
      out += (out.empty() ? "" : " ") + std::string(part);
    return out + ".";
  }
}

}  // namespace

std::string fill_template(std::string_view pattern, const Slots& slots) {
  std::string out;
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = pattern.find('{', at);
    const size_t close = open == std::string_view::npos ? open : pattern.find('}', open);
    if (close == std::string_view::npos) {
      out += pattern.substr(at);
      break;
    }
    out += pattern.substr(at, open - at);
    const std::string_view name = pattern.substr(open + 1, close - open - 1);
    const auto slot = std::find_if(slots.begin(), slots.end(),
                                   [name](const auto& entry) { return entry.first == name; });
    if (slot != slots.end()) {
      out += slot->second;
    } else {
      out += pattern.substr(open, close - open + 1);
    }
    at = close + 1;
  }
  return out;
}

std::string with_article(std::string_view noun) {
  const bool vowel = !noun.empty() && std::string_view("aeiouAEIOU").find(noun[0]) != noun.npos;
  return (vowel ? "an " : "a ") + std::string(noun);
}

std::string capitalized(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

std::string joined(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) out += (i > 0 ? std::string(separator) : "") + items[i];
  return out;
}

Passages::Passages(std::string_view text) {
  constexpr size_t kLeast = 200;  // bytes: shorter paragraphs are headings and cries
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find("\n\n", at), text.size());
    if (end - at >= kLeast) {
      std::string paragraph;
      for (const std::string& word : split_words(text.substr(at, end - at)))
        paragraph += (paragraph.empty() ? "" : " ") + word;
      (text_hash(paragraph) % 16 == 0 ? evaluation_ : training_).push_back(std::move(paragraph));
    }
    at = end + 2;
  }
}

std::vector<std::string> Passages::words(Dice& dice, bool evaluation, int64_t count) const {
  const std::vector<std::string>& from = evaluation ? evaluation_ : training_;
  std::vector<std::string> out;
  size_t next =
      from.empty() ? 0 : static_cast<size_t>(dice.below(static_cast<int64_t>(from.size())));
  while (static_cast<int64_t>(out.size()) < count) {
    std::vector<std::string> more =
        split_words(from.empty() ? made_up_sentence(dice, evaluation) : from[next++ % from.size()]);
    std::move(more.begin(), more.end(), std::back_inserter(out));
  }
  out.resize(static_cast<size_t>(count));
  return out;
}

std::vector<std::string> SkillContext::some(WordPool pool, int64_t count) {
  std::vector<std::string> out;
  if (wild_ && is_open(pool) && !evaluation() && dice_.chance(0.5)) {
    while (static_cast<int64_t>(out.size()) < count) {
      std::string word = made_up_word();
      if (is_proper(pool)) word = capitalized(word);
      if (pools().held_out.count(word) == 0 && std::find(out.begin(), out.end(), word) == out.end())
        out.push_back(std::move(word));
    }
    return out;
  }
  const bool held = split_ == SkillSplit::kNewWords || split_ == SkillSplit::kNewTemplates;
  const auto& lists = held ? pools().evaluation : pools().training;
  std::vector<std::string> all = lists[static_cast<size_t>(pool)];
  HEADGATE_CHECK(count <= static_cast<int64_t>(all.size()));
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i + dice_.below(static_cast<int64_t>(all.size()) - i));
    std::swap(all[static_cast<size_t>(i)], all[at]);
  }
  all.resize(static_cast<size_t>(count));
  return all;
}

std::string SkillContext::made_up_word() {
  static const std::string_view kStarts[] = {
      "b", "br", "c",  "cl", "d", "dr", "f",  "fl", "g",  "gr", "h",  "j", "k", "l", "m",
      "n", "p",  "pl", "qu", "r", "s",  "sh", "sp", "st", "t",  "tr", "v", "w", "z", "th"};
  static const std::string_view kMiddles[] = {"a",  "e",  "i",  "o",  "u",
                                              "ai", "ea", "ee", "oo", "ou"};
  static const std::string_view kEnds[] = {"",   "b", "ck", "d", "g",  "l", "ll", "m", "n",
                                           "nd", "p", "r",  "s", "st", "t", "x",  "ng"};
  for (;;) {
    std::string out;
    const int64_t syllables = dice_.between(1, 3);
    for (int64_t i = 0; i < syllables; ++i) {
      out += dice_.pick(kStarts);
      out += dice_.pick(kMiddles);
      if (i + 1 == syllables || dice_.chance(0.3)) out += dice_.pick(kEnds);
    }
    if (out.size() >= 3 && pools().held_out.count(out) == 0 &&
        pools().held_out.count(capitalized(out)) == 0)
      return out;
  }
}

std::string_view SkillContext::phrasing(std::span<const std::string_view> options) {
  const size_t kept = options.size() < 4 ? 0 : std::max<size_t>(1, options.size() / 6);
  if (kept == 0) return dice_.pick(options);
  const size_t trained = options.size() - kept;
  return dice_.pick(split_ == SkillSplit::kNewTemplates ? options.subspan(trained)
                                                        : options.first(trained));
}

}  // namespace headgate

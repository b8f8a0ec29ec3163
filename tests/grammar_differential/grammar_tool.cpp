// Answers questions about grammars, one JSON object a line, so that a script can compare answers.
//   {"kind": "json_schema" | "regex" | "gbnf", "source": SCHEMA or TEXT, "spacing": "any", ...,
//    "texts": [TEXT...], "samples": N, "seed": S, "tokens": N}
//   -> {"fits": [BOOL...], "samples": [TEXT...], "unfinished": N, "notes": [...]}
//   or {"error": MESSAGE}
// Samples are random tokens of Qwen's vocabulary: any allowed one, or with "sampler" true what the
// sampler draws at temperature 1.5 from random logits. After `tokens` tokens both lean to what ends
// a text.
#include <bit>
#include <cstdio>
#include <iostream>

#include "base/error.h"
#include "base/random.h"
#include "grammar/gbnf.h"
#include "grammar/grammar_constraint.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "sampling/sampler.h"
#include "tests/support/qwen_tokenizer.h"

namespace headgate {
namespace {

constexpr uint64_t kMostTokens = 6000;

std::string_view text_of(const json::value& value) {
  const json::string& text = value.as_string();
  return {text.data(), text.size()};
}

int64_t number(const json::object& question, std::string_view name, int64_t otherwise) {
  const json::value* value = question.if_contains(name);
  return value != nullptr ? value->to_number<int64_t>() : otherwise;
}

JsonSchemaOptions schema_options(const json::object& question) {
  JsonSchemaOptions options;
  const json::value* spacing = question.if_contains("spacing");
  const std::string_view name = spacing != nullptr ? text_of(*spacing) : "compact";
  options.spacing = name == "any"      ? JsonSpacing::kAny
                    : name == "python" ? JsonSpacing::kPython
                                       : JsonSpacing::kCompact;
  const json::value* open = question.if_contains("unnamed_properties");
  options.unnamed_properties = open != nullptr && open->as_bool();
  return options;
}

class Tool {
 public:
  Tool() {
    const Tokenizer tokenizer = Tokenizer::from_parts(qwen_tokenizer_parts(HEADGATE_SOURCE_DIR));
    trie_ = std::make_shared<const TokenTrie>(tokenizer, tokenizer.eos_ids());
    for (const char* closing : {"}", "]", "\""})
      if (const auto id = tokenizer.find(closing)) closing_.push_back(*id);
    noise_.resize(static_cast<size_t>(trie_->vocabulary()) + 4096);
    for (size_t i = 0; i < noise_.size(); ++i) noise_[i] = 3 * random_normal(7, 7, i);
  }

  json::object answer(const json::object& question) {
    json::object out;
    json::array notes;
    const Grammar grammar = read(question, notes);
    const GrammarConstraint constraint(grammar, trie_, GrammarOptions{false});
    if (const json::value* texts = question.if_contains("texts")) {
      json::array fits;
      for (const json::value& text : texts->as_array())
        fits.emplace_back(constraint.matches(text_of(text)));
      out["fits"] = std::move(fits);
    }
    json::array samples;
    int64_t unfinished = 0;
    for (int64_t i = 0; i < number(question, "samples", 0); ++i) {
      const auto seed = static_cast<uint64_t>(number(question, "seed", 0) * 1000 + i);
      const auto tokens = static_cast<uint64_t>(number(question, "tokens", 60));
      const json::value* sampler = question.if_contains("sampler");
      const std::optional<std::string> text = sampler != nullptr && sampler->as_bool()
                                                  ? sample(constraint, seed, tokens)
                                                  : pick(constraint, seed, tokens);
      if (text) samples.emplace_back(*text);
      unfinished += text ? 0 : 1;
    }
    out["samples"] = std::move(samples);
    out["unfinished"] = unfinished;
    out["notes"] = std::move(notes);
    return out;
  }

 private:
  Grammar read(const json::object& question, json::array& notes) const {
    const std::string_view kind = text_of(question.at("kind"));
    if (kind == "regex") return regex_grammar(text_of(question.at("source")));
    if (kind == "gbnf") return gbnf_grammar(text_of(question.at("source")), trie_.get(), "grammar");
    std::vector<std::string> told;
    Grammar grammar = json_schema_grammar(question.at("source"), schema_options(question), &told);
    for (const std::string& note : told) notes.emplace_back(note);
    return grammar;
  }

  // Any allowed token, each as likely as the others.
  std::optional<std::string> pick(const TokenConstraint& constraint, uint64_t seed,
                                  uint64_t tokens) {
    const std::unique_ptr<ConstraintState> state = constraint.start();
    std::vector<uint64_t> mask(static_cast<size_t>(mask_words(trie_->vocabulary())));
    const auto allowed = [&](int32_t token) {
      return (mask[static_cast<size_t>(token / 64)] >> (token % 64) & 1) != 0;
    };
    std::string text;
    for (uint64_t step = 0; step < kMostTokens && state->fill_mask(mask); ++step) {
      int32_t token = -1;
      for (uint64_t attempt = 0; token < 0; ++attempt) {
        auto next = static_cast<int32_t>(random_bits(seed, step, attempt) %
                                         static_cast<uint64_t>(trie_->vocabulary()));
        if (attempt > 200)
          while (!allowed(next)) next = (next + 1) % trie_->vocabulary();
        if (allowed(next)) token = next;
      }
      // Where nearly everything is allowed, a bracket is part of a string: the quote ends it.
      int64_t count = 0;
      for (const uint64_t word : mask) count += std::popcount(word);
      for (const int32_t closing : closing_) {
        if (step <= tokens || !allowed(closing)) continue;
        token = closing;
        if (count < 20'000) break;
      }
      for (const int32_t end : trie_->end_tokens())
        if (step > tokens && allowed(end)) token = end;
      if (!state->accept(token)) {
        fail(ErrorCode::kInternal, "token {} was allowed and then refused: {}", token,
             state->explain());
      }
      if (trie_->is_end(token)) return text;
      text += trie_->bytes(token);
    }
    return std::nullopt;
  }

  std::optional<std::string> sample(const TokenConstraint& constraint, uint64_t seed,
                                    uint64_t tokens) {
    SamplingParams params;
    params.temperature = 1.5f;
    params.top_k = 1000;
    params.seed = seed;
    Sampler sampler(params, trie_->vocabulary());
    sampler.constrain(constraint.start());
    std::string text;
    std::vector<float> logits(static_cast<size_t>(trie_->vocabulary()));
    for (uint64_t step = 0; step < kMostTokens; ++step) {
      const uint64_t shift = random_bits(seed, 2, step) % 4096;
      std::copy_n(noise_.begin() + static_cast<ptrdiff_t>(shift), logits.size(), logits.begin());
      // A free text would hardly ever end: lean to the end, and to quotes and brackets at last.
      for (const int32_t end : trie_->end_tokens()) logits[static_cast<size_t>(end)] = 12;
      if (step > tokens)
        for (const int32_t token : closing_) logits[static_cast<size_t>(token)] = 40;
      if (step > tokens)
        for (const int32_t end : trie_->end_tokens()) logits[static_cast<size_t>(end)] = 90;
      const int32_t token = sampler.sample(logits).token;
      if (trie_->is_end(token)) return text;
      text += trie_->bytes(token);
    }
    return std::nullopt;
  }

  std::shared_ptr<const TokenTrie> trie_;
  std::vector<int32_t> closing_;
  std::vector<float> noise_;
};

int run() {
  Tool tool;
  std::string line;
  while (std::getline(std::cin, line)) {
    json::object answer;
    try {
      JsonLimits limits;
      limits.depth = 2000;
      answer = tool.answer(parse_json(line, "question", limits).as_object());
    } catch (const Error& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << dump_json(answer) << '\n' << std::flush;
  }
  return 0;
}

}  // namespace
}  // namespace headgate

int main() {
  try {
    return headgate::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

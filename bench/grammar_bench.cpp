// Constrained decoding over 151,643 tokens: time to compile, and per mask along random texts.
//   headgate_grammar_bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/random.h"
#include "grammar/gbnf.h"
#include "grammar/grammar_constraint.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "tests/support/qwen_tokenizer.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kCompileRuns = 5;
constexpr uint64_t kTexts = 40;
constexpr uint64_t kTokens = 120;  // of a text, at most

struct Subject {
  const char* name;
  const char* kind;
  const char* source;
};

constexpr Subject kSubjects[] = {
    {"small object", "json",
     R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},
         "email":{"type":"string"}},"required":["name","age","email"],"additionalProperties":false})"},
    {"nested order", "json",
     R"({"type":"object","properties":{"id":{"type":"string","format":"uuid"},
         "placed":{"type":"string","format":"date-time"},"status":{"enum":["new","paid","sent"]},
         "lines":{"type":"array","minItems":1,"maxItems":50,"items":{"type":"object","properties":{
           "sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},"count":{"type":"integer","minimum":1,
           "maximum":999},"price":{"type":"number","minimum":0},"note":{"type":"string","maxLength":200}},
           "required":["sku","count","price"]}},"customer":{"type":"object","properties":{
           "name":{"type":"string","minLength":1,"maxLength":80},"mail":{"type":"string","format":"email"}},
           "required":["name"]}},"required":["id","placed","status","lines","customer"]})"},
    {"recursive tree", "json",
     R"({"$defs":{"node":{"type":"object","properties":{"value":{"type":"string"},"children":{
         "type":"array","items":{"$ref":"#/$defs/node"}}},"required":["value","children"]}},
         "$ref":"#/$defs/node"})"},
    {"any JSON object", "json", R"({"type":"object"})"},
    {"regex", "regex", "[A-Z][a-z]+( [A-Z][a-z]+){1,4}, \\d{4}-\\d{2}-\\d{2}: .{10,200}"},
    {"arithmetic", "gbnf",
     "root ::= expr\nexpr ::= term ([-+] term)*\nterm ::= factor ([*/] factor)*\n"
     "factor ::= [0-9]+ | [a-z]+ | \"(\" expr \")\""},
};

Grammar grammar_of(const Subject& subject, JsonSpacing spacing) {
  const std::string_view kind = subject.kind;
  if (kind == "regex") return regex_grammar(subject.source);
  if (kind == "gbnf") return gbnf_grammar(subject.source, nullptr, "bench");
  JsonSchemaOptions options;
  options.spacing = spacing;
  return json_schema_grammar(parse_json(subject.source, "bench"), options);
}

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double quantile(std::vector<double>& values, double part) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(values.size())))];
}

// Random texts that prefer short tokens, so that they stay inside strings for a while.
void walk(const GrammarConstraint& constraint, const TokenTrie& trie, uint64_t seed,
          std::vector<double>& masks, std::vector<double>& steps) {
  std::unique_ptr<ConstraintState> state = constraint.start();
  std::vector<uint64_t> mask(static_cast<size_t>(mask_words(trie.vocabulary())));
  for (uint64_t step = 0; step < kTokens && !state->is_complete(); ++step) {
    auto start = Clock::now();
    if (!state->fill_mask(mask)) return;
    masks.push_back(microseconds_since(start));
    int32_t token = -1;
    for (uint64_t attempt = 0; token < 0; ++attempt) {
      const auto at = static_cast<int32_t>(random_bits(seed, step, attempt) %
                                           static_cast<uint64_t>(trie.vocabulary()));
      for (int32_t i = 0; i < trie.vocabulary() && token < 0; ++i) {
        const int32_t next = (at + i) % trie.vocabulary();
        if ((mask[static_cast<size_t>(next / 64)] >> (next % 64) & 1) != 0 && !trie.is_end(next))
          token = next;
      }
      if (token < 0) return;
    }
    start = Clock::now();
    if (!state->accept(token)) return;
    steps.push_back(microseconds_since(start));
  }
}

void report(const Subject& subject, JsonSpacing spacing, const char* name,
            const std::shared_ptr<const TokenTrie>& trie) {
  std::vector<double> compile, masks, steps;
  for (int run = 0; run < kCompileRuns; ++run) {
    const auto start = Clock::now();
    const GrammarConstraint compiled(grammar_of(subject, spacing), trie);
    compile.push_back(microseconds_since(start));
  }
  const GrammarConstraint constraint(grammar_of(subject, spacing), trie);
  const GrammarFigures figures = constraint.figures();
  for (uint64_t seed = 0; seed < kTexts; ++seed) walk(constraint, *trie, seed, masks, steps);
  double total = 0;
  for (const double us : masks) total += us;
  const double slowest = *std::max_element(masks.begin(), masks.end());
  std::printf("%-26s %7.2f %7lld %9.2f %8.2f %9.1f %9.1f %8.2f %8zu\n", name,
              quantile(compile, 0.5) / 1000, static_cast<long long>(figures.states),
              quantile(masks, 0.5), total / static_cast<double>(masks.size()),
              quantile(masks, 0.99), slowest, quantile(steps, 0.5), masks.size());
}

int run() {
  const Tokenizer tokenizer = Tokenizer::from_parts(qwen_tokenizer_parts(HEADGATE_SOURCE_DIR));
  const auto start = Clock::now();
  const auto trie = std::make_shared<const TokenTrie>(tokenizer, tokenizer.eos_ids());
  std::printf("token tree: %d tokens, %zu nodes, %.1f ms\n", trie->vocabulary(),
              trie->nodes().size(), microseconds_since(start) / 1000);
  std::printf("%-26s %7s %7s %9s %8s %9s %9s %8s %8s\n", "", "compile", "states", "mask p50",
              "mean", "p99", "max", "accept", "masks");
  std::printf("%-26s %7s %7s %9s %8s %9s %9s %8s\n", "", "ms", "", "us", "us", "us", "us", "us");
  for (const Subject& subject : kSubjects) {
    report(subject, JsonSpacing::kCompact, subject.name, trie);
    if (std::string_view(subject.kind) == "json")
      report(subject, JsonSpacing::kAny, (std::string(subject.name) + ", any space").c_str(), trie);
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

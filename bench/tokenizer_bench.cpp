// Tokenizer speed on one core: load time, and MB/s of encoding and decoding for several kinds of
// text.
//   headgate_tokenizer_bench [FILE...]    also times the given text files
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "base/file.h"
#include "tests/support/qwen_tokenizer.h"
#include "text/tokenizer.h"

namespace headgate {
namespace {

constexpr size_t kTextBytes = 1 << 20;
constexpr int kRuns = 5;

struct Timing {
  double median, fastest, slowest;  // seconds
};

Timing time_runs(const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[kRuns / 2], seconds.front(), seconds.back()};
}

std::string repeat(std::string_view unit) {
  std::string text;
  while (text.size() < kTextBytes) text += unit;
  return text;
}

// Words drawn at random from a list, so that the text is not one short loop.
std::string draw(const std::vector<std::string_view>& words, std::string_view between) {
  std::string text;
  uint64_t state = 1;
  while (text.size() < kTextBytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    text += words[(state >> 33) % words.size()];
    text += between;
  }
  return text;
}

// Random three-byte characters, a comma after every `phrase` of them (0: none).
std::string random_characters(char32_t first, int count, int phrase) {
  std::string text;
  uint64_t state = 7;
  for (int i = 1; text.size() < kTextBytes; ++i) {
    if (phrase > 0 && i % phrase == 0) text += "\uff0c";
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto c = static_cast<char32_t>(first + (state >> 33) % static_cast<uint64_t>(count));
    text += static_cast<char>(0xe0 | (c >> 12));
    text += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    text += static_cast<char>(0x80 | (c & 0x3f));
  }
  return text;
}

void report(const Tokenizer& tokenizer, const char* name, const std::string& text) {
  std::vector<int32_t> ids;
  const Timing encode = time_runs([&] { ids = tokenizer.encode(text); });
  std::string back;
  const Timing decode = time_runs([&] { back = tokenizer.decode(ids); });
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf(
      "%-28s %8.2f MB %6.2f bytes/token  encode %7.1f MB/s (%.1f-%.1f)  decode %7.1f MB/s\n", name,
      megabytes, static_cast<double>(text.size()) / static_cast<double>(ids.size()),
      megabytes / encode.median, megabytes / encode.slowest, megabytes / encode.fastest,
      megabytes / decode.median);
}

int run(int argc, char** argv) {
  const TokenizerParts parts = qwen_tokenizer_parts(HEADGATE_SOURCE_DIR);
  const std::string file = tokenizer_json_text(parts);
  const Timing load = time_runs([&] { Tokenizer::from_json(file, "tokenizer.json"); });
  std::printf("load tokenizer.json (%.1f MB): %.0f ms (%.0f-%.0f)\n",
              static_cast<double>(file.size()) / 1e6, load.median * 1e3, load.fastest * 1e3,
              load.slowest * 1e3);
  const Tokenizer tokenizer = Tokenizer::from_parts(parts);
  const std::vector<std::string_view> english = {
      "the",     "of",    "language", "A",      "measured", "river",   "engine,",  "which",
      "quietly", "and",   "to",       "models", "winter.",  "because", "children", "it's",
      "we'll",   "1,024", "tokens",   "under",  "(see",     "below)",  "between",  "Tokenizer"};
  const std::vector<std::string_view> code = {"int main() {\n",
                                              "  for (size_t i = 0; i < n; ++i) {\n",
                                              "    out[i] += x[i] * 0.5f;\n",
                                              "  }\n",
                                              "  return std::move(result);\n",
                                              "}\n\n",
                                              "def f(self, a_b, **kwargs):\n",
                                              "        raise ValueError(f\"{x!r} != 3.14\")\n"};
  report(tokenizer, "english words", draw(english, " "));
  report(tokenizer, "code lines", draw(code, ""));
  report(tokenizer, "random CJK, 12 a phrase", random_characters(0x4e00, 3000, 12));
  report(tokenizer, "random CJK, 30 a phrase", random_characters(0x4e00, 3000, 30));
  report(tokenizer, "random CJK, no breaks", random_characters(0x4e00, 3000, 0));
  report(tokenizer, "random Hangul, no breaks", random_characters(0xac00, 11172, 0));
  report(tokenizer, "one letter", repeat("a"));
  report(tokenizer, "spaces", repeat(" "));
  report(tokenizer, "newlines", repeat("\n"));
  report(tokenizer, "digits", repeat("1234567890"));
  report(tokenizer, "combining marks", repeat("\u0301\u0323"));
  report(tokenizer, "decomposed letters", repeat("e\u0301a\u0323\u0302 "));
  report(tokenizer, "control tokens", repeat("<|im_start|>x<|im_end|><|im_"));
  report(tokenizer, "invalid UTF-8", repeat("\xff\xc3"));
  for (int i = 1; i < argc; ++i) report(tokenizer, argv[i], read_text_file(argv[i]));
  return 0;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  try {
    return headgate::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

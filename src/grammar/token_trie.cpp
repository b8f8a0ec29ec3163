// Sorting the tokens and laying the tree out.
#include "grammar/token_trie.h"

#include <algorithm>
#include <numeric>

namespace headgate {

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::vector<int32_t> end_tokens)
    : end_tokens_(std::move(end_tokens)) {
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view text = tokenizer.token_bytes(id);
    if (tokenizer.is_added(id)) {
      added_.emplace(text, id);
      added_names_.emplace(id, text);
    }
    add_token(tokenizer.is_added(id) || is_end(id) ? std::string_view{} : text);
  }
  build();
}

TokenTrie::TokenTrie(const std::vector<std::string>& tokens, std::vector<int32_t> end_tokens)
    : end_tokens_(std::move(end_tokens)) {
  for (const std::string& token : tokens)
    add_token(is_end(vocabulary()) ? std::string_view{} : std::string_view(token));
  build();
}

void TokenTrie::add_token(std::string_view bytes) {
  // Nodes count their depth in 16 bits; no real token comes near.
  if (bytes.size() < 0xffff) blob_ += bytes;
  ends_.push_back(blob_.size());
}

std::string_view TokenTrie::bytes(int32_t token) const {
  if (token < 0 || token >= vocabulary()) return {};
  const auto i = static_cast<size_t>(token);
  const uint64_t begin = i == 0 ? 0 : ends_[i - 1];
  return std::string_view(blob_).substr(begin, ends_[i] - begin);
}

bool TokenTrie::is_end(int32_t token) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end();
}

int32_t TokenTrie::find_added(std::string_view name) const {
  const auto found = added_.find(std::string(name));
  return found == added_.end() ? -1 : found->second;
}

std::string_view TokenTrie::added_name(int32_t token) const {
  const auto found = added_names_.find(token);
  return found == added_names_.end() ? std::string_view{} : std::string_view(found->second);
}

void TokenTrie::build() {
  std::vector<int32_t> order(ends_.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int32_t token) { return bytes(token).empty(); });
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int compared = bytes(a).compare(bytes(b));
    return compared != 0 ? compared < 0 : a < b;
  });
  nodes_.push_back({});
  std::vector<int32_t> path{0};  // nodes from the root to the last token
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back())
      nodes_[static_cast<size_t>(path.back())].end = static_cast<int32_t>(nodes_.size());
  };
  std::string_view before;
  for (const int32_t token : order) {
    const std::string_view text = bytes(token);
    most_bytes_ = std::max(most_bytes_, static_cast<int32_t>(text.size()));
    if (text == before) {
      int32_t last = nodes_[static_cast<size_t>(path.back())].token;
      while (twin_of(last) >= 0) last = twin_of(last);
      twins_[last] = token;
      continue;
    }
    size_t shared = 0;
    while (shared < std::min(text.size(), before.size()) && text[shared] == before[shared])
      ++shared;
    close(shared + 1);
    for (size_t i = shared; i < text.size(); ++i) {
      path.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({-1, 0, static_cast<uint16_t>(i + 1), static_cast<uint8_t>(text[i])});
    }
    nodes_.back().token = token;
    before = text;
  }
  close(0);
}

}  // namespace headgate

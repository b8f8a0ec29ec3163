// The tokens of a vocabulary as a tree of bytes, for deciding about all of them in one walk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace headgate {

// What constraints need of a tokenizer: the bytes of its text tokens, its control tokens by name,
// and the tokens that end an answer. Made once per model and shared. Thread rule: any thread.
class TokenTrie {
 public:
  struct Node {
    int32_t token = -1;  // whose bytes end here
    int32_t end = 0;     // the first node behind this one's subtree
    uint16_t depth = 0;  // bytes from the root
    uint8_t byte = 0;    // the last of them
  };

  // `end_tokens`: those that end an answer (stop_tokens() of chat/checkpoint_text.h). Added tokens
  // (<|im_start|>, <think>) are not text: a constraint allows them only where it names them.
  TokenTrie(const Tokenizer& tokenizer, std::vector<int32_t> end_tokens);
  // For tests: token i has bytes tokens[i]; none where empty.
  TokenTrie(const std::vector<std::string>& tokens, std::vector<int32_t> end_tokens);

  int32_t vocabulary() const { return static_cast<int32_t>(ends_.size()); }
  std::string_view bytes(int32_t token) const;  // empty: not text
  const std::vector<int32_t>& end_tokens() const { return end_tokens_; }
  bool is_end(int32_t token) const;
  // The id of an added token, -1: none has this name.
  int32_t find_added(std::string_view name) const;
  std::string_view added_name(int32_t token) const;  // empty: not an added one

  // In the order of a walk down the tree; node 0 is the root.
  const std::vector<Node>& nodes() const { return nodes_; }
  int32_t most_bytes() const { return most_bytes_; }
  // Other tokens with the same bytes as `token`.
  template <typename Do>
  void for_each_token(int32_t node, Do act) const {
    int32_t token = nodes_[static_cast<size_t>(node)].token;
    for (; token >= 0; token = twin_of(token)) act(token);
  }

 private:
  void add_token(std::string_view bytes);
  void build();
  int32_t twin_of(int32_t token) const {
    if (twins_.empty()) return -1;
    const auto found = twins_.find(token);
    return found == twins_.end() ? -1 : found->second;
  }

  std::string blob_;
  std::vector<uint64_t> ends_;
  std::vector<int32_t> end_tokens_;
  std::unordered_map<std::string, int32_t> added_;
  std::unordered_map<int32_t, std::string> added_names_;
  std::unordered_map<int32_t, int32_t> twins_;
  std::vector<Node> nodes_;
  int32_t most_bytes_ = 0;
};

}  // namespace headgate

// A loaded model as requests see it, and how a request holds on to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "chat/chat_template.h"
#include "engine/engine.h"
#include "sampling/sampler.h"
#include "text/tokenizer.h"

namespace headgate {

class ConstraintCache;
class ModelMetrics;
class TokenTrie;

// Constant once made, but for what its engine does.
struct ServedModel {
  std::string name;
  std::vector<std::string> aliases;
  Engine* engine = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // nullptr: no chat endpoints
  SamplingParams sampling_defaults;
  std::vector<int32_t> stop_tokens;
  int64_t created = 0;  // seconds since 1970
  // Keeps what the pointers above point to; null: somebody else does, for longer than the host.
  std::shared_ptr<void> owner = nullptr;

  // --- filled in by the host ---
  std::string fingerprint;          // "headgate-1.2.3"
  ModelMetrics* metrics = nullptr;  // live as long as the host
  json::object special_tokens;      // texts that templates may use
  std::shared_ptr<const TokenTrie> trie;
  std::shared_ptr<ConstraintCache> constraints;
};

// A model in use: it stays loaded while one of these exists. May be let go of on any thread, also
// on the engine's.
using ModelLease = std::shared_ptr<const ServedModel>;

}  // namespace headgate

// Canonical forms, and what is put back in their place.
#include "server/answer_echoes.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kAnswerOverhead = 400;  // of maps, lists and allocations

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

std::string_view text_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// JSON without white space, keys in order.
void write_canonical(const json::value& value, std::string& out) {
  if (const json::object* object = value.if_object()) {
    std::vector<const json::key_value_pair*> members;
    for (const json::key_value_pair& each : *object) members.push_back(&each);
    std::sort(members.begin(), members.end(),
              [](const auto* a, const auto* b) { return a->key() < b->key(); });
    out += '{';
    for (const json::key_value_pair* each : members) {
      out += dump_json(json::value(json::string(each->key()))) + ":";
      write_canonical(each->value(), out);
      out += ',';
    }
    out += '}';
  } else if (const json::array* array = value.if_array()) {
    out += '[';
    for (const json::value& each : *array) {
      write_canonical(each, out);
      out += ',';
    }
    out += ']';
  } else {
    out += dump_json(value);
  }
}

// Of arguments as JSON or as its text; what is no JSON is itself.
std::string canonical_arguments(const json::value* arguments) {
  if (arguments == nullptr || arguments->is_null()) return "{}";
  std::string out;
  if (!arguments->is_string()) {
    write_canonical(*arguments, out);
    return out;
  }
  const std::string_view text{arguments->get_string().data(), arguments->get_string().size()};
  if (trimmed(text).empty()) return "{}";
  try {
    write_canonical(parse_json(text, "arguments"), out);
    return out;
  } catch (const Error&) {
    return "text " + std::string(text);
  }
}

// The calls of a message that has a list of them.
std::vector<json::object*> calls_of(json::object& message) {
  std::vector<json::object*> out;
  json::value* calls = message.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) return out;
  for (json::value& call : calls->get_array()) {
    if (!call.is_object()) continue;
    json::value* function = call.get_object().if_contains("function");
    json::object* inner = function != nullptr ? function->if_object() : call.if_object();
    if (inner != nullptr) out.push_back(inner);
  }
  return out;
}

std::string canonical_form(json::object message) {
  std::string out;
  // With its length, so that no text can pass for two.
  const auto add = [&](std::string_view part) {
    out += fmt::format("{}:", part.size());
    out += part;
  };
  const std::string role(text_member(message, "role"));
  add(role);
  if (role != "assistant") {
    const json::value* content = member(message, "content");
    add(content != nullptr ? dump_json(*content) : "");
    return out;
  }
  add(trimmed(text_member(message, "content")));
  for (const json::object* call : calls_of(message)) {
    add(text_member(*call, "name"));
    add(canonical_arguments(member(*call, "arguments")));
  }
  return out;
}

json::object message_of(const SampledAnswer& answer) {
  Message message;
  message.role = "assistant";
  message.content = answer.content;
  message.tool_calls = answer.calls;
  return message_to_json(message);
}

// The message says what the answer said: its words become those of the answer.
void restore(json::object& message, const SampledAnswer& answer) {
  const json::value* content = member(message, "content");
  const bool has_text = content != nullptr && content->is_string();
  if (has_text || !answer.content.empty()) message["content"] = answer.content;
  if (!answer.reasoning.empty() && text_member(message, "reasoning_content").empty() &&
      text_member(message, "content").find("</think>") == std::string_view::npos)
    message["reasoning_content"] = answer.reasoning;
  const std::vector<json::object*> calls = calls_of(message);
  for (size_t i = 0; i < calls.size() && i < answer.calls.size(); ++i)
    (*calls[i])["arguments"] = answer.calls[i].arguments;
}

}  // namespace

int64_t SampledAnswer::bytes() const {
  size_t sum = content.size() + reasoning.size() + lead.size() + text.size();
  for (const ToolCall& call : calls)
    sum += sizeof(ToolCall) + call.id.size() + call.name.size() + call.arguments.size();
  return static_cast<int64_t>(sum + tokens.size() * sizeof(int32_t) + sizeof(SampledAnswer)) +
         kAnswerOverhead;
}

Digest digest_with(const Digest& before, const json::object& message) {
  return Sha256().add(before).add(canonical_form(message)).digest();
}

void AnswerEchoes::drop_oldest(Owner& owner) {
  const Kept& oldest = owner.kept.back();
  owner.bytes -= oldest.answer->bytes();
  bytes_ -= oldest.answer->bytes();
  owner.by_digest.erase(oldest.digest);
  owner.kept.pop_back();
}

void AnswerEchoes::remember(const AnswerPlace& place, SampledAnswer answer) {
  if (answer.tokens.empty()) return;
  const Digest digest = digest_with(place.before, message_of(answer));
  const auto kept = std::make_shared<const SampledAnswer>(std::move(answer));
  const std::lock_guard lock(mutex_);
  if (kept->bytes() > most_bytes_) return;
  Owner& owner = owners_[place.salt];
  const auto known = owner.by_digest.find(digest);
  if (known != owner.by_digest.end()) {
    owner.kept.splice(owner.kept.end(), owner.kept, known->second);
    drop_oldest(owner);
  }
  owner.kept.push_front({digest, kept});
  owner.by_digest[digest] = owner.kept.begin();
  owner.bytes += kept->bytes();
  bytes_ += kept->bytes();
  while (bytes_ > most_bytes_) {
    const auto most = std::max_element(
        owners_.begin(), owners_.end(),
        [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
    drop_oldest(most->second);
    if (most->second.kept.empty()) owners_.erase(most);
  }
}

std::shared_ptr<const SampledAnswer> AnswerEchoes::find(const std::string& salt,
                                                        const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto owner = owners_.find(salt);
  if (owner == owners_.end()) return nullptr;
  const auto at = owner->second.by_digest.find(digest);
  return at != owner->second.by_digest.end() ? at->second->answer : nullptr;
}

int64_t AnswerEchoes::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

RepairedChat repair_echoes(const json::array& messages, const AnswerEchoes& echoes,
                           const std::string& salt, bool last_is_open) {
  RepairedChat out;
  out.messages = messages;
  for (size_t i = 0; i < out.messages.size(); ++i) {
    json::object* message = out.messages[i].if_object();
    if (message == nullptr) continue;
    out.digest = digest_with(out.digest, *message);
    const bool open = last_is_open && i + 1 == out.messages.size();
    if (open || text_member(*message, "role") != "assistant") continue;
    std::shared_ptr<const SampledAnswer> echo = echoes.find(salt, out.digest);
    if (echo == nullptr) continue;
    restore(*message, *echo);
    out.echoes.push_back(std::move(echo));
  }
  return out;
}

std::vector<int32_t> encode_with_echoes(
    const Tokenizer& tokenizer, std::string_view text,
    std::span<const std::shared_ptr<const SampledAnswer>> echoes) {
  std::vector<int32_t> ids;
  const auto add = [&](std::string_view part) {
    const std::vector<int32_t> more = tokenizer.encode(part);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const auto ends_here = [&](std::string_view rest) {
    return std::any_of(tokenizer.eos_ids().begin(), tokenizer.eos_ids().end(), [&](int32_t id) {
      const std::string_view end = tokenizer.token_bytes(id);
      return tokenizer.is_added(id) && !end.empty() && rest.substr(0, end.size()) == end;
    });
  };
  size_t done = 0;  // of the text
  for (const auto& echo : echoes) {
    if (echo->lead.empty()) continue;
    const std::string wanted = echo->lead + echo->text;
    size_t at = text.find(wanted, done);
    while (at != std::string_view::npos && !ends_here(text.substr(at + wanted.size())))
      at = text.find(wanted, at + 1);
    if (at == std::string_view::npos) continue;
    add(text.substr(done, at + echo->lead.size() - done));
    ids.insert(ids.end(), echo->tokens.begin(), echo->tokens.end());
    done = at + wanted.size();
  }
  add(text.substr(done));
  return ids;
}

}  // namespace headgate

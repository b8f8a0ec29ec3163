// Conversations to text with a loss mask, and from the lines of JSONL files.
#include "data/conversation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::string_view kToolsHead =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsTail =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call>";

std::string_view strip_newlines(std::string_view text) {
  while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return text;
}

// The last turn of the user that is a question: the template shows reasoning behind it only.
size_t last_query(const std::vector<Turn>& turns) {
  for (size_t i = turns.size(); i-- > 0;)
    if (turns[i].role == "user") return i;
  return turns.empty() ? 0 : turns.size() - 1;
}

class Renderer {
 public:
  explicit Renderer(const Conversation& conversation)
      : conversation_(conversation), query_(last_query(conversation.turns)) {}

  std::vector<Segment> render() {
    const std::vector<Turn>& turns = conversation_.turns;
    const bool system = !turns.empty() && turns[0].role == "system";
    if (!conversation_.tools.empty()) {
      tools(system ? turns[0].content : std::string());
    } else if (system) {
      plain("<|im_start|>system\n" + turns[0].content + "<|im_end|>\n");
    }
    for (size_t i = system ? 1 : 0; i < turns.size(); ++i) {
      if (turns[i].role == "assistant") {
        assistant(i);
      } else if (turns[i].role == "tool") {
        tool_result(i);
      } else {
        plain("<|im_start|>" + turns[i].role + "\n" + turns[i].content + "<|im_end|>\n");
      }
    }
    return std::move(out_);
  }

 private:
  void plain(std::string text) { out_.push_back({std::move(text), false}); }

  void tools(const std::string& system) {
    std::string text = "<|im_start|>system\n";
    if (!system.empty()) text += system + "\n\n";
    text += kToolsHead;
    for (const json::value& tool : conversation_.tools) text += "\n" + dump_json_python(tool);
    plain(text + std::string(kToolsTail) + "<|im_end|>\n");
  }

  void assistant(size_t i) {
    const Turn& turn = conversation_.turns[i];
    const bool last = i + 1 == conversation_.turns.size();
    plain("<|im_start|>assistant\n");
    bool target = turn.target;
    std::string_view content = turn.content;
    if (conversation_.thinking && i > query_ && (last || !turn.reasoning.empty())) {
      plain("<think>\n");
      out_.push_back({std::string(strip_newlines(turn.reasoning)) + "\n</think>\n\n", target});
      while (!content.empty() && content.front() == '\n') content.remove_prefix(1);
    } else if (conversation_.thinking) {
      target = false;  // a thinking model never writes a turn that does not open with <think>
    }
    std::string text(content);
    for (size_t c = 0; c < turn.calls.size(); ++c) {
      if (!content.empty() || c > 0) text += "\n";
      text += "<tool_call>\n{\"name\": \"" + turn.calls[c].name +
              "\", \"arguments\": " + dump_json_python(turn.calls[c].arguments) + "}\n</tool_call>";
    }
    out_.push_back({text + "<|im_end|>", target});
    plain("\n");
  }

  void tool_result(size_t i) {
    const std::vector<Turn>& turns = conversation_.turns;
    std::string text;
    if (i == 0 || turns[i - 1].role != "tool") text = "<|im_start|>user";
    text += "\n<tool_response>\n" + turns[i].content + "\n</tool_response>";
    if (i + 1 == turns.size() || turns[i + 1].role != "tool") text += "<|im_end|>\n";
    plain(std::move(text));
  }

  const Conversation& conversation_;
  size_t query_;
  std::vector<Segment> out_;
};

[[noreturn]] void wrong(std::string_view source, std::string_view what) {
  fail(ErrorCode::kInvalidFile, "{}: {}", source, what);
}

std::string text_of(const json::value& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return std::string(value.as_string());
  return dump_json_python(value);
}

TrainingCall read_call(const json::value& value, std::string_view source) {
  if (!value.is_object()) wrong(source, "tool call: expected an object");
  const json::object* call = &value.as_object();
  if (const json::value* function = call->if_contains("function"); function != nullptr) {
    if (!function->is_object()) wrong(source, "function of a tool call: expected an object");
    call = &function->as_object();
  }
  const json::value* name = call->if_contains("name");
  if (name == nullptr || !name->is_string()) wrong(source, "tool call without a name");
  TrainingCall out{std::string(name->as_string()), {}};
  const json::value* arguments = call->if_contains("arguments");
  if (arguments == nullptr) return out;
  json::value parsed = *arguments;
  if (parsed.is_string()) parsed = parse_json(parsed.as_string(), source);
  if (!parsed.is_object()) wrong(source, "arguments of a tool call: expected an object");
  out.arguments = parsed.as_object();
  return out;
}

Turn read_turn(const json::value& value, std::string_view source) {
  if (!value.is_object()) wrong(source, "message: expected an object");
  const json::object& message = value.as_object();
  Turn turn;
  const json::value* role = message.if_contains("role");
  if (role == nullptr || !role->is_string()) wrong(source, "message without a role");
  turn.role = std::string(role->as_string());
  static constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  if (std::find(std::begin(kRoles), std::end(kRoles), turn.role) == std::end(kRoles))
    fail(ErrorCode::kInvalidFile, "{}: role {}, expected system, user, assistant or tool", source,
         turn.role);
  if (const json::value* content = message.if_contains("content"); content != nullptr)
    turn.content = text_of(*content);
  if (const json::value* text = message.if_contains("reasoning_content"); text != nullptr)
    turn.reasoning = text_of(*text);
  if (const json::value* calls = message.if_contains("tool_calls");
      calls != nullptr && !calls->is_null()) {
    if (!calls->is_array()) wrong(source, "tool_calls: expected an array");
    for (const json::value& call : calls->as_array()) turn.calls.push_back(read_call(call, source));
  }
  return turn;
}

}  // namespace

std::vector<Segment> conversation_segments(const Conversation& conversation) {
  return Renderer(conversation).render();
}

std::string conversation_prompt(const Conversation& conversation) {
  const std::vector<Segment> segments = conversation_segments(conversation);
  size_t end = segments.size();
  while (end > 0 && segments[end - 1].text != "<|im_start|>assistant\n") --end;
  std::string out;
  for (size_t i = 0; i < end; ++i) out += segments[i].text;
  if (conversation.thinking) out += "<think>\n";
  return out;
}

Conversation conversation_from_json(const json::object& entry, std::string_view source) {
  Conversation out;
  const json::value* messages = entry.if_contains("messages");
  if (messages == nullptr || !messages->is_array())
    wrong(source, "expected an object with a \"messages\" array");
  for (const json::value& message : messages->as_array()) {
    out.turns.push_back(read_turn(message, source));
    out.thinking = out.thinking || !out.turns.back().reasoning.empty();
  }
  if (out.turns.empty()) wrong(source, "no messages");
  if (const json::value* tools = entry.if_contains("tools");
      tools != nullptr && !tools->is_null()) {
    if (!tools->is_array()) wrong(source, "tools: expected an array");
    for (const json::value& tool : tools->as_array()) {
      if (!tool.is_object()) wrong(source, "tool: expected an object");
      const bool bare = !tool.as_object().contains("function");
      out.tools.push_back(bare ? json::value{{"type", "function"}, {"function", tool}} : tool);
    }
  }
  return out;
}

}  // namespace headgate

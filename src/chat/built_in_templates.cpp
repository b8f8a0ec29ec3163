// The built-in chat templates: the rules of Qwen3's 2507 Instruct and Thinking models in our own
// words.
#include "chat/chat_template.h"

namespace headgate {
namespace {

// Equal to instruct.jinja and thinking.jinja in tests/golden/chat, which a test checks.
constexpr std::string_view kInstruct =
    R"jinja({#- ChatML of the Qwen3 Instruct models: the answer as it is, tool calls as JSON in tags. -#}
{%- macro text_of(message) -%}
    {{- message.content if message.content is string else '' -}}
{%- endmacro -%}
{%- macro call_of(call) -%}
    {%- set f = call.function if call.function else call -%}
    {{- '<tool_call>\n{"name": "' ~ f.name ~ '", "arguments": ' -}}
    {{- f.arguments if f.arguments is string else f.arguments|tojson -}}
    {{- '}\n</tool_call>' -}}
{%- endmacro -%}
{%- set has_system = messages[0].role == 'system' -%}
{%- if tools -%}
    {{- '<|im_start|>system\n' -}}
    {%- if has_system %}{{ text_of(messages[0]) ~ '\n\n' }}{% endif -%}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' -}}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' -}}
    {%- for tool in tools %}{{ '\n' ~ tool|tojson }}{% endfor -%}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments ' -}}
    {{- 'within <tool_call></tool_call> XML tags:\n<tool_call>\n' -}}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' -}}
{%- elif has_system -%}
    {{- '<|im_start|>system\n' ~ text_of(messages[0]) ~ '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) -%}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ text_of(message) ~ '<|im_end|>\n' -}}
    {%- elif message.role == 'assistant' -%}
        {%- set text = text_of(message) -%}
        {{- '<|im_start|>assistant\n' ~ text -}}
        {%- for call in message.tool_calls or [] -%}
            {{- '\n' if text or not loop.first -}}
            {{- call_of(call) -}}
        {%- endfor -%}
        {{- '<|im_end|>\n' -}}
    {%- elif message.role == 'tool' -%}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|im_start|>user' }}{% endif -%}
        {{- '\n<tool_response>\n' ~ text_of(message) ~ '\n</tool_response>' -}}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|im_end|>\n' }}{% endif -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif -%}
)jinja";

constexpr std::string_view kThinking =
    R"jinja({#- ChatML of the Qwen3 Thinking models: reasoning is kept from the last question on, and dropped before it. -#}
{%- macro text_of(message) -%}
    {{- message.content if message.content is string else '' -}}
{%- endmacro -%}
{%- macro call_of(call) -%}
    {%- set f = call.function if call.function else call -%}
    {{- '<tool_call>\n{"name": "' ~ f.name ~ '", "arguments": ' -}}
    {{- f.arguments if f.arguments is string else f.arguments|tojson -}}
    {{- '}\n</tool_call>' -}}
{%- endmacro -%}
{%- set last = namespace(question=messages|length - 1) -%}
{%- for message in messages[::-1] -%}
    {%- set text = text_of(message) -%}
    {%- if message.role == 'user' and message.content is string
            and not (text.startswith('<tool_response>') and text.endswith('</tool_response>')) -%}
        {%- set last.question = loop.revindex0 -%}
        {%- break -%}
    {%- endif -%}
{%- endfor -%}
{%- set has_system = messages[0].role == 'system' -%}
{%- if tools -%}
    {{- '<|im_start|>system\n' -}}
    {%- if has_system %}{{ text_of(messages[0]) ~ '\n\n' }}{% endif -%}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' -}}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' -}}
    {%- for tool in tools %}{{ '\n' ~ tool|tojson }}{% endfor -%}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments ' -}}
    {{- 'within <tool_call></tool_call> XML tags:\n<tool_call>\n' -}}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' -}}
{%- elif has_system -%}
    {{- '<|im_start|>system\n' ~ text_of(messages[0]) ~ '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) -%}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ text_of(message) ~ '<|im_end|>\n' -}}
    {%- elif message.role == 'assistant' -%}
        {%- set text = text_of(message) -%}
        {%- set reasoning = '' -%}
        {%- if message.reasoning_content is string -%}
            {%- set reasoning = message.reasoning_content -%}
        {%- elif '</think>' in text -%}
            {%- set reasoning = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') -%}
            {%- set text = text.split('</think>')[-1].lstrip('\n') -%}
        {%- endif -%}
        {{- '<|im_start|>assistant\n' -}}
        {%- if loop.index0 > last.question and (loop.last or reasoning) -%}
            {{- '<think>\n' ~ reasoning.strip('\n') ~ '\n</think>\n\n' ~ text.lstrip('\n') -}}
        {%- else -%}
            {{- text -}}
        {%- endif -%}
        {%- for call in message.tool_calls or [] -%}
            {{- '\n' if text or not loop.first -}}
            {{- call_of(call) -}}
        {%- endfor -%}
        {{- '<|im_end|>\n' -}}
    {%- elif message.role == 'tool' -%}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|im_start|>user' }}{% endif -%}
        {{- '\n<tool_response>\n' ~ text_of(message) ~ '\n</tool_response>' -}}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|im_end|>\n' }}{% endif -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif -%}
)jinja";

}  // namespace

std::string_view ChatTemplate::built_in_source(bool thinking) {
  return thinking ? kThinking : kInstruct;
}

}  // namespace headgate

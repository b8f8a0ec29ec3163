"""ChatML rendering with loss marks, and the chat template that ships with the model.

render() must give the same text as the template; check_export.py compares them.
"""

import json

ADDED_TOKENS = (
    [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|object_ref_start|>",
        "<|object_ref_end|>",
        "<|box_start|>",
        "<|box_end|>",
        "<|quad_start|>",
        "<|quad_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ],
    [
        "<tool_call>",
        "</tool_call>",
        "<|fim_prefix|>",
        "<|fim_middle|>",
        "<|fim_suffix|>",
        "<|fim_pad|>",
        "<|repo_name|>",
        "<|file_sep|>",
        "<tool_response>",
        "</tool_response>",
        "<think>",
        "</think>",
    ],
)

TOOLS_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
TOOLS_TAIL = (
    "\n</tools>\n\nFor each function call, return a json object with function name "
    "and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": '
    "<args-json-object>}\n</tool_call>"
)

_TEMPLATE = r"""{%- set thinking = enable_thinking is defined and enable_thinking %}
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {%- if messages[0].content is string %}{{- messages[0].content }}{%- endif %}
        {{- '\n\n' }}
    {%- endif %}
    {{- HEAD }}
    {%- for tool in tools %}
        {{- '\n' }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- TAIL }}
    {{- '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].content is string %}{{- messages[0].content }}{%- endif %}
    {{- '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(query=messages | length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- if not ns.found and message.role == 'user' and message.content is string %}
        {%- set text = message.content %}
        {%- if not (text.startswith('<tool_response>') and text.endswith('</tool_response>')) %}
            {%- set ns.found = true %}
            {%- set ns.query = (messages | length - 1) - loop.index0 %}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if thinking %}
            {%- set reasoning = '' %}
            {%- if message.reasoning_content is string %}
                {%- set reasoning = message.reasoning_content %}
            {%- elif '</think>' in content %}
                {%- set reasoning = content.split('</think>')[0].rstrip('\n') %}
                {%- set reasoning = reasoning.split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
            {%- if loop.index0 > ns.query and (loop.last or reasoning) %}
                {{- '<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' }}
                {%- set content = content.lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {{- content }}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if content or not loop.first %}
                    {{- '\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set call = tool_call.function %}
                {%- else %}
                    {%- set call = tool_call %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
                {%- if call.arguments is string %}
                    {{- call.arguments }}
                {%- else %}
                    {{- call.arguments | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if thinking %}
        {{- '<think>\n' }}
    {%- endif %}
{%- endif %}
"""


def _quote(text):
    return "'" + text.replace("\\", "\\\\").replace("\n", "\\n").replace("'", "\\'") + "'"


CHAT_TEMPLATE = (
    _TEMPLATE.replace("HEAD", _quote(TOOLS_HEAD)).replace("TAIL", _quote(TOOLS_TAIL)).rstrip("\n")
)


def dumps(obj):
    return json.dumps(obj, ensure_ascii=False)


def render_calls(calls, has_text):
    parts = []
    for i, call in enumerate(calls):
        parts.append(
            ("\n" if has_text or i else "")
            + '<tool_call>\n{"name": "'
            + call["name"]
            + '", "arguments": '
            + dumps(call["arguments"])
            + "}\n</tool_call>"
        )
    return "".join(parts)


def render(messages, tools=None, thinking=False):
    """-> list of (text, is_target).  With thinking, only the current turn carries reasoning."""
    out = []
    first_system = messages[0]["role"] == "system"
    if tools:
        head = messages[0]["content"] + "\n\n" if first_system else ""
        body = "".join("\n" + dumps(t) for t in tools)
        out.append(
            ("<|im_start|>system\n" + head + TOOLS_HEAD + body + TOOLS_TAIL + "<|im_end|>\n", False)
        )
    elif first_system:
        out.append(("<|im_start|>system\n" + messages[0]["content"] + "<|im_end|>\n", False))
    query = max(i for i, m in enumerate(messages) if m["role"] == "user")
    for i, m in enumerate(messages):
        prev = messages[i - 1]["role"] if i else ""
        if m["role"] == "user":
            out.append(("<|im_start|>user\n" + m["content"] + "<|im_end|>\n", False))
        elif m["role"] == "tool":
            out.append(
                (
                    ("" if prev == "tool" else "<|im_start|>user")
                    + "\n<tool_response>\n"
                    + m["content"]
                    + "\n</tool_response>",
                    False,
                )
            )
            if i + 1 == len(messages) or messages[i + 1]["role"] != "tool":
                out.append(("<|im_end|>\n", False))
        elif m["role"] == "assistant":
            out.append(("<|im_start|>assistant\n", False))
            text = m.get("content") or ""
            if thinking and i > query:
                out.append(("<think>\n", False))
                out.append(((m.get("think") or "").strip("\n") + "\n</think>\n\n", True))
            calls = m.get("tool_calls") or []
            out.append(
                (text + render_calls(calls, bool(text)) + "<|im_end|>", not m.get("context"))
            )
            out.append(("\n", False))
    return out

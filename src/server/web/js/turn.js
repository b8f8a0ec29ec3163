// One answer: asks the server, fills the message as its pieces come, and keeps the time.

import {chatStream} from './api.js';
import {messagesFor} from './conversation.js';
import {takeTokens} from './tokens.js';

const seconds = () => performance.now() / 1000;

// The request for an answer, with only those fields that people have set.
export function requestFor(conversation, node, settings) {
  const body = {model: node.model, messages: messagesFor(conversation, node), stream: true, stream_options: {include_usage: true},
                return_progress: true};
  for (const [name, value] of Object.entries(settings.sampling)) {
    if (value !== null && value !== undefined && value !== '') body[name] = value;
  }
  if (settings.thinking !== 'auto') body.chat_template_kwargs = {enable_thinking: settings.thinking === 'on'};
  if (settings.tools?.length) body.tools = settings.tools;
  if (settings.tokens === 'on') Object.assign(body, {logprobs: true, top_logprobs: 5});
  return body;
}

function takeUsage(stats, usage) {
  stats.promptTokens = usage.prompt_tokens;
  stats.outputTokens = usage.completion_tokens;
  const prompt = usage.prompt_tokens_details ?? {};
  const output = usage.completion_tokens_details ?? {};
  if (Number.isFinite(prompt.cached_tokens)) stats.cachedTokens = prompt.cached_tokens;
  if (Number.isFinite(output.reasoning_tokens)) stats.reasoningTokens = output.reasoning_tokens;
  const accepted = output.accepted_prediction_tokens ?? 0;
  const drafted = accepted + (output.rejected_prediction_tokens ?? 0);
  if (drafted > 0) Object.assign(stats, {drafted, accepted});
}

// The server's own clock knows nothing of the network between.
function takeTimings(stats, {predicted_n: tokens, predicted_ms: time}) {
  if (tokens > 1 && time > 2) stats.serverSpeed = tokens / (time / 1000);
}

function takeCalls(node, pieces) {
  node.calls ??= [];
  for (const piece of pieces) {
    const index = piece.index ?? node.calls.length;
    const call = (node.calls[index] ??= {id: '', name: '', arguments: ''});
    if (piece.id) call.id = piece.id;
    if (piece.function?.name) call.name += piece.function.name;
    if (piece.function?.arguments) call.arguments += piece.function.arguments;
  }
}

// A speed needs some tokens and some time to mean anything.
function updateSpeed(stats, times) {
  const tokens = (stats.outputTokens ?? stats.chunks) - 1;
  const elapsed = times.last - times.first;
  if (tokens >= 2 && elapsed > 0.02) stats.speed = tokens / elapsed;
}

function takeDelta(node, delta, stats, times) {
  const thought = delta.reasoning_content ?? delta.reasoning;
  if (!thought && !delta.content && !delta.tool_calls?.length) return;
  const now = seconds();
  if (times.first === null) {
    times.first = now;
    stats.ttft = now - times.start;
  }
  times.last = now;
  stats.chunks++;
  if (thought) {
    times.thought ??= now;
    node.reasoning = (node.reasoning ?? '') + thought;
    stats.thinking = now - times.thought;
  }
  if (delta.content) node.text += delta.content;
  if (delta.tool_calls?.length) takeCalls(node, delta.tool_calls);
  updateSpeed(stats, times);
}

// Fills `node` until the answer is complete, stopped or failed. Never throws: what failed is in node.error.
export async function runTurn(conversation, node, settings, signal, changed) {
  const stats = (node.stats = {chunks: 0});
  const times = {start: seconds(), first: null, last: null, thought: null};
  node.error = null;
  try {
    for await (const event of chatStream(requestFor(conversation, node, settings), signal)) {
      const choice = event.choices?.[0];
      if (choice?.delta) takeDelta(node, choice.delta, stats, times);
      if (choice?.logprobs?.content) takeTokens(node, choice.logprobs.content);
      if (choice?.finish_reason) node.finish = choice.finish_reason;
      if (event.usage) takeUsage(stats, event.usage);
      if (event.timings) takeTimings(stats, event.timings);
      node.progress = event.prompt_progress ?? (times.first === null ? node.progress : undefined);
      if (event.model) node.model = event.model;
      changed();
    }
    node.finish ??= 'stop';
  } catch (error) {
    node.finish = error.name === 'AbortError' ? 'stopped' : 'failed';
    if (node.finish === 'failed') {
      const {message, status, code, type, param, retryAfter, requestId} = error;
      node.error = {message, status, code, type, param, retryAfter, requestId};
    }
  }
  delete node.progress;
  node.calls = node.calls?.filter(Boolean).map((call, index) => ({...call, id: call.id || `call_${index}`}));
  if (times.first !== null) updateSpeed(stats, times);
  if (stats.serverSpeed) stats.speed = stats.serverSpeed;
  delete stats.serverSpeed;
}

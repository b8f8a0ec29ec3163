// A chat as a tree of messages: every edit and every new answer is a branch, none is lost.
//
// conversation: {id, title, created, updated, system, nodes: {ID: node}, picks: {PARENT: ID}}; the root's name is 'root'.
// node: {id, parent, role, text, reasoning, calls, callId, model, at, finish, error, stats}; role is user, assistant or tool.

export const newId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(36).padStart(2, '0')).join('');
};

export function newConversation(system = '') {
  const now = Date.now();
  return {id: newId(), title: '', created: now, updated: now, system, nodes: {}, picks: {}};
}

export function addNode(conversation, parent, fields) {
  const node = {id: newId(), parent: parent ?? 'root', text: '', at: Date.now(), ...fields};
  conversation.nodes[node.id] = node;
  conversation.picks[node.parent] = node.id;
  if (!conversation.title && node.role === 'user') conversation.title = titleOf(node.text);
  return node;
}

// Takes out a message that has none below it.
export function dropNode(conversation, node) {
  delete conversation.nodes[node.id];
  if (conversation.picks[node.parent] !== node.id) return;
  const left = siblingsOf(conversation, node).at(-1);
  if (left) conversation.picks[node.parent] = left.id;
  else delete conversation.picks[node.parent];
}

export function titleOf(text) {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length <= 60 ? line : `${line.slice(0, 58).replace(/\s\S*$/, '')}…`;
}

// Messages that are shown, from the first to the last, as the branches are chosen.
export function pathOf(conversation) {
  const path = [];
  let at = 'root';
  while (conversation.picks[at] && path.length < 10000) {
    const node = conversation.nodes[conversation.picks[at]];
    if (!node) break;
    path.push(node);
    at = node.id;
  }
  return path;
}

// The alternatives of a message, itself among them, oldest first.
export function siblingsOf(conversation, node) {
  return Object.values(conversation.nodes).filter((other) => other.parent === node.parent).sort((a, b) => a.at - b.at);
}

export function choose(conversation, node) {
  conversation.picks[node.parent] = node.id;
}

// Results that people gave to the calls of an answer, by call id.
export function resultsOf(conversation, node) {
  const results = Object.create(null);
  for (const other of pathOf(conversation)) {
    if (other.role === 'tool' && node.calls?.some((call) => call.id === other.callId)) results[other.callId] = other.text;
  }
  return results;
}

// Messages for the server: everything above `node`, which is the answer to come.
export function messagesFor(conversation, node) {
  const above = [];
  for (let at = conversation.nodes[node.parent]; at; at = conversation.nodes[at.parent]) above.unshift(at);
  const messages = conversation.system?.trim() ? [{role: 'system', content: conversation.system}] : [];
  for (const {role, text, calls, callId} of above) {
    if (role === 'tool') {
      messages.push({role, tool_call_id: callId, content: text});
    } else if (calls?.length) {
      messages.push({role, content: text || null, tool_calls: calls.map((call) => (
        {id: call.id, type: 'function', function: {name: call.name, arguments: call.arguments || '{}'}}))});
    } else {
      messages.push({role, content: text});
    }
  }
  return messages;
}

// Tokens in the context after the last answer whose figures are known.
export function tokensUsed(conversation) {
  for (const {stats} of pathOf(conversation).reverse()) {
    if (stats?.promptTokens) return stats.promptTokens + (stats.outputTokens ?? 0);
  }
  return 0;
}

const text = (value, limit = 4_000_000) => (typeof value === 'string' ? value.slice(0, limit) : '');
const number = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
const STATS = ['outputTokens', 'promptTokens', 'cachedTokens', 'reasoningTokens', 'drafted', 'accepted', 'speed', 'ttft',
               'thinking', 'chunks'];

const ID = /^[a-z0-9]{1,64}$/;

function readNode(raw) {
  if (!raw || !['user', 'assistant', 'tool'].includes(raw.role) || !ID.test(raw.id) || !ID.test(raw.parent)) return null;
  const node = {id: raw.id, parent: raw.parent, role: raw.role, text: text(raw.text),
                at: number(raw.at, Date.now())};
  for (const name of ['reasoning', 'callId', 'model', 'finish']) if (raw[name]) node[name] = text(raw[name]);
  if (Array.isArray(raw.calls)) {
    node.calls = raw.calls.slice(0, 256).map((call) => (
      {id: text(call?.id, 200), name: text(call?.name, 200), arguments: text(call?.arguments)}));
  }
  if (raw.stats && typeof raw.stats === 'object') {
    node.stats = Object.fromEntries(STATS.filter((name) => Number.isFinite(raw.stats[name])).map((name) => [name, raw.stats[name]]));
  }
  return node;
}

// A chat from a file that anyone may have written: only known fields of known types, or null.
export function readConversation(raw) {
  if (!raw || typeof raw !== 'object' || !raw.nodes || typeof raw.nodes !== 'object') return null;
  const conversation = newConversation(text(raw.system));
  if (ID.test(raw.id)) conversation.id = raw.id;
  const nodes = new Map();
  for (const candidate of Object.values(raw.nodes).slice(0, 20000)) {
    const node = readNode(candidate);
    if (node && node.id !== 'root') nodes.set(node.id, node);
  }
  for (const node of nodes.values()) if (node.parent !== 'root' && !nodes.has(node.parent)) return null;
  if (!nodes.size) return null;
  conversation.nodes = Object.fromEntries(nodes);
  for (const [parent, child] of Object.entries(raw.picks ?? {})) {
    if ((parent === 'root' || nodes.has(parent)) && nodes.get(child)?.parent === parent) conversation.picks[parent] = child;
  }
  conversation.title = text(raw.title, 200) || titleOf(pathOf(conversation)[0]?.text ?? '') || 'Imported chat';
  conversation.created = number(raw.created, conversation.created);
  conversation.updated = number(raw.updated, conversation.updated);
  return conversation;
}

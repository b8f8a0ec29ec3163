// Keeps chats in the browser: IndexedDB where it may, else memory for as long as the page lives.

const NAME = 'headgate';
const channel = 'BroadcastChannel' in window ? new BroadcastChannel('headgate') : null;

let database = null;       // null: memory only
const memory = new Map();  // id -> conversation, where there is no database
export let lasting = true;  // false: chats are gone with the page

function ask(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export async function openStore() {
  try {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('heads', {keyPath: 'id'});
      request.result.createObjectStore('bodies', {keyPath: 'id'});
    };
    database = await ask(request);
    database.onversionchange = () => database.close();
  } catch {
    lasting = false;
  }
}

function begin(mode) {
  const transaction = database.transaction(['heads', 'bodies'], mode);
  const done = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
  });
  return {heads: transaction.objectStore('heads'), bodies: transaction.objectStore('bodies'), done};
}

const headOf = ({id, title, created, updated}) => ({id, title, created, updated});

// Heads of all chats, latest first: {id, title, created, updated}.
export async function listConversations() {
  const heads = database ? await ask(begin('readonly').heads.getAll()) : [...memory.values()].map(headOf);
  return heads.sort((a, b) => b.updated - a.updated);
}

export async function loadConversation(id) {
  return (database ? await ask(begin('readonly').bodies.get(id)) : memory.get(id)) ?? null;
}

export async function allConversations() {
  return database ? ask(begin('readonly').bodies.getAll()) : [...memory.values()];
}

// Throws a QuotaExceededError when the browser has no room left.
export async function saveConversation(conversation) {
  if (!database) {
    memory.set(conversation.id, conversation);
    return;
  }
  const {heads, bodies, done} = begin('readwrite');
  heads.put(headOf(conversation));
  bodies.put(conversation);
  await done;
  channel?.postMessage(conversation.id);
}

export async function deleteConversation(id) {
  memory.delete(id);
  if (!database) return;
  const {heads, bodies, done} = begin('readwrite');
  heads.delete(id);
  bodies.delete(id);
  await done;
  channel?.postMessage(id);
}

export async function deleteAll() {
  memory.clear();
  if (!database) return;
  const {heads, bodies, done} = begin('readwrite');
  heads.clear();
  bodies.clear();
  await done;
  channel?.postMessage('');
}

// Ids of chats in which every word occurs, in the title or in any message.
export async function searchConversations(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (conversation) => {
    const all = [conversation.title, ...Object.values(conversation.nodes).map((node) => node.text)].join('\n').toLowerCase();
    return words.every((word) => all.includes(word));
  };
  if (!database) return [...memory.values()].filter(fits).map(({id}) => id);
  const found = [];
  const cursor = begin('readonly').bodies.openCursor();
  await new Promise((resolve, reject) => {
    cursor.onerror = () => reject(cursor.error);
    cursor.onsuccess = () => {
      if (!cursor.result) return resolve();
      if (fits(cursor.result.value)) found.push(cursor.result.value.id);
      cursor.result.continue();
    };
  });
  return found;
}

// Calls back when another tab changed a chat.
export function onOtherTab(action) {
  channel?.addEventListener('message', (event) => action(event.data));
}

// Bytes that this page keeps and may keep, where the browser tells.
export async function room() {
  try {
    const {usage, quota} = await navigator.storage.estimate();
    return {usage, quota};
  } catch {
    return null;
  }
}

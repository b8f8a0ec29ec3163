// The chat page: joins the server, the store and the views, and holds what is open.

import {$, announce, copyText, debounce, toast} from './dom.js';
import {icon, logo} from './icons.js';
import {ApiError, apiKey, getJson} from './api.js';
import * as store from './store.js';
import * as tree from './conversation.js';
import {runTurn} from './turn.js';
import {ready as markdownReady} from './markdown.js';
import {Composer} from './composer.js';
import {History} from './history.js';
import {Settings, keepSettings, readSettings} from './settings.js';
import {Transcript} from './transcript.js';
import {keyDialog, shortcutSheet} from './dialogs.js';
import {SHEET, listenForShortcuts} from './shortcuts.js';
import {explain} from './errors.js';

const settings = readSettings();
const turns = new Map();  // conversation id -> {conversation, node, controller}: answers that are being written
let current = tree.newConversation(settings.system);
let models = [];

const actions = {
  suggest: (text) => { composer.set(text); composer.field.focus(); },
  regenerate: (node) => again(node),
  choose: (node) => { tree.choose(current, node); keep(current); show(); focusMessage(node); },
  edit: (view) => edit(view),
  returnResults: (node, results) => returnResults(node, results),
  askKey: async (node) => { if (await keyDialog()) { await loadModels(); if (node) again(node); } },
  newChat: () => newChat(),
  openSettings: () => panel.open(),
};
const transcript = new Transcript(actions);
const composer = new Composer({
  send,
  stop,
  cycleThinking: () => {
    settings.thinking = {auto: 'on', on: 'off', off: 'auto'}[settings.thinking];
    keepSettings(settings);
    composer.setThinking(settings.thinking);
    if (panel.panel.open) panel.draw();
  },
  editLast: () => {
    const last = tree.pathOf(current).findLast((node) => node.role === 'user');
    if (last) edit(transcript.views.get(last.id));
  },
});
const history = new History({
  loaded: async (id) => (current.id === id ? current : turns.get(id)?.conversation ?? await store.loadConversation(id)),
  deleted: (id) => {
    turns.get(id)?.controller.abort();
    if (current.id === id) newChat(false);
  },
  renamed: (conversation) => { if (conversation.id === current.id) show(); },
  failed: storeFailed,
});
const panel = new Settings(settings, {
  changed: () => composer.setThinking(settings.thinking),
  conversation: () => current,
  systemChanged: () => { if (Object.keys(current.nodes).length) keep(current); },
  modelInfo: () => models.find(({id}) => id === chosenModel()),
  askKey: () => actions.askKey(),
  reload: (emptied) => { if (emptied) newChat(); history.refresh(); },
  failed: storeFailed,
});

const chosenModel = () => $('#model').value;
const runningIds = () => new Set(turns.keys());

function storeFailed(error) {
  const full = error?.name === 'QuotaExceededError';
  toast(full ? 'This browser has no room left for chats. Export and delete old ones.' : 'This chat could not be kept in the browser.',
        {action: full ? 'Open settings' : null, run: () => panel.open(), seconds: 12});
}

// Saves, with an answer still growing as interrupted: should the page close, that is what happened.
async function keep(conversation) {
  if (!Object.keys(conversation.nodes).length) return;
  const running = turns.get(conversation.id)?.node;
  const copy = structuredClone(conversation);
  if (running && copy.nodes[running.id]) copy.nodes[running.id].finish = 'interrupted';
  await store.saveConversation(copy).catch(storeFailed);
}

function show() {
  const running = turns.get(current.id)?.node ?? null;
  transcript.show(current, running, chosenModel());
  composer.setRunning(Boolean(running));
  composer.setContext(tree.tokensUsed(current), panel.actions.modelInfo()?.max_model_len);
  $('#title').textContent = current.title || 'New chat';
  document.title = current.title ? `${current.title} · Headgate` : 'Headgate';
}

function focusMessage(node) {
  const element = transcript.views.get(node.id)?.element;
  if (element && !element.contains(document.activeElement)) element.focus({preventScroll: true});
}

// On a phone the focus would bring up the keyboard, over half of the page.
const focusField = () => { if (!matchMedia('(pointer: coarse)').matches) composer.field.focus(); };

function newChat(focus = true) {
  current = tree.newConversation(settings.system);
  if (location.hash) window.history.pushState(null, '', location.pathname + location.search);
  show();
  history.mark(current.id, runningIds());
  closeListOnPhone();
  if (panel.panel.open) panel.draw();
  if (focus) focusField();
}

async function openChat(id) {
  const conversation = turns.get(id)?.conversation ?? await store.loadConversation(id).catch(() => null);
  if (!conversation) {
    toast('This chat is not in this browser.');
    newChat();
    return;
  }
  current = conversation;
  show();
  history.mark(id, runningIds());
  closeListOnPhone();
  if (panel.panel.open) panel.draw();
}

function send(text) {
  const last = tree.pathOf(current).at(-1);
  const node = tree.addNode(current, last?.id, {role: 'user', text});
  transcript.following = true;
  answer(node.id);
}

function edit(view) {
  if (turns.has(current.id)) return;
  view?.startEdit((text) => {
    const {role, parent, model} = view.node;
    const node = tree.addNode(current, parent, role === 'user' ? {role, text} : {role, text, model, finish: 'stop'});
    transcript.following = true;
    if (role === 'user') answer(node.id);
    else { keep(current); show(); focusMessage(node); }
    if (role === 'user') focusField();
  });
}

function returnResults(node, results) {
  let parent = node.id;
  for (const call of node.calls) parent = tree.addNode(current, parent, {role: 'tool', callId: call.id, text: results[call.id] ?? ''}).id;
  answer(parent);
}

// A failure without a word is no branch worth keeping.
function again(node) {
  if (turns.has(current.id)) return;
  const empty = node.finish === 'failed' && !node.text && !node.reasoning && !node.calls?.length;
  if (empty && !current.picks[node.id]) tree.dropNode(current, node);
  answer(node.parent);
}

// Writes an answer below the message `parent`, beside those that are there.
async function answer(parent) {
  const conversation = current;
  if (turns.has(conversation.id)) return;
  const node = tree.addNode(conversation, parent, {role: 'assistant', model: chosenModel()});
  const controller = new AbortController();
  turns.set(conversation.id, {conversation, node, controller});
  conversation.updated = Date.now();
  if (location.hash !== `#${conversation.id}`) window.history.pushState(null, '', `#${conversation.id}`);
  show();
  announce('The answer is being written');
  await keep(conversation);
  await history.refresh();
  history.mark(current.id, runningIds());
  const saver = setInterval(() => keep(conversation), 3000);
  const ticker = setInterval(() => conversation === current && transcript.grew(node), 250);
  await runTurn(conversation, node, settings, controller.signal, () => conversation === current && transcript.grew(node));
  clearInterval(saver);
  clearInterval(ticker);
  turns.delete(conversation.id);
  conversation.updated = Date.now();
  await finished(conversation, node);
}

async function finished(conversation, node) {
  if (node.error?.status === 401) apiKey.set('');
  if (conversation === current) show();
  announce(node.error ? explain(node.error).title : node.finish === 'stopped' ? 'Stopped' : 'The answer is complete');
  if (await store.loadConversation(conversation.id)) await keep(conversation);  // unless it was deleted meanwhile
  await history.refresh();
  history.mark(current.id, runningIds());
}

// True when something was stopped.
function stop() {
  const turn = turns.get(current.id);
  turn?.controller.abort();
  if (document.documentElement.dataset.list === 'open') { closeListOnPhone(); return true; }
  return Boolean(turn);
}

async function loadModels() {
  const select = $('#model');
  try {
    models = (await getJson('v1/models')).data ?? [];
    const wanted = settings.model || select.value;
    select.replaceChildren(...models.map(({id}) => new Option(id, id)));
    if (models.some(({id}) => id === wanted)) select.value = wanted;
    select.disabled = !models.length;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      const reason = apiKey.get() ? 'The server did not accept this key. Look at it again, or ask for another.'
        : 'This server answers only those who have a key. It stays in this tab and goes to this server only.';
      if (await keyDialog(reason)) await loadModels();
      return;
    }
    const {title, remedy} = explain(error);
    toast(`${title}. ${remedy}`, {action: 'Try again', run: loadModels, seconds: 20});
  }
  show();
}

const onPhone = () => matchMedia('(max-width: 800px)').matches;

function setList(open) {
  const root = document.documentElement;
  if (onPhone()) {
    root.dataset.list = open ? 'open' : 'closed';
    $('#main').inert = open;
    $('#list').inert = !open;
    if (open) history.search.focus();
  } else {
    root.dataset.sidebar = open ? 'open' : 'closed';
    $('#list').inert = !open;
    try { localStorage.setItem('headgate.sidebar', root.dataset.sidebar); } catch { /* lasts as long as the page */ }
  }
  $('#toggle-list').setAttribute('aria-expanded', String(open));
}

const listIsOpen = () => (onPhone() ? document.documentElement.dataset.list === 'open' : document.documentElement.dataset.sidebar !== 'closed');
const toggleList = () => setList(!listIsOpen());
const closeListOnPhone = () => { if (onPhone() && listIsOpen()) { setList(false); focusField(); } };

function adaptToWidth() {
  delete document.documentElement.dataset.list;
  $('#main').inert = false;
  $('#list').inert = !listIsOpen();
  $('#toggle-list').setAttribute('aria-expanded', String(listIsOpen()));
}

function onMessage(key) {
  const view = transcript.focused;
  const press = (name) => view.tools.querySelector(`[data-tool="${name}"]:not(:disabled)`);
  const tool = {c: 'copy', e: 'edit', r: 'redo', p: 'tokens', '[': 'back', ']': 'next'}[key];
  if (key === 't' && view.thinking) view.thinking.open = !view.thinking.open;
  else if (!tool || !press(tool)) return false;
  else if (tool === 'copy') copyText(view.node.text).then((copied) => toast(copied ? 'Copied.' : 'Copying failed.', {seconds: 2}));
  else press(tool).click();
  return true;
}

function wire() {
  $('.brand').prepend(logo(24));
  for (const [id, name] of [['new-chat', 'plus'], ['toggle-list', 'sidebar'], ['open-settings', 'settings'], ['open-status', 'chart'],
                            ['open-keys', 'keyboard'], ['settings-close', 'close']]) $(`#${id}`).prepend(icon(name));
  $('.search').prepend(icon('search', 18));
  $('#new-chat').addEventListener('click', () => newChat());
  $('#toggle-list').addEventListener('click', toggleList);
  $('#shade').addEventListener('click', () => setList(false));
  $('#open-settings').addEventListener('click', () => panel.toggle());
  $('#open-keys').addEventListener('click', () => shortcutSheet(SHEET));
  $('#model').addEventListener('change', () => { settings.model = chosenModel(); keepSettings(settings); show(); });
  const search = () => { if (!listIsOpen()) setList(true); history.search.focus(); };
  listenForShortcuts({newChat: () => newChat(), search, toggleList, settings: () => panel.toggle(), stop, sheet: () => shortcutSheet(SHEET),
                      step: (by) => transcript.step(by), onMessage});
  const follow = () => (location.hash.length > 1 ? openChat(location.hash.slice(1)) : newChat());
  window.addEventListener('popstate', follow);
  matchMedia('(max-width: 800px)').addEventListener('change', adaptToWidth);
  store.onOtherTab(debounce(200, () => history.refresh()));
}

async function start() {
  wire();
  adaptToWidth();
  composer.setThinking(settings.thinking);
  show();
  focusField();
  await store.openStore();
  await history.refresh();
  await markdownReady;
  if (location.hash.length > 1) await openChat(location.hash.slice(1));
  await loadModels();
}

start();

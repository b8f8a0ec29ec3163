// The live view of the server: asks for figures once a second while it is seen, and draws the last three minutes.

import {$, announce, h} from './dom.js';
import {icon, logo} from './icons.js';
import {getJson} from './api.js';
import {bytes, compact, count, duration, percent} from './figures.js';
import {explain} from './errors.js';
import {keyDialog} from './dialogs.js';
import {LineChart} from './chart.js';

const SPAN = 180;
const perSecond = (value) => `${value < 10 && value > 0 ? value.toFixed(1) : value < 1000 ? count(value) : compact(value)}/s`;
const rows = [];  // {time, running, waiting, written, read, cached, inUse, kept, hits, drafts}
let previous = null;
let paused = false;
let asking = false;
let timer = 0;

const charts = [
  [new LineChart('Tokens written', [{name: '', kind: 'one'}], {format: perSecond, least: 10, help: 'Tokens decoded per second, all requests together'}), ['written']],
  [new LineChart('Prompts', [{name: 'new', kind: 'one'}, {name: 'cached', kind: 'two'}], {format: perSecond, least: 100, help: 'Prompt tokens per second: read anew, and found in the cache'}), ['read', 'cached']],
  [new LineChart('Requests', [{name: 'running', kind: 'one'}, {name: 'waiting', kind: 'two'}], {format: count, least: 4}), ['running', 'waiting']],
  [new LineChart('Memory', [{name: 'all', kind: 'one'}, {name: 'kept', kind: 'two'}], {format: bytes, least: 1 << 20, unit: 1 << 20, help: 'Keys, values and states of requests that run; kept: states of prompts that may come again'}), ['inUse', 'kept']],
  [new LineChart('Cache hits', [{name: '', kind: 'one'}], {format: percent, limit: 1, help: 'Prompt tokens that were kept from earlier work'}), ['hits']],
  [new LineChart('Drafts kept', [{name: '', kind: 'one'}], {format: percent, limit: 1, help: 'Drafted tokens that were verified as right'}), ['drafts']],
];

// The speed of a total between two answers; null where either does not say, or the server began anew.
function rate(now, before, name, seconds) {
  const [a, b] = [before?.[name], now?.[name]];
  return Number.isFinite(a) && Number.isFinite(b) && b >= a && seconds > 0 ? (b - a) / seconds : null;
}

const known = (value) => (Number.isFinite(value) ? value : null);

function take(status) {
  const time = performance.now() / 1000;
  // The server's clock, where it has one: answers may be late, its counts are not.
  const served = status.uptime_s - previous?.status.uptime_s;
  const seconds = served > 0 ? served : previous ? time - previous.time : 0;
  const total = (name) => rate(status.tokens, previous?.status.tokens, name, seconds);
  const [prompt, cached, drafted, accepted] = ['prompt', 'cached', 'drafted', 'accepted'].map(total);
  rows.push({
    time, running: known(status.requests?.running), waiting: known(status.requests?.waiting), written: total('generated'),
    read: prompt === null ? null : Math.max(0, prompt - (cached ?? 0)), cached,
    inUse: status.memory ? (status.memory.kv_bytes ?? 0) + (status.memory.state_bytes ?? 0) : null, kept: known(status.memory?.cached_prefix_bytes),
    hits: prompt > 0 && cached !== null ? Math.min(1, cached / prompt) : rows.at(-1)?.hits ?? null,
    drafts: drafted > 0 && accepted !== null ? accepted / drafted : rows.at(-1)?.drafts ?? null,
  });
  while (rows.length && rows[0].time < time - SPAN - 2) rows.shift();
  previous = {time, status};
  draw(status, time);
}

function draw(status, time) {
  for (const [chart, names] of charts) chart.show(rows.map((row) => ({time: row.time, values: names.map((name) => row[name])})), SPAN, time);
  const state = status.state ?? 'ready';
  const pill = $('#state');
  pill.textContent = {ready: 'Ready', loading: 'Loading', draining: 'Finishing', stuck: 'Stuck'}[state] ?? state;
  pill.dataset.state = state;
  const facts = [status.model?.id, status.model?.context && `${count(status.model.context)} tokens of context`,
                 status.uptime_s !== undefined && `up ${duration(status.uptime_s)}`, status.version && `version ${status.version}`];
  $('#facts').replaceChildren(...facts.filter(Boolean).map((fact) => h('span', {}, fact)));
  drawTiles(status);
  drawBudgets(status.memory ?? {});
  drawActive(status.active);
}

function drawTiles({requests = {}, tokens = {}, latency = {}}) {
  const milliseconds = (value) => (Number.isFinite(value) ? duration(value / 1000) : null);
  const pair = (values) => (values && milliseconds(values.p50) ? [milliseconds(values.p50), `p99 ${milliseconds(values.p99)}`] : null);
  const tiles = [
    ['Completed', known(requests.completed) !== null && [count(requests.completed), `${count(requests.failed ?? 0)} failed, ${count(requests.cancelled ?? 0)} stopped`]],
    ['Tokens written', known(tokens.generated) !== null && [compact(tokens.generated), 'since the start']],
    ['From the cache', tokens.prompt > 0 && [percent((tokens.cached ?? 0) / tokens.prompt), `of ${compact(tokens.prompt)} prompt tokens`]],
    ['First token', pair(latency.ttft_ms)],
    ['Between tokens', pair(latency.gap_ms)],
  ];
  $('#tiles').replaceChildren(...tiles.filter(([, value]) => value).map(([name, [value, more]]) =>
    h('div', {class: 'tile'}, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('span', {}, more)))));
}

function bar(name, share) {
  const filled = h('i', {class: share > 0.9 ? 'full' : null});
  filled.style.width = `${Math.min(100, share * 100)}%`;
  return h('div', {class: 'track', role: 'meter', 'aria-label': name, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(share * 100)}, filled);
}

function drawBudgets(memory) {
  const budgets = [['KV cache', memory.kv_bytes, memory.kv_budget_bytes], [Number.isFinite(memory.kv_bytes) ? 'States' : 'KV and states', memory.state_bytes, memory.state_budget_bytes]]
    .filter(([, used, budget]) => Number.isFinite(used) && budget > 0);
  $('#budgets').hidden = !budgets.length;
  $('#budgets').replaceChildren(...budgets.map(([name, used, budget]) => h('div', {class: 'budget'},
    h('span', {}, name), bar(name, used / budget), h('span', {}, `${bytes(used)} of ${bytes(budget)}`))));
}

function drawActive(active) {
  const place = $('#active');
  if (!Array.isArray(active)) { place.replaceChildren(); return; }
  if (!active.length) {
    place.replaceChildren(h('p', {class: 'hint'}, 'No request at the moment. Whatever comes in is listed here while it runs.'));
    return;
  }
  const number = (value) => h('td', {class: 'number'}, Number.isFinite(value) ? count(value) : '–');
  place.replaceChildren(h('div', {class: 'table-frame', tabindex: '0', role: 'region', 'aria-label': 'Requests now'}, h('table', {},
    h('thead', {}, h('tr', {}, ...['Request', 'State', 'Age', 'Prompt', 'Cached', 'Written'].map((name, index) => h('th', {scope: 'col', class: index > 1 ? 'number' : null}, name)))),
    h('tbody', {}, ...active.slice(0, 200).map((request) => h('tr', {}, h('td', {class: 'mono'}, String(request.id ?? '–')), h('td', {}, String(request.state ?? '–')),
      h('td', {class: 'number'}, Number.isFinite(request.age_s) ? duration(request.age_s) : '–'), number(request.prompt_tokens), number(request.cached_tokens), number(request.generated_tokens)))))));
}

function showProblem(error) {
  const {title, text, remedy} = explain(error);
  const wantsKey = error.status === 401 || error.status === 403;
  const key = `${title}${text}`;
  if ($('#problem').dataset.key === key) return;
  $('#problem').dataset.key = key;
  $('#problem').replaceChildren(h('div', {class: 'error-card', role: 'alert'}, icon('alert'), h('div', {}, h('p', {class: 'error-title'}, title), h('p', {}, text),
    h('p', {class: 'error-remedy'}, wantsKey ? 'Enter a key that may read figures.' : remedy)),
    wantsKey && h('button', {type: 'button', class: 'button', onclick: async () => { if (await keyDialog()) ask(); }}, 'Enter a key')));
  $('#state').textContent = 'No answer';
  $('#state').dataset.state = 'gone';
}

async function ask() {
  clearTimeout(timer);
  if (paused || document.hidden || asking) return;
  asking = true;
  let wait = 1000;
  try {
    take(await getJson('v1/status'));
    $('#problem').replaceChildren();
    delete $('#problem').dataset.key;
  } catch (error) {
    showProblem(error);
    wait = error.status === 401 || error.status === 403 ? 15000 : 3000;
  }
  asking = false;
  timer = setTimeout(ask, wait);
}

function pause() {
  paused = !paused;
  const button = $('#pause');
  button.replaceChildren(icon(paused ? 'play' : 'pause'));
  button.setAttribute('aria-label', paused ? 'Go on' : 'Pause');
  button.title = paused ? 'Go on' : 'Pause';
  announce(paused ? 'Paused' : 'Live again');
  ask();
}

$('.brand').prepend(logo(24));
$('#pause').append(icon('pause'));
$('#pause').addEventListener('click', pause);
$('#charts').append(...charts.map(([chart]) => chart.element));
for (const [chart] of charts) chart.show([], SPAN, 0);
document.addEventListener('visibilitychange', ask);
ask();

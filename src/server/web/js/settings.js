// The panel at the right: model, system prompt, thinking, sampling, tools, looks and what is stored. Kept in localStorage.

import {$, debounce, download, h, toast} from './dom.js';
import {bytes, count} from './figures.js';
import {ROOT, apiKey} from './api.js';
import {chooseTheme, chosenTheme} from './theme.js';
import {readConversation} from './conversation.js';
import {allConversations, deleteAll, loadConversation, room, saveConversation} from './store.js';
import {confirmDialog} from './dialogs.js';

const STORED = 'headgate.settings';
const SAMPLING = [
  ['temperature', 'Temperature', {min: 0, max: 2, step: 0.05}, 'Higher is freer, 0 takes the likeliest'],
  ['top_p', 'Top p', {min: 0, max: 1, step: 0.01}, 'Draw from the likeliest that make up this share'],
  ['top_k', 'Top k', {min: 0, step: 1}, 'Draw from this many; 0 is all'],
  ['min_p', 'Min p', {min: 0, max: 1, step: 0.01}, 'Leave out what is less likely than this share of the best'],
  ['repetition_penalty', 'Repetition penalty', {min: 0.05, max: 5, step: 0.05}, '1 is none'],
  ['presence_penalty', 'Presence penalty', {min: -2, max: 2, step: 0.1}, 'For tokens that have occurred'],
  ['frequency_penalty', 'Frequency penalty', {min: -2, max: 2, step: 0.1}, 'For each time a token has occurred'],
  ['seed', 'Seed', {min: 0, step: 1}, 'The same seed gives the same answer'],
  ['max_tokens', 'Max tokens', {min: 1, step: 1}, 'Longest answer, thinking included'],
];
const TOOL_EXAMPLE = [{type: 'function', function: {name: 'get_weather', description: 'The weather in a city',
  parameters: {type: 'object', properties: {city: {type: 'string'}}, required: ['city']}}}];

export function readSettings() {
  const settings = {sampling: {}, thinking: 'auto', tokens: 'off', tools: [], toolsText: '', system: '', model: ''};
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? '{}');
    for (const [name] of SAMPLING) if (Number.isFinite(stored.sampling?.[name])) settings.sampling[name] = stored.sampling[name];
    if (['auto', 'on', 'off'].includes(stored.thinking)) settings.thinking = stored.thinking;
    if (stored.tokens === 'on') settings.tokens = 'on';
    for (const name of ['toolsText', 'system', 'model']) if (typeof stored[name] === 'string') settings[name] = stored[name];
    settings.tools = readTools(settings.toolsText) ?? [];
  } catch {
    // Unreadable settings are as good as none.
  }
  return settings;
}

export function keepSettings({sampling, thinking, tokens, toolsText, system, model}) {
  try {
    localStorage.setItem(STORED, JSON.stringify({sampling, thinking, tokens, toolsText, system, model}));
  } catch {
    // They then last as long as the page.
  }
}

// The list of tools in a text, or null where it is none.
function readTools(text) {
  if (!text.trim()) return [];
  try {
    const tools = JSON.parse(text);
    return Array.isArray(tools) && tools.every((tool) => typeof tool?.function?.name === 'string') ? tools : null;
  } catch {
    return null;
  }
}

// A choice of a few words, of which one holds.
function choice(name, label, options, chosen, changed) {
  return h('fieldset', {class: 'choice'}, h('legend', {}, label), h('div', {class: 'segments'}, ...options.map(([value, text]) =>
    h('label', {}, h('input', {type: 'radio', name, value, checked: value === chosen, onchange: () => changed(value)}), h('span', {}, text)))));
}

export class Settings {
  // actions: changed(), conversation(), modelInfo(), askKey(), exportAll(), reload(), failed(error)
  constructor(settings, actions) {
    this.settings = settings;
    this.actions = actions;
    this.panel = $('#settings');
    this.content = $('#settings-content');
    $('#settings-close').addEventListener('click', () => this.close());
    this.panel.addEventListener('close', () => {
      $('#open-settings').setAttribute('aria-expanded', 'false');
      $('#open-settings').focus();
    });
    this.panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { event.preventDefault(); event.stopPropagation(); this.close(); }
    });
  }

  toggle() {
    if (this.panel.open) this.close();
    else this.open();
  }

  open() {
    this.draw();
    if (this.panel.open) return;
    if (matchMedia('(max-width: 1100px)').matches) this.panel.showModal();
    else this.panel.show();
    $('#open-settings').setAttribute('aria-expanded', 'true');
  }

  close() {
    this.panel.close();
  }

  keep() {
    keepSettings(this.settings);
    this.actions.changed();
  }

  draw() {
    this.content.replaceChildren(this.model(), this.system(), this.thinking(), this.sampling(), this.tokenChoice(), this.tools(), this.looks(), this.stored());
  }

  model() {
    const {id, max_model_len: context, meta = {}} = this.actions.modelInfo() ?? {};
    const facts = [['Name', id ?? 'not known yet'], ['Context', context && `${count(context)} tokens`],
                   ['Parameters', meta.n_params && count(meta.n_params)], ['Weights', meta.size && bytes(meta.size)]];
    return h('section', {}, h('h3', {}, 'Model'), h('dl', {class: 'facts'}, ...facts.filter(([, value]) => value).flatMap(([name, value]) =>
      [h('dt', {}, name), h('dd', {}, value)])),
      h('button', {type: 'button', class: 'button small', onclick: () => this.actions.askKey()}, apiKey.get() ? 'Change API key' : 'Enter API key'));
  }

  system() {
    const conversation = this.actions.conversation();
    const keep = debounce(300, () => this.actions.systemChanged());
    const field = h('textarea', {id: 'system', rows: '4', value: conversation.system, placeholder: 'How the model should behave',
                                 oninput: () => {
                                   conversation.system = this.settings.system = field.value;
                                   keepSettings(this.settings);
                                   keep();
                                 }});
    return h('section', {}, h('h3', {}, h('label', {for: 'system'}, 'System prompt')), field,
      h('p', {class: 'hint'}, 'Belongs to this chat; new chats begin with the last one written.'));
  }

  thinking() {
    return h('section', {}, choice('thinking', 'Thinking', [['auto', 'Auto'], ['on', 'On'], ['off', 'Off']], this.settings.thinking, (value) => {
      this.settings.thinking = value;
      this.keep();
    }));
  }

  tokenChoice() {
    return h('section', {}, choice('tokens', 'Probabilities', [['off', 'Off'], ['on', 'On']], this.settings.tokens, (value) => {
      this.settings.tokens = value;
      this.keep();
    }), h('p', {class: 'hint'}, 'Asks how sure the model is of every token. Answers then have a view of their tokens.'));
  }

  sampling() {
    const fields = SAMPLING.map(([name, label, range, help]) => {
      const input = h('input', {type: 'number', id: `s-${name}`, inputmode: 'decimal', ...range, placeholder: 'default',
                                value: this.settings.sampling[name] ?? '', 'aria-describedby': `s-${name}-help`});
      input.addEventListener('input', () => {
        const valid = input.value !== '' && input.validity.valid;
        input.setAttribute('aria-invalid', String(input.value !== '' && !valid));
        if (valid) this.settings.sampling[name] = Number(input.value);
        else delete this.settings.sampling[name];
        this.keep();
      });
      return h('div', {class: 'field'}, h('label', {for: `s-${name}`}, label), input, h('p', {class: 'hint', id: `s-${name}-help`}, help));
    });
    const reset = h('button', {type: 'button', class: 'button small', onclick: () => {
      this.settings.sampling = {};
      this.keep();
      this.draw();
      $('#s-temperature').focus();
    }}, 'Use defaults');
    return h('section', {}, h('div', {class: 'section-head'}, h('h3', {}, 'Sampling'), reset), h('div', {class: 'fields'}, ...fields));
  }

  tools() {
    const state = h('p', {class: 'hint', role: 'status'});
    const field = h('textarea', {id: 'tools', rows: '5', class: 'mono', spellcheck: 'false', value: this.settings.toolsText, placeholder: '[ … ]'});
    const read = () => {
      const tools = readTools(field.value);
      field.setAttribute('aria-invalid', String(tools === null));
      state.textContent = tools === null ? 'Not a JSON list of functions as the OpenAI API has them.'
        : tools.length ? `${tools.length} declared. Calls are shown in the answer; you give their results.` : 'The model may call these; you see the call and give the result.';
      this.settings.toolsText = field.value;
      this.settings.tools = tools ?? [];
      this.keep();
    };
    field.addEventListener('input', read);
    const example = h('button', {type: 'button', class: 'button small', onclick: () => {
      field.value = JSON.stringify(TOOL_EXAMPLE, null, 2);
      read();
    }}, 'Example');
    const section = h('section', {}, h('div', {class: 'section-head'}, h('h3', {}, h('label', {for: 'tools'}, 'Tools')), example), field, state);
    read();
    return section;
  }

  looks() {
    return h('section', {}, choice('theme', 'Colours', [['system', 'System'], ['light', 'Light'], ['dark', 'Dark']], chosenTheme(), chooseTheme));
  }

  stored() {
    const space = h('p', {class: 'hint'});
    room().then((known) => {
      if (known) space.textContent = `${bytes(known.usage)} of ${bytes(known.quota)} that this browser grants are used.`;
    });
    const file = h('input', {type: 'file', accept: '.json,application/json', class: 'visually-hidden', tabindex: '-1', 'aria-label': 'File to import',
                             onchange: () => this.importFile(file)});
    const button = (text, run, kind = '') => h('button', {type: 'button', class: `button small ${kind}`, onclick: run}, text);
    return h('section', {}, h('h3', {}, 'Chats'), space, h('div', {class: 'buttons'},
      button('Export this chat', () => this.exportOne()), button('Export all', () => this.exportAll()),
      button('Import', () => file.click()), button('Delete all', () => this.deleteAll(), 'danger')), file, credits());
  }

  exportOne() {
    const conversation = this.actions.conversation();
    save(`${(conversation.title || 'chat').replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40)}.json`, [conversation]);
  }

  async exportAll() {
    save(`headgate-chats-${new Date().toISOString().slice(0, 10)}.json`, await allConversations());
  }

  async importFile(input) {
    const [file] = input.files;
    input.value = '';
    if (!file) return;
    try {
      const {kept, skipped} = await importChats(await file.text());
      toast(`${kept} ${kept === 1 ? 'chat was' : 'chats were'} imported${skipped ? `, ${skipped} left out: unreadable, or here already` : ''}.`);
      this.actions.reload();
    } catch (error) {
      if (error.name === 'QuotaExceededError') this.actions.failed(error);
      else toast(`${file.name} is not an export of chats from this page.`);
    }
  }

  async deleteAll() {
    const sure = await confirmDialog('Delete all chats?', 'They are kept in this browser only and cannot be brought back. Export them first if in doubt.', 'Delete all');
    if (!sure) return;
    await deleteAll();
    this.actions.reload(true);
  }
}

function credits() {
  const link = (name, of) => h('a', {href: new URL(`web/licences/${of}.txt`, ROOT).href, target: '_blank', rel: 'noopener'}, name);
  return h('p', {class: 'hint credits'}, 'With ', link('marked', 'libjs-marked'), ', ', link('DOMPurify', 'node-dompurify'), ' and ', link('KaTeX', 'libjs-katex'), ', from Debian.');
}

function save(name, conversations) {
  download(name, JSON.stringify({format: 'headgate-chats', version: 1, conversations}, null, 1));
}

// Takes in an exported file. A chat that is here already stays unless the file has a later one.
export async function importChats(text) {
  const file = JSON.parse(text);
  if (file.format !== 'headgate-chats' || !Array.isArray(file.conversations)) throw new Error('not an export');
  let kept = 0;
  for (const raw of file.conversations) {
    const conversation = readConversation(raw);
    const here = conversation && await loadConversation(conversation.id);
    if (!conversation || here?.updated >= conversation.updated) continue;
    await saveConversation(conversation);
    kept++;
  }
  return {kept, skipped: file.conversations.length - kept};
}

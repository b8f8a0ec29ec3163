// The dialogs of the page: API key, sheet of shortcuts, and "are you sure".

import {$, h} from './dom.js';
import {apiKey} from './api.js';

// Shows a dialog until it is closed; gives what the form was submitted with, or null.
function ask(title, content, buttons) {
  return new Promise((resolve) => {
    const dialog = h('dialog', {class: 'dialog', 'aria-labelledby': 'dialog-title'},
      h('form', {method: 'dialog'}, h('h2', {id: 'dialog-title'}, title), ...content, h('div', {class: 'dialog-buttons'}, ...buttons)));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue || null);
      dialog.remove();
    });
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(''); });
    dialog.addEventListener('keydown', (event) => event.stopPropagation());
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Only what says yes submits, so that Enter in a field means yes.
const closing = (text, value, kind = '') => h('button', {
  type: value ? 'submit' : 'button', class: `button ${kind}`, value, onclick: value ? null : (event) => event.target.closest('dialog').close(''),
}, text);

export async function confirmDialog(title, text, yes) {
  return (await ask(title, [h('p', {}, text)], [closing('Cancel', ''), closing(yes, 'yes', 'danger solid')])) === 'yes';
}

// True when a key was entered or taken away.
export async function keyDialog(reason) {
  const field = h('input', {type: 'password', id: 'key', autocomplete: 'off', spellcheck: 'false', value: apiKey.get(), placeholder: 'API key'});
  const answer = await ask('API key', [
    h('p', {id: 'key-help'}, reason ?? 'Needed where the server asks for one. It stays in this tab and goes to this server only.'),
    h('label', {class: 'visually-hidden', for: 'key'}, 'API key'), field,
  ], [closing('Cancel', ''), closing('Use this key', 'yes', 'primary')]);
  if (answer !== 'yes') return false;
  apiKey.set(field.value.trim());
  return true;
}

export function shortcutSheet(shortcuts) {
  if ($('dialog.sheet')) return;
  const groups = shortcuts.map(([title, keys]) => h('section', {}, h('h3', {}, title), h('dl', {class: 'keys'}, ...keys.flatMap(([key, what]) =>
    [h('dt', {}, ...key.split(' ').map((part) => h('kbd', {}, part))), h('dd', {}, what)]))));
  ask('Keyboard shortcuts', [h('div', {class: 'sheet-columns'}, ...groups)], [closing('Close', '')]);
  document.body.lastElementChild.classList.add('sheet');
}

// Everything the page does can be done with keys. Single letters work only while a message has the focus.

const command = navigator.platform?.startsWith('Mac') ? '⌘' : 'Ctrl';

export const SHEET = [
  ['Anywhere', [
    [`${command} Shift O`, 'New chat'], [`${command} K`, 'Search chats'], [`${command} B`, 'Show or hide the list'],
    [`${command} ,`, 'Settings'], ['Esc', 'Stop the answer; close what is open'], [`${command} /`, 'This sheet'],
    ['Alt ↑ ↓', 'Go through messages'],
  ]],
  ['While writing', [['Enter', 'Send'], ['Shift Enter', 'New line'], ['↑', 'Edit the last message, when the field is empty']]],
  ['On a message', [
    ['↑ ↓', 'Message above, below'], ['C', 'Copy'], ['E', 'Edit into a new branch'], ['R', 'Answer again'], ['[ ]', 'Earlier, later branch'],
    ['T', 'Fold or unfold thinking'], ['P', 'Probabilities of tokens'], ['?', 'This sheet'],
  ]],
];

// actions: newChat, search, toggleList, settings, stop (true when there was something), sheet, step(by), onMessage(key) (true when known)
export function listenForShortcuts(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.isComposing || event.defaultPrevented || document.querySelector('dialog.dialog[open]')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const run = (action) => { event.preventDefault(); action(); };
    if (event.ctrlKey || event.metaKey) {
      if (event.shiftKey && key === 'o') run(actions.newChat);
      else if (event.shiftKey || event.altKey) return;
      else if (key === 'k') run(actions.search);
      else if (key === 'b') run(actions.toggleList);
      else if (key === ',') run(actions.settings);
      else if (key === '/') run(actions.sheet);
      return;
    }
    if (event.altKey) {
      if (key === 'ArrowUp') run(() => actions.step(-1));
      else if (key === 'ArrowDown') run(() => actions.step(1));
      return;
    }
    if (key === 'Escape') {
      if (actions.stop()) event.preventDefault();
      return;
    }
    if (!event.target.matches?.('.message')) return;
    if (key === 'ArrowUp') run(() => actions.step(-1));
    else if (key === 'ArrowDown') run(() => actions.step(1));
    else if (key === '?') run(actions.sheet);
    else if (actions.onMessage(key)) event.preventDefault();
  });
}

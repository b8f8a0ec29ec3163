// Builds elements without ever parsing a string as HTML, and speaks to people: toasts, the live region, the clipboard.

import {icon} from './icons.js';

export const $ = (selector, root = document) => root.querySelector(selector);

// h('button', {class: 'x', onclick: f, 'aria-label': 'Copy'}, 'text', node, ...). A property that is null or false is left out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked' || name === 'open') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A button that shows an icon alone; its name is its label and its tooltip.
export function iconButton(name, label, onclick, properties = {}) {
  const {keys, ...rest} = properties;
  return h('button', {type: 'button', class: 'icon-button', 'aria-label': label, title: keys ? `${label} (${keys})` : label,
                      onclick, ...rest}, icon(name));
}

export function debounce(milliseconds, action) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

// Tells people who listen to the page what others see.
export function announce(text) {
  const region = $('#announcer');
  if (region) region.textContent = text;
}

// A short message at the bottom, with at most one thing to do about it.
export function toast(text, {action, run, seconds = 6} = {}) {
  const host = $('#toasts');
  const close = () => note.remove();
  const note = h('div', {class: 'toast', role: 'status'}, h('span', {}, text),
    action && h('button', {type: 'button', class: 'link-button', onclick: () => { close(); run(); }}, action));
  host.replaceChildren(note);
  setTimeout(close, seconds * 1000);
}

// The clipboard exists on https and localhost only; elsewhere the old way still works.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', {class: 'visually-hidden', value: text, 'aria-hidden': 'true'});
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return copied;
  }
}

// Shows on a copy button that it worked.
export async function copyFrom(button, text) {
  const copied = await copyText(text);
  const label = button.getAttribute('aria-label');
  button.classList.toggle('done', copied);
  button.replaceChildren(icon(copied ? 'check' : 'alert'));
  announce(copied ? 'Copied' : 'Copying failed');
  setTimeout(() => {
    button.classList.remove('done');
    button.replaceChildren(icon('copy'));
    button.setAttribute('aria-label', label);
  }, 1400);
}

export function download(name, text, type = 'application/json') {
  const url = URL.createObjectURL(new Blob([text], {type}));
  h('a', {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

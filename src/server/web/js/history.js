// The list of chats at the side: by day, searchable, to be renamed, deleted and taken back.

import {$, debounce, h, iconButton, toast} from './dom.js';
import {dayOf} from './figures.js';
import {deleteConversation, lasting, listConversations, loadConversation, saveConversation, searchConversations} from './store.js';

const MOST = 300;  // chats that are listed at once

export class History {
  // actions: open(id), deleted(id), renamed(conversation), failed(error)
  constructor(actions) {
    this.actions = actions;
    this.list = $('#chats');
    this.search = $('#search');
    this.current = null;
    this.running = new Set();
    this.found = null;  // ids that fit the search, or null
    this.search.addEventListener('input', debounce(120, () => this.find()));
    this.search.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.search.value) {
        event.stopPropagation();
        this.search.value = '';
        this.find();
      } else if (event.key === 'ArrowDown') {
        event.preventDefault();
        this.list.querySelector('a')?.focus();
      }
    });
    this.list.addEventListener('keydown', (event) => this.walk(event));
  }

  async find() {
    const query = this.search.value.trim();
    const found = query ? new Set(await searchConversations(query)) : null;
    if (query !== this.search.value.trim()) return;
    this.found = found;
    this.draw();
  }

  async refresh() {
    this.heads = await listConversations();
    this.draw();
  }

  mark(current, running) {
    this.current = current;
    this.running = running;
    this.draw();
  }

  draw() {
    if (!this.heads || this.renaming) return;
    const focused = document.activeElement?.closest?.('#chats li')?.dataset.id;
    const all = this.heads.filter(({id}) => !this.found || this.found.has(id));
    const heads = all.slice(0, MOST);
    const groups = [];
    for (const head of heads) {
      const day = dayOf(head.updated);
      if (groups.at(-1)?.day !== day) groups.push({day, items: []});
      groups.at(-1).items.push(this.item(head));
    }
    this.list.replaceChildren(...groups.map(({day, items}, index) => h('section', {'aria-labelledby': `day-${index}`},
      h('h3', {class: 'day', id: `day-${index}`}, day), h('ul', {}, ...items))));
    if (!heads.length) this.list.append(this.nothing());
    if (all.length > MOST) this.list.append(h('p', {class: 'hint'}, `${all.length - MOST} older chats are found by searching.`));
    if (focused) this.list.querySelector(`li[data-id="${focused}"] a`)?.focus();
  }

  nothing() {
    if (this.found) return h('p', {class: 'hint'}, `No chat has “${this.search.value.trim()}” in it.`);
    return h('p', {class: 'hint'}, lasting ? 'Chats you have will be listed here. They are kept in this browser only.'
      : 'This browser lets the page keep nothing: chats last until it is closed. Export what you want to keep.');
  }

  item(head) {
    const now = head.id === this.current;
    const name = head.title || 'Untitled chat';
    return h('li', {class: `chat${now ? ' current' : ''}`, 'data-id': head.id},
      h('a', {href: `#${head.id}`, 'aria-current': now ? 'page' : null, title: name},
        h('span', {class: 'chat-title'}, name), this.running.has(head.id) && h('span', {class: 'dot', role: 'img', 'aria-label': 'being answered'})),
      h('span', {class: 'chat-tools'},
        iconButton('edit', `Rename “${name}”`, () => this.rename(head)),
        iconButton('trash', `Delete “${name}”`, () => this.remove(head))));
  }

  walk(event) {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const links = [...this.list.querySelectorAll('a')];
    const at = links.findIndex((link) => link.closest('li') === document.activeElement?.closest('li'));
    if (at < 0) return;
    event.preventDefault();
    if (event.key === 'ArrowUp' && at === 0) this.search.focus();
    else links[at + (event.key === 'ArrowDown' ? 1 : -1)]?.focus();
  }

  rename(head) {
    const row = this.list.querySelector(`li[data-id="${head.id}"]`);
    const field = h('input', {class: 'rename', value: head.title, 'aria-label': 'Title of the chat', maxlength: '200'});
    const finish = async (title) => {
      if (!this.renaming) return;
      this.renaming = false;
      if (title && title !== head.title) {
        const conversation = await this.actions.loaded(head.id);
        conversation.title = head.title = title;
        await saveConversation(conversation).catch(this.actions.failed);
        this.actions.renamed(conversation);
      }
      this.draw();
      this.list.querySelector(`li[data-id="${head.id}"] a`)?.focus();
    };
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') finish(field.value.trim());
      if (event.key === 'Escape') { event.stopPropagation(); finish(null); }
    });
    field.addEventListener('blur', () => finish(field.value.trim()));
    this.renaming = true;
    row.replaceChildren(field);
    field.select();
  }

  async remove(head) {
    const conversation = await loadConversation(head.id);
    await deleteConversation(head.id);
    this.actions.deleted(head.id);
    await this.refresh();
    (this.list.querySelector('a') ?? this.search).focus();
    toast(`“${head.title || 'Untitled chat'}” was deleted.`, {action: 'Undo', run: async () => {
      if (conversation) await saveConversation(conversation);
      await this.refresh();
    }});
  }
}

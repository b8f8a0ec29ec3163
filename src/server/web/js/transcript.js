// The messages of one chat, and where the eye is: follows the end of a growing answer until people scroll away.

import {$, h} from './dom.js';
import {icon, logo} from './icons.js';
import {MessageView} from './message.js';
import {pathOf, resultsOf, siblingsOf} from './conversation.js';

const IDEAS = ['Tell me a short story about a fox.', 'Explain recursion with a small example in Python.',
               'What is 17 times 24? Think step by step.', 'Write a haiku about rain.'];

export class Transcript {
  constructor(actions) {
    this.actions = actions;
    this.scroller = $('#scroller');
    this.list = $('#messages');
    this.jump = $('#jump');
    this.jump.append(icon('down', 18));
    this.views = new Map();
    this.following = true;
    this.jump.addEventListener('click', () => this.follow(true));
    this.scroller.addEventListener('scroll', () => this.looked(), {passive: true});
    new ResizeObserver(() => this.keepUp()).observe(this.list);
  }

  // Shows the chosen branch of `conversation`; `running` is the message being written, or null.
  show(conversation, running, model) {
    if (this.conversation !== conversation) {
      this.views.clear();
      this.list.replaceChildren();
      this.following = true;
    }
    this.conversation = conversation;
    const path = pathOf(conversation).filter((node) => node.role !== 'tool');
    this.list.classList.toggle('empty', !path.length);
    if (!path.length) {
      this.list.replaceChildren(this.greeting(model));
      this.views.clear();
      return;
    }
    const elements = path.map((node) => {
      if (!this.views.has(node.id)) this.views.set(node.id, new MessageView(node, this.actions));
      const view = this.views.get(node.id);
      view.refresh(this.stateOf(node, running));
      return view.element;
    });
    this.place(elements);
    for (const id of [...this.views.keys()]) if (!path.some((node) => node.id === id)) this.views.delete(id);
    this.keepUp();
  }

  // Moves only what is not in its place, so that focus and selections survive.
  place(elements) {
    const wanted = new Set(elements);
    for (const child of [...this.list.children]) if (!wanted.has(child)) child.remove();
    elements.forEach((element, index) => {
      if (this.list.children[index] !== element) this.list.insertBefore(element, this.list.children[index] ?? null);
    });
  }

  stateOf(node, running) {
    return {running: running === node, siblings: siblingsOf(this.conversation, node), results: resultsOf(this.conversation, node)};
  }

  // A message grew.
  grew(node) {
    const view = this.views.get(node.id);
    if (view) view.refreshSoon({...view.state, running: true});
  }

  greeting(model) {
    return h('div', {class: 'greeting'}, logo(44), h('h2', {}, 'What is on your mind?'),
      h('p', {}, model ? `${model} runs on this server. Chats stay in this browser.` : 'Chats stay in this browser.'),
      h('div', {class: 'ideas'}, ...IDEAS.map((idea) => h('button', {type: 'button', class: 'idea', onclick: () => this.actions.suggest(idea)}, idea))));
  }

  get distance() {
    return this.scroller.scrollHeight - this.scroller.clientHeight - this.scroller.scrollTop;
  }

  looked() {
    // Growth alone also moves the end away: only a look upwards ends following.
    const up = this.scroller.scrollTop < (this.lastTop ?? 0) - 1;
    this.lastTop = this.scroller.scrollTop;
    if (this.distance < 60) this.following = true;
    else if (up) this.following = false;
    this.jump.hidden = this.distance < 240;
  }

  keepUp() {
    if (this.following) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.lastTop = this.scroller.scrollTop;
    }
    this.jump.hidden = this.following || this.distance < 240;
  }

  follow(smooth) {
    this.following = true;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.scroller.scrollTo({top: this.scroller.scrollHeight, behavior: smooth && !calm ? 'smooth' : 'instant'});
  }

  get focused() {
    return this.views.get(document.activeElement?.closest?.('.message')?.dataset.id) ?? null;
  }

  // Moves the focus by one message; from elsewhere to the last.
  step(by) {
    const all = [...this.list.querySelectorAll('.message')];
    const at = all.indexOf(this.focused?.element);
    const next = at < 0 ? all.at(-1) : all[Math.max(0, Math.min(all.length - 1, at + by))];
    next?.focus({preventScroll: true});
    next?.scrollIntoView({block: 'nearest'});
  }
}

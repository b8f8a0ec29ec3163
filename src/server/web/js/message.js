// Shows one message: what it says, how it was thought, which tools it calls, what it cost, and what can be done with it.

import {h, iconButton, copyFrom} from './dom.js';
import {icon} from './icons.js';
import {answerFigures, count, duration, percent} from './figures.js';
import {explain} from './errors.js';
import {MarkdownView} from './markdown.js';
import {tokenView} from './tokens.js';

const ENDINGS = {
  length: 'Cut at the token limit. Raise “Max tokens” in the settings, or start a new chat if the context is full.',
  stopped: 'Stopped.',
  interrupted: 'The page was closed before this answer was complete.',
};

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// `actions` is what the page can do: copy, regenerate, edit, choose, returnResults, retry, askKey, newChat, openSettings.
export class MessageView {
  constructor(node, actions) {
    this.node = node;
    this.actions = actions;
    this.mine = node.role === 'user';
    this.heading = h('h2', {class: 'visually-hidden'}, this.mine ? 'You' : 'Answer');
    this.body = h('div', {class: 'prose'});
    this.markdown = this.mine ? null : new MarkdownView(this.body);
    this.reading = h('p', {class: 'reading', hidden: true});
    this.calls = h('div', {class: 'calls'});
    this.notice = h('div', {class: 'notice-place'});
    this.figures = h('p', {class: 'figures'});
    this.tools = h('div', {class: 'message-tools'});
    this.element = h('article', {class: `message ${this.mine ? 'mine' : 'answer'}`, tabindex: '-1', 'data-id': node.id},
      this.heading, this.mine ? null : this.makeThinking(), this.body, this.mine ? null : this.reading, this.calls, this.notice,
      h('div', {class: 'message-foot'}, this.mine ? null : this.figures, this.tools));
    this.callViews = [];
    this.frame = 0;
  }

  makeThinking() {
    this.thinkingLabel = h('span', {}, 'Thinking');
    this.thinkingBody = h('div', {class: 'prose thinking-text'});
    this.thinkingMarkdown = new MarkdownView(this.thinkingBody);
    this.thinking = h('details', {class: 'thinking', hidden: true},
      h('summary', {}, icon('thought', 18), this.thinkingLabel, icon('chevron', 16)), this.thinkingBody);
    this.thinking.addEventListener('toggle', () => this.showThought());
    return this.thinking;
  }

  // Draws at most once a frame; what came in between is drawn together.
  refreshSoon(state) {
    this.state = state;
    this.frame ||= requestAnimationFrame(() => this.refresh(this.state));
  }

  // state: {running, siblings, results, last}
  refresh(state) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.state = state;
    if (this.editing) return;
    if (this.mine) {
      if (this.shown !== this.node.text) this.body.textContent = this.shown = this.node.text;
      const tall = this.node.text.length > 4000;
      this.body.classList.toggle('tall', tall);
      if (tall) this.body.tabIndex = 0;
    } else {
      this.element.setAttribute('aria-busy', state.running ? 'true' : 'false');
      this.showThinking();
      const waiting = state.running && !this.node.text && !this.node.reasoning && !this.node.calls?.length;
      this.body.classList.toggle('waiting', waiting);
      this.body.hidden = !this.node.text && !waiting;
      this.showReading(waiting);
      this.markdown.set(this.node.text, !state.running);
      this.showCalls();
      this.showNotice();
      this.showFigures();
    }
    this.showTools();
  }

  // A long prompt takes time before the first token: how far it is.
  showReading(waiting) {
    const {processed = 0, cache = 0, total = 0} = this.node.progress ?? {};
    const shown = waiting && total > 0 && processed < total;
    this.reading.hidden = !shown;
    if (shown) this.reading.textContent = `Reading the prompt: ${percent(processed / total)} of ${count(total)} tokens${cache ? `, ${count(cache)} from the cache` : ''}`;
  }

  showThinking() {
    const {reasoning, text, calls, stats} = this.node;
    this.thinking.hidden = !reasoning;
    if (!reasoning) return;
    const now = this.state.running && !text && !calls?.length;
    this.thinking.classList.toggle('now', now);
    const time = stats?.thinking === undefined ? '' : duration(stats.thinking);
    const label = now ? `Thinking ${time}` : time ? `Thought for ${time}` : 'Thoughts';
    if (this.thinkingLabel.textContent !== label) this.thinkingLabel.textContent = label;
    this.showThought();
  }

  // Folded thoughts are not rendered: nobody sees them.
  showThought() {
    if (!this.thinking.open || !this.node.reasoning) return;
    const done = !this.state.running || Boolean(this.node.text);
    this.thinkingMarkdown.set(this.node.reasoning, done);
  }

  showCalls() {
    const calls = this.node.calls?.filter(Boolean) ?? [];
    this.calls.hidden = !calls.length;
    while (this.callViews.length > calls.length) this.callViews.pop().element.remove();
    calls.forEach((call, index) => {
      if (!this.callViews[index]) {
        this.callViews[index] = makeCallView(index);
        this.calls.append(this.callViews[index].element);
      }
      showCall(this.callViews[index], call, this.state);
    });
    const waiting = calls.length && !this.state.running && this.node.finish !== 'failed' && !Object.keys(this.state.results).length;
    if (waiting && !this.returnButton) {
      this.returnButton = h('button', {type: 'button', class: 'button primary', onclick: () => this.returnResults()}, 'Return results');
      this.calls.append(this.returnButton);
    } else if (!waiting && this.returnButton) {
      this.returnButton.remove();
      this.returnButton = null;
    }
  }

  returnResults() {
    const results = {};
    this.node.calls.forEach((call, index) => { results[call.id] = this.callViews[index].input.value; });
    this.actions.returnResults(this.node, results);
  }

  showNotice() {
    const {error, finish} = this.node;
    const ending = this.state.running ? null : ENDINGS[finish];
    const key = JSON.stringify([error, ending]);
    if (key === this.noticeKey) return;
    this.noticeKey = key;
    if (error) this.notice.replaceChildren(this.makeError(error));
    else this.notice.replaceChildren(...(ending ? [h('p', {class: 'ending'}, ending)] : []));
  }

  makeError(error) {
    const {title, text, remedy, action} = explain(error);
    const choices = {
      retry: ['Try again', () => this.actions.regenerate(this.node)],
      key: ['Enter a key', () => this.actions.askKey(this.node)],
      new: ['New chat', () => this.actions.newChat()],
      settings: ['Open settings', () => this.actions.openSettings()],
    };
    const [label, run] = choices[action] ?? [];
    return h('div', {class: 'error-card', role: 'alert'}, icon('alert'),
      h('div', {}, h('p', {class: 'error-title'}, title), h('p', {}, text), h('p', {class: 'error-remedy'}, remedy)),
      label && h('button', {type: 'button', class: 'button', onclick: run}, label));
  }

  showFigures() {
    const figures = answerFigures(this.node.stats);
    const text = figures.map(([figure]) => figure).join('·');
    if (text === this.figuresText) return;
    this.figuresText = text;
    this.figures.replaceChildren(...figures.map(([figure, meaning]) => h('span', {title: meaning}, figure)));
  }

  showTools() {
    const {running, siblings} = this.state;
    const at = siblings.findIndex((other) => other.id === this.node.id);
    const key = `${running} ${siblings.map(({id}) => id)}`;
    if (key === this.toolsKey) return;
    this.toolsKey = key;
    const focused = document.activeElement?.closest?.('.message-tools') === this.tools ? document.activeElement.dataset.tool : null;
    const tool = (name, image, label, run, keys) => iconButton(image, label, run, {'data-tool': name, keys});
    const copy = tool('copy', 'copy', this.mine ? 'Copy message' : 'Copy answer', () => copyFrom(copy, this.node.text), 'C');
    const buttons = running ? [] : [this.node.text ? copy : null,
      this.node.text ? tool('edit', 'edit', this.mine ? 'Edit and send again' : 'Edit into a new branch', () => this.actions.edit(this), 'E') : null,
      this.mine ? null : tool('redo', 'redo', 'Answer again', () => this.actions.regenerate(this.node), 'R')].filter(Boolean);
    if (this.node.tokens?.length && !running) buttons.push(tool('tokens', 'tokens', 'Tokens and their probabilities', () => this.toggleTokens(), 'P'));
    if (siblings.length > 1 && !running) {
      const step = (by) => this.actions.choose(siblings[at + by]);
      const back = tool('back', 'left', 'Earlier branch', () => step(-1), '[');
      const next = tool('next', 'right', 'Later branch', () => step(1), ']');
      back.disabled = at === 0;
      next.disabled = at === siblings.length - 1;
      buttons.push(h('span', {class: 'branches'}, back, h('span', {class: 'branch-count'}, `${at + 1} / ${siblings.length}`), next));
    }
    this.tools.replaceChildren(...buttons);
    if (focused) this.tools.querySelector(`[data-tool="${focused}"]`)?.focus();
  }

  toggleTokens() {
    if (this.tokens) this.tokens.remove();
    this.tokens = this.tokens ? null : tokenView(this.node);
    if (this.tokens) this.notice.before(this.tokens);
    this.tools.querySelector('[data-tool=tokens]').setAttribute('aria-pressed', String(Boolean(this.tokens)));
  }

  // Turns the message into a field. `done(text)` is called with what people made of it, never when they think better.
  startEdit(done) {
    if (this.editing) return;
    this.editing = true;
    const field = h('textarea', {class: 'edit-field', 'aria-label': 'Edit message', value: this.node.text, rows: '3'});
    const finish = (text) => {
      this.editing = false;
      form.replaceWith(this.body);
      this.shown = null;
      this.refresh(this.state);
      this.element.focus({preventScroll: true});
      if (text !== null && text.trim() && text !== this.node.text) done(text);
    };
    const save = () => finish(field.value);
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { event.stopPropagation(); finish(null); }
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || (this.mine && !event.shiftKey)) && !event.isComposing) {
        event.preventDefault();
        save();
      }
    });
    const grow = () => { field.style.height = 'auto'; field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight * 0.6)}px`; };
    field.addEventListener('input', grow);
    const form = h('div', {class: 'edit-form'}, field, h('div', {class: 'edit-buttons'},
      h('button', {type: 'button', class: 'button', onclick: () => finish(null)}, 'Cancel'),
      h('button', {type: 'button', class: 'button primary', onclick: save}, this.mine ? 'Send' : 'Save as branch')));
    this.body.hidden = false;
    this.body.replaceWith(form);
    grow();
    field.focus();
  }
}

function makeCallView(index) {
  const view = {
    name: h('span', {class: 'call-name'}), state: h('span', {class: 'call-state'}), arguments: h('pre', {tabindex: '0'}),
    input: h('textarea', {rows: '2', 'aria-label': `Result of call ${index + 1}`, placeholder: 'What the tool answers, such as {"ok": true}'}),
    result: h('pre', {tabindex: '0', hidden: true}),
  };
  view.field = h('label', {class: 'call-field'}, h('span', {}, 'Result'), view.input);
  view.element = h('div', {class: 'call', role: 'group', 'aria-label': `Tool call ${index + 1}`},
    h('header', {}, icon('tool', 18), view.name, view.state), view.arguments, view.result, view.field);
  return view;
}

function showCall(view, call, {running, results}) {
  const result = results[call.id];
  view.name.textContent = call.name || '…';
  view.state.textContent = running ? 'being written' : result === undefined ? 'waits for a result' : 'answered';
  const text = running ? call.arguments : prettyJson(call.arguments);
  if (view.arguments.textContent !== text) view.arguments.textContent = text;
  view.field.hidden = running || result !== undefined;
  view.result.hidden = result === undefined;
  if (result !== undefined) view.result.textContent = prettyJson(result);
}

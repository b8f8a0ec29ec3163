// Where people write: grows with the text, sends with Enter, and shows how full the context is.

import {$} from './dom.js';
import {icon} from './icons.js';
import {compact, count} from './figures.js';

const THINKING = {auto: 'Thinking: auto', on: 'Thinking: on', off: 'Thinking: off'};

export class Composer {
  // actions: send(text), stop(), cycleThinking(), editLast()
  constructor(actions) {
    this.actions = actions;
    this.field = $('#prompt');
    this.button = $('#send');
    this.thinking = $('#thinking');
    this.meter = $('#meter');
    this.thinking.prepend(icon('thought', 18));
    this.running = false;
    this.setRunning(false);
    this.field.addEventListener('input', () => this.changed());
    this.field.addEventListener('keydown', (event) => this.typed(event));
    $('#composer').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.running) actions.stop();
      else this.send();
    });
    this.thinking.addEventListener('click', () => actions.cycleThinking());
  }

  typed(event) {
    if (event.isComposing) return;
    const phone = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !phone) {
      event.preventDefault();
      if (!this.running) this.send();
    } else if (event.key === 'ArrowUp' && !this.field.value && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.actions.editLast();
    }
  }

  send() {
    const text = this.field.value.trim();
    if (!text) return;
    this.set('');
    this.actions.send(text);
  }

  set(text) {
    this.field.value = text;
    this.changed();
  }

  changed() {
    this.field.style.height = 'auto';
    this.field.style.height = `${Math.min(this.field.scrollHeight, Math.round(innerHeight * 0.4))}px`;
    this.button.disabled = !this.running && !this.field.value.trim();
  }

  setRunning(running) {
    this.running = running;
    this.button.replaceChildren(icon(running ? 'stop' : 'send'));
    this.button.setAttribute('aria-label', running ? 'Stop' : 'Send');
    this.button.title = running ? 'Stop (Esc)' : 'Send (Enter)';
    this.button.classList.toggle('stop', running);
    this.changed();
  }

  setThinking(mode) {
    this.thinking.lastElementChild.textContent = THINKING[mode];
    this.thinking.setAttribute('aria-label', `${THINKING[mode]}. Press to change`);
    this.thinking.dataset.mode = mode;
  }

  setContext(used, limit) {
    this.meter.hidden = !limit;
    if (!limit) return;
    const share = Math.min(1, used / limit);
    this.meter.querySelector('.meter-arc').setAttribute('stroke-dashoffset', String(50.27 * (1 - share)));
    this.meter.querySelector('.meter-text').textContent = `${compact(used)} / ${compact(limit)}`;
    this.meter.dataset.level = share > 0.95 ? 'full' : share > 0.8 ? 'high' : 'fine';
    this.meter.setAttribute('aria-valuenow', String(used));
    this.meter.setAttribute('aria-valuemax', String(limit));
    this.meter.setAttribute('aria-valuetext', `${count(used)} of ${count(limit)} tokens`);
    this.meter.title = `Context: ${count(used)} of ${count(limit)} tokens` +
      (share > 0.8 ? '. Start a new chat soon, or edit an earlier message to branch off.' : '');
  }
}

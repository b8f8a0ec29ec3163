// Shows an answer token by token: how sure the model was of each, and what it might have said instead.

import {h} from './dom.js';
import {percent} from './figures.js';

const MOST = 4000;

// Takes the log-probabilities of one event: node.tokens holds [text, log-probability, [[text, log-probability], ...]].
export function takeTokens(node, content) {
  node.tokens ??= [];
  for (const {token, logprob, top_logprobs: others = []} of content) {
    if (node.tokens.length >= MOST) return;
    node.tokens.push([token, logprob, others.map((other) => [other.token, other.logprob])]);
  }
}

const chance = (logprob) => {
  const share = Math.exp(logprob);
  return share < 0.01 ? 'under 1 %' : percent(share);
};
const visible = (text) => text.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '·') || '∅';

// Four steps from sure to a guess; each has a look of its own, not a colour alone.
const sureness = (logprob) => (logprob > -0.11 ? 'sure' : logprob > -0.7 ? 'likely' : logprob > -2.3 ? 'open' : 'guess');

export function tokenView(node) {
  const told = h('p', {class: 'token-told', role: 'status'}, 'Point at a token, or go through them with ← and →.');
  const spans = node.tokens.map(([text, logprob], index) => h('span', {class: `token ${sureness(logprob)}`, 'data-index': index},
    text.endsWith('\n') ? `${visible(text)}\n` : text));
  const all = h('div', {class: 'token-list', tabindex: '0', role: 'group', 'aria-label': 'Tokens of the answer'}, ...spans);
  let at = -1;
  const choose = (index) => {
    if (index < 0 || index >= spans.length || index === at) return;
    spans[at]?.classList.remove('chosen');
    at = index;
    spans[at].classList.add('chosen');
    const [text, logprob, others] = node.tokens[at];
    const instead = others.filter(([other]) => other !== text).slice(0, 4);
    told.replaceChildren(h('code', {}, visible(text)), ` ${chance(logprob)}`, instead.length ? ', instead of ' : '',
      ...instead.flatMap(([other, share], n) => [n ? ', ' : '', h('code', {}, visible(other)), ` ${chance(share)}`]));
  };
  all.addEventListener('pointerover', (event) => { if (event.target.dataset.index) choose(Number(event.target.dataset.index)); });
  all.addEventListener('keydown', (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step || event.altKey) return;
    event.preventDefault();
    choose(at < 0 ? 0 : at + step);
    spans[at].scrollIntoView({block: 'nearest'});
  });
  return h('div', {class: 'tokens'}, all, told);
}

// Markdown to elements: marked reads it, DOMPurify has the last word, KaTeX sets formulas. Only the last block is made anew.
//
// Nothing reaches the page that did not pass DOMPurify as the last step: blocks after marked, formulas after KaTeX. Where a
// library is missing from the build, its part is shown as source text.

import {copyFrom, h, iconButton} from './dom.js';
import {highlight} from './highlight.js';

const load = (name, symbol) => import(new URL(`../lib/${name}`, import.meta.url).href).then(() => globalThis[symbol] ?? null, () => null);

let marked = null;
let purify = null;
let katex = null;
let katexAsked = null;
let keepStyles = false;  // while KaTeX's own elements are checked: their heights are set by script, not by markup

// A sanitiser that does not do its work on a probe is none: text is then shown as text.
function cleans(library) {
  try {
    const probe = library.sanitize('<p data-x="1">a<iframe></iframe></p>', {...PROSE, RETURN_DOM_FRAGMENT: true});
    return library.isSupported && probe.childNodes.length === 1 && probe.firstChild.cloneNode(true).outerHTML === '<p>a</p>';
  } catch {
    return false;
  }
}

export const ready = Promise.all([load('marked.min.js', 'marked'), load('purify.min.js', 'DOMPurify')]).then(([first, second]) => {
  // Debian 12 ships a DOMPurify 2.4.1 that reads this variable without declaring it, and stops where nobody else has.
  globalThis.shadowNode ??= Object.freeze({__depth: 0});
  if (!first || !cleans(second)) return;
  purify = second;
  purify.addHook('uponSanitizeAttribute', (node, data) => {
    if (keepStyles && data.attrName === 'style') data.forceKeepAttr = true;
  });
  first.use({gfm: true, breaks: false, renderer, extensions: [mathBlock, mathInline]});
  // Later versions call renderers in another way: better plain text than a wrong one.
  if (first.parse('# a') === '<h3 class="hd hd1">a</h3>\n') marked = first;
}).catch(() => {});

function needKatex() {
  katexAsked ??= load('katex.min.js', 'katex').then((library) => {
    if (!library) return;
    document.head.append(h('link', {rel: 'stylesheet', href: new URL('../lib/katex.min.css', import.meta.url).href}));
    katex = library;
  });
  return katexAsked;
}

const escape = (text) => text.replace(/[&<>"']/g, (c) => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'})[c]);

// Tags that models write inside Markdown and that can do nothing. All other HTML is shown as it was written.
const HARMLESS = /^<\/?(?:br|sub|sup|kbd|b|i|em|strong|u|s|del|mark|small)\s*\/?>$/i;

const renderer = {
  // One level of headings below the message's own, looks by class: an outline must not skip levels.
  heading: (text, level) => `<h3 class="hd hd${level}">${text}</h3>\n`,
  html: (html) => (HARMLESS.test(html.trim()) ? html : escape(html)),
  image: (href, title, text) => `<a href="${escape(href ?? '')}">${text || escape(href ?? 'image')}</a>`,
  code: (code, info) => `<pre data-lang="${escape((info ?? '').split(/\s/)[0])}"><code>${escape(code)}</code></pre>\n`,
  checkbox: (checked) => `<span class="task">${checked ? '☑' : '☐'}</span> `,
};

let open = false;  // the text still grows: a formula that has begun is waited for

const mathBlock = {
  name: 'mathBlock', level: 'block',
  start: (text) => text.match(/\n {0,3}(?:\$\$|\\\[)/)?.index,
  tokenizer(text) {
    const whole = /^ {0,3}(?:\$\$([^]+?)\$\$|\\\[([^]+?)\\\])[ \t]*(?:\n|$)/.exec(text);
    if (whole) return {type: 'mathBlock', raw: whole[0], text: (whole[1] ?? whole[2]).trim()};
    const begun = open && /^ {0,3}(?:\$\$|\\\[)(?![^]*(?:\$\$|\\\]))[^]{0,2000}$/.exec(text);
    return begun ? {type: 'mathBlock', raw: begun[0], text: begun[0].trim().slice(2), begun: true} : undefined;
  },
  renderer: (token) => `<div data-math="${token.begun ? 'begun' : 'block'}">${escape(token.text)}</div>\n`,
};

const mathInline = {
  name: 'mathInline', level: 'inline',
  start: (text) => text.match(/\$|\\\(/)?.index,
  tokenizer(text) {
    const match = /^\$\$([^$]+?)\$\$/.exec(text) ?? /^\$(?!\s)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/.exec(text) ??
      /^\\\(([^]+?)\\\)/.exec(text);
    if (!match) return undefined;
    const behind = match[0].length < 60 ? /^[.,;:!?)\]’”]*/.exec(text.slice(match[0].length))[0] : '';
    return {type: 'mathInline', raw: match[0] + behind, text: match[1].trim(), behind};
  },
  // A full stop stays on the line of its formula.
  renderer({text, behind}) {
    const formula = `<span data-math="inline">${escape(text)}</span>`;
    return behind ? `<span class="together">${formula}${escape(behind)}</span>` : formula;
  },
};

const PROSE = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h3', 'strong', 'b', 'em', 'i', 'del', 's', 'u', 'mark', 'small', 'sub', 'sup', 'kbd', 'code', 'pre',
                 'blockquote', 'ul', 'ol', 'li', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'span', 'div', '#text'],
  ALLOWED_ATTR: ['href', 'title', 'start', 'align', 'class', 'data-math', 'data-lang'],
  ADD_URI_SAFE_ATTR: ['start', 'align', 'data-math', 'data-lang'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, RETURN_DOM_FRAGMENT: true,
};
// DOMPurify 2 keeps the pattern of the call before where none is named.
const MATH = {ALLOWED_URI_REGEXP: /^(?!\s*[a-z][a-z\d+.-]*:)/i, USE_PROFILES: {html: true, svg: true, mathMl: true},
              ADD_TAGS: ['semantics', 'annotation'], ADD_ATTR: ['encoding'],
              FORBID_TAGS: ['a', 'img', 'style', 'form', 'input'], IN_PLACE: true};

function setFormula(place) {
  if (place.dataset.math === 'begun') return;
  if (!katex) {
    needKatex().then(() => katex && place.isConnected && setFormula(place));
    return;
  }
  const source = place.textContent;
  const made = h('span');
  try {
    katex.render(source, made, {displayMode: place.dataset.math === 'block', throwOnError: true, trust: false, strict: 'ignore',
                                maxSize: 25, maxExpand: 500});
    keepStyles = true;
    purify.sanitize(made, MATH);
    place.replaceChildren(...made.childNodes);
    if (place.dataset.math === 'block') place.tabIndex = 0;
    place.classList.add('math-set');
  } catch {
    place.classList.add('math-error');
    place.title = 'This formula could not be read; its source is shown';
  } finally {
    keepStyles = false;
  }
}

function dressCode(pre) {
  const code = pre.firstElementChild;
  const language = pre.dataset.lang ?? '';
  pre.tabIndex = 0;
  pre.setAttribute('aria-label', language ? `Code in ${language}` : 'Code');
  pre.setAttribute('role', 'group');
  code.replaceChildren(highlight(codeText(code.textContent), language));
  const copy = iconButton('copy', 'Copy code', () => copyFrom(copy, code.textContent));
  const figure = h('div', {class: 'code'}, h('div', {class: 'code-head'}, h('span', {}, language || 'text'), copy));
  pre.replaceWith(figure);
  figure.append(pre);
}

function dress(fragment) {
  for (const pre of fragment.querySelectorAll('pre')) dressCode(pre);
  for (const place of fragment.querySelectorAll('[data-math]')) setFormula(place);
  for (const link of fragment.querySelectorAll('a[href]')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = h('div', {class: 'table-frame', tabindex: '0', role: 'group', 'aria-label': 'Table'});
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

// Safe elements of a run of tokens. What nests too deeply for the parser is shown as it was written.
function elementsOf(tokens) {
  try {
    return dress(purify.sanitize(marked.parser(tokens), PROSE));
  } catch {
    const plain = document.createDocumentFragment();
    plain.append(h('p', {class: 'plain'}, tokens.map(({raw}) => raw).join('')));
    return plain;
  }
}

function tokensOf(text, grows) {
  open = grows;
  try {
    return marked.lexer(`${text}\n`);  // without the line end an open fence is not yet one for marked
  } catch {
    return [{type: 'unread', raw: text}];
  } finally {
    open = false;
  }
}

// marked turns tabs at the start of a line into spaces, which would spoil copied Makefiles and our count of characters: inside
// fences a private character stands for the tab until the code is shown.
const TAB = '\uE009';
function evenOut(text) {
  if (!/\r|^ *\t/m.test(text)) return text;
  let fence = null;
  return text.replace(/\r\n?/g, '\n').split('\n').map((line) => {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && fence === null) fence = mark;
    else if (mark && mark.startsWith(fence) && line.trim() === mark) fence = null;
    return line.replace(/^( *)(\t+)/, (whole, spaces, tabs) => spaces + (fence ? TAB : '    ').repeat(tabs.length));
  }).join('\n');
}
const codeText = (text) => text.replace(/\n$/, '').replaceAll(TAB, '\t');

// Shows one growing text. Blocks that are complete stay as they are; the last is made anew at most once a frame.
export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.text = '';
    this.settled = 0;  // characters of the text that are in complete blocks
    this.tail = null;  // nodes of the last block
    this.lastCode = null;
  }

  // `complete`: the text will not grow any more.
  set(raw, complete) {
    const text = evenOut(raw);
    if (!text.startsWith(this.text.slice(0, this.settled))) this.clear();
    this.text = text;
    if (!marked) {
      this.element.classList.add('plain');
      this.element.textContent = text;
      ready.then(() => marked && this.text === text && (this.clear(), this.element.classList.remove('plain'), this.set(raw, complete)));
      return;
    }
    // A link may be defined below its use; only the whole text knows.
    if (complete && this.settled > 0 && /^ {0,3}\[[^\]]+\]:/m.test(text)) this.clear();
    this.render(complete);
  }

  clear() {
    this.element.replaceChildren();
    this.settled = 0;
    this.tail = null;
    this.lastCode = null;
  }

  render(complete) {
    const tokens = tokensOf(this.text.slice(this.settled), !complete);
    let last = tokens.length - 1;
    while (last > 0 && tokens[last].type === 'space') last--;
    const done = complete ? tokens.length : Math.max(0, last);
    if (done > 0) {
      const finished = tokens.slice(0, done);
      this.dropTail();
      this.element.append(elementsOf(finished));
      this.settled += finished.reduce((sum, token) => sum + token.raw.length, 0);
    }
    if (done < tokens.length) this.showTail(tokens.slice(done));
  }

  dropTail() {
    for (const node of this.tail ?? []) node.remove();
    this.tail = null;
    this.lastCode = null;
  }

  // Long code only grows at its end: then the text is appended, and coloured when it is complete.
  showTail(tokens) {
    const [token] = tokens;
    const code = token.type === 'code' ? codeText(token.text) : null;
    if (code?.length > 3000 && this.lastCode && code.startsWith(this.lastCode.text)) {
      this.lastCode.element.append(code.slice(this.lastCode.text.length));
      this.lastCode.text = code;
      return;
    }
    this.dropTail();
    const fragment = elementsOf(tokens);
    this.tail = [...fragment.childNodes];
    if (code !== null) this.lastCode = {element: fragment.querySelector('pre > code'), text: code};
    this.element.append(fragment);
  }
}

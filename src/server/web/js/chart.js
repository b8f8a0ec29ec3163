// Line charts of the last minutes as SVG: one scale, a soft area, and the values under the pointer.

import {h} from './dom.js';
import {svg} from './icons.js';

const WIDTH = 480;
const HEIGHT = 150;
const TOP = 22;
const BOTTOM = 8;

// The next round number: 1, 2, 2.5 or 5 times a power of ten.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.999);
}

// series: [{name, kind}], kind names the colour in the style sheet. `limit`: a fixed top of the scale;
// `unit`: the top is a round number of these.
export class LineChart {
  constructor(title, series, {format, limit = null, least = 1, unit = 1, help = ''}) {
    Object.assign(this, {title, series, format, limit, least, unit});
    this.values = h('div', {class: 'chart-values'});
    this.plot = svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: 'plot', role: 'img'});
    this.label = h('span', {class: 'chart-top'});
    this.when = h('span', {class: 'chart-when'}, '');
    this.element = h('section', {class: 'chart'}, h('header', {}, h('h2', {title: help}, title), this.values),
      h('div', {class: 'plot-frame'}, this.plot, this.label), h('footer', {}, h('span', {class: 'chart-from'}), this.when));
    this.lines = series.map(({kind}) => ({
      area: svg('path', {class: `area ${kind}`}), line: svg('path', {class: `line ${kind}`, 'vector-effect': 'non-scaling-stroke'})}));
    this.cursor = svg('line', {class: 'cursor', y1: 0, y2: HEIGHT, x1: -9, x2: -9, 'vector-effect': 'non-scaling-stroke'});
    const grid = [0.5, 1].map((share) => svg('line', {class: 'grid', x1: 0, x2: WIDTH, y1: this.y(share), y2: this.y(share), 'vector-effect': 'non-scaling-stroke'}));
    this.plot.append(...grid, ...this.lines.flatMap(({area, line}) => [area, line]), this.cursor);
    this.plot.addEventListener('pointermove', (event) => this.point(event));
    this.plot.addEventListener('pointerleave', () => { this.at = null; this.describe(); });
  }

  y(share) {
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  }

  // rows: [{time, values: [...]}], oldest first; a value may be null. `span` seconds are as wide as the chart.
  show(rows, span, now) {
    this.rows = rows;
    this.span = span;
    this.now = now;
    const most = Math.max(this.least, ...rows.flatMap(({values}) => values.filter((value) => value !== null)));
    this.top = this.limit ?? roundUp(most / this.unit) * this.unit;
    this.label.textContent = this.format(this.top);
    this.element.querySelector('.chart-from').textContent = `${Math.round(span / 60)} minutes ago`;
    this.lines.forEach((shapes, index) => this.draw(shapes, index));
    this.describe();
  }

  x(time) {
    return WIDTH * (1 - (this.now - time) / this.span);
  }

  draw({area, line}, index) {
    let path = '';
    let filled = '';
    let from = null;
    let last = 0;
    const close = () => { if (from !== null) filled += ` L${last} ${this.y(0)} L${from} ${this.y(0)} Z`; from = null; };
    for (const {time, values} of this.rows) {
      const value = values[index];
      if (value === null) { close(); continue; }
      last = this.x(time).toFixed(1);
      const step = `${from === null ? 'M' : 'L'}${last} ${this.y(Math.min(1, value / this.top)).toFixed(1)}`;
      from ??= last;
      path += step;
      filled += step;
    }
    close();
    line.setAttribute('d', path || 'M0 0');
    area.setAttribute('d', filled || 'M0 0');
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    this.at = this.now - this.span * (1 - (event.clientX - box.left) / box.width);
    this.describe();
  }

  // The values at the pointer, or the latest.
  describe() {
    if (!this.rows) return;
    const row = this.at === null || this.at === undefined ? this.rows.at(-1)
      : this.rows.reduce((best, other) => (Math.abs(other.time - this.at) < Math.abs(best.time - this.at) ? other : best), this.rows[0]);
    const shown = this.series.map(({name, kind}, index) => [name, kind, row?.values[index] ?? null]);
    this.values.replaceChildren(...shown.map(([name, kind, value]) => h('span', {class: 'chart-value'},
      h('i', {class: `swatch ${kind}`}), name && h('span', {class: 'chart-name'}, name), h('b', {}, value === null ? '–' : this.format(value)))));
    this.plot.setAttribute('aria-label', `${this.title}, now: ${shown.map(([name, , value]) => `${name} ${value === null ? 'unknown' : this.format(value)}`).join(', ')}`);
    const pointing = this.at !== null && this.at !== undefined && row;
    this.cursor.setAttribute('x1', pointing ? this.x(row.time) : -9);
    this.cursor.setAttribute('x2', pointing ? this.x(row.time) : -9);
    this.when.textContent = pointing ? `${Math.round(this.now - row.time)} s ago` : 'now';
  }
}

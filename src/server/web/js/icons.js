// The icons of the page as strokes on a grid of 24.

const NS = 'http://www.w3.org/2000/svg';

const STROKES = {
  alert: ['M12 8v5', 'M12 16.5v.01', 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z'],
  bolt: ['M13 3 5.5 13.5H11L10 21l8-11h-5.5z'],
  chart: ['M4 19.5h16', 'M7 16v-4', 'M12 16V6', 'M17 16v-7'],
  check: ['M5 12.5 10 17.5 19.5 7'],
  chevron: ['M9 6l6 6-6 6'],
  close: ['M6.5 6.5l11 11', 'M17.5 6.5l-11 11'],
  copy: ['M9 9h10.5v11H9z', 'M15 9V4.500H4.500V15H9'],
  down: ['M12 5v14', 'M6 13l6 6 6-6'],
  edit: ['M4.5 19.500l.8-4L16 4.800l3.2 3.200L8.5 18.700z', 'M13.5 7.300l3.2 3.2'],
  download: ['M12 4v11', 'M7.5 11l4.5 4.5 4.5-4.5', 'M5 19.500h14'],
  keyboard: ['M3.5 6.500h17v11h-17z', 'M7 10h.01', 'M10.5 10h.01', 'M14 10h.01', 'M17.5 10h.01', 'M8 14h8'],
  left: ['M14.5 6 8.5 12l6 6'],
  more: ['M6 12h.01', 'M12 12h.01', 'M18 12h.01'],
  moon: ['M19.5 14.500A8 8 0 0 1 9.5 4.500a8 8 0 1 0 10 10z'],
  pause: ['M9 6v12', 'M15 6v12'],
  play: ['M8 5.500v13l10.5-6.500z'],
  plus: ['M12 5v14', 'M5 12h14'],
  redo: ['M19.5 12a7.5 7.5 0 1 1-2.3-5.4', 'M19.5 3.500v4.500H15'],
  right: ['M9.5 6l6 6-6 6'],
  search: ['M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z', 'M15.5 15.5 20 20'],
  send: ['M12 19.500v-15', 'M5.5 11 12 4.500l6.5 6.5'],
  settings: ['M4 7h9', 'M17 7h3', 'M15 5v4', 'M4 12h3', 'M11 12h9', 'M9 10v4', 'M4 17h10', 'M18 17h2', 'M16 15v4'],
  sidebar: ['M4 5h16v14H4z', 'M9.5 5v14'],
  stop: ['M7.5 7.500h9v9h-9z'],
  thought: ['M12 4a6 6 0 0 0-3.5 10.900V17h7v-2.100A6 6 0 0 0 12 4z', 'M9.5 20h5'],
  tokens: ['M4 7h5v4H4z', 'M12 7h8v4h-8z', 'M4 14h9v4H4z', 'M16 14h4v4h-4z'],
  tool: ['M14.5 9.500l5-5', 'M20.3 7.500a5 5 0 0 1-6.7 6L7.5 19.600a2.2 2.2 0 0 1-3.1-3.100l6.1-6.100a5 5 0 0 1 6-6.700l-3 3 .8 3 3 .8z'],
  trash: ['M5 7h14', 'M9.5 7V4.500h5V7', 'M6.5 7l.8 12.500h9.400L17.5 7', 'M10.5 11v5', 'M13.5 11v5'],
  upload: ['M12 15.500v-11', 'M7.5 9 12 4.5 16.5 9', 'M5 19.500h14'],
};

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function icon(name, size = 20) {
  const strokes = STROKES[name].map((d) => svg('path', {d}));
  const filled = name === 'stop';
  return svg('svg', {viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true', class: `icon icon-${name}`,
                     fill: filled ? 'currentColor' : 'none', stroke: 'currentColor', 'stroke-width': 1.75,
                     'stroke-linecap': 'round', 'stroke-linejoin': 'round'}, ...strokes);
}

// The mark of Headgate: a gate raised between two posts, an H, and the water that passes.
export function logo(size = 28) {
  return svg('svg', {viewBox: '0 0 32 32', width: size, height: size, 'aria-hidden': 'true', class: 'logo', fill: 'none',
                     'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'stroke-width': 2.5},
    svg('path', {d: 'M7 4.5v23M25 4.5v23', stroke: 'currentColor', 'stroke-width': 3.4}),
    svg('path', {d: 'M7 9.5h18v6.5H7z', stroke: 'currentColor', fill: 'currentColor', 'stroke-width': 2, class: 'logo-plate'}),
    svg('path', {d: 'M11.5 24.5c1.6-2 3.3-2 4.8-.4s2.9 1.6 4.3-.2', class: 'logo-water', 'stroke-width': 2.8}));
}

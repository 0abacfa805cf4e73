// What the widgets of the chat page share. Words come from the catalogue as props; text of people goes into the page
// as text only (append, textContent, value), never as HTML.
const words = props.words;
const say = (name, values = {}) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

const SHAPES = {
  copy: 'M9 9h11v11H9z M5 15H4V4h11v1',
  check: 'M4 12l5 5L20 6',
  up: 'M7 11v9H4v-9z M7 11l4-8c1.700 0 2.500 1.200 2 3l-1 4h6.500c1.200 0 1.800 1 1.500 2l-2 6.500c-.3 1-1 1.500-2 1.500H7',
  down: 'M17 13V4h3v9z M17 13l-4 8c-1.700 0-2.500-1.200-2-3l1-4H5.500c-1.200 0-1.800-1-1.500-2l2-6.500c.3-1 1-1.500 2-1.500H17',
  again: 'M20 11a8 8 0 1 0-2 6 M20 5v6h-6',
  pen: 'M4 20l1-4L16 5l3 3L8 19z',
  before: 'M15 5l-7 7 7 7',
  after: 'M9 5l7 7-7 7',
  close: 'M6 6l12 12 M18 6L6 18',
  bin: 'M5 7h14 M9 7V4h6v3 M7 7l1 13h8l1-13',
  end: 'M12 5v14 M6 13l6 6 6-6',
};
const icon = (name) => {
  const SVG = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  return svg;
};

// A button that shows a picture and is named by a word.
const tool = (name, word, onclick, attributes = {}) =>
  el('button', { type: 'button', class: 'tool', 'aria-label': word, title: word, onclick, ...attributes }, icon(name));

const textButton = (word, onclick, attributes = {}) => el('button', { type: 'button', onclick, ...attributes }, word);

const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

// Put the wanted nodes in order, moving none that stands right: what has the focus keeps it.
const arrange = (parent, wanted) => {
  let place = parent.firstChild;
  for (const node of wanted) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  while (place) {
    const rest = place.nextSibling;
    place.remove();
    place = rest;
  }
};

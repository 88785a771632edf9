// Small helpers that the other parts share. Text goes into the page as text nodes only.
const data = JSON.parse(document.getElementById('data').textContent);
const KINDS = {c: ['correct', '\u2713'], w: ['wrong', '\u2717'], j: ['junk', '\u2013']};
const SVG = 'http://www.w3.org/2000/svg';
const DASHES = ['', '7 3', '2 3', '9 3 2 3'];

// element('td', {class: 'best'}, 'text', node) makes a node; attributes that begin with 'on' are listeners.
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
const element = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const drawn = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// A name that may break behind an underscore.
const breakable = name => name.split(/(?<=_)/).flatMap(part => [part, element('wbr')]);
const count = number => number.toLocaleString('en-US');
const plural = (number, one, many) => count(number) + ' ' + (number === 1 ? one : many);
const queriesOf = number => plural(number, 'query', 'queries');
const color = i => 'var(--c' + (i % 8) + ')';
const dash = i => DASHES[(i + Math.floor(i / 8)) % DASHES.length];

// Buttons and a sentence that say which of `total` queries are shown; `go` gets the new page.
function pager(page, size, total, go) {
  const last = Math.max(0, Math.ceil(total / size) - 1);
  const button = (text, label, to) =>
    element(
      'button',
      {
        type: 'button',
        'aria-label': label,
        onclick: () => go(to),
        disabled: to < 0 || to > last || to === page ? '' : null,
      },
      text
    );
  const from = total ? page * size + 1 : 0;
  return element(
    'div',
    {class: 'tools pager'},
    element(
      'span',
      {'aria-live': 'polite'},
      count(from) + '\u2013' + count(Math.min(total, (page + 1) * size)) + ' of ' + queriesOf(total)
    ),
    element(
      'span',
      {},
      button('\u00ab', 'first page', 0),
      ' ',
      button('\u2039', 'previous page', page - 1),
      ' ',
      button('\u203a', 'next page', page + 1),
      ' ',
      button('\u00bb', 'last page', last)
    )
  );
}

// A labelled <select>; `options` are [value, text].
function choice(label, options, value, change, kind) {
  const list = element(
    'select',
    {onchange: event => change(event.target.value)},
    ...options.map(([key, text]) => element('option', {value: key}, text))
  );
  list.value = value;
  return element('label', {class: kind}, label, list);
}

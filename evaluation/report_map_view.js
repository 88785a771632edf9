// The map: dots, and thumbnails where they do not cover each other, coloured by label.
const COLORED = 10; // labels with a colour of their own
const THUMB = 30; // pixels

function drawMap() {
  const host = document.getElementById('embedding');
  if (!host) return;
  const {layouts, points} = data.map,
    names = Object.keys(layouts),
    labels = byFrequency(points.map(point => point[1]));
  const frame = element('div', {class: 'chart'}),
    tip = element('div', {class: 'tip', hidden: ''});
  const svg = drawn('svg', {role: 'img', 'aria-label': 'map of ' + plural(points.length, 'image', 'images')});
  const marks = points.map(point => mapMark(point, labels)),
    view = {x: 0.5, y: 0.5, zoom: 1, layout: names[0]};
  svg.append(...marks);
  frame.append(svg, tip);
  const place = () => {
    tip.hidden = true;
    placeMarks(svg, frame, marks, layouts[view.layout], view);
  };
  const zoom = factor => {
    view.zoom = Math.max(1, Math.min(40, view.zoom * factor));
    if (view.zoom === 1) view.x = view.y = 0.5;
    place();
  };
  const highlight = label =>
    marks.forEach((node, i) => node.classList.toggle('faint', label !== '' && points[i][1] !== Number(label)));
  const button = (text, name, action) => element('button', {type: 'button', 'aria-label': name, onclick: action}, text);
  const sorted = labels.slice().sort((a, b) => data.labels[a].localeCompare(data.labels[b]));
  host.append(
    element(
      'div',
      {class: 'tools'},
      button('+', 'nearer', () => zoom(1.6)),
      button('\u2212', 'farther', () => zoom(1 / 1.6)),
      button('whole', 'whole map', () => zoom(0)),
      names.length > 1
        ? choice(
            'layout',
            names.map(name => [name, name]),
            names[0],
            value => {
              view.layout = value;
              place();
            }
          )
        : null,
      labels.length > 1
        ? choice(
            'only',
            [['', 'all labels']].concat(sorted.map(label => [String(label), labelName(label)])),
            '',
            highlight
          )
        : null
    ),
    element('div', {class: 'map'}, frame, element('aside', {}, mapKey(labels, points)))
  );
  dragging(svg, view, place);
  pointing(svg, frame, tip, marks, points);
  new ResizeObserver(place).observe(frame);
}

function byFrequency(codes) {
  const counts = new Map();
  codes.forEach(code => counts.set(code, (counts.get(code) || 0) + 1));
  return Array.from(counts.keys()).sort((a, b) => counts.get(b) - counts.get(a) || a - b);
}
const labelName = label => data.labels[label] || 'no label';
const labelColor = i => (i < COLORED ? 'var(--c' + (i + 1) + ')' : 'var(--soft)');

// A group whose origin is its place: a dot (gallery) or square (query), and the framed picture if there is one.
function mapMark([key, label], labels) {
  const paint = labels.length > 1 ? labelColor(labels.indexOf(label)) : 'var(--c1)',
    picture = data.small[key],
    query = key[0] === 'q';
  const group = drawn(
    'g',
    {class: 'far'},
    query
      ? drawn('rect', {class: 'dot', x: -4, y: -4, width: 8, height: 8, fill: paint, stroke: 'var(--page)'})
      : drawn('circle', {class: 'dot', r: 3.5, fill: paint, stroke: 'var(--page)', 'stroke-width': 0.5})
  );
  if (picture) {
    const half = THUMB / 2;
    group.append(
      drawn('rect', {class: 'frame', x: -half, y: -half, width: THUMB, height: THUMB, fill: paint}),
      drawn('image', {
        x: 2 - half,
        y: 2 - half,
        width: THUMB - 4,
        height: THUMB - 4,
        href: picture,
        preserveAspectRatio: 'xMidYMid slice',
      })
    );
    if (query)
      group.append(drawn('path', {class: 'corner', d: 'M' + -half + ',' + -half + 'h12l-12,12z', fill: paint}));
  }
  return group;
}

function placeMarks(svg, frame, marks, layout, view) {
  const width = frame.clientWidth,
    margin = 20;
  const xs = layout.filter((_, i) => i % 2 === 0),
    ys = layout.filter((_, i) => i % 2 === 1);
  const [left, top] = [Math.min(...xs), Math.min(...ys)],
    across = Math.max(...xs) - left || 1,
    down = Math.max(...ys) - top || 1;
  const height = Math.max(280, Math.min(((width - 2 * margin) * down) / across + 2 * margin, 680));
  const unit = Math.min((width - 2 * margin) / across, (height - 2 * margin) / down) * view.zoom;
  svg.setAttribute('viewBox', '0 0 ' + width + ' ' + height);
  svg.setAttribute('height', height);
  svg.style.touchAction = view.zoom > 1 ? 'none' : 'pan-y';
  Object.assign(view, {across: across * unit, down: down * unit}); // pixels
  const taken = new Map();
  marks.forEach((node, i) => {
    const x = (xs[i] - left) * unit,
      y = (ys[i] - top) * unit;
    const near = node.childElementCount > 1 && isFree(taken, x, y);
    if (near) svg.append(node); // above the dots
    node.setAttribute('class', (node.classList.contains('faint') ? 'faint ' : '') + (near ? 'near' : 'far'));
    node.setAttribute(
      'transform',
      'translate(' +
        (width / 2 + x - view.x * view.across).toFixed(1) +
        ' ' +
        (height / 2 + y - view.y * view.down).toFixed(1) +
        ')'
    );
  });
}

// Whether no thumbnail lies at (x, y) yet; if so, one does now. `taken` holds places by cells of a thumbnail's size.
function isFree(taken, x, y) {
  const size = THUMB + 2,
    column = Math.floor(x / size),
    row = Math.floor(y / size);
  for (let i = column - 1; i <= column + 1; i++) {
    for (let j = row - 1; j <= row + 1; j++) {
      const other = taken.get(i + ' ' + j);
      if (other && Math.abs(other[0] - x) < size && Math.abs(other[1] - y) < size) return false;
    }
  }
  taken.set(column + ' ' + row, [x, y]);
  return true;
}

function mapKey(labels, points) {
  const swatch = (shape, text) =>
    element('li', {class: 'soft'}, drawn('svg', {width: 14, height: 12, 'aria-hidden': 'true'}, shape), ' ' + text);
  const square = paint => drawn('rect', {x: 1, y: 1, width: 10, height: 10, fill: paint});
  const items =
    labels.length > 1
      ? labels
          .slice(0, COLORED)
          .map((label, i) =>
            swatch(
              square(labelColor(i)),
              labelName(label) + ' (' + points.filter(point => point[1] === label).length + ')'
            )
          )
      : [];
  if (labels.length > COLORED)
    items.push(swatch(square('var(--soft)'), plural(labels.length - COLORED, 'other label', 'other labels')));
  items.push(
    swatch(drawn('circle', {cx: 6, cy: 6, r: 3.5, fill: 'var(--soft)'}), 'gallery image'),
    swatch(drawn('path', {d: 'M1,1h10l-10,10z', fill: 'var(--soft)'}), 'query: a square, or this corner')
  );
  return element('ul', {class: 'legend'}, ...items);
}

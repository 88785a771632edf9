// Ranked lists: one query with what each method returned, and pages of them by group.
const TO_SHOW = 5; // queries a page
const listedAt = new Map(data.queries.row.map((row, i) => [row, i]));

function drawLists() {
  const host = document.getElementById('query-lists');
  if (!host) return;
  const tabs = element('div', {class: 'tools', role: 'group', 'aria-label': 'Which queries'}),
    body = element('div', {});
  host.append(tabs, body);
  const show = (group, page) => {
    const {rows} = data.groups[group],
      turn = to => {
        show(group, to);
        host.scrollIntoView();
      };
    Array.from(tabs.children).forEach((button, i) => button.setAttribute('aria-pressed', String(i === group)));
    const some = rows.slice(page * TO_SHOW, (page + 1) * TO_SHOW).map(row => oneQuery(listedAt.get(row)));
    body.replaceChildren(pages(page, rows.length, turn), ...some, pages(page, rows.length, turn));
  };
  data.groups.forEach((group, i) =>
    tabs.append(element('button', {type: 'button', onclick: () => show(i, 0)}, group.title))
  );
  if (data.groups.length === 1) tabs.replaceChildren(element('span', {}, data.groups[0].title));
  show(0, 0);
}
const pages = (page, total, go) => pager(page, TO_SHOW, total, go);

// A query (its place in data.queries) and its lists.
function oneQuery(at) {
  const {row, label, path, positives} = data.queries,
    lists = data.lists[row[at]];
  const name = data.labels[label[at]] || path[at],
    picture = thumbnail('q' + row[at], 'query ' + row[at] + ': ' + name, Boolean(lists));
  const about = element(
    'div',
    {},
    element('h3', {}, name),
    element('div', {class: 'soft'}, 'query ' + row[at] + ', ' + plural(positives[at], 'match', 'matches')),
    element('div', {class: 'soft'}, path[at])
  );
  const section = element(
    'section',
    {class: 'query'},
    element('div', {class: picture ? 'asked' : 'asked bare'}, picture, about),
    element(
      'div',
      {},
      ...data.methods.map((_, i) => oneMethod(at, i, lists)),
      lists
        ? null
        : element(
            'p',
            {class: 'soft'},
            'Ranked pictures are kept for ' +
              queriesOf(Object.keys(data.lists).length) +
              ' only; --evaluation.report_queries keeps more.'
          )
    )
  );
  const mark = on => event => {
    const tile = event.target.closest('li[data-row]');
    section.querySelectorAll('li.same').forEach(other => other.classList.remove('same'));
    if (on && tile)
      section.querySelectorAll('li[data-row="' + tile.dataset.row + '"]').forEach(other => other.classList.add('same'));
  };
  section.addEventListener('pointerover', mark(true));
  section.addEventListener('pointerleave', mark(false));
  return section;
}

function oneMethod(at, i, lists) {
  const marks = data.queries.marks[i][at],
    right = (marks.match(/c/g) || []).length;
  const head = element(
    'h4',
    {},
    data.methods[i] + ' ',
    element(
      'span',
      {},
      'AP ' + (data.queries.ap[i][at] / 10000).toFixed(4) + ', ' + right + ' of the first ' + marks.length + ' correct'
    )
  );
  if (!marks.length) return element('div', {class: 'method'}, head, element('p', {class: 'soft'}, 'returned nothing'));
  if (!lists) return element('div', {class: 'method'}, head, strip(marks));
  return element(
    'div',
    {class: 'method'},
    head,
    element('ol', {}, ...lists[i].map((result, place) => tile(result, place + 1, i)))
  );
}

function tile([row, mark, before], place, method) {
  const [kind, sign] = KINDS[mark],
    [label, path] = data.gallery[row],
    name = data.labels[label] || path;
  const moved = method ? movement(before, place) : ['', ''];
  const text = kind + ': ' + name + ' (' + path + '), place ' + place + moved[1];
  return element(
    'li',
    {class: kind, title: text, 'data-row': row},
    thumbnail('g' + row, text, true),
    element('span', {class: 'line'}, element('span', {class: 'mark'}, sign), element('span', {}, moved[0])),
    element('span', {class: 'name'}, name)
  );
}

// What an image's place in the first method's list (0: not in it) and here say: [short, in words].
function movement(before, place) {
  const first = data.methods[0];
  if (!before) return ['new', ', not returned by ' + first];
  if (before === place) return ['=', ', the same in ' + first];
  const up = before > place;
  return [
    (up ? '\u25b2' : '\u25bc') + brief(Math.abs(before - place)),
    ', ' + (up ? 'up' : 'down') + ' from ' + count(before) + ' in ' + first,
  ];
}

const brief = places => (places < 1000 ? String(places) : (places / 1000).toFixed(places < 9950 ? 1 : 0) + 'k');

// The picture; a box in its place when pictures are shown but this one is lacking; null when none are.
function thumbnail(key, text, wanted) {
  if (data.pictures[key]) return element('img', {src: data.pictures[key], alt: text});
  return wanted && Object.keys(data.pictures).length ? element('div', {class: 'missing'}, 'no picture') : null;
}
const spoken = marks => Array.from(marks, mark => KINDS[mark][0]).join(', ');
const strip = marks =>
  element(
    'span',
    {class: 'strip', title: spoken(marks), role: 'img', 'aria-label': spoken(marks)},
    ...Array.from(marks, mark => element('i', {class: mark}))
  );

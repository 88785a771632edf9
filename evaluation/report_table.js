// The table of queries: sorted, filtered and paged here, so that only one page of rows is ever in the document.
const CONDITIONS = {
  all: ['all queries', () => true],
  better: ['better than ' + data.methods[0], (at, i) => data.queries.ap[i][at] > data.queries.ap[0][at]],
  worse: ['worse than ' + data.methods[0], (at, i) => data.queries.ap[i][at] < data.queries.ap[0][at]],
  none: ['nothing correct in the first ' + data.first, (at, i) => !data.queries.marks[i][at].includes('c')],
};

function drawTable() {
  const {ap, row, label, path, positives} = data.queries,
    methods = data.methods,
    several = methods.length > 1;
  const spread = row.map((_, at) => Math.max(...ap.map(one => one[at])) - Math.min(...ap.map(one => one[at])));
  const columns = [
    ['query', row],
    ['matches', positives],
  ].concat(
    methods.map((name, i) => [name, ap[i]]),
    several ? [['differ by', spread]] : []
  );
  const state = {
    sort: several ? columns.length - 1 : 2,
    down: several,
    page: 0,
    size: 25,
    words: '',
    condition: 'all',
    method: methods.length - 1,
  };
  const text = row.map((number, at) => (data.labels[label[at]] + ' ' + path[at] + ' ' + number).toLowerCase());
  let order = [];
  const arrange = () => {
    const values = columns[state.sort][1],
      keep = CONDITIONS[state.condition][1],
      sign = state.down ? -1 : 1;
    order = row.map((_, at) => at).filter(at => text[at].includes(state.words) && keep(at, state.method));
    order.sort((a, b) => sign * (values[a] - values[b]) || a - b);
  };
  const change = (values, again = true) => {
    Object.assign(state, values);
    if (again) {
      state.page = values.page || 0;
      arrange();
    }
    render();
  };
  const head = element('tr', {}),
    body = element('tbody', {}),
    foot = element('div', {});
  columns.forEach(([name], i) =>
    head.append(
      element(
        'th',
        {scope: 'col', class: i === 1 ? 'wide' : null},
        element(
          'button',
          {type: 'button', onclick: () => change({sort: i, down: state.sort === i ? !state.down : i > 1})},
          ...breakable(name)
        )
      )
    )
  );
  const render = () => {
    Array.from(head.children).forEach((cell, i) =>
      cell.setAttribute('aria-sort', i !== state.sort ? 'none' : state.down ? 'descending' : 'ascending')
    );
    const some = order.slice(state.page * state.size, (state.page + 1) * state.size);
    body.replaceChildren(...some.map(at => tableRow(at, columns, spread)));
    if (!some.length)
      body.append(element('tr', {}, element('td', {colspan: columns.length}, 'No query is like that.')));
    foot.replaceChildren(pager(state.page, state.size, order.length, page => change({page: page}, false)));
  };
  const conditions = Object.entries(CONDITIONS).filter(([key]) => several || key === 'all' || key === 'none');
  document.getElementById('query-table').append(
    element(
      'div',
      {class: 'tools'},
      element(
        'label',
        {class: 'whole'},
        element('input', {
          type: 'search',
          placeholder: 'label, path or number',
          'aria-label': 'find queries',
          oninput: event => change({words: event.target.value.trim().toLowerCase()}),
        })
      ),
      choice(
        'show',
        conditions.map(([key, [name]]) => [key, name]),
        state.condition,
        value => change({condition: value}),
        'whole'
      ),
      several
        ? choice(
            'of',
            methods.map((name, i) => [String(i), name]),
            String(state.method),
            value => change({method: Number(value)})
          )
        : null,
      choice(
        'per page',
        [10, 25, 50, 100].map(size => [String(size), String(size)]),
        String(state.size),
        value => change({size: Number(value)})
      )
    ),
    element(
      'div',
      {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'AP of each query'},
      element('table', {class: 'queries'}, element('thead', {}, head), body)
    ),
    foot
  );
  arrange();
  render();
}

function tableRow(at, columns, spread) {
  const {ap, row, label, path, positives, marks} = data.queries,
    name = data.labels[label[at]] || path[at];
  const line = element('tr', {}),
    button = element(
      'button',
      {
        type: 'button',
        'aria-expanded': 'false',
        onclick: () => {
          const open = button.getAttribute('aria-expanded') === 'true';
          button.setAttribute('aria-expanded', String(!open));
          if (open) line.nextSibling.remove();
          else
            line.after(
              element(
                'tr',
                {},
                element('td', {class: 'opened', colspan: columns.length}, element('div', {}, oneQuery(at)))
              )
            );
        },
      },
      name
    );
  const best = Math.max(...ap.map(one => one[at]));
  line.append(
    element(
      'td',
      {},
      button,
      element('small', {title: path[at]}, row[at] + (name === path[at] ? '' : ' \u00b7 ' + path[at]))
    ),
    element('td', {class: 'wide'}, count(positives[at])),
    ...ap.map((one, i) =>
      element(
        'td',
        {class: spread[at] && one[at] === best ? 'best' : null},
        (one[at] / 10000).toFixed(3),
        strip(marks[i][at])
      )
    )
  );
  if (ap.length > 1) line.append(element('td', {}, (spread[at] / 10000).toFixed(3)));
  return line;
}

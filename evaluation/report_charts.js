// Lines over two axes, drawn anew at each width, so that text keeps its size.
//
// chart(host, {lines: [{name, short, x, y, area, dots, dashed}], xLabel, yLabel, log, fromZero, xFormat, yFormat,
//   tipFormat, detail})
//   x, y: arrays of numbers; log: logarithmic x; fromZero: x begins at 0.
//   short: the line's name in the tip; detail(i): the tip's last line at point i.
function chart(host, spec) {
  const frame = element('div', {class: 'chart'}),
    hidden = new Set();
  const draw = () => {
    if (frame.clientWidth) frame.replaceChildren(...plot(frame.clientWidth, spec, hidden));
  };
  host.append(legend(spec.lines, hidden, draw), frame);
  let width = 0;
  new ResizeObserver(() => {
    if (frame.clientWidth !== width) {
      width = frame.clientWidth;
      draw();
    }
  }).observe(frame);
}

function legend(lines, hidden, draw) {
  return element(
    'ul',
    {class: 'legend'},
    ...lines.map((line, i) =>
      element(
        'li',
        {},
        element(
          'button',
          {
            type: 'button',
            'aria-pressed': 'true',
            title: 'show or hide',
            onclick: event => {
              const show = hidden.delete(i);
              if (!show) hidden.add(i);
              event.currentTarget.setAttribute('aria-pressed', String(show));
              draw();
            },
          },
          sample(i, line),
          line.name
        )
      )
    )
  );
}

function sample(i, line) {
  return drawn(
    'svg',
    {width: 26, height: 10, 'aria-hidden': 'true'},
    drawn('line', {
      x1: 0,
      x2: 26,
      y1: 5,
      y2: 5,
      class: 'line-mark',
      stroke: stroke(i, line),
      'stroke-dasharray': dashes(i, line),
    })
  );
}
const stroke = (i, line) => (line.dashed ? 'var(--soft)' : color(i));
const dashes = (i, line) => (line.dashed ? '4 4' : dash(i));

function plot(width, spec, hidden) {
  const height = Math.max(220, Math.min(340, Math.round(width * 0.62)));
  const left = 52,
    right = 14,
    top = 10,
    bottom = 44;
  const shown = spec.lines.map((line, i) => [line, i]).filter(([, i]) => !hidden.has(i));
  const all = spec.lines.flatMap(line => line.x);
  const low = spec.log ? Math.min(...all) : spec.fromZero ? 0 : Math.min(...all);
  const high = Math.max(...all, spec.log ? low * 1.01 : low + 1e-9);
  const scale = spec.log ? Math.log : value => value;
  const toX = value => left + ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (width - left - right);
  const rise = ticks(0, Math.max(...spec.lines.flatMap(line => line.y)) || 1, 5, true),
    ceiling = rise[rise.length - 1];
  const toY = value => height - bottom - (value / ceiling) * (height - top - bottom);
  const svg = drawn('svg', {
    viewBox: '0 0 ' + width + ' ' + height,
    height: height,
    role: 'img',
    'aria-label': spec.yLabel + ' by ' + spec.xLabel + ': ' + shown.map(([line]) => line.name).join(', '),
  });
  for (const value of rise) {
    svg.append(
      drawn('line', {class: 'grid', x1: left, x2: width - right, y1: toY(value), y2: toY(value)}),
      drawn('text', {x: left - 6, y: toY(value) + 4, 'text-anchor': 'end'}, spec.yFormat(value))
    );
  }
  for (const value of spec.log ? logTicks(low, high, width) : ticks(low, high, width < 420 ? 5 : 8)) {
    svg.append(
      drawn('line', {class: 'axis', x1: toX(value), x2: toX(value), y1: height - bottom, y2: height - bottom + 4}),
      drawn('text', {x: toX(value), y: height - bottom + 17, 'text-anchor': 'middle'}, spec.xFormat(value))
    );
  }
  svg.append(
    drawn('line', {class: 'axis', x1: left, x2: width - right, y1: height - bottom, y2: height - bottom}),
    drawn('text', {x: (left + width - right) / 2, y: height - 6, 'text-anchor': 'middle'}, spec.xLabel),
    drawn(
      'text',
      {
        x: 12,
        y: (top + height - bottom) / 2,
        'text-anchor': 'middle',
        transform: 'rotate(-90 12 ' + (top + height - bottom) / 2 + ')',
      },
      spec.yLabel
    )
  );
  for (const [line, i] of shown) svg.append(...strokes(line, i, toX, toY));
  const tip = element('div', {class: 'tip', hidden: ''});
  const cross = drawn('line', {class: 'axis', y1: top, y2: height - bottom, visibility: 'hidden'});
  svg.append(cross);
  follow(svg, tip, cross, shown, spec, toX, width);
  return [svg, tip];
}

function strokes(line, i, toX, toY) {
  const points = line.x.map((value, j) => toX(value).toFixed(1) + ',' + toY(line.y[j]).toFixed(1)).join(' ');
  const found = [
    drawn('polyline', {
      class: 'line-mark',
      points: points,
      stroke: stroke(i, line),
      'stroke-dasharray': dashes(i, line),
    }),
  ];
  if (line.area) {
    const ends = [line.x[line.x.length - 1], line.x[0]].map(
      value => ' ' + toX(value).toFixed(1) + ',' + toY(0).toFixed(1)
    );
    found.unshift(drawn('polygon', {points: points + ends.join(''), fill: color(i), 'fill-opacity': 0.16}));
  }
  if (line.dots)
    line.x.forEach((value, j) =>
      found.push(drawn('circle', {cx: toX(value), cy: toY(line.y[j]), r: 3, fill: color(i)}))
    );
  return found;
}

// A tip with every line's value at the point nearest to the pointer.
function follow(svg, tip, cross, shown, spec, toX, width) {
  const hide = () => {
    tip.hidden = true;
    cross.setAttribute('visibility', 'hidden');
  };
  const show = event => {
    if (!shown.length) return hide();
    const x = event.clientX - svg.getBoundingClientRect().left,
      first = shown[0][0];
    let at = 0;
    first.x.forEach((value, j) => {
      if (Math.abs(toX(value) - x) < Math.abs(toX(first.x[at]) - x)) at = j;
    });
    const place = toX(first.x[at]);
    cross.setAttribute('x1', place);
    cross.setAttribute('x2', place);
    cross.setAttribute('visibility', 'visible');
    tip.replaceChildren(
      element('div', {}, spec.xLabel + ': ' + spec.xFormat(first.x[at])),
      ...shown.map(([line]) =>
        element('div', {}, (line.short || line.name) + ' ', element('b', {}, spec.tipFormat(line.y[at])))
      ),
      spec.detail ? element('div', {}, spec.detail(at)) : ''
    );
    tip.hidden = false;
    tip.style.top = '.5rem';
    tip.style.left = (place < width / 2 ? place + 10 : Math.max(0, place - tip.offsetWidth - 10)) + 'px';
  };
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', hide);
}

// About `wanted` round numbers from low to high, or (beyond) to the first that is no less than high.
function ticks(low, high, wanted, beyond = false) {
  const rough = (high - low) / wanted,
    power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(value => value >= rough * 0.999);
  const found = [];
  const end = beyond ? (Math.ceil(high / step - 1e-6) + 0.5) * step : high + step * 1e-6;
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= end; value += step)
    found.push(Number(value.toPrecision(12)));
  return found;
}

function logTicks(low, high, width) {
  const decades = Math.log10(high / low),
    found = [];
  const factors = width / Math.max(decades, 1) > 150 ? [1, 2, 5] : [1];
  for (let power = Math.pow(10, Math.floor(Math.log10(low))); power <= high; power *= 10) {
    found.push(...factors.map(factor => factor * power).filter(value => value >= low && value <= high));
  }
  return found;
}

// Dragging the map, and the tip that says what is under the pointer.
function dragging(svg, view, place) {
  const within = value => Math.max(0, Math.min(1, value));
  let from = null;
  svg.addEventListener('pointerdown', event => {
    from = view.zoom > 1 ? [event.clientX, event.clientY, view.x, view.y] : null;
  });
  svg.addEventListener('pointermove', event => {
    if (!from || !event.buttons) return;
    view.x = within(from[2] - (event.clientX - from[0]) / view.across);
    view.y = within(from[3] - (event.clientY - from[1]) / view.down);
    place();
  });
  svg.addEventListener('pointerup', () => {
    from = null;
  });
}

function pointing(svg, frame, tip, marks, points) {
  const numbers = new Map(marks.map((node, i) => [node, i]));
  const show = event => {
    const at = numbers.get(event.target.closest('g'));
    tip.hidden = at === undefined;
    if (at === undefined) return;
    const [key, label, path] = points[at],
      picture = data.small[key],
      box = frame.getBoundingClientRect();
    tip.replaceChildren(
      element('b', {}, data.labels[label] || path),
      element('div', {}, (key[0] === 'q' ? 'query ' : 'gallery image ') + key.slice(1)),
      element('div', {class: 'soft'}, path),
      picture ? element('img', {src: picture, alt: ''}) : ''
    );
    const x = event.clientX - box.left,
      y = event.clientY - box.top;
    tip.style.left = Math.max(0, x < box.width / 2 ? x + 16 : x - tip.offsetWidth - 16) + 'px';
    tip.style.top = Math.max(0, Math.min(y, box.height - tip.offsetHeight - 4)) + 'px';
  };
  svg.addEventListener('pointerover', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', () => {
    tip.hidden = true;
  });
}

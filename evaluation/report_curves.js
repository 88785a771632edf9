// Which curves there are: precision, recall, the neighbourhood, distances.
function drawCharts() {
  const curves = data.curves,
    share = value => String(Number(value.toPrecision(3))),
    exact = value => value.toFixed(3);
  const common = {yFormat: share, tipFormat: exact};
  const levels = curves.precision[0].map((_, i) => i / 100);
  chart(document.getElementById('chart-precision'), {
    ...common,
    xLabel: 'recall',
    yLabel: 'precision',
    xFormat: share,
    lines: curves.precision.map((y, i) => ({name: data.methods[i], x: levels, y: y})),
  });
  chart(document.getElementById('chart-recall'), {
    ...common,
    xLabel: 'k',
    yLabel: 'share of matches',
    log: true,
    xFormat: count,
    lines: curves.recall
      .map((y, i) => ({
        name: data.methods[i] + ' (mAP ' + data.maps[i].toFixed(4) + ')',
        short: data.methods[i],
        x: curves.depths,
        y: y,
      }))
      .concat([{name: 'perfect', x: curves.depths, y: curves.perfect, dashed: true}]),
  });
  const near = curves.near;
  chart(document.getElementById('chart-near'), {
    ...common,
    xLabel: 'share of matches among the first ' + near.depth,
    yLabel: 'mAP',
    xFormat: share,
    fromZero: true,
    detail: i => queriesOf(near.queries[i]),
    lines: near.ap.map((y, i) => ({name: data.methods[i], x: near.share, y: y, dots: true})),
  });
  if (data.distances) drawDistances();
}

function drawDistances() {
  const {edges, matching, others} = data.distances;
  const middles = matching.map((_, i) => (edges[i] + edges[i + 1]) / 2);
  chart(document.getElementById('chart-distances'), {
    xLabel: 'distance',
    yLabel: 'share of pairs',
    xFormat: value => String(Math.round(value * 100) / 100),
    yFormat: value => Math.round(value * 1000) / 10 + ' %',
    tipFormat: value => (value * 100).toFixed(1) + ' %',
    lines: [
      {name: 'matching pairs', x: middles, y: matching, area: true},
      {name: 'other pairs', x: middles, y: others, area: true},
    ],
  });
}

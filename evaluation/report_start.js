// Each part by itself: what goes wrong in one leaves the others.
function start() {
  for (const part of [drawTable, drawLists, drawCharts, drawMap]) {
    try {
      part();
    } catch (error) {
      console.error(part.name, error);
    }
  }
}

// The learning curve with its band, each round's own measurement, and random choice where a backtest
// has run, from the tables beside it.
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT_PX = 280;
const FONT = "13px system-ui";

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("./vendor/uplot/uPlot.min.css", import.meta.url);
await new Promise((done) => {
  style.onload = style.onerror = done;
  document.head.append(style);
});

function columns(place, name) {
  const rows = [...place.querySelectorAll(`[data-points=${name}] tr`)].filter((row) => row.cells.length === 4);
  const cells = rows.map((row) => [...row.cells].map((cell) => Number(cell.textContent)));
  return [0, 1, 2, 3].map((column) => cells.map((row) => row[column]));
}

export function drawCurve(chart, place) {
  const random = columns(place, "random").slice(0, 2);
  const hasRandom = random[0].length > 0;
  const drawn = [columns(place, "curve"), columns(place, "rounds").slice(0, 2)];
  const data = uPlot.join(hasRandom ? [...drawn, random] : drawn);
  let plot = null;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(chart, hasRandom), data, chart);
  };
  draw();
  new ResizeObserver(() => plot.setSize({ width: chart.clientWidth, height: HEIGHT_PX })).observe(chart);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function options(chart, hasRandom) {
  const style = getComputedStyle(chart);
  const [ink, line, accent, dot] = ["--soft", "--line", "--accent", "--k3"].map((name) =>
    style.getPropertyValue(name).trim(),
  );
  const axis = { stroke: ink, font: FONT, labelFont: FONT, grid: { stroke: line, width: 1 } };
  const percent = (_, value) => (value == null ? "–" : `${value.toFixed(1)} %`);
  const random = { label: "Random, in the backtest", stroke: ink, width: 2, dash: [6, 4], value: percent, spanGaps: true, points: { show: false } };
  return {
    width: chart.clientWidth,
    height: HEIGHT_PX,
    scales: { x: { time: false }, y: { range: (_, low, high) => [Math.max(0, low - 5), Math.min(100, high + 2)] } },
    axes: [
      { ...axis, label: "Labels" },
      { ...axis, label: "Accuracy, %", size: 52 },
    ],
    series: [
      { label: "Labels" },
      { label: "All rounds", stroke: accent, width: 2, value: percent, spanGaps: true, points: { show: false } },
      { label: "From", stroke: "transparent", value: percent, spanGaps: true, points: { show: false } },
      { label: "To", stroke: "transparent", value: percent, spanGaps: true, points: { show: false } },
      { label: "One round", stroke: dot, value: percent, paths: () => null, points: { show: true, size: 7, fill: dot } },
      ...(hasRandom ? [random] : []),
    ],
    bands: [{ series: [3, 2], fill: `${accent}33` }],
  };
}

// The usage of one token: daily bars with the denied part on top, and the same numbers as a table.

import { h, svg } from "./dom.js";
import { compact, day, number } from "./format.js";

const [WIDTH, HEIGHT, GRID] = [732, 140, [0, 1, 2, 3]];
// Above the third grid line half a step of air is left.
const STEPS = 3.5;

const all = ({ allowed, denied }) => allowed + denied;
const shortDay = ({ date }) => day(date).slice(0, -5);

/** The smallest of 1, 2, 5, 10, 20 ... that keeps the highest bar below the upper edge. */
function stepFor(top) {
  let step = 1;
  for (let turn = 0; step * STEPS < top; turn += 1) step *= turn % 3 === 1 ? 2.5 : 2;
  return step;
}

function numbers(days) {
  const rows = days.toReversed().map((one) => h("tr", h("th", { scope: "row" }, day(one.date)),
    h("td.num", number(one.allowed)), h("td.num", number(one.denied))));
  const heads = ["Day (UTC)", "Allowed", "Denied"].map((name) => h("th", { scope: "col" }, name));
  return h("details", h("summary", "Show as table"),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Checks per day" },
      h("table", h("thead", h("tr", heads)), h("tbody", rows))));
}

/** days: [{date, allowed, denied}], oldest first; the sums of both. */
export function chart(days, allowed, denied) {
  const busiest = days.reduce((best, one) => (all(one) > all(best) ? one : best));
  const step = stepFor(all(busiest));
  const scale = HEIGHT / step / STEPS;
  const pitch = WIDTH / days.length;
  const bar = (style, at, from, height) => height > 0 && svg(`rect.${style}`,
    { x: (at + 0.15) * pitch, y: HEIGHT - from - height, width: pitch * 0.7, height, rx: 2 });
  const bars = days.map((one, at) => [bar("allow", at, 0, one.allowed * scale),
    bar("deny", at, one.allowed * scale + 1.5, one.denied && Math.max(2, one.denied * scale))]);
  const text = `Checks per day for the last ${days.length} days. ${compact(allowed)} allowed, `
    + `${number(denied)} denied. Busiest day ${shortDay(busiest)}.`;
  const labels = [shortDay(days[0]), shortDay(days[days.length >> 1]), "Today"];
  const picture = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": text };
  return [
    // The words stand in HTML beside the picture, since text in a stretched SVG is deformed.
    h("div.plot", h("ol", { "aria-hidden": "true" }, GRID.map((at) => h(`li.y${at}`, compact(at * step)))),
      svg("svg.chart", picture,
        GRID.map((at) => svg("path.grid", { d: `M0 ${HEIGHT - at * HEIGHT / STEPS}h${WIDTH}` })), bars)),
    h("div.xaxis", { "aria-hidden": "true" }, labels.map((label) => h("span", label))),
    numbers(days)];
}

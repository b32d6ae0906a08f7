// Usage in numbers, as bars by day or by hour with the denied part on top, and as a table.

import { card, h, svg } from "./dom.js";
import { clock, compact, day, number, sum, upper } from "./format.js";

const [WIDTH, HEIGHT, GRID] = [732, 140, [0, 1, 2, 3]];
// Half a step of space is left above the third grid line.
const STEPS = 3.5;

const all = ({ allowed, denied }) => allowed + denied;
const shortDay = (date) => day(date).slice(0, -5);
/** How a chart of days or of hours names a bar: in full, below it, and the last one. */
const UNITS = {
  day: { full: ({ date }) => day(date), short: ({ date }) => shortDay(date), now: "Today" },
  hour: { full: ({ hour }) => `${day(hour)}, ${clock(hour)}`, now: "This hour",
    short: ({ hour }) => `${shortDay(hour)}, ${clock(hour).slice(0, 5)}` },
};

/** The smallest of 1, 2, 5, 10, 20 ... that keeps the highest bar below the upper edge. */
function stepFor(top) {
  let step = 1;
  for (let turn = 0; step * STEPS < top; turn += 1) step *= turn % 3 === 1 ? 2.5 : 2;
  return step;
}

function numbers(counts, unit) {
  const rows = counts.toReversed().map((one) => h("tr", h("th", { scope: "row" }, UNITS[unit].full(one)),
    h("td.num", number(one.allowed)), h("td.num", number(one.denied))));
  const heads = [`${upper(unit)} (UTC)`, "Allowed", "Denied"].map((name) => h("th", { scope: "col" }, name));
  return h("details", h("summary", "Show as table"),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": `Checks per ${unit}` },
      h("table", h("thead", h("tr", heads)), h("tbody", rows))));
}

function chart(counts, allowed, denied) {
  const unit = counts[0].hour ? "hour" : "day";
  const { short: named, now } = UNITS[unit];
  const busiest = counts.reduce((best, one) => (all(one) > all(best) ? one : best));
  const step = stepFor(all(busiest));
  const scale = HEIGHT / step / STEPS;
  const pitch = WIDTH / counts.length;
  const bar = (style, at, from, height) => height > 0 && svg(`rect.${style}`,
    { x: (at + 0.15) * pitch, y: HEIGHT - from - height, width: pitch * 0.7, height, rx: 2 });
  const bars = counts.map((one, at) => [bar("allow", at, 0, one.allowed * scale),
    bar("deny", at, one.allowed * scale + 1.5, one.denied && Math.max(2, one.denied * scale))]);
  const text = `Checks per ${unit} for the last ${counts.length} ${unit}s. ${compact(allowed)} allowed, `
    + `${number(denied)} denied. Busiest ${unit} ${named(busiest)}.`;
  const labels = [named(counts[0]), named(counts[counts.length >> 1]), now];
  const picture = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": text };
  return [
    // The words are HTML beside the picture, because text in a stretched SVG is distorted.
    h("div.plot", h("ol", { "aria-hidden": "true" }, GRID.map((at) => h(`li.y${at}`, compact(at * step)))),
      svg("svg.chart", picture,
        GRID.map((at) => svg("path.grid", { d: `M0 ${HEIGHT - at * HEIGHT / STEPS}h${WIDTH}` })), bars)),
    h("div.xaxis", { "aria-hidden": "true" }, labels.map((label) => h("span", label))),
    numbers(counts, unit)];
}

export const sumOf = (counts, name) => sum(counts.map((one) => one[name]));

/** counts: [{date or hour, allowed, denied}], oldest first, of a span; further: more numbers, [[value, about]]; none:
 * what is said where nothing was checked. */
export function checksCard(title, counts, span, further, none) {
  const [allowed, denied] = [sumOf(counts, "allowed"), sumOf(counts, "denied")];
  const total = allowed + denied;
  if (!total) return card(title, null, h("p.muted", none));
  const known = [[compact(total), `checks, ${span}`], [`${(100 * denied / total).toFixed(2)}%`, "denied"], ...further];
  return card(title, h("span.end.legend", h("span", h("i"), "Allowed"), h("span", h("i.deny"), "Denied")),
    h("div.kpis", known.map(([value, about]) => h("div", h("b", value), h("span", about)))),
    chart(counts, allowed, denied));
}

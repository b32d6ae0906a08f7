// The limits of a token or of a subject: lines of fields, each read as one limit, and what they mean in words.

import { h, icon } from "./dom.js";
import { Fault, field, numeral, options, required } from "./fields.js";
import { RATE_PERIODS, perPeriod, ratesInWords } from "./rate.js";

const MOST_LIMITS = 4;
const zones = h("datalist", { id: "zones" });

/** One limit; drop(line) takes it away; needed: not to be left empty. A calendar's fields and a rate's are never seen
 * together. */
function limitLine({ name, limit, periodSeconds = 60, burst, calendar }, drop, needed) {
  const chosen = calendar?.unit ?? String(periodSeconds);
  const usual = RATE_PERIODS.some(([known]) => known === chosen) ? [] : [[chosen, perPeriod({ periodSeconds })]];
  const period = h("select", { "aria-label": "Period" }, options([...RATE_PERIODS, ...usual], chosen));
  const away = h("button.btn.quiet.icon", { "aria-label": "Remove this limit", click: () => drop(line) },
    icon("close"));
  const whole = { inputmode: "numeric" };
  const rate = field("Requests", { ...whole, required: needed, value: limit }, "", numeral);
  const most = field("At once", { ...whole, value: burst !== limit && burst },
    "So many may come together after a pause. Empty means all of them.", numeral);
  // A new quota uses the time zone of this browser.
  const timeZone = field("Time zone", { required: true, list: zones.id,
    value: calendar?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone }, "",
  required("Give a time zone, such as Europe/Berlin."));
  const day = field("From day", { ...whole, value: calendar?.day > 1 && calendar.day }, "Empty means the first.",
    numeral);
  const called = field("Called", { value: name, maxlength: 32 }, "As RateLimit fields name it.");
  rate.node.lastChild.before(h("div.pair", rate.input, period, away));
  const places = { limit: rate, burst: most, timeZone, day, name: called };
  const unitOf = () => (Number(period.value) ? "" : period.value);
  let usualName;
  const line = {
    rate, places, node: h("div.limit", { role: "group", "aria-label": "Limit" },
      Object.values(places).map(({ node }) => node)),
    /** alone: the only one needs no name. */
    draw(alone) {
      usualName = alone ? "" : period.selectedOptions[0].text.split(" ").at(-1);
      most.node.hidden = unitOf();
      timeZone.node.hidden = !unitOf();
      day.node.hidden = unitOf() !== "month";
      called.node.hidden = alone && !name;
      called.input.placeholder = usualName || "default";
      away.hidden = alone;
    },
    /** null for a line without a number of requests. */
    read() {
      const [unit, size, burst] = [unitOf(), rate.read(), unitOf() ? null : most.read()];
      if (burst && !size) throw new Fault("Give the requests, too.", rate);
      const span = !unit ? { periodSeconds: Number(period.value), ...(burst && { burst }) }
        : { calendar: { unit, timeZone: timeZone.read(), ...(unit === "month" && { day: day.read() ?? 1 }) } };
      return size && { name: called.read() || usualName || "default", limit: size, ...span };
    },
  };
  return line;
}

/** A field whose value is a list of limits; needed: of at least one. */
export function limitsField(given, needed) {
  if (!zones.firstChild) zones.append(...options(["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => [zone])));
  let [lines, sent] = [[], []];
  const rows = h("div.stack");
  const meaning = h("p.hint", { "aria-live": "polite" });
  const read = () => {
    sent = lines.filter((line) => line.read());
    return sent.map((line) => line.read());
  };
  const draw = () => {
    for (const line of lines) line.draw(lines.length === 1);
    add.hidden = lines.length === MOST_LIMITS;
    meaning.textContent = "";
    try {
      const said = ratesInWords(read());
      meaning.textContent = said && `That is ${said}.`;
    } catch {
      // Half typed.
    }
  };
  const drop = (gone) => {
    lines = lines.filter((line) => line !== gone);
    gone.node.remove();
    draw();
    add.focus();
  };
  const grow = (limit) => {
    lines.push(limitLine(limit, drop, needed && !lines[0]));
    rows.append(lines.at(-1).node);
    draw();
  };
  const add = h("button.btn.sm", { click: () => {
    grow({});
    lines.at(-1).rate.input.focus();
  } }, icon("plus", 14), "Add a limit");
  (given[0] ? given : [{}]).forEach(grow);
  return {
    read, node: h("div", { input: draw }, zones, rows, h("div.row.left-row", add), meaning),
    fail: () => lines.forEach(({ places }) => Object.values(places).forEach(({ fail }) => fail(""))),
    /** The field of a path such as "limits[0].calendar.timeZone". */
    at(path) {
      const { places } = sent[/\d+/.exec(path)?.[0] ?? 0] ?? lines[0];
      return places[path.split(".").at(-1)] ?? places.limit;
    },
  };
}

// A token's rate limit: the fields that it is typed into, and what it means in words.

import { Fault, field, h, options } from "./dom.js";
import { number } from "./format.js";

const RATE_PERIODS = [["1", "per second"], ["60", "per minute"], ["3600", "per hour"], ["86400", "per day"],
  ...["hour", "day", "month"].map((unit) => [unit, `each calendar ${unit}`])];
const PACES = [[1, "a second"], [60, "a minute"], [3600, "an hour"], [86400, "a day"]];
// So that 59 a minute are still about one a second.
const ALMOST_ONE = 0.95;

export function numeral(text) {
  if (!/^([1-9]\d*)?$/.test(text)) throw new Fault("Give a whole number, such as 600.");
  return text ? Number(text) : null;
}

/** A calendar's window, or seconds. */
export function perPeriod({ periodSeconds, calendar }) {
  if (calendar) {
    const { unit, day, timeZone } = calendar;
    return `each ${unit} of ${timeZone}${day > 1 ? `, day ${day}` : ""}`;
  }
  return RATE_PERIODS.find(([known]) => Number(known) === periodSeconds)?.[1] ?? `in ${periodSeconds} s`;
}

/** "about 2 a second, 20 at once" */
export function rateInWords({ limit, periodSeconds, burst, calendar }) {
  if (calendar) return `${number(limit)} ${perPeriod({ calendar })}`;
  const [span, pace] = PACES.find(([seconds]) => limit * seconds >= ALMOST_ONE * periodSeconds) ?? PACES.at(-1);
  return `about ${number(Math.round(limit * span / periodSeconds))} ${pace}, ${number(burst ?? limit)} at once`;
}

export const ratesInWords = (rates) => rates.map(rateInWords).join("; ");

/** Two fields for the first limit, rate reads {name, limit, periodSeconds or calendar}, burst a number, each null for
 * none; and the words below them. `others` are the rest, kept as they are. */
export function rateFields([{ name, limit, periodSeconds = 60, burst, calendar } = {}, ...rest]) {
  const others = rest.map(({ used, remaining, resetSeconds, ...given }) => given);
  const chosen = calendar?.unit ?? String(periodSeconds);
  const usual = RATE_PERIODS.some(([known]) => known === chosen) ? [] : [[chosen, perPeriod({ periodSeconds })]];
  const period = h("select", { "aria-label": "Period" }, options([...RATE_PERIODS, ...usual], chosen));
  // A calendar that was there is kept; a new one is of the place where this page is read.
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const span = (unit) => (Number(unit) ? { periodSeconds: Number(unit) }
    : { calendar: calendar?.unit === unit ? calendar : { unit, timeZone } });
  const rate = field("Requests", { inputmode: "numeric", value: limit }, "", (text) => {
    const size = numeral(text);
    return size && { name, limit: size, ...span(period.value) };
  });
  rate.node.lastChild.before(h("div.pair", rate.input, period));
  const most = field("At once", { inputmode: "numeric", value: burst !== limit && burst },
    "So many may come together after a pause. Empty means all of them.", numeral);
  const meaning = h("p.hint", { "aria-live": "polite" });
  const tell = () => {
    try {
      const given = rate.read();
      meaning.textContent = given ? `That is ${ratesInWords([{ ...given, burst: most.read() }, ...others])}.` : "";
    } catch {
      meaning.textContent = "";
    }
  };
  most.node.append(meaning);
  for (const { node } of [rate, most]) node.addEventListener("input", tell);
  tell();
  return { rate: { ...rate, others }, burst: most };
}

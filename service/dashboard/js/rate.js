// A token's rate limit: the fields that it is typed into, and what it means in words.

import { Fault, field, h, options } from "./dom.js";
import { number } from "./format.js";

const RATE_PERIODS = [["1", "per second"], ["60", "per minute"], ["3600", "per hour"], ["86400", "per day"]];
const PACES = [[1, "a second"], [60, "a minute"], [3600, "an hour"], [86400, "a day"]];
// So that 59 a minute are still about one a second.
const ALMOST_ONE = 0.95;

export function numeral(text) {
  if (!/^([1-9]\d*)?$/.test(text)) throw new Fault("Give a whole number, such as 600.");
  return text ? Number(text) : null;
}

const periodOf = (seconds) => RATE_PERIODS.find(([known]) => Number(known) === seconds)?.[1];
export const perPeriod = (seconds) => periodOf(seconds) ?? `in ${seconds} s`;

/** "about 2 a second, 20 at once" */
export function rateInWords({ limit, periodSeconds, burst }) {
  const [span, pace] = PACES.find(([seconds]) => limit * seconds >= ALMOST_ONE * periodSeconds) ?? PACES.at(-1);
  return `about ${number(Math.round(limit * span / periodSeconds))} ${pace}, ${number(burst ?? limit)} at once`;
}

export const ratesInWords = (rates) => rates.map(rateInWords).join("; ");

/** Two fields for the first limit, rate reads {name, limit, periodSeconds}, burst a number, each null for none; and the
 * words below them. `others` are the rest, kept as they are. */
export function rateFields([{ name, limit, periodSeconds = 60, burst } = {}, ...rest]) {
  const others = rest.map(({ used, remaining, resetSeconds, ...given }) => given);
  const usual = periodOf(periodSeconds) ? [] : [[String(periodSeconds), perPeriod(periodSeconds)]];
  const period = h("select", { "aria-label": "Period" }, options([...RATE_PERIODS, ...usual], String(periodSeconds)));
  const rate = field("Requests", { inputmode: "numeric", value: limit }, "", (text) => {
    const size = numeral(text);
    return size && { name, limit: size, periodSeconds: Number(period.value) };
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

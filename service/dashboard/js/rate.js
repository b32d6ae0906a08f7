// What the limits of a token or of a subject mean in words.

import { h } from "./dom.js";
import { number, relative } from "./format.js";

export const RATE_PERIODS = [["1", "per second"], ["60", "per minute"], ["3600", "per hour"], ["86400", "per day"],
  ...["hour", "day", "month"].map((unit) => [unit, `each calendar ${unit}`])];
const PACES = [[1, "a second"], [60, "a minute"], [3600, "an hour"], [86400, "a day"]];
// With this tolerance 59 a minute are still about one a second.
const ALMOST_ONE = 0.95;

/** A calendar's window, or seconds. */
export function perPeriod({ periodSeconds, calendar }) {
  if (calendar) {
    const { unit, day, timeZone } = calendar;
    return `each ${unit} of ${timeZone}${day > 1 ? `, day ${day}` : ""}`;
  }
  return RATE_PERIODS.find(([known]) => Number(known) === periodSeconds)?.[1] ?? `in ${periodSeconds} s`;
}

/** "about 2 a second, 20 at once" */
function rateInWords({ limit, periodSeconds, burst, calendar }) {
  if (calendar) return `${number(limit)} ${perPeriod({ calendar })}`;
  const [span, pace] = PACES.find(([seconds]) => limit * seconds >= ALMOST_ONE * periodSeconds) ?? PACES.at(-1);
  return `about ${number(Math.round(limit * span / periodSeconds))} ${pace}, ${number(burst ?? limit)} at once`;
}

export const ratesInWords = (rates) => rates.map(rateInWords).join("; ");

/** Each limit with what is left of it. */
export const standings = (all) => all.map((rate) => h("div",
  `${rate.name}: ${number(rate.limit)} ${perPeriod(rate)}, ${number(rate.remaining)} left`,
  h("span.muted", rate.calendar ? [", full again ", relative(Date.now() + rate.resetSeconds * 1000)]
    : ` (${rateInWords(rate)})`)));

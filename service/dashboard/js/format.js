// Numbers, instants and tokens as people read them. Every instant is shown in UTC.

import { h } from "./dom.js";

export const DAY = 864e5;
const DATE = { day: "numeric", month: "short", year: "numeric" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };

function shown(parts, end) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...parts });
  return (instant) => format.format(new Date(instant)) + end;
}

export const day = shown(DATE, "");
export const clock = shown(CLOCK, " UTC");
export const moment = shown({ ...DATE, ...CLOCK }, " UTC");
export const precise = shown({ ...DATE, ...CLOCK, second: "2-digit" }, "");
const withWeekday = shown({ weekday: "short", ...DATE, ...CLOCK }, " UTC");
/** "Thu 18 Feb 2027, 22:40 UTC" */
export const weekday = (instant) => withWeekday(instant).replace(",", "");

/** An instant some milliseconds from now, as the API writes it. */
export const fromNow = (milliseconds) => `${new Date(Date.now() + milliseconds).toISOString().slice(0, 19)}Z`;

export const sum = (values) => values.reduce((total, value) => total + value, 0);

export const number = (value) => value.toLocaleString("en-GB");
export const count = (value) => `${number(value)} token${value === 1 ? "" : "s"}`;

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
/** 485000 as "485k". */
export const compact = (value) => short.format(value).replace("K", "k");

const SPANS = [["years", 730 * DAY, 365 * DAY], ["months", 90 * DAY, 30.4 * DAY], ["days", DAY, DAY],
  ["h", 36e5, 36e5], ["min", 6e4, 6e4], ["s", 0, 1e3]];

/** "2 min ago", "in 84 days", "just now". */
export function relative(instant) {
  const distance = new Date(instant) - Date.now();
  const size = Math.abs(distance);
  const [unit, , length] = SPANS.find(([, least]) => size >= least);
  const words = `${Math.round(size / length)} ${unit}`.replace(/^1 days/, "1 day");
  return size < 5000 ? "just now" : distance < 0 ? `${words} ago` : `in ${words}`;
}

/** The full instant is the tooltip, whatever the text. */
export const time = (instant, text = relative(instant)) =>
  (instant ? h("time", { datetime: instant, title: moment(instant) }, text) : "never");

/**
 * rtk_••••9f3c1a2b; screen readers hear the characters one by one. What another system made begins otherwise, and of
 * some of it nothing is known.
 */
export function masked({ token, imported }) {
  const last = token.slice("****-****-****-".length);
  if (!last) return "imported";
  return [h("span.mono", { "aria-hidden": "true" }, `${imported ? "" : "rtk_"}••••${last}`),
    h("span.sr", `ends in ${[...last].join(" ")}`)];
}

/** The state by shape, colour and word; style is "status" in a table, "pill" on a page. */
export const state = (status, style = "status", word = upper(status)) =>
  h(`span.${style}.${status}`, h(`span.dot.${status}`), word);

export const upper = (text) => text[0].toUpperCase() + text.slice(1);

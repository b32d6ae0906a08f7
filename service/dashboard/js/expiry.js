// When a token ends: a choice for a new one, a date for one that exists, and what that means in words.

import { h } from "./dom.js";
import { Fault, chips, field } from "./fields.js";
import { DAY, fromNow, weekday } from "./format.js";

const DURATIONS = [["7days", "7 days", 7], ["1month", "1 month", 30], ["6months", "6 months", 180],
  ["1year", "1 year", 365]];
const USUAL_DAYS = 90;
const SOONEST_MILLISECONDS = 600_000;

/** A field whose read() gives {duration} or {expiresAt}, or {} where the date of a token was left as it is. */
export function expiryField(maxDays, token) {
  const offered = DURATIONS.filter(([, , days]) => !maxDays || days <= maxDays);
  const others = [["custom", "Custom date"], ...(maxDays ? [] : [["never", "Never"]])];
  const choice = chips([...offered, ...others], (offered[1] ?? offered[0] ?? others[0])[0]);
  const picked = () => (token ? "custom" : choice.value());
  const usual = fromNow(Math.min(USUAL_DAYS, maxDays || USUAL_DAYS) * DAY);
  const before = (token ? token.expiresAt ?? "" : usual).slice(0, 16);
  const custom = field(token ? "Expires, UTC" : "Date and time, UTC",
    { type: "datetime-local", required: true, value: before });
  const { input } = custom;
  const outcome = h("p.hint", { "aria-live": "polite" });

  /** In milliseconds; null for never, NaN for half a date. */
  const end = () => {
    const days = DURATIONS.find(([word]) => word === picked())?.[2];
    if (days) return Date.now() + days * DAY;
    return picked() === "never" || (token && !input.value) ? null : Date.parse(`${input.value}Z`);
  };

  const draw = () => {
    custom.node.hidden = picked() !== "custom";
    const at = end();
    outcome.textContent = at === null ? "It will work until someone revokes it. Prefer a date."
      : at ? `Stops working on ${weekday(at)}.` : "";
  };

  const read = () => {
    if (picked() !== "custom") return { duration: picked() };
    if (token && input.value === before) return {};
    const at = end();
    if (at !== null && !(at > Date.now() + SOONEST_MILLISECONDS)) {
      throw new Fault("Choose a date at least 10 minutes from now.");
    }
    return { expiresAt: at && `${input.value}:00Z` };
  };

  const fail = (text) => {
    if (text) custom.node.hidden = false;
    custom.fail(text);
  };

  draw();
  const node = h("fieldset", { input: draw }, !token && [h("legend", "Expires after"), choice], custom.node, outcome);
  return { node, input, read, fail };
}

// Audit entries in words, for the audit screen and for a token's history.

import { h } from "./dom.js";
import { day, upper } from "./format.js";

export const ACTIONS = ["created", "updated", "activated", "deactivated", "rotated", "revoked", "expired", "imported",
  "derived"]
  .map((verb) => `token.${verb}`).concat("session.created", "session.revoked", "login.failed", "login.throttled",
    "account.reloaded", "webhook.created", "webhook.activated", "webhook.deactivated", "webhook.rotated",
    "webhook.deleted", "subject.limited", "subject.unlimited", "export.made", "sweep.made", "store.confirmed");
const SPECIAL = { "session.created": "Signed in", "session.revoked": "Signed out",
  "login.failed": "Sign-in failed", "login.throttled": "Sign-in paused", "sweep.made": "Many tokens expired" };

/** "Created" for token.created, "Export made" for export.made. */
export const label = (action) => SPECIAL[action] ?? upper(action.replace("token.", "").replace(".", " "));

/** "dashboard · 10.4.1.7", of which either part may be missing. */
export const origin = ({ channel = "", address }) =>
  [channel.length < 4 ? channel.toUpperCase() : channel, address].filter(Boolean).join(" · ");

/** A text, a list of such, or what else there is as JSON. */
function written(value) {
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return day(value);
  const parts = [value ?? ""].flat();
  return parts.every((part) => typeof part === "string") ? parts.join(", ") || "none" : JSON.stringify(value);
}

/** "max uses" for maxUses. */
const spoken = (name) => (name === "expiresAt" ? "expiry" : name.replace(/[A-Z]/g, (sign) => ` ${sign.toLowerCase()}`));

/** [[field, before, after]] of what an entry changed. */
export const changes = ({ before, after }) => Object.keys({ ...before, ...after })
  .map((name) => [spoken(name), written(before?.[name]), written(after?.[name])])
  .filter(([, from, to]) => from !== to);

/** One line of a history: "Expiry changed from 30 Nov 2026 to 12 Feb 2027 by maria". */
export function sentence(entry) {
  const [change, more] = entry.action === "token.updated" ? changes(entry) : [];
  const what = change && !more ? [h("b", upper(change[0]), " changed"), ` from ${change[1]} to ${change[2]}`]
    : h("b", label(entry.action));
  return [what, entry.actor && ` by ${entry.actor}`];
}

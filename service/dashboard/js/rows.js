// One row of the token table, and the grey ones that stand there while it loads.

import { h, icon, svg } from "./dom.js";
import { DAY, compact, masked, state, time } from "./format.js";
import { cell, line } from "./list.js";
import { menu } from "./menu.js";

export const SOON = 14 * DAY;
const HIGH = 22;

/** Fourteen small bars as two paths, which keeps a hundred rows light. */
function checks(days) {
  const top = Math.max(...days);
  const sum = days.reduce((total, value) => total + value, 0);
  const bar = (at, height) => `M${at * 6} ${HIGH - height}h4v${height}h-4z`;
  const bars = days.map((value, at) => (value ? bar(at, Math.max(2, Math.round(value / top * HIGH))) : "")).join("");
  const zeros = days.map((value, at) => (value ? "" : bar(at, 2))).join("");
  return h("span.use", svg("svg.spark", { width: 84, height: HIGH, viewBox: `0 0 84 ${HIGH}`, "aria-hidden": "true" },
    svg("path", { d: bars }), svg("path.zero", { d: zeros })), h("span.num.muted.small", sum ? compact(sum) : "none"));
}

function expires({ expiresAt, status }) {
  if (!expiresAt) return cell(".x.num", "no expiry");
  const left = new Date(expiresAt) - Date.now();
  const soon = status === "active" && left < SOON ? ".soon" : "";
  return cell(`.x.num${soon}`, { "data-label": left < 0 ? "Expired" : "Expires" }, time(expiresAt));
}

/** pick(token, ticked, range) and entries(token), the row's menu. */
export function row(token, pick, entries) {
  const { id, name, status, lastUsedAt } = token;
  const about = [token.description, token.scopes.join(", ")].filter(Boolean).join(" · ");
  const click = ({ target, shiftKey }) => pick(token, target.checked, shiftKey);
  const more = h("button.btn.quiet.sm.icon", { "aria-label": `Actions for ${name}`, "data-focus": `menu-${id}` },
    icon("more"));
  return line({ "data-id": id },
    cell(".check", h("input", { type: "checkbox", "aria-label": `Select ${name}`, "data-focus": `pick-${id}`, click })),
    cell(".main", h("a.name", { href: `/dashboard/tokens/${id}`, "data-focus": `name-${id}` }, name),
      h("span.sub", about)),
    cell(".w3", masked(token)),
    cell(".a", state(status)),
    cell(".num", { "data-label": "Used" }, lastUsedAt ? time(lastUsedAt) : "never"),
    expires(token),
    cell(".w3", checks(token.usage14d)),
    cell(".act", menu(more, () => entries(token))));
}

export const greyRows = () => [3, 4, 5, 3, 4].map((width) => line(
  cell(".check", h("span.sk.w1")), cell(".main", h(`span.sk.w${width}`)), cell(".w3", h("span.sk.w2")),
  cell(".a", h("span.sk.w1")), cell(".num", h("span.sk.w1")), cell(".x.num", h("span.sk.w1")),
  cell(".w3", h("span.sk.w2")), cell(".act")));

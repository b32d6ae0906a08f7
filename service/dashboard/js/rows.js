// The columns of the token table, its rows, and the grey rows shown while it loads.

import { h, icon, svg } from "./dom.js";
import { DAY, compact, masked, number, state, sum, time } from "./format.js";
import { cell, line } from "./list.js";
import { menu } from "./menu.js";
import { ratesInWords } from "./rate.js";

export const SOON = 14 * DAY;
const HIGH = 22;

/** Fourteen small bars as two paths, which keeps a hundred rows light. */
function checks({ usage14d: days }) {
  const top = Math.max(...days);
  const total = sum(days);
  const bar = (at, height) => `M${at * 6} ${HIGH - height}h4v${height}h-4z`;
  const bars = days.map((value, at) => (value ? bar(at, Math.max(2, Math.round(value / top * HIGH))) : "")).join("");
  const zeros = days.map((value, at) => (value ? "" : bar(at, 2))).join("");
  return h("span.use", svg("svg.spark", { width: 84, height: HIGH, viewBox: `0 0 84 ${HIGH}`, "aria-hidden": "true" },
    svg("path", { d: bars }), svg("path.zero", { d: zeros })),
  h("span.num.muted.small", total ? compact(total) : "none"));
}

const labelled = (label, ...parts) => [{ "data-label": label }, parts];

function expires({ expiresAt, status }) {
  if (!expiresAt) return "no expiry";
  const left = new Date(expiresAt) - Date.now();
  const soon = status === "active" && left < SOON ? ".soon" : "";
  return labelled(left < 0 ? "Ended" : "Ends", h(`span${soon}`, time(expiresAt)));
}

/** [member of a token, heading, style, what a token shows]: the first five are seen unless others are asked for. */
export const COLUMNS = [
  ["token", "Token", ".w3", masked],
  ["status", "Status", ".a", ({ status }) => state(status)],
  ["lastUsedAt", "Last used", ".num", ({ lastUsedAt }) => labelled("Used", time(lastUsedAt))],
  ["expiresAt", "Expires", ".x.num", expires],
  ["usage14d", "Checks, 14 days", ".w3", checks],
  ["createdAt", "Created", ".y.num", ({ createdAt }) => labelled("Created", time(createdAt))],
  ["createdBy", "Creator", ".y", ({ createdBy }) => labelled("Creator", createdBy)],
  ["subject", "Speaks for", ".y", ({ subject }) => labelled("Speaks for", subject || "nobody")],
  ["scopes", "Scopes", ".y", ({ scopes }) => labelled("Scopes", scopes.join(" ") || "none")],
  ["usesLeft", "Uses left", ".y.num", ({ usesLeft: left }) =>
    labelled("Uses left", left === null ? "any" : number(left))],
  ["limits", "Rate limits", ".y", ({ limits }) => labelled("Limits", ratesInWords(limits) || "none")],
];
export const USUAL = 5;

/** pick(token, ticked, range) and entries(token), the row's menu. */
export function row(token, columns, pick, entries) {
  const { id, name } = token;
  const about = [token.description, token.scopes.join(", ")].filter(Boolean).join(" · ");
  const click = ({ target, shiftKey }) => pick(token, target.checked, shiftKey);
  const more = h("button.btn.quiet.sm.icon", { "aria-label": `Actions for ${name}`, "data-focus": `menu-${id}` },
    icon("more"));
  return line({ "data-id": id },
    cell(".check", h("input", { type: "checkbox", "aria-label": `Select ${name}`, "data-focus": `pick-${id}`, click })),
    cell(".main", h("a.name", { href: `/dashboard/tokens/${id}`, "data-focus": `name-${id}` }, name),
      h("span.sub", about)),
    columns.map(([, , style, show]) => cell(style, show(token))),
    cell(".act", menu(more, () => entries(token))));
}

export const greyRows = (columns) => [3, 4, 5, 3, 4].map((width) => line(
  cell(".check", h("span.sk.w1")), cell(".main", h(`span.sk.w${width}`)),
  columns.map(([, , style]) => cell(style, h(`span.sk.w${style === ".w3" ? 2 : 1}`))), cell(".act")));

// Tokens as a CSV file, read page by page.

import { TOKENS, get } from "./api.js";
import { h } from "./dom.js";
import { count, sum } from "./format.js";
import { ratesInWords } from "./rate.js";

const READ_AT_ONCE = 200;

/** What a spreadsheet would calculate is shown as text. */
function inCsv(name, token) {
  const value = token[name] ?? "";
  const text = name === "usage14d" ? String(sum(value))
    : name === "limits" ? ratesInWords(value) : [value].flat().join(" ");
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

/** names: of members, one for each column; query: as the list's. */
export async function downloadCsv(app, query, names) {
  // By id, because a token that changes its place meanwhile is on two pages.
  const lines = new Map();
  let [cursor, stopped] = [];
  const stop = () => {
    stopped = true;
    app.notices.toast("Stopped.");
  };
  try {
    do {
      const { tokens, nextCursor } = await get(TOKENS, { ...query, limit: READ_AT_ONCE, cursor });
      if (stopped) return;
      tokens.forEach((token) => lines.set(token.id, names.map((name) => inCsv(name, token)).join()));
      cursor = nextCursor;
      if (cursor) app.notices.busy(`${count(lines.size)} read…`, stop);
    } while (cursor);
    const href = URL.createObjectURL(new Blob([[names, ...lines.values(), ""].join("\r\n")], { type: "text/csv" }));
    h("a", { href, download: "tokens.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(href));
    app.notices.toast(`${count(lines.size)} exported.`);
  } catch (problem) {
    app.notices.fail(problem, () => downloadCsv(app, query, names), false);
  }
}

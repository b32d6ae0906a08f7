// Import and export: a file of lines is checked first, with a report row by row, and then imported in slices.

import { BASE, TOKENS, get, send, withQuery } from "./api.js";
import { downloadCsv } from "./csv.js";
import { card, changing, command, fill, h, icon } from "./dom.js";
import { field } from "./fields.js";
import { count, number, sum, upper } from "./format.js";
import { cell, headings, line, table } from "./list.js";
import { pageHead } from "./shell.js";

const EXPORT = `${TOKENS}/export`;
const LINES = { "Content-Type": "application/x-ndjson" };
// A slice takes less than a second, and the service accepts at most a megabyte.
const [SLICE_LINES, SLICE_SIGNS] = [500, 200_000];
const SHOWN = 200;
const CSV_COLUMNS = ["id", "name", "token", "status", "description", "subject", "scopes", "createdAt", "createdBy",
  "expiresAt", "lastUsedAt"];
const TRANSFER_COMMANDS = `token-service export tokens.ndjson
token-service import tokens.ndjson --dry-run
token-service list --all --csv > tokens.csv`;

/** Slices of whole lines, with the number of each slice's first line. */
function slicesOf(text) {
  const slices = [];
  let [lines, signs] = [[], 0];
  for (const [at, one] of text.split("\n").entries()) {
    if (lines.length === SLICE_LINES || (lines.length && signs + one.length > SLICE_SIGNS)) [lines, signs] = [[], 0];
    if (!lines.length) slices.push({ first: at + 1, lines });
    lines.push(one);
    signs += one.length + 1;
  }
  return slices.filter((slice) => slice.lines.some((one) => one.trim()));
}

class Transfer {
  title = "Import and export";
  report = h("div");

  constructor(app) {
    this.app = app;
    this.file = h("input", { type: "file", id: "import-file", accept: ".ndjson,.jsonl,.json,.txt",
      "data-change": true });
    this.zone = field("Time zone", { placeholder: "Europe/Berlin" }, "Of times that name none.");
    this.numbers = h("input", { type: "checkbox" });
    // The checked content is no longer what would be imported.
    const taking = card("Import", null, h("div.asks", { change: () => fill(this.report) },
      h("p.muted.small", "Lines of an export, or of another system: ", h("code", '{"name", "secret" or "sha256", …}'),
        ". The secrets work as they are."),
      h("div.field", h("label", { for: "import-file" }, "File of lines (NDJSON)"), this.file), this.zone.node,
      h("label.tick", this.numbers, "Number names that are taken"),
      h("p.hint", "Nothing is taken in before you have seen what would be."),
      changing("button.btn.primary", "Try it", () => this.run(true))));
    const giving = card("Export", null, h("div.asks",
      h("p.muted.small", "Every token with its digest, never its secret, for a service with the same server key."),
      h("div.row.left-row", changing("button.btn", [icon("export", 16), "NDJSON"], this.export),
        h("button.btn", { click: this.csv }, icon("export", 16), "CSV of the list"))));
    this.node = [
      pageHead(app, "Import and export", "Bring tokens in, or take them along."),
      h("div.stack", h("div.halves", taking, giving), this.report, card("The same from the command line", null,
        command(app, TRANSFER_COMMANDS))),
    ];
  }

  update() {}

  leave() {
    this.stopped = true;
    this.slices = null;
    this.file.value = "";
  }

  /** All slices one after the other; a slice is sent once, and what was taken in before a failure is said. */
  async run(dryRun) {
    const { app, report } = this;
    if (report.ariaBusy === "true") return;
    if (dryRun && !this.file.files[0]) return this.file.focus();
    // A change during the check is for the next check.
    if (dryRun) {
      this.how = { zone: this.zone.read(), numberNames: this.numbers.checked };
      this.slices = slicesOf(await this.file.files[0].text());
    }
    const { how, slices } = this;
    if (!slices?.length) return app.notices.toast("There is no line in this file.");
    const total = sum(slices.map(({ lines }) => lines.length));
    const [found, verb] = [{ imported: 0, byDigest: 0, shortened: 0, skipped: [] }, dryRun ? "tried" : "sent"];
    this.stopped = false;
    report.ariaBusy = "true";
    let sent = 0;
    try {
      for (const { first, lines } of slices) {
        if (this.stopped) break;
        const { skipped, ...counts } = await send("POST", withQuery(`${TOKENS}/import`, { dryRun, ...how }),
          lines.join("\n"), LINES);
        for (const [name, size] of Object.entries(counts)) found[name] += size;
        found.skipped.push(...skipped.map((one) => ({ ...one, line: one.line + first - 1 })));
        sent += lines.length;
        if (slices.length > 1) app.notices.busy(`${number(sent)} of ${number(total)} lines ${verb}…`, this.stop);
      }
      app.notices.clear();
    } catch (problem) {
      const done = sent && !dryRun && `${count(found.imported)} of ${number(sent)} lines imported, then: `;
      app.notices.fail(Object.assign(problem, done && { done }), () => this.run(dryRun), false);
    }
    report.ariaBusy = "false";
    if (!this.slices || !sent) return;
    this.draw(found, dryRun, sent);
    // A file may hold secrets, so a finished one is dropped.
    if (!dryRun) this.leave();
  }

  stop = () => {
    this.stopped = true;
    this.app.notices.toast("Stopped.");
  };

  draw({ imported, byDigest, shortened, skipped }, dryRun, sent) {
    const { app } = this;
    const others = skipped.length > 0 ? `, ${number(skipped.length)} not` : "";
    const said = `${count(imported)} ${dryRun ? "would be imported" : "imported"}${others}.`;
    const rows = skipped.slice(0, SHOWN).map(({ line: at, name, code, message }) => line(
      cell(".num.muted", number(at)), cell("", h("span.name", name || "—")),
      cell("", upper(message || code.replaceAll("_", " ")))));
    const go = dryRun && imported > 0 && changing("button.btn.primary", `Import ${count(imported)}`,
      () => this.run(false));
    fill(this.report, card(dryRun ? "Trial" : "Result", h("span.end.muted.small", `${number(sent)} lines`),
      h("p.lead", said),
      byDigest > 0 && h("p.muted.small.lead", `${count(byDigest)} by digest alone: present one to see that it is met.`),
      shortened > 0 && h("p.muted.small.lead", `${count(shortened)} without an end, given the latest allowed here.`),
      skipped.length > 0 && table(".log", "Lines that are not taken in",
        headings(["Line", "Name", "Why not"]), rows),
      skipped.length > SHOWN && h("p.muted.small", `and ${number(skipped.length - SHOWN)} lines more.`),
      go && h("div.row.left-row", go)));
    app.lock();
    app.notices.toast(said);
    this.report.scrollIntoView({ block: "nearest" });
  }

  /** A browser does not tell the page why a download failed: what would refuse it is asked before. */
  export = () => this.app.notices.change(async () => {
    await get(TOKENS, { limit: 1 });
    h("a", { href: BASE + EXPORT, download: "tokens.ndjson" }).click();
  });

  csv = () => downloadCsv(this.app, {}, CSV_COLUMNS);
}

export const importScreen = (app) => new Transfer(app);

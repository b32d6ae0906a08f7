// Limits that all tokens of a subject share: lists them with what is left, sets and removes them.

import { absent, get, hereAsked, send, withQuery } from "./api.js";
import { closeDialog } from "./dialog.js";
import { changing, command, emptyCard, h, icon } from "./dom.js";
import { Fault, field, required } from "./fields.js";
import { formDialog } from "./formdialog.js";
import { limitsField } from "./limits.js";
import { cell, head, headings, line, table } from "./list.js";
import { Page } from "./page.js";
import { standings } from "./rate.js";

const LIMITS = "/api/admin/subject-limits";
const LIMIT_COMMAND = "token-service subjects limit acme --rate month=100000/month";

class SubjectLimits extends Page {
  constructor(app) {
    super(app, "Shared limits", "What all tokens of a subject may be used for together, beside the limits of each.",
      changing("button.btn.primary", [icon("plus", 16), "Limit a subject"], () => this.edit(), "add"));
    this.update();
  }

  /** A page of them, or the one that the address names. */
  async load() {
    const { subject, cursor } = this.query = hereAsked();
    return await get(LIMITS, { subject, cursor }).catch(absent) ?? { subjects: [] };
  }

  draw({ subjects, nextCursor }) {
    const { subject, cursor } = this.query;
    const one = subject && h("p.small", "Only the subject ", h("code", subject), ". ",
      h("a", { href: "/dashboard/limits" }, "Show everything"));
    if (!subjects.length) {
      return [one, emptyCard(subject ? "This subject has no limits." : "No subject has limits.",
        h("p", "Give one some: its tokens draw from them together."), command(this.app, LIMIT_COMMAND))];
    }
    const turn = (label, to) => h("a.btn.sm", { href: withQuery("/dashboard/limits", { cursor: to }) }, label);
    return [one, h("section.card", { "aria-label": "Subjects" }, table(".log", "Subjects with limits",
      headings(["Subject", "Limits", head("", h("span.sr", "Actions"))]), subjects.map((each) => this.row(each))),
    (cursor || nextCursor) && h("div.foot", h("span.end", cursor && turn("First page", ""),
      nextCursor && turn("Next", nextCursor))))];
  }

  row({ subject, limits }) {
    const act = (spec, name, click) => changing(`button.btn.sm${spec}`, name, click, name + subject,
      `${name} limits of ${subject}`);
    return line(
      cell(".none", h("a.name", { href: withQuery("/dashboard/", { subject }) }, subject)),
      cell(".none", standings(limits)),
      cell(".acts", h("span.row", act("", "Edit", () => this.edit({ subject, limits })),
        act(".danger", "Remove", () => this.remove(subject, limits)))));
  }

  put = async (body, said) => {
    await send("PUT", LIMITS, body);
    this.app.notices.toast(said);
    this.update();
  };

  edit({ subject: known, limits: given = [] } = {}) {
    const subject = field("Subject", { required: true, maxlength: 128, autofocus: true },
      "Whom the tokens speak for, as their Subject has it.", required("Say whose tokens share the limits."));
    const limits = limitsField(given, true);
    const needed = { ...limits, read() {
      const all = limits.read();
      if (!all[0]) throw new Fault("Give at least one limit.", limits.at(""));
      return all;
    } };
    formDialog(this.app, { title: known ? `Edit limits of ${known}` : "Limit a subject", go: "Save", busy: "Saving…",
      lead: "All its tokens draw from these together. They replace any it has.",
      fields: { ...(!known && { subject }), limits: needed } }, async (values) => {
      await this.put({ subject: known, ...values }, `Limits of ${known ?? values.subject} saved.`);
      closeDialog();
    });
  }

  remove = (subject, limits) => this.app.notices.change(async () => {
    await send("DELETE", withQuery(LIMITS, { subject })).catch(absent);
    const before = limits.map(({ used, remaining, resetSeconds, ...given }) => given);
    this.app.notices.toast(`Limits of ${subject} removed.`, () => this.app.notices.change(
      () => this.put({ subject, limits: before }, `Limits of ${subject} are back.`)));
    this.update();
  });
}

export const limitsScreen = (app) => new SubjectLimits(app);

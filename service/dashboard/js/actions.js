// Actions on existing tokens: switch on and off with Undo, revoke and rotate after a question.

import { TOKENS, get, send } from "./api.js";
import { cancel, closeDialog, openDialog } from "./dialog.js";
import { fill, h, note } from "./dom.js";
import { choice, field } from "./fields.js";
import { formDialog } from "./formdialog.js";
import { DAY, count, number, relative, sum } from "./format.js";
import { CHECK_FIRST } from "./notices.js";
import { showSecret } from "./secret.js";

const MOST_NAMED = 5;
// At most so many names, because they go into a URL.
const CHANGED_AT_ONCE = 500;
const WHY_SKIPPED = { token_expired: "has expired. Change its date first", token_revoked: "was revoked" };

/** A choice is {tokens}, or {tokens, filter, expected} for all that match, of which the page knows a few. */
const size = ({ tokens, expected }) => expected ?? tokens.length;
const naming = (choice) => (size(choice) === 1 ? choice.tokens[0].name : count(size(choice)));

const derivedOf = (tokens) => sum(tokens.map(({ derived = 0 }) => derived));

/** What a question says where others end with these tokens. */
function alsoEnds(tokens) {
  const derived = derivedOf(tokens);
  return derived > 0 && note("bad", `${count(derived)} derived from ${tokens[1] ? "them" : "it"} `
    + `${derived === 1 ? "ends" : "end"} at once and for good.`);
}

/** How many a filter finds that are not revoked; a list may not tell. */
export const matching = async (filter) =>
  (await send("POST", `${TOKENS}/revoke`, { filter, dryRun: true })).matched;

/** Ask for a change slice by slice, saying how many are done, until all are or it is stopped: what became of them. */
async function inSlices(app, choice, word, ask) {
  const { tokens, filter, expected } = choice;
  const [updated, skipped, ids] = [[], [], tokens.map(({ id }) => id)];
  let stopped = false;
  let where = filter ? { filter, expected } : { ids: ids.splice(0, CHANGED_AT_ONCE) };
  const soFar = () => `${number(updated.length)} of ${number(size(choice))} ${word}`;
  while (where && !stopped) {
    try {
      const answer = await ask(where);
      updated.push(...answer.updated);
      skipped.push(...answer.skipped);
      where = filter ? answer.nextCursor && { filter, cursor: answer.nextCursor }
        : ids.length && { ids: ids.splice(0, CHANGED_AT_ONCE) };
    } catch (problem) {
      throw Object.assign(problem, updated.length && { done: `${soFar()}, then: ` });
    }
    if (where) app.notices.busy(`${soFar()}…`, () => { stopped = true; });
  }
  return { updated, skipped, stopped: where && `Stopped: ${soFar()}.` };
}

/** act, then done(), which reloads; where the page was out of date, that is said. */
async function attempt(app, choice, done, act) {
  try {
    await act();
    done();
  } catch (problem) {
    const again = () => attempt(app, choice, done, act);
    const { status } = problem;
    if (status === 404 || status === 409) await done();
    if (status !== 409 || !choice.filter) return app.notices.fail(problem, again, false);
    matching(choice.filter).then((now) => app.notices.say("The list changed while you were choosing ",
      `(${number(size(choice))} became ${number(now)}). Check it and try again.`),
    (failed) => app.notices.fail(failed, again, false));
  }
}

export const setActive = (isActive, app, choice, done) => attempt(app, choice, done, async () => {
  const word = isActive ? "activated" : "deactivated";
  const one = size(choice) === 1 && choice.tokens[0];
  const { updated = [one.id], skipped: [first, ...others] = [], stopped } = await (one
    ? send("PATCH", TOKENS, { id: one.id, isActive })
    : inSlices(app, choice, word, (where) => send("PATCH", TOKENS, { ...where, isActive })));
  const nameOf = (id) => choice.tokens.find((token) => token.id === id)?.name ?? id;
  const why = WHY_SKIPPED[first?.code] ?? "could not be changed";
  const text = first ? `${updated.length} ${word}, ${others.length + 1} skipped: ${nameOf(first.id)} ${why}.`
    : `${one ? one.name : count(updated.length)} ${word}.`;
  const derived = !isActive && derivedOf(choice.tokens);
  const also = derived ? ` ${count(derived)} derived ended for good.` : "";
  const undo = () => setActive(!isActive, app, { tokens: updated.map((id) => ({ id, name: nameOf(id) })) }, done);
  app.notices.toast((stopped || text) + also, updated.length && undo);
});

/** The red line of a revoke dialog, or nothing where nobody would notice. */
function usedNote(tokens, one) {
  const used = tokens.filter(({ lastUsedAt }) => lastUsedAt && Date.now() - new Date(lastUsedAt) < DAY);
  if (!used.length) return null;
  if (one) {
    const from = h("span");
    const tell = ({ lastAddress }) => lastAddress && fill(from, ` from ${lastAddress}`);
    get(`${TOKENS}/${used[0].id}/usage`, { days: 1 }).then(tell, () => null);
    return note("bad", `It was used ${relative(used[0].lastUsedAt)}`, from, ".");
  }
  const names = used.slice(0, MOST_NAMED).map(({ name }) => name).join(", ");
  const more = used.length > MOST_NAMED ? ` and ${used.length - MOST_NAMED} more` : "";
  const many = `${used.length} of them ${used.length > 1 ? "were" : "was"} used in the last 24 hours: `;
  return note("bad", h("b", many), `${names}${more}.`);
}

const revocation = (app, choice, one) => (one ? send("DELETE", `${TOKENS}?id=${choice.tokens[0].id}`)
  : inSlices(app, choice, "revoked", ({ ids, ...where }) => (
    ids ? send("DELETE", `${TOKENS}?ids=${ids}`) : send("POST", `${TOKENS}/revoke`, where))));

export async function revoke(app, choice, done) {
  const [total, name] = [size(choice), naming(choice)];
  const one = total === 1;
  const phrase = `revoke ${total}`;
  const act = async () => {
    const { stopped } = await revocation(app, choice, one);
    app.notices.toast(stopped || `${name} revoked.`);
  };
  const confirm = field(["Type ", h("code", phrase), " to confirm"], { required: true, input: () => {
    go.disabled = confirm.read() !== phrase;
  } });
  const go = h("button.btn.danger.fill", { disabled: !one, click: () => {
    closeDialog();
    attempt(app, choice, done, act);
  } }, `Revoke ${one ? "token" : name}`);
  const instead = h("button.btn", { click: () => {
    closeDialog();
    setActive(false, app, choice, done);
  } }, "Deactivate instead");
  const sample = { ...choice.filter, sort: "-lastUsedAt" };
  const known = choice.filter ? await get(TOKENS, sample).catch(() => choice) : choice;
  const [it, them] = one ? ["It stops", "it"] : ["They stop", "them"];
  openDialog({
    role: "alertdialog", mark: "warning", title: `Revoke ${name}?`,
    lead: `${it} working at once and cannot be restored. To pause ${them} instead, choose Deactivate.`,
    body: [usedNote(known.tokens, one), alsoEnds(known.tokens), !one && confirm.node],
    buttons: [cancel(), one && choice.tokens[0].status !== "active" ? null : instead, go],
  });
}

const OVERLAPS = [["0", "0 (at once)"], ["3600", "1 hour"], ["86400", "24 hours"], ["604800", "7 days"]];

/** Ask for how long the old one of two secrets stays good; act({overlapSeconds}) makes the new one. */
export function askOverlap(app, words, lead, body, act) {
  const overlapSeconds = choice(lead, OVERLAPS, "86400");
  formDialog(app, { ...words, fields: { overlapSeconds }, body: [overlapSeconds.node, body], away: CHECK_FIRST },
    (values) => act({ overlapSeconds: Number(values.overlapSeconds) }));
}

export const rotate = (app, token, done) => askOverlap(app, { title: `Rotate ${token.name}?`, go: "Rotate token" },
  "You get a new secret. The old one keeps working for:", alsoEnds([token]), async (overlap) => {
    const answer = await send("POST", `${TOKENS}/${token.id}/rotate`, overlap);
    showSecret(answer.token, done);
    if (answer.pending) app.notices.toast(`The old secret of ${token.name} has ended.`);
  });

// The tokens derived from a token: listed under it, and ended one by one or all.

import { TOKENS, absent, get, send, withQuery } from "./api.js";
import { confirmDialog } from "./dialog.js";
import { card, changing, fill, h } from "./dom.js";
import { count, time } from "./format.js";
import { ratesInWords } from "./rate.js";

const AT_A_TIME = 100;

/** A page of those derived from a token directly. */
export const under = (parent, cursor) => get(TOKENS, { parent, limit: AT_A_TIME, cursor });

/** One of them, which no other address tells of; one that ended is refused as an unknown token is. */
export async function derivedOne(parent, id, cursor) {
  const { tokens, nextCursor } = await under(parent, cursor);
  const found = tokens.find((token) => token.id === id);
  if (!found && !nextCursor) throw Object.assign(new Error("ended"), { status: 404 });
  return found ?? derivedOne(parent, id, nextCursor);
}

/** End one that is derived from a token, or all of them; asked first, because nothing brings them back. */
export function endDerived(app, { id, name, derived }, one, done) {
  const it = one || derived === 1;
  confirmDialog(app, { title: `End ${one || count(derived)} derived from ${name}?`, go: "End for good",
    lead: `${it ? "It is" : "They are"} refused at once, with whatever is derived from ${it ? "it" : "them"}, and `
      + `cannot be restored. ${name} goes on.` }, async () => {
    const ended = await send("DELETE", withQuery(`${TOKENS}/${id}/derived`, { id: one })).catch(absent);
    app.notices.toast(`${ended?.message ?? "It had ended before"}.`);
    done();
  });
}

/** The card of those derived from a token, of which this is the first page; address: of the token's own screen. */
export function derivedCard(app, token, first, address, done) {
  const { id: parent, derived } = token;
  const ending = (name, about, one, style = "") =>
    changing(`button.btn.sm${style}`, name, () => endDerived(app, token, one, done), `end-${one}`, about);
  const line = ({ id, scopes, subject, expiresAt, limits, derived: below }) => h("li",
    h("div", h("a.name.mono", { href: `${address}/${id}`, "data-focus": `name-${id}` }, id),
      h("small", ["ends ", time(expiresAt)], [scopes.join(" "), subject && `speaks for ${subject}`,
        ratesInWords(limits), below > 0 && `${count(below)} derived from it`]
        .map((said) => said && ` · ${said}`))),
    ending("End", `End ${id}`, id));
  const rows = h("ol.rank.wide");
  const more = h("div");
  const add = ({ tokens, nextCursor }) => {
    rows.append(...tokens.map(line));
    const go = () => under(parent, nextCursor).then(add, (problem) => app.notices.fail(problem, go, false));
    fill(more, nextCursor && h("button.btn.sm", { click: go }, "Show more"));
    app.lock();
  };
  add(first);
  return card("Derived tokens", derived > 0 && ending(`End all ${derived}…`, null, "", ".danger.end"),
    derived ? [rows, more] : h("p.muted", "None. Its holder makes them, and they end when it does."));
}

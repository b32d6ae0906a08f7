// Sessions: who is signed in, since when and from where; ends one or all of a user. Also lists the accounts.

import { absent, get, send } from "./api.js";
import { confirmDialog } from "./dialog.js";
import { card, changing, command, h } from "./dom.js";
import { origin } from "./events.js";
import { moment, time, upper } from "./format.js";
import { cell, head, headings, line, table } from "./list.js";
import { Page } from "./page.js";

const SESSIONS = "/api/admin/sessions";
const MOST = 200;
const ACCOUNT_COMMANDS = `token-service accounts add NAME --role viewer
token-service accounts passwd NAME
token-service accounts disable NAME`;

const heads = (...names) => headings([...names, head("", h("span.sr", "Actions"))]);
const told = (label, value) => cell(".num", { "data-label": label }, value);
const ending = (name, whose, click) => changing("button.btn.sm", name, click, whose, `${name} ${whose}`);

class SessionsPage extends Page {
  constructor(app) {
    super(app, "Sessions", "Who is signed in with a name and a password, and who may.");
    this.update();
  }

  /** Where a sign-in came from stands in the audit log, as far back as that is read. */
  async load() {
    const [{ sessions }, { accounts }, audit] = await Promise.all([get(SESSIONS, { limit: MOST }),
      get("/api/admin/accounts"), get("/api/admin/audit", { action: "session.created", limit: MOST }).catch(absent)]);
    const from = new Map(audit?.entries.map((entry) => [entry.target, origin(entry)]));
    return [sessions.map((session) => ({ ...session, from: from.get(session.id) })), accounts];
  }

  draw([sessions, accounts]) {
    const signedIn = h("section.card", { "aria-label": "Signed in" }, table(".log", "Signed in, the last first",
      heads("Account", "Since", "Last seen", "From", "Until"), sessions.map((session) => this.row(session))));
    const known = h("section.card", { "aria-label": "Accounts" }, table(".log", "Accounts",
      heads("Account", "Role", "Last sign-in", "Sessions"),
      accounts.map((account) => this.account(account, sessions))));
    return [signedIn, h("h2", "Accounts"), known, card("Change accounts", null,
      h("p.muted.small.lead", "On the server, where the accounts file is; a running service reads it again at SIGHUP."),
      command(this.app, ACCOUNT_COMMANDS))];
  }

  row({ id, username, createdAt, lastSeenAt, expiresAt, from }) {
    const own = id === this.app.session.sessionId;
    return line(cell("", h("span.name", username), own && h("span.muted", " this one")),
      told("Since", time(createdAt)), told("Last seen", own ? "now" : time(lastSeenAt)), cell(".muted", from ?? "—"),
      told("Until", time(expiresAt, moment(expiresAt))),
      cell(".acts", own ? h("button.btn.sm", { click: this.app.signOut }, "Sign out")
        : ending("End", `${username} ${id}`, () => this.app.notices.change(
          this.end({ username, id }, `A session of ${username} was ended.`)))));
  }

  account({ name, role, disabled, lastSignInAt }, sessions) {
    const count = sessions.filter(({ username }) => username === name).length;
    return line(cell("", h("span.name", name)), cell("", upper(role), disabled && h("span.muted", ", disabled")),
      told("Last sign-in", lastSignInAt ? time(lastSignInAt) : "—"), told("Sessions", count || "none"),
      cell(".acts", count > 0 && ending("End all", name, () => this.endAll(name, count))));
  }

  end = (body, said) => async () => {
    // A session that is no longer there has ended too.
    if (await send("POST", `${SESSIONS}/revoke`, body).catch(absent)) this.app.notices.toast(said);
    this.update();
  };

  /** One that is ended signs in again; all of somebody's are asked about, because they may be at work. */
  endAll(username, count) {
    confirmDialog(this.app, { title: `End all sessions of ${username}?`, go: "End all sessions",
      lead: `${count === 1 ? "One sign-in ends" : `${count} sign-ins end`} at once, also any being made now. The `
        + "account may sign in again." }, this.end({ username }, `All sessions of ${username} were ended.`));
  }
}

export const sessionsScreen = (app) => new SessionsPage(app);

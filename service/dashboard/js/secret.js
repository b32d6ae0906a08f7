// The only place of the page with a secret: shown once, copied, and removed when the panel closes.

import { BASE } from "./api.js";
import { closeDialog, openDialog } from "./dialog.js";
import { announce, codeBlock, fill, h, icon, note, say } from "./dom.js";
import { upper } from "./format.js";

const keepPage = (event) => event.preventDefault();
const asked = (shown) => [`curl -i ${BASE}/validate \\\n  -H "Authorization: Bearer `, shown, '"'];

const OF_A_TOKEN = { word: "token",
  lead: "Copy the token now. Only a hash is stored, so it can never be shown again." };

/** Show the secret of a token just made or rotated, or another by its word; done() runs when the panel is closed. */
export function showSecret({ name, token: secret }, done, { word, lead } = OF_A_TOKEN) {
  const called = upper(word);
  let copied = false;
  // A separate text node, so that removing it leaves nothing behind.
  const text = new Text(secret);
  const hint = h("p.hint", { role: "status" });
  const warning = h("div", { role: "alert" });
  const code = h("code", { tabindex: 0, role: "textbox", "aria-readonly": "true", "aria-label": called,
    copy: succeeded }, text);
  const copyButton = h("button.btn.primary.sm", { autofocus: true, click: () => copy(secret) },
    icon("copy", 15), "Copy");
  const plain = h("button.btn", { click: () => (warning.firstChild ? closeDialog() : leave()) }, "Done");
  const both = h("button.btn.primary", { click: async () => await copy(secret) && closeDialog() }, "Copy and close");

  function succeeded() {
    copied = true;
    hint.textContent = "";
    removeEventListener("beforeunload", keepPage);
    fill(copyButton, icon("check", 15), "Copied");
    announce(`${called} copied`);
  }

  async function copy(whole) {
    try {
      await navigator.clipboard.writeText(whole);
    } catch {
      // Missing on plain http, or refused by the browser.
      getSelection().selectAllChildren(code);
      hint.textContent = "Press Ctrl+C to copy.";
      return false;
    }
    succeeded();
    return true;
  }

  function leave() {
    if (copied) return closeDialog();
    say(warning, note("bad", `You have not copied the ${word}. Without it you will need to make a new one.`));
    plain.textContent = "Close anyway";
    both.focus();
  }

  function wipe() {
    secret = text.data = "";
    getSelection().removeAllRanges();
    removeEventListener("beforeunload", keepPage);
  }

  // Without a clipboard the whole command cannot be copied, because the screen masks it.
  const copyCommand = navigator.clipboard && (() => copy(asked(secret).join("")));
  addEventListener("beforeunload", keepPage);
  addEventListener("pagehide", () => { wipe(); closeDialog(); }, { once: true });
  openDialog({
    title: `${name} is ready`, mark: "check", lead,
    body: [
      h("div.field", h("span.label", called), h("div.secret", code, copyButton), hint),
      word === "token" && h("div.field", h("span.label", "Try it"), codeBlock("curl command with the token",
        asked(h("span.c", `rtk_••••${secret.slice(-8)}`)), copyCommand)),
      note("", "Treat it like a password: keep it in a secret manager, never in source code."), warning,
    ],
    buttons: [plain, both], leave, objects: () => !copied,
    closed() {
      wipe();
      done();
    },
  });
}

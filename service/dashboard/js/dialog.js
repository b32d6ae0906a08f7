// The one frame of every dialog: heading, body, buttons; the focus returns to the opener when it closes.

import { h, icon, refocus, uniqueId } from "./dom.js";

let live = null;
export const closeDialog = () => live?.close();
export const dialogIsOpen = () => Boolean(live);

/** True if an open dialog wants to be asked before the page moves on; it then asks. */
export function dialogObjects() {
  if (!live?.objects?.()) return false;
  live.leave();
  return true;
}

/**
 * title, lead, mark (an icon), role, body and buttons (parts). submit makes it a form, which the backdrop does not
 * close. leave: what Escape and the backdrop do instead of closing. objects: see dialogObjects. closed: called when
 * it is gone.
 */
export function openDialog({ title, lead, mark, role, body, buttons, submit, leave = closeDialog, objects, closed }) {
  closeDialog();
  const [titleId, leadId] = [uniqueId(), uniqueId()];
  const opener = document.activeElement;
  const dialog = { leave, objects, close() {
    if (live !== dialog) return;
    // At once, not when the browser reports the close: the dialog may have held a secret.
    live = null;
    dialog.node.close();
    dialog.node.remove();
    closed?.();
    if (!live) refocus(opener);
  } };
  const on = {
    submit(event) {
      event.preventDefault();
      submit();
    },
    keydown(event) {
      if (event.key !== "Escape") return;
      event.preventDefault();
      leave();
    },
    mousedown({ target, detail }) {
      if (target === dialog.node && !submit && detail < 2) leave();
    },
    close: dialog.close,
  };
  const named = { role, "aria-labelledby": titleId, "aria-describedby": lead && leadId };
  dialog.node = h("dialog", named, on, h(submit ? "form" : "div", submit && { novalidate: true },
    h("div.head", mark && h(`span.badge.${mark}`, icon(mark, 20)),
      h("div", h("h2", { id: titleId }, title), lead && h("p", { id: leadId }, lead))),
    h("div.body", body),
    h("div.buttons", buttons ?? h("button.btn", { autofocus: true, click: closeDialog }, "Close"))));
  document.body.append(dialog.node);
  live = dialog;
  dialog.node.showModal();
}

/** Ask before something that nothing brings back; go: the words on its button. */
export const confirmDialog = (app, { go, ...words }, act) => openDialog({ role: "alertdialog", mark: "warning",
  ...words, buttons: [cancel(), h("button.btn.danger.fill", { click: () => {
    closeDialog();
    app.notices.change(act);
  } }, go)] });

/** The first autofocus in a dialog gets the focus: a field where there is one, else this. */
export const cancel = () => h("button.btn", { autofocus: true, click: closeDialog }, "Cancel");

// A dialog with a form. It is sent when its fields are valid, and stays with all input until that succeeds.

import { cancel, closeDialog, openDialog } from "./dialog.js";
import { blameRefused, readAll, submitButton } from "./fields.js";
import { fill, h, note, say } from "./dom.js";

const KEPT = "Your entries are kept: try again in a moment.";

/**
 * fields by name, each as field() makes one; body: how they stand in the dialog, if not one below the other; title and
 * lead; go and busy: the words on its button; away: what to do where no answer came. save(values) sends them.
 */
export function formDialog(app, { fields, body = Object.values(fields).map(({ node }) => node), go, busy = go,
  away = KEPT, ...frame }, save) {
  const place = h("div", { role: "alert" });
  const button = submitButton(go);
  let sending;
  const submit = async () => {
    const values = !sending && readAll(fields);
    if (!values) return;
    sending = true;
    button.textContent = busy;
    try {
      await save(values);
    } catch (problem) {
      const { status, answer, requestId } = problem;
      if (status === undefined || status === 401) app.notices.fail(problem);
      else if (blameRefused(problem, fields)) fill(place);
      else say(place, note("bad", problem.away ? `${problem.away} ${away}`
        : status < 500 && answer.detail || `That did not work. Nothing was changed. ${requestId}`));
    }
    sending = false;
    button.textContent = go;
  };
  const typed = () => [...place.parentNode.querySelectorAll("input, select")]
    .map(({ value, checked }) => value + checked).join();
  const objects = () => typed() !== untouched;
  const leave = () => {
    if (!objects()) return closeDialog();
    // Only once: pressing the key again closes it.
    untouched = typed();
    say(place, note("", "What you typed is not saved. Press Escape again to drop it."));
  };
  openDialog({ ...frame, submit, leave, objects, body: [place, body], buttons: [cancel(), button] });
  let untouched = typed();
}

// Single-key shortcuts and the sheet that lists them. Off in fields, menus and dialogs, and on request.

import { dialogIsOpen, openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { PLACES, kept } from "./shell.js";

const SHEET = [["Search", "/"], ["Create token", "c"], ["Next, previous row", "j k"], ["Select row", "x"],
  ["Open row", "Enter"],
  ...PLACES.map(([label, , key]) => [label, `g then ${key}`]), ["Undo", "u"],
  ["Close or clear", "Esc"], ["All shortcuts", "?"]];
const FIELDS = "select, textarea, [role=menu], [role=textbox], input:not([type=checkbox], [type=radio])";
const SECOND_KEY_MILLISECONDS = 1500;

export const keyList = () => h("dl.keys", SHEET.map(([what, keys]) => [h("dt", what),
  h("dd", keys.split(" ").flatMap((key) => [key === "then" ? key : h("kbd", key), " "]))]));

export const showKeys = () => openDialog({ title: "Keyboard", body: keyList() });

/** What a key does here and now; screens bring their own keys. */
function deed(app, key, afterG) {
  const place = afterG && PLACES.find(([, , known]) => known === key);
  if (place) return () => app.go(`/dashboard/${place[1]}`);
  return { "?": showKeys, u: app.notices.undo }[key] ?? app.screen.keys?.[key];
}

export function listenForKeys(app) {
  let pressedG = -Infinity;
  addEventListener("keydown", (event) => {
    const { key, target, timeStamp } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || !app.screen) return;
    if (dialogIsOpen() || target.closest?.(FIELDS) || (key !== "Escape" && kept("keys") === "off")) return;
    const act = deed(app, key, timeStamp - pressedG < SECOND_KEY_MILLISECONDS);
    pressedG = key === "g" ? timeStamp : -Infinity;
    if (!act) return;
    event.preventDefault();
    act();
  });
}

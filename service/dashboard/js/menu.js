// A button that opens a short list of actions, by pointer and by keyboard.

import { h } from "./dom.js";

let openMenu = null;
export const menuIsOpen = () => Boolean(openMenu);

export function closeMenu(focus) {
  const { control, list } = openMenu ?? {};
  openMenu = null;
  if (!list) return;
  list.remove();
  control.ariaExpanded = "false";
  if (focus) control.focus();
}

function onMenuKey(event) {
  const entries = [...openMenu.list.querySelectorAll(":enabled")];
  const at = entries.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (to !== undefined) entries.at(to % entries.length).focus();
  else if (event.key === "Escape" || event.key === "Tab") closeMenu(true);
  else return;
  if (event.key !== "Tab") event.preventDefault();
}

function entry([label, run, off, style = ""]) {
  const click = () => {
    closeMenu(true);
    run();
  };
  return h(`button.${style}`, { role: "menuitem", tabindex: -1, disabled: Boolean(off), title: off, click }, label);
}

/** Make a button open a menu; entries() gives [[label, run, why it is off, style]] at that moment. */
export function menu(control, entries) {
  control.ariaHasPopup = "menu";
  control.ariaExpanded = "false";
  control.addEventListener("click", () => {
    const mine = openMenu?.control === control;
    closeMenu();
    if (mine) return;
    const name = control.ariaLabel ?? control.textContent;
    const list = h("div.menu", { role: "menu", "aria-label": name, keydown: onMenuKey }, entries().map(entry));
    control.after(list);
    // Near the lower edge the list opens upwards, so that it is never cut off.
    list.classList.toggle("up", list.getBoundingClientRect().bottom > innerHeight);
    control.ariaExpanded = "true";
    openMenu = { control, list };
    list.querySelector(":enabled").focus();
  });
  return h("div.holder", control);
}

addEventListener("pointerdown", ({ target }) => {
  if (!openMenu?.list.parentNode.contains(target)) closeMenu();
});

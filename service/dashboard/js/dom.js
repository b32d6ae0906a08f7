// Builds elements from text and nodes, never from markup: nothing that a caller passes in can run.

import { whole } from "./api.js";

const icons = document.getElementById("icons").content;
// Read from a parsed icon, so that the scripts contain no URL, not even a namespace.
const SVG = icons.firstElementChild.namespaceURI;

function assign(node, props) {
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (key === "href") node.href = whole(value);
    else if (value || value === 0 || value === "") node.setAttribute(key, value === true ? "" : value);
  }
}

function put(node, parts) {
  for (const part of parts.flat(3)) {
    if (part?.constructor === Object) assign(node, part);
    else if (part || part === 0) node.append(part);
  }
  return node;
}

const builder = (create) => (spec, ...parts) => {
  const [tag, ...names] = spec.split(".");
  const node = create(tag);
  if (names[0]) node.setAttribute("class", names.join(" "));
  if (tag === "button") node.type = tag;
  return put(node, parts);
};

/** h("p.small", {id, click: listener}, "text", node, [more]); parts that are empty are left out. */
export const h = builder((tag) => document.createElement(tag));
export const svg = builder((tag) => document.createElementNS(SVG, tag));

/** Empty a node and put parts into it; a focus that was in it goes to what took its place. */
export function fill(node, ...parts) {
  const held = document.activeElement;
  node.textContent = "";
  put(node, parts);
  if (document.activeElement !== held) refocus(held);
  return node;
}

/** Fill a node with what is to be noticed, and show it. */
export function say(node, ...parts) {
  fill(node, parts).scrollIntoView({ block: "nearest" });
}

export const icon = (name, size = 18) =>
  put(icons.querySelector(`.${name}`).cloneNode(true), [{ class: "icon", width: size, height: size }]);

/** A button that changes something; of one that is drawn again, focus tells which it is. about: to screen readers. */
export const changing = (spec, name, click, focus, about) => h(spec,
  { "data-change": true, "data-focus": focus, "aria-label": about, click }, name);

/** A coloured line; kind is "info", "bad" or "" for a warning. */
export const note = (kind, ...parts) => h(`div.note.${kind}`, icon(kind ? "info" : "warning"), h("span", parts));

/** A card with a heading, something at the heading's end, and what is in it. */
export const card = (title, end, ...body) => h("section.card", h("header", h("h2", title), end), h("div.pad", body));
export const emptyCard = (title, ...parts) => h("section.card.empty", h("h2", title), parts);
/** A number that leads to what it counts. */
export const tile = (href, name, value, about) => h("div.tile",
  h("a.main", { href, "data-focus": href }, h("span.k", name), h("b", value)), h("small", about));
export const facts = (rows) => h("dl.facts", rows.map(([term, value]) => [h("dt", term), h("dd", value)]));

/** Code to read and to copy; copy is null where it cannot be had. */
export const codeBlock = (what, parts, copy) => h("div.code",
  h("pre", { tabindex: 0, role: "region", "aria-label": what }, h("code", parts)),
  copy && h("button.btn.quiet.sm", { "aria-label": `Copy ${what}`, click: copy }, icon("copy", 15), "Copy"));
export const command = (app, text) => codeBlock("command", text, () => app.copy(text));

/** Say something to screen readers; the oldest lines go. */
export function announce(text) {
  const live = document.getElementById("live");
  live.append(h("p", text));
  if (live.children.length > 5) live.firstChild.remove();
}

let lastId = 0;
export const uniqueId = () => `e${(lastId += 1)}`;

const main = () => document.getElementById("main");

/** Focus an element, or what stands for it after the page was drawn again, or else the main part. */
export function refocus(held) {
  const { focus } = held.dataset;
  const target = held.isConnected ? held : focus && document.querySelector(`[data-focus="${focus}"]`);
  (target || main()).focus();
  if (document.activeElement === document.body) main().focus();
}

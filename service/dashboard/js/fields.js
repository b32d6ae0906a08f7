// Fields of forms: how each is labelled and read, and where its error is shown.

import { h, uniqueId } from "./dom.js";
import { upper } from "./format.js";

/** What is wrong with a field, as the sentence shown below it. */
export class Fault extends Error {
  constructor(sentence, place) {
    super(sentence);
    this.place = place;
  }
}

export const options = (pairs, chosen) =>
  pairs.map(([value, label]) => h("option", { value, selected: value === chosen }, label));

/** One choice of several, [[value, label]]; node.value() tells which. */
export function chips(pairs, chosen) {
  const name = uniqueId();
  const node = h("div.chips", pairs.map(([value, label]) =>
    h("label", h("input", { type: "radio", name, value, checked: value === chosen }), h("span", label))));
  node.value = () => node.querySelector(":checked").value;
  return node;
}

/** A choice of several that a form reads as one of its fields. */
export function choice(label, pairs, chosen) {
  const one = chips(pairs, chosen);
  return { node: h("fieldset", h("legend", label), one), fail() {}, read: one.value };
}

/** A labelled input; read() gives its value or throws a Fault, fail() shows one. */
export function field(label, props, hint, parse = (text) => text) {
  const [id, about] = [uniqueId(), uniqueId()];
  const usual = { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "none" };
  const error = h("p.err");
  const input = h("input", { id, "aria-describedby": about, ...usual, input: () => fail(""), ...props });
  const fail = (text) => {
    error.textContent = text;
    input.ariaInvalid = String(text > "");
  };
  const node = h("div.field", h("label", { for: id }, label, !props.required && h("span.opt", " optional")), input,
    h("div", { id: about }, error, hint && h("p.hint", hint)));
  const made = { node, input, fail, read() {
    try {
      return parse(input.value.trim());
    } catch (fault) {
      fault.place = made;
      throw fault;
    }
  } };
  return made;
}

/** Any of several, [[value, label]], of which the chosen ones are ticked; without any of them `none` is its fault. */
export function ticks(label, pairs, chosen, none) {
  const error = h("p.err");
  const fail = (text) => { error.textContent = text; };
  const boxes = pairs.map(([value]) =>
    h("input", { type: "checkbox", value, checked: chosen.includes(value), input: () => fail("") }));
  const read = () => {
    const found = boxes.filter(({ checked }) => checked).map(({ value }) => value);
    if (none && !found[0]) throw new Fault(none);
    return found;
  };
  return { input: boxes[0], fail, read, node: h("fieldset", h("legend", label),
    h("div.ticks", boxes.map((box, at) => h("label.tick", box, pairs[at][1]))), error) };
}

/** Reads a text that may not be missing. */
export const required = (sentence) => (text) => {
  if (!text) throw new Fault(sentence);
  return text;
};

/** "a, b" as its words. */
export const separated = (text) => text.split(/[\s,]+/).filter(Boolean);

export function numeral(text) {
  if (!/^([1-9]\d*)?$/.test(text)) throw new Fault("Give a whole number, such as 600.");
  return text ? Number(text) : null;
}

export const submitButton = (label) => h("button.btn.primary", { type: "submit" }, label);

/** Show what is wrong with a field, and go there. */
export function blame({ input, fail }, text) {
  fail(text);
  const folded = input.closest("details");
  if (folded) folded.open = true;
  input.focus();
}

/** Values by name, or null with each fault shown and the focus on the first. */
export function readAll(fields) {
  let values = {};
  for (const [name, one] of Object.entries(fields).reverse()) {
    try {
      one.fail("");
      const value = one.read();
      values = values && { ...(name === "expiresAt" ? value : { [name]: value }), ...values };
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      blame(fault.place ?? one, fault.message);
      values = null;
    }
  }
  return values;
}

/** Show what a refusal says of fields, by paths as "allowedNetworks[0]", below these; false where it names none. */
export function blameRefused({ answer: { code, detail, errors = [] } }, fields) {
  const said = code === "name_taken" ? [{ field: "name", message: detail }] : errors;
  return said.filter(({ field: path, message }) => {
    const one = path.replace("duration", "expiresAt").split(/\W+/).map((word) => fields[word]).find(Boolean);
    if (one) blame(one.at?.(path) ?? one, upper(message.replace(/\.?$/, ".")));
    return one;
  }).length > 0;
}

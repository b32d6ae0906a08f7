// The page for an address that belongs to no screen.

import { emptyCard, h } from "./dom.js";
import { pageHead } from "./shell.js";

export const lostScreen = (app) => ({ title: "Not found", leave() {}, update() {}, node: [
  pageHead(app, "Not found"),
  emptyCard("There is nothing at this address.", h("p", "It may have been cut short or mistyped."),
    h("a.btn", { href: "/dashboard/" }, "All tokens")),
] });

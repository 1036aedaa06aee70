// Single keys, which can be turned off in the help.

import { byId, el } from "./dom.js";

const NAMES = { ArrowDown: "↓", ArrowUp: "↑" };

/** keys: [[key, what it does, function]]; a function that gives false has not used its key. */
export function bindKeys(keys) {
  byId("keys").replaceChildren(...keys.map(([key, what]) =>
    el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, NAMES[key] ?? key)), el("td", {}, what))));
  const actions = new Map(keys.map(([key, , action]) => [key, action]));
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const typing = target.matches?.("select, textarea, input:not([type=range], [type=checkbox])");
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.defaultPrevented || typing || modified || document.querySelector("dialog[open]")) return;
    const action = actions.get(event.key);
    if (!action || !byId("keys-on").checked) return;
    if (action() !== false) event.preventDefault();
  });
}

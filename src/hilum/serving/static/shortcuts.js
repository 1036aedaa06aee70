// Single keys, which can be turned off in the help.

import { byId, el } from "./dom.js";

/** keys: [[key, what it does, function]]. */
export function bindKeys(keys) {
  byId("keys").replaceChildren(...keys.map(([key, what]) =>
    el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, what))));
  const actions = new Map(keys.map(([key, , action]) => [key, action]));
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const typing = target.matches?.("select, textarea, input:not([type=range], [type=checkbox])");
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (typing || modified || document.querySelector("dialog[open]")) return;
    const action = actions.get(event.key);
    if (!action || !byId("keys-on").checked) return;
    event.preventDefault();
    action();
  });
}

// The radiographs of this page as a list of buttons: sorted, filtered, and walked through.

import { byId, count, el } from "./dom.js";
import { findingOf, isOdd, saidOf, stillPossible } from "./labels.js";

const THUMB = 52; // CSS pixels

const last = Number.POSITIVE_INFINITY;
/** How the list can be sorted: what each sorts by, upwards. score: of a result, see List. */
const ORDERS = {
  added: ["As added", () => 0],
  probability: ["By probability", ({ result }, score) => (result ? -score(result) : last)],
  referral: ["Referred first", ({ result }) => (result ? Number(!result.referred) : last)],
  gate: ["Least like training first", ({ result }) => result?.gate_p_value ?? last],
};
const FILTERS = {
  all: ["All", () => true],
  referred: ["For a radiologist", ({ result }) => result?.referred],
  answered: ["Answered", ({ result }) => result && !result.referred],
  odd: ["Unlike training", ({ result }) => isOdd(result)],
  failed: ["Not read", ({ state }) => state === "failed"],
};

export class List {
  #rows = new Map(); // an item's row

  #orders = { ...ORDERS };
  #filters = { ...FILTERS };

  /** items: of the page. onChoose(item), onRemove(item): a row's buttons. */
  constructor(items, onChoose, onRemove) {
    Object.assign(this, { items, onChoose, onRemove });
    for (const id of ["sort", "filter"]) byId(id).onchange = () => this.update(this.chosen, this.call);
    this.offer([]);
  }

  /** Let the list be sorted and filtered by findings, too. */
  offer(findings) {
    for (const { name } of findings) {
      this.#orders[`finding ${name}`] = [`By ${name}`,
        ({ result }) => (result ? -findingOf(result, name).probability : last)];
      this.#filters[`finding ${name}`] = [`With ${name}`,
        ({ result }) => result && findingOf(result, name).present];
    }
    for (const [id, kinds] of [["sort", this.#orders], ["filter", this.#filters]]) {
      byId(id).replaceChildren(...Object.entries(kinds).map(([value, [name]]) =>
        el("option", { value }, name)));
    }
  }

  /** What is in the list now, in its order. */
  get shown() {
    const score = (result) => this.call?.score(result) ?? result.probs[result.predicted]
      ?? Math.max(...result.findings.map((f) => f.probability));
    const key = this.#orders[byId("sort").value][1];
    const keep = this.#filters[byId("filter").value][1];
    return this.items.filter(keep).map((item) => [key(item, score), item])
      .sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, item]) => item);
  }

  /** Bring the rows up to date. call: the threshold's, or null. */
  update(chosen, call) {
    Object.assign(this, { chosen, call });
    const shown = this.shown;
    const rows = shown.map((item) => this.#rowOf(item));
    const place = byId("list");
    if (rows.length !== place.children.length || rows.some((row, i) => row !== place.children[i])) {
      const focused = place.contains(document.activeElement) ? document.activeElement : null;
      place.replaceChildren(...rows);
      focused?.focus({ preventScroll: true }); // which moving a row takes away
    }
    for (const item of shown) {
      item.button.setAttribute("aria-current", item === chosen);
      item.about.replaceChildren(...aboutOf(item, call));
    }
    byId("order").hidden = this.items.length < 2;
    byId("hidden").textContent = shown.length === this.items.length ? ""
      : `${count(this.items.length - shown.length, "radiograph")} not shown.`;
  }

  /** The item so many places further, or undefined. */
  beside(item, by) {
    const shown = this.shown;
    return shown[shown.indexOf(item) + by];
  }

  remove(item) {
    this.#rows.delete(item);
  }

  #rowOf(item) {
    if (this.#rows.has(item)) return this.#rows.get(item);
    item.thumb ??= el("canvas", { className: "thumb", width: THUMB * 2, height: THUMB * 2,
      "aria-hidden": "true" });
    item.about = el("span", { className: "about" });
    item.button = el("button", { type: "button", className: "item",
      onclick: () => this.onChoose(item) }, item.thumb,
    el("span", { className: "words" }, el("span", { className: "file-name" }, item.name),
      item.about));
    const away = el("button", { type: "button", className: "away", title: "Remove",
      "aria-label": `Remove ${item.name}`, onclick: () => this.onRemove(item) }, "×");
    this.#rows.set(item, el("li", {}, item.button, away));
    return this.#rows.get(item);
  }
}

function aboutOf({ state, result, waiting }, call) {
  if (state === "failed") return [el("span", { className: "tag trouble" }, "no answer")];
  if (!result) return [waiting ?? (state === "sent" ? "reading …" : "waiting …")];
  if (isOdd(result)) return [el("span", { className: "tag warn" }, "unlike the training radiographs")];
  const open = stillPossible(result);
  return [
    `${saidOf(result)} `,
    call?.of(result) ? el("span", { className: "tag" }, `called ${call.label}`) : "",
    open ? el("small", {}, open.short) : "",
  ];
}

/** Draw a picture's thumbnail. */
export function drawThumb(item, image) {
  const side = THUMB * 2;
  const scale = Math.min(side / image.width, side / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  const context = item.thumb.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (side - width) / 2, (side - height) / 2, width, height);
}
